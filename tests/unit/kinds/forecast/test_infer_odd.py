"""Tables that `retain add` once read wrongly in silence, or could not read at all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain.cli import dialogue
from retain.errors import DataError
from retain.kinds.forecast.infer.entry import Inferred, infer

DAYS = pd.date_range("2023-01-01", periods=120)
VALUES = np.round(50 + 10 * np.sin(np.arange(120) * 2 * np.pi / 7), 2)


def look(folder: Path, text: str, given: Mapping[str, Any] | None = None) -> Inferred:
    (folder / "t.csv").write_text(text, encoding="utf-8")
    return infer("sales", "t.csv", folder, 4, dict(given or {}), 0.0)


def rows(header: str, *columns: Any) -> str:
    lines = (",".join(map(str, row)) for row in zip(*columns, strict=True))
    return "\n".join([header, *lines])


def test_rows_that_end_in_a_separator_lose_no_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 2: 3 fields"):
        look(tmp_path, rows("date,sales", DAYS.date, VALUES, [""] * 120))


def test_a_minus_behind_a_number_is_its_sign(tmp_path: Path) -> None:
    text = rows("date,sales", DAYS.date, [f"{value}-" for value in VALUES])
    assert (look(tmp_path, text).table.frame["y"] == -VALUES).all()


def test_whole_numbers_are_ids_by_the_last_word_of_their_name(tmp_path: Path) -> None:
    dates, values = np.tile(DAYS.date, 2), np.tile(VALUES, 2)
    hotels, guests = np.repeat(["ritz", "astor"], 120), np.arange(240) % 8
    text = rows("date,hotel,number_of_guests,revenue", dates, hotels, guests, values)
    assert look(tmp_path, text).data["unique_id"] == "hotel"
    text = rows("date,shop_nr,sales", dates, np.repeat([3, 7], 120), values)
    assert look(tmp_path, text).data["unique_id"] == "shop_nr"


def test_a_clock_that_cannot_be_read_is_no_series(tmp_path: Path) -> None:
    hours = pd.date_range("2023-01-01", periods=1200, freq="h")
    clock = [f"{hour:02d}-{hour + 1:02d}" for hour in hours.hour]
    with pytest.raises(DataError, match="several rows that differ"):
        look(tmp_path, rows("date,period,load", hours.date, clock, np.tile(VALUES, 10)))


def test_stamps_some_of_which_have_an_offset_are_named(tmp_path: Path) -> None:
    stamps = [f"{day:%Y-%m-%d}T00:00:00" + "+01:00" * (n % 2) for n, day in enumerate(DAYS)]
    with pytest.raises(DataError, match="written unlike the other time stamps"):
        look(tmp_path, rows("date,y", stamps, VALUES))


def test_years_across_and_months_below_are_no_twelve_series(tmp_path: Path) -> None:
    years = [np.arange(12) + year for year in range(2010, 2020)]
    header = ",".join(["month", *map(str, range(2010, 2020))])
    with pytest.raises(DataError, match="parts of dates"):
        look(tmp_path, rows(header, range(1, 13), *years))


def test_a_column_of_lists_is_not_used(tmp_path: Path) -> None:
    frame = pd.DataFrame({"date": DAYS, "y": VALUES, "both": [[1, 2]] * 120})
    frame.to_parquet(tmp_path / "t.parquet")
    found = infer("sales", "t.parquet", tmp_path, 4, {}, 0.0)
    assert "not used: `both`; a cell holds several values" in found.sentences


def test_a_peak_that_repeats_is_no_mark_of_missing_values(tmp_path: Path) -> None:
    spent = np.where(np.arange(120) % 30 == 7, 55805.51, VALUES)
    found = look(tmp_path, rows("date,sales,spent", DAYS.date, VALUES, spent))
    assert found.data["past_covariates"] == ["spent"]


def test_an_answer_takes_the_place_of_a_key_and_joins_other_lists() -> None:
    given = {"unique_id": "shop", "past_covariates": "a", "horizon": 3}
    answer = {"unique_id": ["shop", "item"], "past_covariates": ["a", "b"]}
    assert dialogue.merged(given, answer) == {
        "unique_id": ["shop", "item"],
        "past_covariates": ["a", "b"],
        "horizon": 3,
    }


def test_a_column_of_time_may_have_the_name_of_a_target(tmp_path: Path) -> None:
    clock = [f"{hour:02}:00:00" for hour in range(24)] * 5
    text = rows("ds,y,sales", np.repeat(DAYS.date[:5], 24), clock, VALUES)
    assert look(tmp_path, text).data["ds"] == ["ds", "y"]
