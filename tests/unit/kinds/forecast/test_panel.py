"""From a table to a grid: what lies where, what is fitted to what, what is said about it."""

import datetime as dt
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import panel, quality
from retain.kinds.forecast.data import tables as source
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Windows

NAN = float("nan")


def daily(name: str, first: str, values: list[float], **columns: object) -> pd.DataFrame:
    ds = pd.date_range(first, periods=len(values))
    return pd.DataFrame({"id": name, "ds": ds, "y": values, **columns})


def made(*series: pd.DataFrame, **keys: Any) -> Panel:
    keys = {"horizon": 1, "context_length": 2, "calendar": False, "frequency": "D", **keys}
    keys = {"split": {"validation": 0.7, "test": 0.85}, **keys}
    data = Data(path="t.csv", unique_id="id", **keys)
    return panel.build(source.clean(pd.concat(series), data, "t.csv"), data)


def rows(found: Panel, number: int) -> np.ndarray[Any, Any]:
    """The values of one series, (steps, columns)."""
    start, length = found.index.loc[number, ["start", "length"]]
    return found.values[start : start + length]


TEN = list(map(float, range(10)))


def test_series_stand_one_after_another_behind_the_padding() -> None:
    found = made(daily("a", "2024-01-01", TEN), daily("b", "2024-01-04", TEN[:6]), season_length=3)
    assert found.values.dtype == np.float32
    assert np.isnan(found.values[:5]).all()  # context 2 and season 3
    assert found.index["unique_id"].tolist() == ["a", "b"]
    assert found.index["first_step"].tolist() == [0, 3]
    assert found.index["start"].tolist() == [5, 15]
    assert found.index["length"].tolist() == [10, 6]
    assert rows(found, 0)[:, 0].tolist() == TEN
    assert rows(found, 1)[:, 0].tolist() == TEN[:6]
    assert found.grid[0] == pd.Timestamp("2024-01-01")
    assert len(found.grid) == found.schema.steps == 10


def test_a_missing_row_and_a_missing_value_are_nan() -> None:
    table = daily("a", "2024-01-01", [0, 1, 2, NAN, 4, 5, 6, 7, 8, 9]).drop(index=6)
    assert np.flatnonzero(np.isnan(rows(made(table), 0)[:, 0])).tolist() == [3, 6]


def test_the_calendar_has_no_gaps() -> None:
    table = daily("a", "2024-01-01", TEN).drop(index=6)
    found = made(table, calendar=True)
    assert found.schema.columns[1:3] == ("day_of_week_sin", "day_of_week_cos")
    assert np.isfinite(rows(found, 0)[:, 1:]).all()
    np.testing.assert_allclose(rows(found, 0)[7, 1], 0.0, atol=1e-6)  # 8 January is a Monday


def test_columns_are_target_past_known_calendar() -> None:
    table = daily("a", "2024-01-01", TEN, price=2.0, rain=1.0)
    found = made(
        table, past_covariates=["rain"], known_covariates=["price"], calendar=True, holidays="US"
    )
    assert found.schema.columns[:3] == ("y", "rain", "price")
    assert found.schema.columns[-1] == "holiday"
    assert (found.schema.past, found.schema.known) == (1, 1 + 4 + 1)
    assert rows(found, 0)[:, 1].tolist() == [1.0] * 10


def test_categories_are_those_of_the_training_part() -> None:
    weather = ["sun", "rain", "sun", None, "sun", "sun", "sun", "snow", "rain", "snow"]
    table = daily("a", "2024-01-01", TEN, weather=weather)
    found = made(table, past_covariates=["weather"], categorical=["weather"])
    assert found.schema.categories == {"weather": ["rain", "sun"]}
    assert found.schema.columns == ("y", "weather=rain", "weather=sun")
    expected = [[0, 1], [1, 0], [0, 1], [0, 0], *3 * [[0, 1]], [0, 0], [1, 0], [0, 0]]
    assert rows(found, 0)[:, 1:].tolist() == expected


def test_a_series_that_is_skipped_adds_no_category() -> None:
    found = made(
        daily("a", "2024-01-01", TEN, weather="sun"),
        daily("b", "2024-01-01", TEN[:2], weather="hail"),
        past_covariates=["weather"],
        categorical=["weather"],
    )
    assert found.schema.categories == {"weather": ["sun"]}


def test_too_many_categories_are_refused() -> None:
    values = list(map(float, range(100)))
    table = daily("a", "2024-01-01", values, sku=[f"s{n}" for n in range(100)])
    with pytest.raises(DataError) as error:
        made(table, past_covariates=["sku"], categorical=["sku"])
    assert str(error.value) == (
        "t.csv: column 'sku' has 70 categories; at most 50 are encoded: group them, or leave the "
        "column out"
    )


def test_static_covariates_are_one_row_a_series() -> None:
    found = made(
        daily("a", "2024-01-01", TEN, kind="x", size=3.0),
        daily("b", "2024-01-01", TEN, kind="y", size=5.0),
        static_covariates=["kind", "size"],
        categorical=["kind"],
    )
    assert found.schema.static == ("kind=x", "kind=y", "size")
    assert found.index[["static.kind=x", "static.kind=y", "static.size"]].to_numpy().tolist() == [
        [1, 0, 3],
        [0, 1, 5],
    ]
    assert found.schema.static_means == (0.5, 0.5, 4.0)
    assert found.schema.static_deviations == (0.5, 0.5, 1.0)


def test_a_static_covariate_that_is_blank_at_first_is_taken_from_a_later_row() -> None:
    sizes = [NAN, NAN, *[3.0] * 8]
    found = made(daily("a", "2024-01-01", TEN, size=sizes), static_covariates=["size"])
    assert found.index["static.size"].tolist() == [3.0]


def test_a_static_covariate_that_all_series_share_is_not_scaled() -> None:
    series = [daily(name, "2024-01-01", TEN, size=0.1) for name in "abc"]
    assert made(*series, static_covariates=["size"]).schema.static_deviations == (1.0,)


@pytest.fixture
def changing() -> tuple[Panel, Panel]:
    """The same table twice: after the validation boundary all that can change has changed."""
    generator = np.random.default_rng(0)
    values = generator.normal(10, 3, 40).round(2).tolist()
    kinds = ["x", "y"] * 20
    tables = [
        daily(name, "2024-01-01", values[part], rain=values[::-1][part], kind=kinds[part])
        for name, part in (("a", slice(0, 40)), ("b", slice(0, 36)))
    ]
    changed = [table.copy() for table in tables]
    for table in changed:
        late = table.index >= 28  # 0.7 of 40
        table.loc[late, "y"] = 1e6 + np.arange(late.sum()) ** 2
        table.loc[late, "rain"] = -1e3
        table.loc[late, "kind"] = "z"
    keys = {"past_covariates": ["rain", "kind"], "categorical": ["kind"], "season_length": 7}
    return made(*tables, **keys), made(*changed, **keys)


def test_nothing_is_fitted_to_what_comes_after_training(changing: tuple[Panel, Panel]) -> None:
    before, after = changing
    assert not np.array_equal(before.values, after.values, equal_nan=True)
    assert asdict(after.schema) == asdict(before.schema)
    pd.testing.assert_frame_equal(after.index, before.index, check_exact=True)


def test_scales_are_those_of_the_training_part(changing: tuple[Panel, Panel]) -> None:
    found, _ = changing
    for number in range(2):
        training = rows(found, number)[:28].astype(np.float64)
        assert found.index["mean"][number] == pytest.approx(training[:, 0].mean())
        assert found.index["std"][number] == pytest.approx(training[:, 0].std())
        seasonal = np.abs(training[7:, 0] - training[:-7, 0]).mean()
        assert found.index["mase_scale"][number] == pytest.approx(seasonal)
    pooled = np.concatenate([rows(found, number)[:28, 1] for number in range(2)])
    assert found.schema.means[1] == pytest.approx(pooled.mean())
    assert found.schema.deviations[1] == pytest.approx(pooled.std())
    assert (found.schema.means[0], found.schema.deviations[0]) == (0, 1)


def test_gaps_count_for_no_scale() -> None:
    found = made(daily("a", "2024-01-01", [1, NAN, 3, 3, NAN, 5, 7, 0, 0, 0]))
    assert found.index["mean"].tolist() == [3.8]
    # 3 to 3 and 5 to 7 are the steps between neighbours that are both there
    assert found.index["mase_scale"].tolist() == [1.0]


def test_a_constant_series_has_no_mase_scale_and_the_deviation_one() -> None:
    found = made(daily("a", "2024-01-01", TEN), daily("flat", "2024-01-01", [0.1] * 10))
    assert found.index["std"][1] == 1
    assert found.index["mase_scale"].isna().tolist() == [False, True]
    assert found.quality["warnings"] == [
        "1 series repeat themselves exactly in the training part and are left out of the MASE: flat"
    ]


def test_the_longest_gap_ends_where_its_series_ends() -> None:
    # Missing are 1, then 2 at a's end, then 2 at b's beginning, which together are no gap of 4.
    found = made(
        daily("a", "2024-01-01", [0, 1, NAN, 3, 4, 5, 6, 7, NAN, NAN]),
        daily("b", "2024-01-01", [NAN, NAN, 2, 3, 4, 5, 6, 7, 8, 9]),
    )
    assert found.quality["missing"] == {
        "steps": 5,
        "longest_gap": 2,
        "longest_gap_series": "a",
        "longest_gap_from": "2024-01-09 00:00:00",
    }


def test_the_longest_gap_is_found_in_a_series_that_begins_late() -> None:
    late = daily("b", "2024-01-03", [0, 1, 2, 3, 4, 5, 6, 7]).drop(index=[4, 5])
    found = made(daily("a", "2024-01-01", TEN), late)
    assert found.quality["missing"] == {
        "steps": 2,
        "longest_gap": 2,
        "longest_gap_series": "b",
        "longest_gap_from": "2024-01-07 00:00:00",
    }


def test_a_table_without_gaps_says_so() -> None:
    quality = made(daily("a", "2024-01-01", TEN)).quality
    assert quality["missing"] == {
        "steps": 0,
        "longest_gap": 0,
        "longest_gap_series": None,
        "longest_gap_from": None,
    }
    assert quality["warnings"] == []
    assert quality["skipped_series"] == []


def test_the_quality_counts_what_was_done_to_the_table() -> None:
    table = pd.concat([daily("a", "2024-01-01", TEN), daily("a", "2024-01-04", [33.0])])
    found = made(table.assign(note="-"), duplicates="first", valid_range={"y": (None, 8)})
    quality = found.quality
    # the last value is out of range, and the grid ends before it
    assert (quality["rows"], quality["series"], quality["steps"]) == (11, 1, 9)
    assert (quality["first"], quality["last"]) == ("2024-01-01 00:00:00", "2024-01-09 00:00:00")
    assert quality["duplicates"] == {"rule": "first", "rows": 1}
    assert quality["out_of_range"] == {"y": 2}
    assert quality["unused_columns"] == ["note"]


def test_the_quality_says_what_each_column_holds() -> None:
    values = [0.0, 3.4, 3.4, 5.0, 3.4, 6.1, -999.0, -999.0, 7.0, 0.0]
    table = daily("a", "2024-01-01", values).assign(rain=[0.5] * 9 + [1.5], kind="x")
    found = made(table, past_covariates=["rain", "kind"], categorical=["kind"]).quality
    assert found["values"] == {
        "y": {
            "minimum": -999.0,
            "maximum": 7.0,
            "zeros": 0.2,
            "commonest": 3.4,
            "commonest_share": 0.3,
        },
        "rain": {
            "minimum": 0.5,
            "maximum": 1.5,
            "zeros": 0.0,
            "commonest": 0.5,
            "commonest_share": 0.9,
        },
    }
    assert "values of `y`: -999 to 7; 20.0 % are zero; the commonest, 3.4, is 30.0 %" in (
        quality.lines(found)
    )
    assert (
        "column `y`: -999 lies far from all other values; if it means missing, add it to "
        in (found["warnings"][-1])
    )


def test_rows_behind_the_last_value_are_no_part_of_the_grid() -> None:
    table = daily("a", "2024-01-01", [*TEN, NAN, NAN, NAN]).assign(price=1.0)
    found = made(table, known_covariates=["price"])
    assert found.schema.steps == 10
    assert found.index["length"].tolist() == [10]
    np.testing.assert_array_equal(
        found.values, made(table.head(10), known_covariates=["price"]).values
    )


def test_series_without_a_window_are_left_out_with_the_reason() -> None:
    found = made(
        daily("good", "2024-01-01", TEN),
        daily("short", "2024-01-01", [1.0, 2.0]),
        daily("late", "2024-01-07", [1.0, 2.0, 3.0, 4.0]),
        daily("empty", "2024-01-01", [NAN] * 10),
    )
    assert found.index["unique_id"].tolist() == ["good", "late"]
    assert found.quality["skipped_series"] == [
        {"unique_id": "empty", "reason": "it has no values"},
        {"unique_id": "short", "reason": "2 steps are fewer than context_length + horizon = 3"},
    ]
    assert found.quality["warnings"] == [
        "1 series begin after the training part: they are scored, and are left out of the MASE: "
        "late",
        "2 series are left out; `skipped_series` says why",
    ]
    assert quality.left_out(found.quality) == [
        "empty: it has no values",
        "short: 2 steps are fewer than context_length + horizon = 3",
    ]


def test_a_series_that_is_left_out_does_not_lengthen_the_grid() -> None:
    found = made(daily("long", "2024-01-01", TEN * 10), daily("stray", "2025-01-01", [1.0]))
    assert (found.schema.steps, found.schema.validation_step) == (100, 70)


@pytest.mark.parametrize(
    ("values", "mean", "std"),
    [
        ([4.0, 8.0, 999.0, 999.0], 6.0, 2.0),
        ([NAN, 8.0, 999.0, 999.0], 8.0, 8.0),  # one value: scaled by its level
        ([0.0, 0.0, 999.0, 999.0], 0.0, 1.0),
        ([NAN, NAN, 5.0, 999.0, 999.0], 5.0, 5.0),  # no window begins before the first value
    ],
)
def test_a_late_series_is_scaled_by_its_first_context(
    values: list[float], mean: float, std: float
) -> None:
    """Of context 2: nothing from the third step on, which is forecast, may be known."""
    first = f"2024-01-{11 - len(values):02d}"
    found = made(daily("a", "2024-01-01", TEN), daily("late", first, values))
    assert found.index.loc[1, ["mean", "std"]].tolist() == [mean, std]
    assert np.isnan(found.index["mase_scale"][1])


def test_a_window_is_never_scaled_by_what_it_forecasts() -> None:
    """Change all values from any origin on: what scales the windows before it does not change."""
    values = [3.0, NAN, 7.0, 5.0, 9.0, 1.0]
    series = daily("a", "2024-01-01", TEN * 2)
    found = made(series, daily("late", "2024-01-15", values))
    for number, origin in enumerate(Windows(found, "test").step.tolist()):
        changed = [v if 14 + n < origin else 1e6 for n, v in enumerate(values)]
        after = made(series, daily("late", "2024-01-15", changed))
        windows = Windows(after, "test")
        batch = windows.batch(np.array([number]))
        if windows.series[number] == 1:
            assert batch.scales.tolist() == [found.index.loc[1, ["mean", "std"]].tolist()]


def test_a_later_cut_fits_a_late_series_to_its_training_part() -> None:
    found = made(daily("a", "2024-01-01", TEN * 2), daily("late", "2024-01-15", TEN[:6]))
    assert found.index["mean"][1] == 0.5
    cut = found.cut(18, 19, 20)  # four of its values come before
    assert cut.index.loc[1, ["mean", "mase_scale"]].tolist() == [1.5, 1.0]
    assert found.cut(14, 17, 20).index.equals(found.index)


def test_a_training_part_without_a_window_says_how_many_rows_are_missing() -> None:
    with pytest.raises(DataError) as error:
        made(daily("a", "2024-01-01", TEN), context_length=7)
    assert str(error.value) == (
        "t.csv: no series has more than 7 steps before validation begins, at 2024-01-08 00:00:00; "
        "one needs context_length + horizon = 8 there to be learned from: bring 1 rows more of a "
        "series, shorten data.context_length, or let data.split.validation begin later"
    )


def test_short_series_alone_are_an_error() -> None:
    with pytest.raises(DataError) as error:
        made(
            daily("a", "2024-01-01", [1.0, 2.0]),
            daily("b", "2024-01-09", [1.0, 2.0]),
        )
    assert str(error.value) == (
        "t.csv: no series can be learned from; shorten data.context_length or data.horizon, or "
        "bring more rows:\n"
        "  a: 2 steps are fewer than context_length + horizon = 3\n"
        "  b: 2 steps are fewer than context_length + horizon = 3"
    )


@pytest.mark.parametrize(
    ("validation", "test", "steps"),
    [
        (0.5, 0.8, (5, 8)),
        (dt.datetime(2024, 1, 6), dt.datetime(2024, 1, 9), (5, 8)),
        (dt.datetime(2024, 1, 5, 12), dt.datetime(2024, 1, 9), (5, 8)),
        ("5d", "2d", (5, 8)),
        ("1w", "36h", (3, 8)),
        ("5 horizons", "1 horizon", (5, 9)),
        ("7 horizons", "3 horizons", (3, 7)),
    ],
)
def test_a_boundary_is_a_share_a_date_or_counted_from_the_end(
    validation: Any, test: Any, steps: Any
) -> None:
    split = {"validation": _written(validation), "test": _written(test)}
    schema = made(daily("a", "2024-01-01", TEN), split=split).schema
    assert (schema.validation_step, schema.test_step) == steps


def _written(boundary: float | str | dt.datetime) -> float | str:
    return boundary if isinstance(boundary, float) else str(boundary)


@pytest.mark.parametrize(
    ("split", "fault"),
    [
        ((0.5, 0.6), "data.split.validation leaves 1 of 10 steps"),
        ((0.5, 0.9), "data.split.test leaves 1 of 10 steps"),
        (("2023-01-01", "2024-01-06"), "data.split.validation leaves 5 of 10 steps"),
        (("2024-01-06", "2025-01-01"), "data.split.test leaves 0 of 10 steps"),
        (("2025-01-01", "2026-01-01"), "data.split.validation leaves 0 of 10 steps"),
    ],
)
def test_a_part_without_room_for_the_horizon_is_an_error(
    split: tuple[Any, Any], fault: str
) -> None:
    keys = {"horizon": 2, "context_length": 1}
    with pytest.raises(DataError) as error:
        made(
            daily("a", "2024-01-01", TEN),
            split={"validation": split[0], "test": split[1]},
            **keys,
        )
    part = fault.split(maxsplit=1)[0].removeprefix("data.split.")
    assert str(error.value) == (
        f"t.csv: {fault} (2024-01-01 00:00:00 to 2024-01-10 00:00:00) for {part}; it needs at "
        "least the horizon of 2, with values before it to learn from"
    )


def test_a_split_of_more_horizons_than_there_are_says_how_many_rows_it_needs() -> None:
    split = {"validation": "6 horizons", "test": "2 horizons"}
    with pytest.raises(DataError) as error:
        made(daily("a", "2024-01-01", TEN), horizon=2, split=split)
    assert str(error.value) == (
        "t.csv has 10 steps (2024-01-01 00:00:00 to 2024-01-10 00:00:00); data.split.validation "
        '"6 horizons", of 2 steps each, needs at least 16, with data.context_length and one '
        "horizon before it: give fewer horizons, or bring more rows"
    )


def test_without_a_split_the_parts_are_five_horizons_each() -> None:
    days = daily("a", "2024-01-01", TEN * 5)
    data = Data(path="t.csv", unique_id="id", horizon=3, context_length=2)
    schema = panel.build(source.clean(days, data, "t.csv"), data).schema
    assert (schema.validation_step, schema.test_step) == (20, 35)


def test_a_panel_is_written_with_the_same_bytes_and_read_back(
    tmp_path: Path, changing: tuple[Panel, Panel]
) -> None:
    found, _ = changing
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        panel.save(found, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["index.parquet", "quality.json", "schema.json", "values.npy"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()

    read = panel.load(tmp_path / "one")
    assert isinstance(read.values, np.memmap)
    np.testing.assert_array_equal(read.values, found.values)
    pd.testing.assert_frame_equal(read.index, found.index)
    assert (read.schema, read.quality) == (found.schema, found.quality)
