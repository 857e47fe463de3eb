"""The intervals of every figure, and the forecast of the future as `--plot` draws it."""

import re

import numpy as np
import pandas as pd
import pytest

from retain.config.forecasts import Forecasts
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.evaluation import fan, wording

LEVELS = tuple(round(level / 10, 1) for level in range(1, 10))


def problem(**data: object) -> Problem:
    keys = {"path": "t.csv", "unique_id": "store", "horizon": 3, "context_length": 12} | data
    gate = [{"check": "finite"}]
    return Problem.model_validate(
        {"kind": "forecast", "preset": "fast", "data": keys, "gate": gate}
    )


def forecasts(names: list[str], horizon: int = 3) -> Forecasts:
    """Forty days of each series, the last without a value, and a forecast of some days."""
    ds = pd.date_range("2024-01-01", periods=40)
    past = [pd.DataFrame({"unique_id": name, "ds": ds, "y": np.arange(40.0)}) for name in names]
    history = pd.concat(past, ignore_index=True)
    history.loc[history["ds"] == ds[-1], "y"] = np.nan
    ahead = pd.date_range(ds[-1], periods=horizon)
    rows = pd.concat([pd.DataFrame({"unique_id": name, "ds": ahead}) for name in names])
    table = rows.rename(columns={"unique_id": "store"}).assign(mean=40.0, median=40.0)
    table = table.assign(**{f"{level:g}": 35 + 10 * level for level in LEVELS}, note="")
    parts = table.reset_index(drop=True), {}, {}, [], rows.reset_index(drop=True), history
    return Forecasts(*parts)


def test_the_bounds_of_an_interval_lie_between_the_levels() -> None:
    quantiles = np.array([LEVELS, [10 * level for level in LEVELS]])
    for share, low, high in ((0.8, 0.1, 0.9), (0.5, 0.25, 0.75), (0.6, 0.2, 0.8)):
        bounds = fan.interval(quantiles, LEVELS, share)
        assert bounds is not None
        assert np.allclose(bounds, [[low, 10 * low], [high, 10 * high]])
    assert fan.interval(quantiles, LEVELS, 0.9) is None
    assert fan.interval(quantiles[:, 4:5], (0.5,), 0.5) is None


def test_a_fan_begins_behind_the_last_value() -> None:
    fans, levels = fan.fans_of(forecasts(["b", "a"]))
    assert levels == LEVELS
    assert [one.title for one in fans] == ["b", "a"]
    assert fans[0].past.tolist() == list(np.arange(15.0, 39))  # FEWEST steps
    assert fans[0].past_ds[-1] == np.datetime64("2024-02-08")
    assert fans[0].ahead[0] == np.datetime64("2024-02-09")
    assert fans[0].quantiles[:, 0].tolist() == [36.0] * 3


def test_the_first_series_are_drawn_with_unit_bands_and_years() -> None:
    names = [f"store {number}" for number in range(fan.MOST + 1)]
    svg = fan.plot(problem(unit="euro"), forecasts(names), ".svg").decode()
    texts = set(re.findall(r">([^<>]+)</text>", svg)) | set(re.findall(r">([^<>]+)</tspan>", svg))
    assert {"euro", "80\xa0% interval", "50\xa0% interval", "2024", "store 5"} <= texts
    assert "store 6" not in texts
    assert fan.plot(problem(), forecasts(["a"]), ".png").startswith(b"\x89PNG")


@pytest.mark.parametrize("horizon", [1, 2])
def test_a_short_horizon_can_be_drawn(horizon: int) -> None:
    svg = fan.plot(problem(), forecasts(["a"], horizon), ".svg").decode()
    assert svg.count("opacity: 0.16") + svg.count("stroke-opacity: 0.16") >= 2  # legend and band


@pytest.mark.parametrize(
    ("count", "frequency", "words"),
    [
        (1, "h", "1 hour"),
        (48, "30min", "24 hours"),
        (3, "QS-OCT", "3 quarters"),
        (2, "2D", "4 days"),
    ],
)
def test_durations_are_in_words(count: int, frequency: str, words: str) -> None:
    assert wording.steps(count, frequency) == words


def test_a_frequency_without_a_name_is_said_as_it_is() -> None:
    assert wording.steps(2, "100ms") == "2 steps of 100ms"
    assert wording.step_unit("15min") == "steps of 15min"
    assert wording.step_unit("MS") == "months"
    assert wording.season_before(7, "D") == "last week's value"
    assert wording.season_before(3, "100ms") == "the value 3 steps of 100ms before"


STEPS = Data(path="t.csv", ds="t", ds_is_step=True, calendar=False, horizon=3, context_length=8)


def number(step: int) -> pd.Timestamp:
    return pd.Timestamp(step, unit="us")


def test_steps_and_quarters_are_written_as_the_table_has_them() -> None:
    assert wording.span(number(10), number(89), STEPS, "us") == "step 10 to 89"
    assert wording.steps(3, "us") == "3 steps"
    assert wording.every("us") == "every step"
    assert wording.every("10us") == "every step of 10"
    quarters = Data(path="t.csv", time_format="%Y-Q%q", horizon=3, context_length=8)
    assert wording.stamp(pd.Timestamp("2010-04-01"), quarters, "QS") == "2010-Q2"
    berlin = Data(path="t.csv", timezone="Europe/Berlin", horizon=3, context_length=8)
    assert wording.stamp(pd.Timestamp("2024-06-30 22:00"), berlin) == "1 Jul 2024"


def test_an_axis_of_steps_has_numbers() -> None:
    steps = np.arange(10, 30)
    one = fan.Fan("a", steps[:-3], np.arange(17.0), steps[-3:], np.ones((3, 3)) * 17)
    drawing = fan.future([one], (0.1, 0.5, 0.9), "lstm", "y")
    assert ">15</text>" in drawing
    assert "1970" not in drawing
