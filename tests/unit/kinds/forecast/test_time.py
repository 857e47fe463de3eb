"""Time as tables have it: written in many ways, off the grid, at random, or with a slip of the pen.

Each table is made from a truth, the stamps of its series, which must be what is read.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain.config import loader
from retain.errors import DataError, ParamsError, naming_options
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import (
    chunk_reader,
    chunks,
    reader,
    tables,
    time_formats,
    timestamps,
)
from retain.kinds.forecast.data.calendars import features
from retain.kinds.forecast.data.tables import Table
from retain.kinds.forecast.infer import columns, steps

HOURS = pd.date_range("2020-01-13", periods=400, freq="h")
DAYS = pd.date_range("2020-01-13", periods=200)
MONTHS = pd.date_range("2010-01-01", periods=100, freq="MS")
QUARTERS = pd.date_range("1990-01-01", periods=60, freq="QS")
SUNDAYS = pd.date_range("2019-12-29", periods=120, freq="W-SUN")
BERLIN = pd.date_range("2023-10-01", periods=1500, freq="h", tz="Europe/Berlin")


@naming_options()
def found(folder: Path, table: pd.DataFrame, **given: Any) -> tuple[Data, Table, str]:
    """Return what `retain add` finds of a table's time, the table read by it, and what is said."""
    table.to_csv(folder / "t.csv", index=False)
    raw = reader.load(reader.open_table("t.csv", folder))
    sentences: list[str] = []
    known = {"path": "t.csv", "horizon": 2, "context_length": 1, **given}
    data = Data.model_validate(known | columns.find(raw, known, "t.csv", sentences))
    data = steps.find(raw, data, sentences)
    # as a later stage reads it, from what is written alone
    data = Data.model_validate(data.model_dump(mode="json"))
    checked = tables.check(raw, data)
    data = data.model_copy(update={"frequency": checked.frequency})
    return data, checked, "\n".join(sentences)


def refused(folder: Path, table: pd.DataFrame, **given: Any) -> str:
    with pytest.raises(DataError) as error:
        found(folder, table, **given)
    return str(error.value)


def written(stamps: Any, **more: Any) -> pd.DataFrame:
    return pd.DataFrame({"date": stamps, **more, "sales": np.arange(len(stamps)) % 7 + 10.0})


def many(**series: pd.DatetimeIndex) -> pd.DataFrame:
    parts = [written(stamps.astype(str)).assign(sensor=name) for name, stamps in series.items()]
    return pd.concat(parts, ignore_index=True)


# --- how stamps are written ---

WRITTEN: dict[str, tuple[pd.DatetimeIndex, Callable[[pd.DatetimeIndex], Any]]] = {
    "1990Q1": (QUARTERS, lambda t: t.to_period("Q").astype(str)),
    "1990-Q1": (QUARTERS, lambda t: [f"{s.year}-Q{s.quarter}" for s in t]),
    "Q1 1990": (QUARTERS, lambda t: [f"Q{s.quarter} {s.year}" for s in t]),
    "2020-W05": (SUNDAYS, lambda t: t.strftime("%G-W%V")),
    "2020W05": (SUNDAYS, lambda t: t.strftime("%GW%V")),
    "2020-W05-2": (DAYS, lambda t: t.strftime("%G-W%V-%u")),
    "Jan 2010": (MONTHS, lambda t: t.strftime("%b %Y")),
    "January 2010": (MONTHS, lambda t: t.strftime("%B %Y")),
    "Jan-10": (MONTHS, lambda t: t.strftime("%b-%y")),
    "15-Jan-2010": (DAYS, lambda t: t.strftime("%d-%b-%Y")),
    "Jan 15, 2010": (DAYS, lambda t: t.strftime("%b %d, %Y")),
    "01/2010": (MONTHS, lambda t: t.strftime("%m/%Y")),
    "2010/01": (MONTHS, lambda t: t.strftime("%Y/%m")),
    "201001": (MONTHS, lambda t: t.strftime("%Y%m")),
    "2020011305": (HOURS, lambda t: t.strftime("%Y%m%d%H")),
    "seconds": (HOURS, lambda t: t.as_unit("s").astype("int64")),
    "seconds with a point": (HOURS, lambda t: t.as_unit("s").astype("int64") / 1.0),
    "milliseconds": (HOURS, lambda t: t.as_unit("ms").astype("int64")),
    "nanoseconds": (HOURS, lambda t: t.as_unit("ns").astype("int64")),
    "Z": (HOURS, lambda t: t.strftime("%Y-%m-%dT%H:%M:%SZ")),
    "12 hours": (HOURS, lambda t: t.strftime("%m/%d/%Y %I:%M %p")),
    "12 hours without a blank": (HOURS, lambda t: t.strftime("%d.%m.%Y %I:%M%p")),
    "fractions": (HOURS, lambda t: t.strftime("%Y-%m-%d %H:%M:%S.%f")),
    "fractions of its own": (HOURS, lambda t: t.strftime("%d.%m.%Y %H:%M:%S.%f")),
}


@pytest.mark.parametrize(("truth", "write"), WRITTEN.values(), ids=WRITTEN.keys())
def test_stamps_are_read_and_written_as_the_table_has_them(
    truth: pd.DatetimeIndex, write: Callable[[pd.DatetimeIndex], Any], tmp_path: Path
) -> None:
    data, table, _ = found(tmp_path, written(write(truth)))
    assert table.frame["ds"].tolist() == truth.tolist()
    ahead = pd.date_range(truth[-1], periods=9, freq=table.frequency)
    again = pd.Series(timestamps.written(ahead, data))
    assert timestamps.parse(again, data, reader.Origin("t")).tolist() == ahead.tolist()
    if data.time_format:
        expected = [str(value) for value in write(truth)]
        assert timestamps.written(truth, data).astype(str).tolist() == [
            text.removesuffix(".0") for text in expected
        ]


def test_what_may_be_a_month_or_a_quarter_is_asked_for(tmp_path: Path) -> None:
    text = refused(tmp_path, written([f"{s.quarter}/{s.year}" for s in QUARTERS]))
    assert "'2/1990' may be two times" in text
    assert "--time-format %m/%Y: it is 1990-02-01" in text
    assert "--time-format %q/%Y: it is 1990-04-01" in text
    found(tmp_path, written([f"{s.quarter}/{s.year}" for s in QUARTERS]), time_format="%q/%Y")


def test_a_format_that_does_not_read_a_quarter_is_refused(tmp_path: Path) -> None:
    table = written([f"{s.year}-Q{s.quarter}" for s in QUARTERS])
    table.loc[3, "date"] = "1990-Q5"
    assert "'1990-Q5'" in refused(tmp_path, table, time_format="%Y-Q%q")


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%m/%d/%Y", "%d-%b-%Y", "%G-W%V-%u", "%Y%m%d"])
def test_a_line_of_sums_below_the_table_is_the_row_that_is_named(form: str, tmp_path: Path) -> None:
    table = pd.concat([written(DAYS.strftime(form)), written(["Sum"])])
    text = refused(tmp_path, table)
    assert "(1 row):\n  row 202: 'Sum'" in text


@pytest.mark.parametrize("letter", "ſKıİ")
def test_a_letter_that_only_looks_like_one_of_a_month_is_not_read(letter: str) -> None:
    stamps = pd.Series([f"{letter}ep 2020", "Sep 2020"])
    assert time_formats.read(stamps, "%b %Y").isna().tolist() == [True, False]


def test_the_order_of_day_and_month_is_known_by_one_day(tmp_path: Path) -> None:
    days = pd.date_range("2020-01-01", periods=13, freq="MS").append(
        pd.DatetimeIndex(["2021-01-13"])
    )
    data, _, _ = found(tmp_path, written(days.strftime("%m/%d/%Y")), frequency="D")
    assert data.time_format == "%m/%d/%Y"


# --- offsets and time zones ---


def test_stamps_with_offsets_are_taken_to_utc_and_the_zone_is_named(tmp_path: Path) -> None:
    data, table, said = found(tmp_path, written([stamp.isoformat() for stamp in BERLIN]))
    assert data.timezone == "UTC"
    assert table.frame["ds"].tolist() == BERLIN.tz_convert("UTC").tz_localize(None).tolist()
    assert "--timezone Europe/Berlin" in said


def test_days_with_offsets_are_dates_of_their_place(tmp_path: Path) -> None:
    days = pd.date_range("2023-01-01", periods=300, tz="America/New_York")
    data, table, _ = found(tmp_path, written([day.isoformat() for day in days]))
    assert (data.timezone, data.zone, table.frequency) == ("America/New_York", None, "D")
    assert table.frame["ds"].tolist() == days.tz_localize(None).tolist()


@pytest.mark.parametrize(
    ("zone", "expected"), [("Europe/Berlin", "Europe/Berlin"), ("+05:30", "UTC")]
)
def test_a_column_with_a_zone_says_which(tmp_path: Path, zone: str, expected: str) -> None:
    stamps = BERLIN.tz_convert(zone)
    table = written(stamps)
    table.to_parquet(tmp_path / "t.parquet", index=False)
    raw = reader.load(reader.open_table("t.parquet", tmp_path))
    known = {"path": "t.parquet", "horizon": 2, "context_length": 1}
    data = Data.model_validate(known | columns.find(raw, known, "t.parquet", []))
    read = tables.check(raw, steps.find(raw, data, []))
    assert data.timezone == expected  # an offset alone is no time zone
    assert read.frame["ds"].tolist() == BERLIN.tz_convert("UTC").tz_localize(None).tolist()


def test_an_hour_that_came_twice_is_named_before_duplicates(tmp_path: Path) -> None:
    table = written(BERLIN.tz_localize(None).astype(str))
    text = refused(tmp_path, table)
    assert "--timezone Europe/Berlin --ambiguous order" in text
    assert text.index("--ambiguous") < text.index("--duplicates")
    assert "--ambiguous order" in refused(tmp_path, table, timezone="Europe/Berlin")


@pytest.mark.parametrize("newest_first", [False, True])
def test_the_order_of_rows_tells_the_hour_that_came_twice(
    newest_first: bool, tmp_path: Path
) -> None:
    table = written(BERLIN.tz_localize(None).astype(str))
    table = table[::-1] if newest_first else table
    keys = {"timezone": "Europe/Berlin", "ambiguous": "order"}
    _, read, _ = found(tmp_path, table, **keys)
    assert read.frame["ds"].tolist() == BERLIN.tz_convert("UTC").tz_localize(None).tolist()
    order = table.sort_values("date")["sales"] if not newest_first else table[::-1]["sales"]
    assert read.frame["y"].tolist() == order.tolist()
    once = table.drop(index=table.index[table.duplicated("date")])
    assert "needs two rows" in refused(tmp_path, once, **keys)


# --- the time in several columns ---

H = HOURS
JOINED = {
    "a date and a time": (H, {"Date": H.strftime("%Y-%m-%d"), "Time": H.strftime("%H:%M")}),
    "a date and 12 hours": (H, {"Date": H.strftime("%d.%m.%Y"), "Time": H.strftime("%I:%M %p")}),
    "a date and an hour": (H, {"Datum": H.strftime("%Y-%m-%d"), "Stunde": H.hour}),
    "hours from 1 to 24": (H, {"date": H.strftime("%Y-%m-%d"), "hour": H.hour + 1}),
    "midnights": (H, {"Date": H.strftime("%Y-%m-%d 00:00:00"), "Time": H.strftime("%H:%M:%S")}),
    "year and month": (MONTHS, {"year": MONTHS.year, "month": MONTHS.month}),
    "a month by name": (MONTHS, {"Year": MONTHS.year, "Month": MONTHS.strftime("%b")}),
    "year, month and day": (DAYS, {"year": DAYS.year, "month": DAYS.month, "day": DAYS.day}),
    "year and quarter": (QUARTERS, {"year": QUARTERS.year, "quarter": QUARTERS.quarter}),
}


@pytest.mark.parametrize(("truth", "parts"), JOINED.values(), ids=JOINED.keys())
@pytest.mark.parametrize("named", [False, True])
def test_time_in_several_columns_is_joined(
    truth: pd.DatetimeIndex, parts: dict[str, Any], named: bool, tmp_path: Path
) -> None:
    table = pd.DataFrame({**parts, "kWh": np.arange(len(truth)) % 9 + 1.5})
    given = {"ds": list(parts)} if named else {}
    data, read, said = found(tmp_path, table, **given)
    assert read.frame["ds"].tolist() == truth.tolist()
    assert read.frame["unique_id"].nunique() == 1
    assert (list(data.time_columns), data.time_column) == (list(parts), "ds")
    assert "together" in said
    texts = pd.Series(timestamps.written(truth, data))
    assert timestamps.parse(texts, data, reader.Origin("t")).tolist() == truth.tolist()


@pytest.mark.parametrize("kind", ["a date and a time", "a date and an hour", "year and month"])
@pytest.mark.parametrize("named", [False, True])
def test_a_line_of_sums_below_joined_columns_is_named(
    kind: str, named: bool, tmp_path: Path
) -> None:
    _, parts = JOINED[kind]
    table = pd.DataFrame({**parts, "kWh": 1.5 + np.arange(len(JOINED[kind][0])) % 9}).head(60)
    below = pd.DataFrame({next(iter(parts)): ["Sum"], "kWh": [9.0]})
    table = pd.concat([table.astype(dict.fromkeys(parts, "str")), below])
    text = refused(tmp_path, table, **({"ds": list(parts)} if named else {}))
    assert f"row {len(table) + 1:,}: 'Sum" in text


def test_with_the_format_of_the_date_given_the_time_is_joined(tmp_path: Path) -> None:
    truth = pd.date_range("2020-09-06", periods=144, freq="h")  # day and month may be swapped
    table = written(truth.strftime("%d.%m.%Y")).assign(time=truth.strftime("%H:%M"))
    assert "--time-format %d.%m.%Y: " in refused(tmp_path, table)
    data, read, _ = found(tmp_path, table, time_format="%d.%m.%Y")
    assert data.ds == ("date", "time")
    assert read.frame["ds"].tolist() == truth.tolist()


def test_an_hour_beside_a_whole_stamp_is_not_joined(tmp_path: Path) -> None:
    data, _, _ = found(tmp_path, written(HOURS, hour=HOURS.hour))
    assert data.ds == "date"


# --- off the grid ---


def test_each_series_keeps_its_own_phase(tmp_path: Path) -> None:
    truth = {n: HOURS + pd.Timedelta(minutes=m) for n, m in (("a", 0), ("b", 20), ("c", 40))}
    data, read, said = found(tmp_path, many(**truth), unique_id="sensor")
    assert (data.align, read.frequency, read.frame["unique_id"].nunique()) == ("series", "h", 3)
    assert "'b' at 2020-01-13 00:20:00" in said
    assert read.frame.groupby("unique_id")["ds"].apply(list).tolist() == [HOURS.tolist()] * 3


def test_a_series_that_leaves_its_phase_is_named(tmp_path: Path) -> None:
    table = many(a=HOURS, b=HOURS + pd.Timedelta(minutes=20))
    table.loc[5, "date"] = "2020-01-13 05:30:00"
    keys = {"unique_id": "sensor", "align": "series", "frequency": "h"}
    assert "row 7: 2020-01-13 05:30:00 of series 'a'" in refused(tmp_path, table, **keys)


@pytest.mark.parametrize("day", [15, 31])
def test_a_day_of_the_month_is_a_phase(day: int, tmp_path: Path) -> None:
    ends = MONTHS + pd.offsets.MonthEnd(0)
    truth = pd.DatetimeIndex(np.minimum(MONTHS + pd.Timedelta(days=day - 1), ends))
    data, read, _ = found(tmp_path, many(a=MONTHS, b=truth), unique_id="sensor")
    assert (data.align, read.frequency) == ("series", "MS")
    assert read.frame["ds"].tolist() == MONTHS.tolist() * 2


def test_jitter_is_rounded_and_its_size_is_said(tmp_path: Path) -> None:
    jitter = np.random.default_rng(0).integers(-30, 31, len(HOURS))
    jitter[7] = 31
    data, read, said = found(tmp_path, written(HOURS + pd.to_timedelta(jitter, unit="s")))
    assert (data.align, read.frequency) == ("nearest", "h")
    assert "by 31 seconds at most" in said
    assert read.frame["ds"].tolist() == HOURS.tolist()


def test_two_rows_of_one_step_are_duplicates(tmp_path: Path) -> None:
    table = written(HOURS + pd.to_timedelta(np.arange(len(HOURS)) % 5, unit="s"))
    table = pd.concat([table, written([pd.Timestamp("2020-01-13 04:00:30")])])
    keys = {"align": "nearest", "frequency": "h"}
    assert "more than one row for a time stamp" in refused(tmp_path, table, **keys)


def test_one_row_a_day_at_any_time_is_of_its_day(tmp_path: Path) -> None:
    minutes = np.random.default_rng(0).integers(0, 1440, len(DAYS))
    data, read, _ = found(tmp_path, written(DAYS + pd.to_timedelta(minutes, unit="min")))
    assert (data.align, read.frequency) == ("period", "D")
    assert read.frame["ds"].tolist() == DAYS.tolist()


def test_a_few_stamps_off_the_grid_are_faults(tmp_path: Path) -> None:
    stamps = HOURS.to_series().reset_index(drop=True)
    stamps[40] += pd.Timedelta(minutes=30)
    text = refused(tmp_path, written(stamps))
    assert "off the grid of frequency h (1 row):\n  row 42: 2020-01-14 16:30:00" in text


def test_the_last_business_day_of_the_month(tmp_path: Path) -> None:
    truth = pd.date_range("2010-01-01", periods=90, freq="BME")
    _, read, _ = found(tmp_path, written(truth))
    assert read.frequency == "BME"
    assert read.frame["ds"].tolist() == truth.tolist()


def test_fiscal_periods_are_refused_by_kind(tmp_path: Path) -> None:
    weeks = np.cumsum(np.tile([4, 4, 5], 30))
    stamps = pd.Timestamp("2010-01-02") + pd.to_timedelta(7 * weeks, unit="D")
    text = refused(tmp_path, written(stamps))
    assert "4-4-5" in text
    assert "--ds-is-step" in text


# --- events ---


def events(count: int = 600, days: int = 100) -> pd.DataFrame:
    seconds = np.sort(np.random.default_rng(0).integers(0, days * 86_400, count))
    return written(pd.Timestamp("2020-01-01") + pd.to_timedelta(seconds, unit="s"))


def test_events_are_recognised_and_the_remedy_is_an_option(tmp_path: Path) -> None:
    text = refused(tmp_path, events())
    for how in ("sum", "mean", "count"):
        assert f"--aggregate {how} --frequency D: " in text


@pytest.mark.parametrize("key", ["aggregate", "align"])
def test_steps_to_make_need_a_frequency(key: str, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=f"t.csv: --{key} needs --frequency"):
        found(tmp_path, events(), **{key: "sum"})


@pytest.mark.parametrize("how", ["sum", "mean", "count"])
def test_events_are_added_up_by_step(how: str, tmp_path: Path) -> None:
    table = events(150)
    _, read, _ = found(tmp_path, table, aggregate=how, frequency="D")
    by_day = table.groupby(table["date"].dt.normalize())["sales"]
    truth = by_day.agg(how).astype(float)
    if how != "mean":
        truth = truth.reindex(pd.date_range(truth.index[0], truth.index[-1]), fill_value=0.0)
        assert (truth == 0).any()
    inside = read.frame.iloc[1:-1]
    assert np.allclose(inside["y"], truth[inside["ds"]])
    assert (
        inside["ds"].tolist()
        == truth.loc[inside["ds"].iloc[0] : inside["ds"].iloc[-1]].index.tolist()
    )
    assert len(inside) >= len(truth) - 4


@pytest.mark.parametrize("written_in", ["America/New_York", "UTC"])
@pytest.mark.parametrize("frequency", ["D", "24h", "W-SUN"])
def test_events_are_added_up_by_days_of_the_time_zone(
    frequency: str, written_in: str, tmp_path: Path
) -> None:
    hours = pd.date_range("2024-02-05", "2024-05-06", freq="h", tz="America/New_York")[:-1]
    table = written([stamp.isoformat() for stamp in hours.tz_convert(written_in)])
    keys = {"aggregate": "sum", "frequency": frequency, "timezone": "America/New_York"}
    data, read, said = found(tmp_path, table, **keys)
    assert data.local_dates
    assert "local_dates: days begin at midnight in America/New_York" in said
    truth = table.set_index(hours.tz_localize(None))["sales"].resample(data.frequency).sum()
    assert read.frame["ds"].tolist() == truth.index.tolist()
    assert read.frame["y"].tolist() == truth.tolist()


def test_hours_are_added_up_in_utc(tmp_path: Path) -> None:
    quarters = pd.date_range("2024-02-05", periods=800, freq="15min", tz="America/New_York")
    table = written([stamp.isoformat() for stamp in quarters])
    keys = {"aggregate": "sum", "frequency": "h", "timezone": "America/New_York"}
    data, read, _ = found(tmp_path, table, **keys)
    assert not data.local_dates
    assert read.frame["ds"].iloc[0] == pd.Timestamp("2024-02-05 05:00")


@pytest.mark.parametrize(
    ("earliest", "latest", "given"),
    [(400, 1000, {}), (600, 1400, {"align": "period", "frequency": "D"})],
)
def test_one_row_a_day_is_of_its_day_in_the_time_zone(
    earliest: int, latest: int, given: dict[str, str], tmp_path: Path
) -> None:
    days = DAYS.tz_localize("America/New_York")
    hours = np.random.default_rng(1).integers(earliest, latest, len(days))
    stamps = [
        day + pd.Timedelta(minutes=int(minute)) for day, minute in zip(days, hours, strict=True)
    ]
    table = written([stamp.isoformat() for stamp in stamps])
    data, read, _ = found(tmp_path, table, timezone="America/New_York", **given)
    assert (data.align, data.local_dates) == ("period", True)
    assert read.frame["ds"].tolist() == DAYS.tolist()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"aggregate": "sum"}, "aggregate: steps of D would begin .*; set local_dates to true"),
        ({"align": "period"}, "align: steps of D would begin at midnight in UTC, not in Asia/To"),
        ({"aggregate": "sum", "time_format": "epoch_s"}, "leave timezone out for days in UTC"),
        (
            {"aggregate": "sum", "time_format": "epoch_s", "local_dates": True},
            "leave timezone out for days in UTC",
        ),
        ({"aggregate": "sum", "local_dates": True}, None),
        ({"aggregate": "sum", "frequency": "6h"}, None),
        ({"aggregate": "sum", "timezone": "UTC"}, None),
    ],
)
def test_a_problem_has_no_days_of_utc_beside_another_time_zone(
    keys: dict[str, Any], message: str | None
) -> None:
    data = {"path": "t.csv", "horizon": 2, "context_length": 1, "frequency": "D"}
    entry = {"kind": "forecast", "data": {**data, "timezone": "Asia/Tokyo", **keys}, "gate": []}
    if message is None:
        loader.parse("s", entry)
        return
    with pytest.raises(ParamsError, match=message):
        loader.parse("s", entry)


def test_rows_are_counted_without_a_target(tmp_path: Path) -> None:
    table = events(150)[["date"]].assign(what="call")
    data, read, _ = found(tmp_path, table, aggregate="count", frequency="W-SUN")
    assert tables.used_columns(data) == ["date"]
    week = read.frame.set_index("ds")["y"]["2020-01-19"]
    assert week == table["date"].between("2020-01-13", "2020-01-20").sum()


@pytest.mark.parametrize(("rows", "days"), [(200, 20), (199, 19), (195, 19), (191, 19)])
def test_the_last_step_counts_where_its_rows_reach_as_far_as_usual(
    rows: int, days: int, tmp_path: Path
) -> None:
    hours = [d + pd.Timedelta(hours=h) for d in DAYS[:20] for h in range(8, 18)]  # of opening
    _, read, said = found(tmp_path, written(hours[:rows]), aggregate="sum", frequency="D")
    assert read.frame["ds"].tolist() == DAYS[:days].tolist()
    assert ("left out, for the rows do not fill it: 2020-02-01" in said) == (days == 19)


def test_the_first_step_counts_where_its_rows_begin_as_early_as_usual(tmp_path: Path) -> None:
    days = pd.date_range("2020-01-10", "2021-03-31")
    _, read, _ = found(tmp_path, written(days), aggregate="mean", frequency="ME")
    assert read.frame["ds"].iloc[[0, -1]].astype(str).tolist() == ["2020-02-29", "2021-03-31"]


def test_a_series_without_late_events_is_zero_to_the_end_of_the_table(tmp_path: Path) -> None:
    table = pd.concat([events(300).assign(shop="a"), events(300, 50).assign(shop="b")])
    keys = {"aggregate": "sum", "frequency": "D", "unique_id": "shop"}
    _, read, _ = found(tmp_path, table, **keys)
    ends = read.frame.groupby("unique_id")["ds"].max()
    assert ends["a"] == ends["b"]
    assert (read.frame[(read.frame["unique_id"] == "b")]["y"].tail(40) == 0).all()


def test_aggregated_chunks_are_the_table_that_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [events(300, days).assign(shop=f"s{days}") for days in (100, 60, 90)]
    keys = {"aggregate": "sum", "frequency": "D", "unique_id": "shop"}
    data, read, _ = found(tmp_path, pd.concat(parts), **keys)
    monkeypatch.setattr(chunks, "ROWS", 100)
    (tmp_path / "scratch").mkdir()
    cut = chunk_reader.read(data, tmp_path, tmp_path / "scratch")
    frames = list(cut.frames())
    assert len(frames) > 1
    whole = chunks.in_memory(read, data)
    columns = ["series", "ds", "y"]
    expected = next(iter(whole.frames()))[columns].sort_values(columns).reset_index(drop=True)
    names = whole.series["unique_id"].tolist()
    got = pd.concat(frames)[columns]
    got["series"] = [names.index(cut.series["unique_id"][n]) for n in got["series"]]
    pd.testing.assert_frame_equal(
        got.sort_values(columns).reset_index(drop=True), expected, check_dtype=False
    )


# --- steps without dates ---


def test_steps_are_numbers(tmp_path: Path) -> None:
    table = pd.DataFrame({"t": range(5, 205), "value": np.arange(200) % 7 + 1.0})
    assert "--ds t --ds-is-step" in refused(tmp_path, table)
    data, read, _ = found(tmp_path, table, ds_is_step=True)
    assert (data.calendar, read.frequency) == (False, "us")
    assert timestamps.written(pd.DatetimeIndex(read.frame["ds"]), data).tolist() == [*range(5, 205)]
    table["t"] = table["t"] + 0.5 * (table["t"] == 8)
    assert "row 5" in refused(tmp_path, table, ds_is_step=True)


# --- slips of the pen ---


@pytest.mark.parametrize(
    ("year", "side"), [("2031", "11 years after"), ("2010", "10 years before")]
)
def test_a_mistyped_year_is_named_with_its_neighbours(year: str, side: str, tmp_path: Path) -> None:
    stamps = DAYS.astype(str).tolist()
    stamps[55] = year + stamps[55][4:]
    text = refused(tmp_path, written(stamps))
    assert f"row 57: {stamps[55]} lies {side} its neighbours, 2020-03-07 and 2020-03-09" in text


def test_a_mistyped_year_at_the_end_is_named(tmp_path: Path) -> None:
    stamps = DAYS.astype(str).tolist()
    stamps[-1] = "2031" + stamps[-1][4:]
    text = refused(tmp_path, written(stamps))
    assert "row 201: 2031-07-30 lies 11 years after its neighbour, 2020-07-29" in text


def test_rows_in_no_order_and_gaps_are_no_slips(tmp_path: Path) -> None:
    table = written(DAYS).sample(frac=1.0, random_state=0)
    found(tmp_path, table)
    found(tmp_path, written(DAYS).drop(index=range(40, 120)))


# --- the calendar ---


def test_a_week_counts_the_holidays_within_it() -> None:
    weeks = pd.date_range("2019-01-06", periods=104, freq="W-SUN")
    counted = features(weeks, "W-SUN", False, "US")[:, 0]
    new_year = features(pd.date_range("2020-01-05", periods=1, freq="W-SUN"), "W-SUN", False, "US")
    assert new_year[0, 0] == 1  # 1 January 2020 was a Wednesday
    assert counted.sum() > 18


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"align": "nearest"}, "align needs frequency"),
        ({"aggregate": "sum"}, "aggregate needs frequency"),
        ({"ds": ["date"]}, "list of two or more"),
        ({"ds_is_step": True, "calendar": False, "timezone": "UTC"}, "leave timezone out"),
        ({"ds_is_step": True}, "set calendar to false"),
        ({"local_dates": True}, "needs timezone"),
        ({"ambiguous": "order"}, "needs timezone"),
        ({"align": "period", "aggregate": "sum", "frequency": "D"}, "leave align out"),
    ],
)
def test_keys_that_do_not_go_together(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Data.model_validate({"path": "t.csv", "horizon": 2, "context_length": 1, **keys})
