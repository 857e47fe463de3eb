"""Tables that few have: what lies after the training part, gaps, odd stamps, and many steps."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain.config import loader
from retain.errors import DataError
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.data import (
    across,
    aggregate,
    left_out,
    panel,
    profile,
    sample,
    tables,
    time_formats,
    timestamps,
)
from retain.kinds.forecast.data.formats import Origin
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.reader import Raw
from retain.kinds.forecast.evaluation import wording
from retain.kinds.forecast.model.conformal import step_spreads
from retain.kinds.forecast.predict import fast_reader, spans
from retain.kinds.forecast.predict.example import series_frame
from retain.kinds.forecast.time_axis import TimeAxis

from .panels import panel_of

NAN = float("nan")
DAYS: dict[str, Any] = {"begin": "2024-01-01", "frequency": "D", "horizon": 3, "context_length": 4}
SPLIT = {"validation": 0.6, "test": 0.8}
TEN_WEEKS = 70


def wave(steps: int = TEN_WEEKS) -> np.ndarray[Any, Any]:
    return 50 + 10 * np.sin(np.arange(steps) * 2 * np.pi / 7) + np.arange(steps) % 3


def days(*series: np.ndarray[Any, Any], **keys: Any) -> Panel:
    return panel_of(*series, **DAYS | {"split": SPLIT} | keys)


def test_a_model_of_more_rows_may_forecast_negative_values_that_it_has_seen() -> None:
    y = wave()
    y[60:] = -8
    source = days(y)
    assert source.schema.low == 0
    assert source.cut(TEN_WEEKS, TEN_WEEKS, TEN_WEEKS).schema.low is None


def test_a_test_part_without_a_window_is_refused_before_anything_is_trained() -> None:
    y = wave()
    y[40:-1] = NAN  # no context with a value before the last one
    with pytest.raises(DataError, match=r"no window of the test part .* move `?data.split.test"):
        days(y, split={"validation": 0.4, "test": 0.8})


def test_a_series_that_ended_is_not_left_out_to_be_scored() -> None:
    whole = days(*(wave() for _ in range(6)))
    (first,) = np.flatnonzero(left_out.drawn(whole, 0.1))
    ended = days(*(wave(40 if number == first else TEN_WEEKS) for number in range(6)))
    assert np.flatnonzero(left_out.drawn(ended, 0.1)) != first


def test_a_missing_category_is_no_category_in_the_table_of_a_series() -> None:
    ds = pd.date_range("2024-01-01", periods=TEN_WEEKS)
    table = pd.DataFrame({"ds": ds, "y": wave(), "promo": ["sale", None, "flyer", None, None] * 14})
    keys: dict[str, Any] = {"path": "t.csv", "horizon": 3, "context_length": 4, "split": SPLIT}
    data = Data(**keys, past_covariates=("promo",), categorical=("promo",))
    source = panel.build(tables.clean(table, data, "t.csv"), data)
    found = series_frame(source, 0, data)["promo"]
    assert found.fillna("")[:5].tolist() == ["sale", "", "flyer", "", ""]


def test_a_part_of_a_table_may_have_a_column_without_values() -> None:
    frame = pd.DataFrame({"ds": ["2024-01-01", "2024-01-02"], "y": [NAN, NAN]})
    data = Data(path="t.csv", horizon=1, context_length=1, split=SPLIT)
    with pytest.raises(DataError, match="has no value in any row"):
        tables.check(Raw(frame, Origin("t.csv")), data)
    assert len(tables.check(Raw(frame, Origin("t.csv")), data, part=True).frame) == 2


def test_rows_of_another_frequency_are_left_out_by_series() -> None:
    source = days(wave(), wave())
    ds = pd.date_range("2024-01-01", periods=TEN_WEEKS)
    every, second = (pd.DataFrame({"ds": ds, "y": wave()})[::step] for step in (1, 2))
    parts = [second.assign(unique_id=name) for name in "ab"]
    frame = pd.concat([*parts, every[:30].assign(unique_id="c")], ignore_index=True)
    data = Data.model_validate(source.schema.data)
    rows, reasons = spans.set_apart(frame, data, source.schema, "t.csv")
    assert frame["unique_id"][rows].unique().tolist() == ["c"]
    assert reasons["a"].startswith("its rows are mostly 2 steps of D apart")


def test_a_static_number_stays_what_it_is_in_steps_of_several_rows() -> None:
    ds = pd.date_range("2024-01-01", periods=30, freq="8h")
    long = pd.DataFrame({"unique_id": "a", "ds": ds, "y": 1.0, "size": 0.7})
    keys: dict[str, Any] = {"path": "t.csv", "horizon": 1, "context_length": 1, "split": SPLIT}
    data = Data(**keys, frequency="D", aggregate="sum", static_covariates=("size",))
    assert (aggregate.to_steps(long, data)["size"] == 0.7).all()


@pytest.mark.parametrize(
    ("zone", "local", "expected"),
    [
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04 03:00"),  # 00:00 was left out
        ("Europe/Berlin", "2018-10-28T02:30", "2018-10-28 00:30"),  # the first of two
        ("Europe/Berlin", "2018-10-28T02:30+01:00", "2018-10-28 01:30"),
    ],
)
def test_a_date_of_the_user_may_fall_on_a_change_of_the_clock(
    zone: str, local: str, expected: str
) -> None:
    assert time_formats.to_utc(pd.Timestamp(local), zone) == pd.Timestamp(expected)


def test_errors_of_many_steps_increase_as_isotonic_regression_says() -> None:
    assert step_spreads(np.array([[1.0, 3.0, 2.0, NAN, 4.0]])).tolist() == [1, 2.5, 2.5, 3.25, 4]
    assert len(step_spreads(np.ones((1, 100_000)))) == 100_000  # n² numbers would be 80 GB


def test_why_a_series_has_no_scale_is_said() -> None:
    second, late = wave(), wave()
    second[1::2] = NAN  # no two values lie 7 days apart
    late[:45] = NAN  # its first value is in the validation part
    found = days(np.full(TEN_WEEKS, 5.0), second, late, wave(), season_length=7).quality["warnings"]
    for series, reason in (
        ("s000", "repeat themselves exactly"),
        ("s001", "have no two values a season apart"),
        ("s002", "begin after the training part"),
    ):
        assert any(text.startswith(f"1 series {reason}") and series in text for text in found)


def test_a_table_with_dates_across_may_be_one_series() -> None:
    data = Data(path="t.csv", horizon=1, context_length=1, split=SPLIT, dates_across=True)
    table = pd.DataFrame({"ds": ["2024-01", "2024-02"], "y": [1.0, 2.0]})
    assert across.lay_across(table, data).columns.tolist() == ["2024-01", "2024-02"]


def test_stamps_name_their_time() -> None:
    when = pd.Timestamp("2018-05-01")
    assert wording.stamp(when, TimeAxis(), "QS-MAY") == "May 2018"
    assert wording.stamp(when, TimeAxis(), "YS-MAY") == "2018"
    assert wording.stamp(when + pd.Timedelta("70s"), TimeAxis(), "s") == "1 May 2018 00:01:10"


def test_parts_of_a_second_are_written_with_a_time_zone() -> None:
    axis = TimeAxis(timezone="UTC")
    ds = pd.DatetimeIndex(pd.date_range("2024-01-01", periods=4, freq="250ms").as_unit("us"))
    text = pd.Series(timestamps.written(ds, axis), name="ds")
    assert timestamps.parse(text, axis, Origin("t.csv")).tolist() == ds.tolist()


def test_series_out_of_order_are_read_as_every_table_is() -> None:
    assert fast_reader._first_rows(["b", "b", "a", "a"], 4) is None
    first = fast_reader._first_rows(["a", "a", "b"], 3)
    assert first is not None
    assert first.tolist() == [0, 2]


def test_nothing_is_drawn_or_described_where_nothing_was_observed() -> None:
    late, gap = wave(), wave()
    late[:60] = NAN  # only in the test part
    gap[10:40] = NAN
    source = days(gap, late)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = sample.draw(source, 5)
        drawn.cut(drawn.schema.validation_step, drawn.schema.test_step, drawn.schema.steps)
        profile.measure(days(wave()[:20], np.r_[wave()[:1], np.full(49, NAN), wave()[:20]]))
    assert drawn.index["unique_id"].tolist() == ["s000"]


def test_several_columns_name_a_series_in_a_sentence() -> None:
    data = {"path": "t.csv", "unique_id": ["store", "sku"], "horizon": 3, "context_length": 4}
    entry = {"kind": "forecast", "preset": "fast", "data": data | {"split": SPLIT}, "gate": []}
    problem = loader.parse("shops", entry)
    assert isinstance(problem, Problem)
    assert problem.purpose == "Forecasts `y` of each `store`, `sku`, 3 steps ahead, with quantiles."
    data = data | {"unique_id": None, "value_columns": [f"sensor_{i}" for i in range(500)]}
    problem = loader.parse("shops", entry | {"data": data | {"split": SPLIT}})
    assert isinstance(problem, Problem)
    assert "`sensor_0`, `sensor_1`, `sensor_2` and 497 more, 3 steps ahead" in problem.purpose
