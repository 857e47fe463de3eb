"""Messages about a table with a time zone have the time of its file, which is kept in UTC."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import series, tables
from retain.kinds.forecast.infer import splitting
from retain.kinds.forecast.predict import future

HOURS = pd.date_range("2024-06-10", periods=30, freq="h", tz="Europe/Berlin")
UTC = HOURS.tz_convert("UTC").tz_localize(None)
PARTS = {"validation": "2 horizons", "test": "1 horizons"}


def settings(**keys: Any) -> Data:
    known = {"path": "t.csv", "horizon": 2, "context_length": 4, "timezone": "Europe/Berlin"}
    return Data.model_validate(known | keys)


def rows(stamps: Any, **more: Any) -> pd.DataFrame:
    return pd.DataFrame({"ds": [stamp.isoformat() for stamp in stamps], "y": 1.0, **more})


def test_stamps_off_the_grid_repeated_or_at_another_phase() -> None:
    late = [*HOURS[:9], HOURS[9] + pd.Timedelta(minutes=20), *HOURS[10:]]
    phases = settings(align="series", frequency="h")
    for data, stamps, row in (
        (settings(), late, "row 11: 2024-06-10 09:20:00"),
        (settings(), [*HOURS, HOURS[-1]], "row 31: 2024-06-11 05:00:00"),
        (phases, late, "row 11: 2024-06-10 09:20:00 of series 'series'"),
    ):
        with pytest.raises(DataError, match=f"{row}\n"):
            tables.clean(rows(stamps), data, "t.csv")


def test_a_mistyped_year() -> None:
    middle = [*HOURS[:9], HOURS[9].replace(year=2042), *HOURS[10:]]
    end = [*HOURS[:-1], HOURS[-1].replace(year=2034)]
    for stamps, words in (
        (middle, "2042-06-10 09:00:00 lies 18 years after"),
        (end, "2034-06-11 05:00:00 lies 10 years after"),
    ):
        with pytest.raises(DataError, match=words):
            tables.clean(rows(stamps), settings(), "t.csv")


def test_steps_that_cannot_be_split() -> None:
    span = r"2024-06-10 00:00:00 to 2024-06-11 05:00:00\)"
    for split in (("20 horizons", "1 horizons"), (0.5, 0.99)):
        parts = dict(zip(PARTS, split, strict=True))
        with pytest.raises(DataError, match=span):
            series.split(UTC, settings(split=parts))
    index = pd.DataFrame({"first_step": [0], "length": [30]})
    with pytest.raises(DataError, match="validation begins, at 2024-06-10 03:00:00; one needs"):
        series.check_training(index, UTC, 3, settings())


def test_a_table_too_short_for_the_horizon() -> None:
    extent = splitting.Extent(UTC, UTC[:1].asi8 * 0, len(UTC))
    with pytest.raises(DataError, match="from 2024-06-10 00:00:00 to 2024-06-11 05:00:00; to"):
        splitting.choose(extent, settings(horizon=20), "h")


def test_a_future_that_says_otherwise(tmp_path: Path) -> None:
    data = settings(known_covariates=("price",))
    history = tables.clean(rows(HOURS, price=1.0), data, "t.csv").frame
    coming = future.of_frame(rows(HOURS[-1:], price=2.0), data, "f.csv")
    with pytest.raises(DataError, match="series: 2024-06-11 05:00:00\n"):
        future.join(history, coming, data, "h")
