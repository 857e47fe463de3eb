"""A model of a table forecasts, and takes new rows, in the time that its table has."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain.config.forecasts import ForecastOptions
from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import append, tables
from retain.kinds.forecast.predict import predictor
from retain.kinds.forecast.predict.forecast_table import forecast_file
from retain.kinds.forecast.predict.request import RequestReader

from .test_predictor import model_of

MONTHS = pd.date_range("2010-01-01", periods=80, freq="MS")
HOURS = pd.date_range("2024-01-01", periods=24 * 30, freq="h")


def series(stamps: Any, column: str = "when") -> pd.DataFrame:
    wave = 20 + 5 * np.sin(np.arange(len(stamps)) * 2 * np.pi / 7)
    return pd.DataFrame({column: stamps, "y": wave.round(2)})


def asked(folder: Path, table: pd.DataFrame, **keys: Any) -> pd.DataFrame:
    """Return the forecast of a table by a model of it, the same by file and by request."""
    known = {"ds": "when"} | keys
    text = table.astype({name: "str" for name in table if name not in ("y", "t")})
    model_of(folder, text, {}, **known)
    table.to_csv(folder / "h.csv", index=False)
    options = ForecastOptions()
    found = forecast_file(folder / "model", str(folder / "h.csv"), folder, options).table
    served = predictor.load(folder / "model")
    assert served.predict(text).equals(found)
    example = served.example(folder / "prepared")
    assert list(example) == served.input_columns()
    assert len(served.predict(example)) == 3
    return found


def test_forecasts_are_written_as_the_table(tmp_path: Path) -> None:
    table = series([f"{s.year}-Q{s.quarter}" for s in pd.date_range("1990", periods=80, freq="QS")])
    found = asked(tmp_path, table, time_format="%Y-Q%q")
    assert found["when"].tolist() == ["2010-Q1", "2010-Q2", "2010-Q3"]


def test_forecasts_in_seconds_are_whole(tmp_path: Path) -> None:
    seconds = HOURS.as_unit("s").astype("int64")
    found = asked(tmp_path, series(seconds), time_format="epoch_s")
    assert found["when"].tolist() == [int(seconds[-1]) + 3600 * n for n in (1, 2, 3)]


def test_forecasts_continue_numbers_of_steps(tmp_path: Path) -> None:
    table = series(range(10, 90), "t")
    found = asked(tmp_path, table, ds="t", ds_is_step=True, calendar=False)
    assert found["t"].tolist() == [90, 91, 92]
    assert predictor.load(tmp_path / "model").trained_on() == "step 10 to 60"
    quality = (tmp_path / "prepared" / "quality.json").read_text()
    assert '"first": "10"' in quality


def test_what_a_model_learned_from_is_named_with_its_seconds(tmp_path: Path) -> None:
    stamps = pd.date_range("2024-01-01", periods=80, freq="10s")
    asked(tmp_path, series(stamps))
    span = "2024-01-01 00:00 to 2024-01-01 00:08:20"
    assert predictor.load(tmp_path / "model").trained_on() == span


def test_a_time_in_two_columns_is_one_in_a_forecast(tmp_path: Path) -> None:
    table = series(HOURS.strftime("%Y-%m-%d"), "Date").assign(Hour=HOURS.hour + 1)
    keys = {"ds": ["Date", "Hour"], "time_format": "%Y-%m-%d | %K"}
    found = asked(tmp_path, table, **keys)
    expected = pd.date_range(HOURS[-1], periods=4, freq="h")[1:]
    assert found["ds"].tolist() == expected.tolist()


def test_each_series_is_forecast_at_its_own_times(tmp_path: Path) -> None:
    own = {"a": HOURS, "b": HOURS[:-5] + pd.Timedelta(minutes=20)}
    table = pd.concat([series(stamps).assign(sensor=name) for name, stamps in own.items()])
    text = table.astype({"when": "str"})
    keys = {"unique_id": "sensor", "align": "series", "frequency": "h", "ds": "when"}
    model_of(tmp_path, text, {}, **keys)
    served = predictor.load(tmp_path / "model")
    answer = served.predict(text).set_index("sensor")["when"]
    for name, stamps in own.items():
        expected = pd.date_range(stamps[-1], periods=4, freq="h")[1:]
        assert answer[name].tolist() == expected.tolist()
    text.to_csv(tmp_path / "h.csv", index=False)
    options = ForecastOptions(fill_with="theta")
    found = forecast_file(tmp_path / "model", str(tmp_path / "h.csv"), tmp_path, options).table
    assert found["when"].tolist() == answer.tolist()


def test_what_is_known_of_the_future_has_the_phase_too(tmp_path: Path) -> None:
    own = {"a": HOURS, "b": HOURS + pd.Timedelta(minutes=20)}
    table = pd.concat([series(stamps).assign(sensor=name) for name, stamps in own.items()])
    table["price"] = np.arange(len(table)) % 5
    keys = {"unique_id": "sensor", "align": "series", "frequency": "h", "ds": "when"}
    model_of(tmp_path, table.astype({"when": "str"}), {}, known_covariates=["price"], **keys)
    ahead = [
        pd.DataFrame({"when": pd.date_range(stamps[-1], periods=4, freq="h")[1:], "sensor": name})
        for name, stamps in own.items()
    ]
    future = pd.concat(ahead).assign(price=2)
    table.to_csv(tmp_path / "h.csv", index=False)
    future.to_csv(tmp_path / "f.csv", index=False)
    options = ForecastOptions(future=str(tmp_path / "f.csv"))
    found = forecast_file(tmp_path / "model", str(tmp_path / "h.csv"), tmp_path, options).table
    assert found["when"].tolist() == future["when"].tolist()


@pytest.mark.parametrize("day", [15, 31])
def test_a_day_of_the_month_is_kept(day: int, tmp_path: Path) -> None:
    ends = MONTHS + pd.offsets.MonthEnd(0)
    stamps = pd.DatetimeIndex(np.minimum(MONTHS + pd.Timedelta(days=day - 1), ends))
    found = asked(tmp_path, series(stamps), align="series", frequency="MS", season_length=1)
    expected = {15: ["2016-09-15", "2016-10-15", "2016-11-15"]}.get(
        day, ["2016-09-30", "2016-10-31", "2016-11-30"]
    )
    assert found["when"].astype(str).tolist() == expected


def test_events_are_forecast_by_step(tmp_path: Path) -> None:
    seconds = np.sort(np.random.default_rng(0).integers(0, 100 * 86_400, 3000))
    stamps = pd.Timestamp("2024-01-01") + pd.to_timedelta(seconds, unit="s")
    table = series(stamps)[["when"]].assign(other="x")
    model_of(tmp_path, table.astype("str"), {}, ds="when", aggregate="count", frequency="D")
    table.to_csv(tmp_path / "h.csv", index=False)
    options = ForecastOptions()
    found = forecast_file(tmp_path / "model", str(tmp_path / "h.csv"), tmp_path, options).table
    last = stamps[-1].normalize()  # is whole, or is the first to forecast
    assert found["when"].iloc[0] in (last, last + pd.Timedelta(days=1))
    assert len(found) == 3


def test_times_that_are_no_plain_steps_are_not_read_fast(tmp_path: Path) -> None:
    plain = {"path": "t.csv", "ds": "when", "horizon": 3, "context_length": 8}
    assert Data.model_validate(plain).plain_time
    for keys in (
        {"align": "nearest", "frequency": "h"},
        {"aggregate": "sum", "frequency": "D"},
        {"ds_is_step": True, "calendar": False},
        {"ds": ["a", "b"]},
        {"timezone": "UTC"},
    ):
        assert not Data.model_validate(plain | keys).plain_time
    keys = {"ds": "when", "align": "nearest", "frequency": "h"}
    model_of(tmp_path, series(HOURS.astype(str)), {}, **keys)
    reader: RequestReader = predictor.load(tmp_path / "model").requests
    history = series((HOURS + pd.Timedelta(seconds=5)).astype(str)).to_dict("list")
    assert reader.read_plain(history) is None
    request = reader.read_columns(history)
    assert request.ahead[0, 0] == HOURS[-1] + pd.Timedelta(hours=1)


# --- new rows ---


def appended(folder: Path, old: pd.DataFrame, new: pd.DataFrame, **keys: Any) -> append.Appended:
    old.to_csv(folder / "t.csv", index=False)
    new.to_csv(folder / "new.csv", index=False)
    known = {"path": "t.csv", "ds": "when", "horizon": 3, "context_length": 8}
    data = Data.model_validate(known | keys)
    done = append.add_rows(data, folder, folder / "new.csv")
    tables.read(data, folder)
    return done


def test_rows_off_the_grid_are_appended(tmp_path: Path) -> None:
    late = series(HOURS + pd.to_timedelta(np.arange(len(HOURS)) % 7, unit="s"))
    keys = {"align": "nearest", "frequency": "h"}
    done = appended(tmp_path, late[:700], late[690:], **keys)
    assert (done.added, done.known) == (20, 10)


def test_events_that_the_table_has_are_known_by_their_number(tmp_path: Path) -> None:
    old = series(HOURS[:100].repeat(2)).assign(y=1.0)
    new = pd.concat([old.tail(4), old.tail(1), series(HOURS[100:110])])
    new.loc[new.index[-1], "y"] = np.nan
    done = appended(tmp_path, old, new, aggregate="sum", frequency="D")
    assert (done.added, done.known) == (11, 4)
    again = append.add_rows(
        Data(path="t.csv", ds="when", horizon=3, context_length=8, aggregate="sum", frequency="D"),
        tmp_path,
        tmp_path / "new.csv",
    )
    assert (again.added, again.known) == (0, 15)


def test_a_mistyped_year_is_named_where_it_is_appended(tmp_path: Path) -> None:
    table = series(HOURS.astype(str))
    new = table[700:].reset_index(drop=True)
    new.loc[5, "when"] = "2034" + new.loc[5, "when"][4:]
    with pytest.raises(DataError) as error:
        appended(tmp_path, table[:700], new)
    text = "row 7: 2034-01-30 09:00:00 lies 10 years after its neighbours"
    assert text in str(error.value)
