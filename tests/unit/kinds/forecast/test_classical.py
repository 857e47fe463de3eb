"""Theta and ETS: what statsmodels forecasts, at every origin, from what precedes it alone."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.data import panel, tables
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.evaluation import floors
from retain.kinds.forecast.model import baselines, classical

NAN = float("nan")
HORIZON, CONTEXT, STEPS = 3, 6, 60


def wave(steps: int, season: int, level: float = 50.0, seed: int = 0) -> Floats:
    noise, days = np.random.default_rng(seed), np.arange(steps)
    y: Floats = level + 0.3 * days + 8 * np.sin(2 * np.pi * days / season)
    return y + noise.normal(size=steps)


def made(*series: Floats, season: int = 7) -> Panel:
    """Validation begins at step 30 of 60, test at step 45."""
    data = Data(
        path="t.csv",
        unique_id="id",
        calendar=False,
        horizon=HORIZON,
        context_length=CONTEXT,
        season_length=season,
        split={"validation": 0.5, "test": 0.75},
    )
    frames = [
        pd.DataFrame({"id": f"s{n}", "ds": pd.date_range("2024-01-01", periods=len(y)), "y": y})
        for n, y in enumerate(series)
    ]
    return panel.build(tables.clean(pd.concat(frames), data, "t.csv"), data)


def problem(**evaluation: Any) -> Problem:
    return Problem.model_validate(
        {
            "kind": "forecast",
            "preset": "fast",
            "data": {
                "path": "t.csv",
                "horizon": HORIZON,
                "context_length": CONTEXT,
                "season_length": 7,
            },
            "model": {"quantiles": [0.1, 0.5, 0.9]},
            "evaluation": evaluation,
            "gate": [],
        }
    )


@pytest.mark.parametrize(("season", "level"), [(7, 50.0), (7, -30.0), (1, 0.0), (20, 50.0)])
def test_a_run_forecasts_what_statsmodels_does(
    monkeypatch: pytest.MonkeyPatch, season: int, level: float
) -> None:
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    monkeypatch.setattr(classical, "DIGITS", 12)
    y = wave(90, max(season, 2), level)
    found = classical.estimate(y, season)
    _, fitted = classical.fit_theta(y, season)
    ours = classical.run(found["theta"], y).forecast(np.array([90]), 25)[0]
    np.testing.assert_allclose(ours, fitted.forecast(25), atol=1e-8)

    theta = found["theta"]
    index = np.resize(np.array(theta.index), 115)
    assert theta.multiplied == (level > 0)
    adjusted = y / index[:90] if theta.multiplied else y - index[:90]
    scaled = (adjusted - adjusted.mean()) / adjusted.std()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ExponentialSmoothing(
            scaled, trend="add", damped_trend=True, initialization_method="estimated"
        )
        ahead = adjusted.mean() + adjusted.std() * model.fit().forecast(25)
    ahead = ahead * index[90:] if theta.multiplied else ahead + index[90:]
    ours = classical.run(found["ets"], y).forecast(np.array([90]), 25)[0]
    np.testing.assert_allclose(ours, ahead, rtol=1e-3, atol=1e-2)


def test_a_run_forecasts_from_an_origin_what_it_would_if_the_values_ended_there() -> None:
    y = wave(60, 7)
    for smoother in classical.estimate(y, 7).values():
        whole = classical.run(smoother, y).forecast(np.array([40, 55]), 5)
        for place, origin in enumerate((40, 55)):
            part = classical.run(smoother, y[:origin]).forecast(np.array([origin]), 5)
            np.testing.assert_array_equal(whole[place], part[0])


def test_a_missing_value_is_what_was_forecast() -> None:
    smoother = classical.Smoother(0.5, 10.0, beta=0.1, phi=0.9, slope=1.0)
    gap = classical.run(smoother, np.array([11.0, NAN, 12.0]))
    filled = gap.forecast(np.array([1]), 1)[0, 0]
    whole = classical.run(smoother, np.array([11.0, filled, 12.0]))
    np.testing.assert_allclose(gap.level, whole.level)
    np.testing.assert_allclose(gap.slope, whole.slope)


@pytest.mark.parametrize("y", [np.full(30, 4.0), np.arange(9.0)])
def test_a_constant_and_a_short_series_repeat_the_last_value(y: Floats) -> None:
    for smoother in classical.estimate(y, 7).values():
        found = classical.run(smoother, y).forecast(np.array([len(y)]), 3)
        np.testing.assert_array_equal(found, np.full((1, 3), y[-1]))


def forecasts(source: Panel, name: str) -> tuple[Floats, Windows]:
    windows = Windows(source, (source.schema.validation_step, source.schema.steps))
    found = floors.build(source, classical.NAMES, 1)
    series, origin = windows.locate(np.arange(len(windows)))
    return found.forecast(name, series, origin), windows


@pytest.mark.parametrize("name", classical.NAMES)
def test_a_forecast_knows_no_row_from_its_origin_on(name: str) -> None:
    y = wave(STEPS, 7)
    y[[12, 38, 39, 40]] = NAN
    changed = y.copy()
    changed[41:] = 1000 - changed[41:]  # the window at 41 follows a gap: nothing is interpolated
    ours, windows = forecasts(made(y), name)
    other, _ = forecasts(made(changed), name)
    before = windows.step <= 41
    assert before.sum() > 5
    np.testing.assert_array_equal(ours[before], other[before])
    assert not np.isclose(ours[~before], other[~before]).any()


def test_parameters_are_estimated_again_as_a_series_grows() -> None:
    assert classical._schedule(100, 140, 1).tolist() == [100]
    assert classical._schedule(10, 24, 1).tolist() == [10, 15, 22]
    assert classical._schedule(100, 140, 4).tolist() == [100, 110, 120, 130]


def test_series_of_their_own_spans_do_not_mix() -> None:
    long, late = wave(STEPS, 7), wave(50, 7, level=500, seed=1)
    both, windows = forecasts(made(long, late), "theta")
    alone, _ = forecasts(made(long), "theta")
    np.testing.assert_array_equal(both[windows.series == 0], alone)
    assert both[windows.series == 1].min() > 400


def test_of_many_series_a_sample_is_drawn_by_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classical, "MOST_ESTIMATIONS", 1)
    source = made(*[wave(STEPS, 7, seed=seed) for seed in range(5)])
    assert not floors.build(source, ("theta",), 1).sampled
    monkeypatch.setattr(classical, "SERIES", 2)
    drawn = [floors.build(source, ("theta",), seed) for seed in (1, 1, 2)]
    assert [found.sampled for found in drawn] == [True] * 3
    assert [int(found.chosen.sum()) for found in drawn] == [2] * 3
    first, again, other = (np.flatnonzero(found.chosen).tolist() for found in drawn)
    assert first == again != other
    monkeypatch.setattr(classical, "TOTAL_ROWS", 1)
    assert floors.build(source, ("theta",), 1).chosen.sum() == 1


def test_the_floors_are_those_that_are_named_and_return_quantiles_and_a_mean() -> None:
    source = made(wave(STEPS, 7), wave(50, 7, seed=1))
    validation, test = Windows(source, "validation"), Windows(source, "test")
    smoothed = floors.build(source, classical.NAMES, 1)
    every = baselines.quantile_models(problem(), validation, source, smoothed)
    assert list(every) == [*problem().evaluation.floors]
    batch = test.batch(np.arange(len(test)))
    for name, model in every.items():
        found = model(batch)
        assert found.shape == (len(test), HORIZON, 4), name
        assert np.isfinite(found).all(), name
        assert (np.diff(found[..., :3]) >= 0).all(), name
    few = problem(floors=["theta", "naive"])
    assert list(baselines.quantile_models(few, validation, source, smoothed)) == ["theta", "naive"]
    assert list(baselines.quantile_models(few, validation, source)) == ["naive"]


def test_always_zero_is_a_floor_of_data_without_negative_values_alone() -> None:
    batch_of = {level: made(wave(STEPS, 7, level)) for level in (50.0, 0.0)}
    for level, source in batch_of.items():
        validation = Windows(source, "validation")
        models = baselines.quantile_models(problem(), validation, source)
        assert ("zero" in models) == (level == 50.0)
        if "zero" in models:
            assert (models["zero"](validation.batch(np.arange(3))) == 0).all()


def test_the_mean_of_the_season_is_that_of_each_phase_in_the_training_part() -> None:
    y = np.tile([1.0, 2.0, 3.0], 20)
    y[30:] += 100  # the training part ends at step 30
    y[1:30:3] = NAN
    source = made(y, season=3)
    windows = Windows(source, (45, 60))
    found = baselines.seasonal_mean(source, HORIZON)(windows.batch(np.arange(3)))
    # A phase without a value has the mean of all.
    assert found.tolist() == [[1.0, 2.0, 3.0], [2.0, 3.0, 1.0], [3.0, 1.0, 2.0]]
