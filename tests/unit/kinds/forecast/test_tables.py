"""What a table may look like and what it may not: each fault is named with its row and remedy."""

import datetime as dt
import gzip
import hashlib
import lzma
import os
import threading
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import tables

DAYS = "ds,y\n2020-01-01,1\n2020-01-02,2\n2020-01-03,3\n"
UTC = "ds,y\n2020-01-01T00:00Z,1\n2020-01-01T01:00Z,2\n2020-01-01T02:00Z,3\n"


def settings(**keys: object) -> Data:
    return Data(**{"path": "t.csv", "horizon": 1, "context_length": 1, **keys})


def read(folder: Path, content: str | bytes, **keys: object) -> tables.Table:
    data = settings(**keys)
    raw = content.encode() if isinstance(content, str) else content
    (folder / data.path).write_bytes(raw)
    return tables.read(data, folder)


def panel_of(*series: tuple[str, str, int], header: str = "unique_id,ds,y") -> str:
    """Rows of (id, first day, number of days), y = 0, 1, 2, ..."""
    lines = [header]
    for name, first, days in series:
        stamps = pd.date_range(first, periods=days).strftime("%Y-%m-%d")
        lines += [f"{name},{stamp},{number}" for number, stamp in enumerate(stamps)]
    return "\n".join(lines) + "\n"


FAULTS = {
    "an empty file": ("", {}, "t.csv is empty (0 bytes)"),
    "a blank file": ("\n \n", {}, "t.csv is empty (3 blank characters)"),
    "a header alone": ("ds,y\n", {}, "t.csv has a header and no rows"),
    "a header alone, without an end of line": ("ds,y", {}, "t.csv has a header and no rows"),
    "a missing column": (
        "ds,Sales,store\n2020-01-01,1,a\n",
        {"y": "sales"},
        "t.csv: there is no column `sales`; did you mean `Sales`?\n"
        "The columns are: `ds`, `Sales`, `store`",
    ),
    "a column name that stands twice": (
        "ds,y,y\n2020-01-01,1,2\n",
        {},
        "t.csv, row 1: the column name 'y' stands 2 times in the header; "
        "give each column a name of its own",
    ),
    "another separator": (
        "ds;y\n2020-01-01;1\n",
        {},
        "t.csv, row 1: read with ',' there is one column, 'ds;y'; it looks separated by ';': "
        'set `separator: ";"`',
    ),
    "tabs": (
        "ds\ty\n2020-01-01\t1\n",
        {},
        "t.csv, row 1: read with ',' there is one column, 'ds\\ty'; it looks separated by '\\t': "
        'set `separator: "\\t"`',
    ),
    "decimal commas": (
        "ds;y\n2020-01-01;1,5\n2020-01-02;2\n2020-01-03;-0,5\n",
        {"separator": ";"},
        "t.csv: column `y`: the decimal sign is ',' where '.' is expected (2 rows):\n"
        "  row 2: '1,5'\n  row 4: '-0,5'\n"
        'Set `decimal: ","`, or `thousands: ","` if it is no decimal sign.',
    ),
    "rows of another length": (
        "ds,y\n2020-01-01,1\n2020-01-02,2,\n2020-01-03\n",
        {},
        "t.csv: rows of another length than the header's 2 fields, which would shift the columns "
        "(2 rows):\n  row 3: 3 fields\n  row 4: 1 fields\n"
        "Quote a field that holds ',', and take away a separator too many.",
    ),
    "a trailing separator in every row": (
        "ds,y\n2020-01-01,1,\n2020-01-02,2,\n",
        {},
        "t.csv: rows of another length than the header's 2 fields, which would shift the columns "
        "(2 rows):\n  row 2: 3 fields\n  row 3: 3 fields\n"
        "Quote a field that holds ',', and take away a separator too many.",
    ),
    "text among numbers": (
        "ds,y\n2020-01-01,1\n2020-01-02,n/a\n2020-01-03,NA\n",
        {},
        "t.csv: column `y`: not a number (1 row):\n  row 3: 'n/a'\n"
        "Correct the values, or name the texts that mean missing in `na_values`.",
    ),
    "infinities": (
        "ds,y\n2020-01-01,inf\n2020-01-02,1e400\n2020-01-03,-Infinity\n2020-01-04,1\n",
        {},
        "t.csv: column `y`: not a finite number, or too large for one of 32 bits (3 rows):\n"
        "  row 2: 'inf'\n  row 3: '1e400'\n  row 4: '-Infinity'\n"
        "Correct the values; what is not known is left empty.",
    ),
    "whole numbers beyond 2^53": (
        "ds,y\n2020-01-01,9007199254740992\n2020-01-02,9007199254740993\n",
        {},
        "t.csv: column `y`: a whole number beyond 2^53 cannot be held exactly as a float64 "
        "(1 row):\n  row 3: '9007199254740993'\n"
        "Divide the column by a power of ten, or use it as an identifier.",
    ),
    "a target without values": (
        "ds,y\n2020-01-01,\n2020-01-02,NA\n",
        {},
        "t.csv: column `y` has no value in any row",
    ),
    "bytes that are not UTF-8": (
        b"ds,y\n2020-01-01,1\n2020-01-02,\xe9\n",
        {},
        "t.csv, row 3: byte 0xe9 is not UTF-8; set `encoding` to how it is written, such as "
        "cp1252, or save it as UTF-8",
    ),
    "a broken workbook": (
        b"PK\x03\x04rest",
        {},
        "t.csv cannot be read as a workbook: File is not a zip file",
    ),
    "a row without time stamp": (
        "ds,y\n2020-01-01,1\n ,2\n",
        {},
        "t.csv: column `ds`: missing (1 row):\n  row 3: no time stamp\n"
        "Every row needs a time stamp.",
    ),
    "a row without id": (
        "unique_id,ds,y\na,2020-01-01,1\n,2020-01-02,2\n",
        {"unique_id": "unique_id"},
        "t.csv: column `unique_id`: missing (1 row):\n  row 3: no id\n"
        "Every row needs the id of its series.",
    ),
    "time stamps nobody can read": (
        "ds,y\n2020-01-01,1\nyesterday,2\n",
        {},
        "t.csv: column `ds`: not a time stamp of ISO 8601 (2020-01-31 or 2020-01-31 23:59:00) "
        "(1 row):\n  row 3: 'yesterday'\n"
        "Correct the stamps, or set `time_format` to how they are written.",
    ),
    "a day that does not exist": (
        "ds,y\n2020-01-01,1\n2020-02-30,2\n",
        {},
        "t.csv: column `ds`: no such day or time (1 row):\n  row 3: '2020-02-30'\n"
        "Correct the time stamps.",
    ),
    "time stamps of two forms": (
        "ds,y\n2020-01-01,1\n2020-01-02,2\n2020-01-03 00:00,3\n",
        {},
        "t.csv: column `ds`: written unlike the other time stamps, such as '2020-01-01' (1 row):\n"
        "  row 4: '2020-01-03 00:00'\nWrite all time stamps in one form.",
    ),
    "day and month that may be swapped": (
        "ds,y\n01/02/2020,1\n02/02/2020,2\n",
        {},
        "t.csv: column `ds`: day and month cannot be told apart (2 rows):\n"
        "  row 2: '01/02/2020'\n  row 3: '02/02/2020'\n"
        'Set `time_format: "%d/%m/%Y"` (day first) or `time_format: "%m/%d/%Y"` (month first).',
    ),
    "day and month that only one row tells apart": (
        "ds,y\n12.01.20,1\n13.01.20,2\n",
        {},
        "t.csv: column `ds`: day and month cannot be told apart (2 rows):\n"
        "  row 2: '12.01.20'\n  row 3: '13.01.20'\n"
        'Set `time_format: "%d.%m.%y"` (day first) or `time_format: "%m.%d.%y"` (month first).',
    ),
    "a stamp that is not of the given form": (
        "ds,y\n31/01/2020,1\n2020-02-01,2\n",
        {"time_format": "%d/%m/%Y"},
        "t.csv: column `ds`: not written as `time_format: %d/%m/%Y` says (1 row):\n"
        "  row 3: '2020-02-01'\nCorrect the stamps or `time_format`.",
    ),
    "seconds since 1970": (
        "ds,y\n1577836800,1\n1577923200,2\n",
        {},
        "t.csv: column `ds`: numbers that look like seconds since 1970 (2 rows):\n"
        "  row 2: '1577836800'\n  row 3: '1577923200'\nSet `time_format: epoch_s`.",
    ),
    "milliseconds since 1970": (
        "ds,y\n1577836800000,1\n",
        {},
        "t.csv: column `ds`: numbers that look like milliseconds since 1970 (1 row):\n"
        "  row 2: '1577836800000'\nSet `time_format: epoch_ms`.",
    ),
    "days of Excel": (
        "ds,y\n43831,1\n43832.5,2\n",
        {},
        "t.csv: column `ds`: numbers that look like days of Excel (2 rows):\n"
        "  row 2: '43831'\n  row 3: '43832.5'\nSet `time_format: excel`.",
    ),
    "dates without dashes": (
        "ds,y\n20200131,1\n",
        {},
        "t.csv: column `ds`: numbers that look like dates without dashes (1 row):\n"
        "  row 2: '20200131'\n" + 'Set `time_format: "%Y%m%d"`.',
    ),
    "repeated time stamps": (
        "ds,y\n2020-01-01,1\n2020-01-02,2\n2020-01-01,3\n",
        {},
        "t.csv: column `ds`: more than one row for a time stamp (2 rows):\n"
        "  row 2: 2020-01-01 00:00:00\n  row 4: 2020-01-01 00:00:00\n"
        "Set `duplicates` to first, last or mean, or correct the file.",
    ),
    "repeated time stamps of a series": (
        "unique_id,ds,y\n007,2020-01-01,1\n7,2020-01-01,2\n007,2020-01-01,3\n",
        {"unique_id": "unique_id"},
        "t.csv: column `ds`: more than one row for a time stamp of a series (2 rows):\n"
        "  row 2: 2020-01-01 00:00:00 of series '007'\n"
        "  row 4: 2020-01-01 00:00:00 of series '007'\n"
        "Set `duplicates` to first, last or mean, or correct the file.",
    ),
    "a stamp off the grid": (
        "ds,y\n2020-01-01 00:00,1\n2020-01-01 01:00,2\n2020-01-01 02:00,3\n2020-01-01 02:30,4\n",
        {},
        "t.csv: column `ds`: off the grid of frequency h (1 row):\n"
        "  row 5: 2020-01-01 02:30:00\nCorrect the stamps, or set `frequency`, and `align` to take "
        "them to its steps.",
    ),
    "a frequency that is not the table's": (
        DAYS,
        {"frequency": "W-WED"},
        "t.csv: column `ds`: off the grid of frequency W-WED (2 rows):\n"
        "  row 3: 2020-01-02 00:00:00\n  row 4: 2020-01-03 00:00:00\n"
        "Correct the stamps or `frequency`; their most common step is D.",
    ),
    "a frequency that pandas does not know": (
        DAYS,
        {"frequency": "H"},
        "`frequency: H` is no alias of pandas; did you mean `h`?",
    ),
    "series of different frequencies": (
        panel_of(("a", "2020-01-01", 9))
        + "".join(f"b,2020-01-{day:02d},1\n" for day in (6, 13, 20, 27)),
        {"unique_id": "unique_id"},
        "t.csv: column `ds`: most series step by D, some do not (1 row):\n"
        "  row 11: series 'b' steps by 7D\n"
        "One problem has one frequency: make a problem of its own for the others.",
    ),
    "one time stamp": (
        "ds,y\n2020-01-01,1\n",
        {},
        "t.csv: column `ds`: no series has two time stamps to find the frequency from; "
        "set `frequency`",
    ),
    "offsets without a time zone": (
        UTC,
        {},
        "t.csv: column `ds`: time stamps with an offset from UTC (3 rows):\n"
        "  row 2: '2020-01-01T00:00Z'\n  row 3: '2020-01-01T01:00Z'\n"
        "  row 4: '2020-01-01T02:00Z'\n"
        "Set `timezone` to the place whose days and hours the data follow, such as UTC.",
    ),
    "a time zone that does not exist": (
        UTC,
        {"timezone": "Europe/Belin"},
        "`timezone: Europe/Belin` is no time zone; did you mean `Europe/Berlin`?",
    ),
    "an hour that came twice": (
        "ds,y\n2020-10-25 01:30,1\n2020-10-25 02:30,2\n",
        {"timezone": "Europe/Berlin"},
        "t.csv: column `ds`: this hour came twice in Europe/Berlin, when the clocks were set back "
        "(1 row):\n  row 3: '2020-10-25 02:30'\n"
        "Set `ambiguous: order` if the rows of a series stand in order of time, so that the first "
        "row of a stamp is the first hour; or write the stamps with their offset from UTC, such as "
        "2020-10-25T02:30:00+01:00.",
    ),
    "an hour that never was": (
        "ds,y\n2020-03-29 01:30,1\n2020-03-29 02:30,2\n",
        {"timezone": "Europe/Berlin"},
        "t.csv: column `ds`: there was no such time in Europe/Berlin, when the clocks were set "
        "forward (1 row):\n  row 3: '2020-03-29 02:30'\n"
        "Write the stamps with their offset from UTC, such as 2020-03-29T03:30:00+02:00; leave "
        "`timezone` out if the clock of the data is never changed.",
    ),
    "days in a time zone with summer time": (
        "ds,y\n2020-03-27,1\n2020-03-28,2\n2020-03-29,3\n2020-03-30,4\n",
        {"timezone": "Europe/Berlin"},
        "t.csv: column `ds`: off the grid of frequency D (1 row):\n  row 5: 2020-03-30 00:00:00\n"
        "For data by the day leave `timezone` out: the local date is the time stamp.",
    ),
    "a wide table that lacks a series": (
        "ds,north,south\n2020-01-01,1,2\n",
        {"value_columns": ("north", "souht")},
        "t.csv: there is no column `souht`; did you mean `south`?\n"
        "The columns are: `ds`, `north`, `south`",
    ),
    "a wide table with a series that has no values": (
        "ds,a1,a2\n2020-01-01,1,\n2020-01-02,1,\n",
        {"value_columns": ("a1", "a2")},
        "t.csv: column `a2` has no value in any row",
    ),
    "a wide table with repeated time stamps": (
        "ds,a1,a2\n2020-01-01,1,2\n2020-01-01,3,4\n",
        {"value_columns": ("a1", "a2")},
        "t.csv: column `ds`: more than one row for a time stamp (2 rows):\n"
        "  row 2: 2020-01-01 00:00:00\n  row 3: 2020-01-01 00:00:00\n"
        "Set `duplicates` to first, last or mean, or correct the file.",
    ),
    "a static covariate that moves": (
        "unique_id,ds,y,size\na,2020-01-01,1,5\na,2020-01-02,2,\na,2020-01-03,3,6\n",
        {"unique_id": "unique_id", "static_covariates": ("size",)},
        "t.csv: column `size`: changes within a series (1 row):\n"
        "  row 4: 6.0 in series 'a', which began with 5.0\n"
        "A static covariate is one value a series; use `past_covariates` for one that moves.",
    ),
    "a covariate with a name that means something else": (
        "day,sales,y\n2020-01-01,1,2\n",
        {"ds": "day", "y": "sales", "past_covariates": ("y",)},
        "t.csv: a covariate cannot be called `y`, which has a meaning of its own; "
        "rename the column",
    ),
}


@pytest.mark.parametrize(("content", "keys", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_named_with_its_place_and_remedy(
    tmp_path: Path, content: str | bytes, keys: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError) as error:
        read(tmp_path, content, **keys)
    assert str(error.value) == message


def test_ten_rows_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read(tmp_path, "ds,y\n" + "2020-01-01,x\n" * 1012)
    lines = str(error.value).splitlines()
    assert lines[0] == "t.csv: column `y`: not a number (1,012 rows):"
    assert lines[1] == "  row 2: 'x'"
    assert lines[10:12] == ["  row 11: 'x'", "  ... and 1,002 more"]


def test_a_missing_file_suggests_the_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text(DAYS)
    with pytest.raises(DataError) as error:
        tables.read(settings(path="sale.csv"), tmp_path)
    assert str(error.value) == "sale.csv does not exist; did you mean sales.csv?"
    with pytest.raises(DataError) as error:
        tables.read(settings(path="no/such.csv"), tmp_path)
    assert str(error.value) == "no/such.csv does not exist"


def test_a_file_cut_short_cannot_be_decompressed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^t\.csv\.gz cannot be decompressed: "):
        read(tmp_path, gzip.compress(DAYS.encode())[:-9], path="t.csv.gz")


@pytest.mark.parametrize("ending", ["gz", "xz", "zst", "bz2"])
def test_a_compressed_table_is_the_same_table(tmp_path: Path, ending: str) -> None:
    codec = {"gz": "gzip", "zst": "zstd", "bz2": "bz2"}.get(ending)
    path = tmp_path / f"t.csv.{ending}"
    if codec is None:
        path.write_bytes(lzma.compress(DAYS.encode()))
    else:
        with pa.output_stream(path, compression=codec) as stream:
            stream.write(DAYS.encode())
    table = tables.read(settings(path=path.name), tmp_path)
    assert table.frame["y"].tolist() == [1, 2, 3]
    assert (
        table.findings.digest == hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    )


def test_a_url_is_read_through_fsspec(tmp_path: Path) -> None:
    with fsspec.open("memory://tables/t.csv", "wb") as stream:
        stream.write(DAYS.encode())
    assert len(tables.read(settings(path="memory://tables/t.csv"), tmp_path).frame) == 3


def test_the_frame_is_sorted_and_typed(tmp_path: Path) -> None:
    content = "unique_id,ds,y,kind\nb,2020-01-02,,x\nb,2020-01-01,2.5,\na,2020-01-01,1,None\n"
    table = read(
        tmp_path,
        content,
        unique_id="unique_id",
        past_covariates=("kind",),
        categorical=("kind",),
    )
    frame = table.frame
    assert frame["unique_id"].tolist() == ["a", "b", "b"]
    assert frame["ds"].dtype == "datetime64[us]"
    assert np.array_equal(frame["y"], [1, 2.5, np.nan], equal_nan=True)
    assert frame["kind"].iloc[0] == "None"  # a text, not a missing value
    assert frame["kind"].isna().tolist() == [False, True, False]
    assert table.frequency == "D"
    assert table.findings.blank == {"y": 1, "kind": 1}


def test_ids_stay_the_text_they_are(tmp_path: Path) -> None:
    content = panel_of(("007", "2020-01-01", 2), ("7", "2020-01-01", 2), ("NA", "2020-01-01", 2))
    table = read(tmp_path, content, unique_id="unique_id")
    assert table.frame["unique_id"].unique().tolist() == ["007", "7", "NA"]


def test_values_out_of_range_become_missing_and_are_counted(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        "ds,y,temp\n2020-01-01,1,0\n2020-01-02,-1,280\n2020-01-03,3,281\n",
        past_covariates=("temp",),
        valid_range={"y": (0, None), "temp": (200, 330)},
    )
    assert np.array_equal(table.frame["y"], [1, np.nan, 3], equal_nan=True)
    assert np.array_equal(table.frame["temp"], [np.nan, 280, 281], equal_nan=True)
    assert table.findings.out_of_range == {"y": 1, "temp": 1}
    assert table.findings.blank == {"y": 0, "temp": 0}


@pytest.mark.parametrize(("rule", "value"), [("first", 1.0), ("last", 3.0), ("mean", 2.0)])
def test_duplicates_follow_the_rule(tmp_path: Path, rule: str, value: float) -> None:
    content = "ds,y\n2020-01-01,1\n2020-01-02,5\n2020-01-01,3\n2020-01-03,6\n"
    table = read(tmp_path, content, duplicates=rule)
    assert table.frame["y"].tolist() == [value, 5, 6]
    assert table.findings.duplicates == 1
    assert table.findings.rows == 4


def test_a_wide_table_becomes_long(tmp_path: Path) -> None:
    content = "ds,b,a,wind,note\n2020-01-01,1,2,9,x\n2020-01-02,3,4,8,y\n"
    table = read(tmp_path, content, value_columns=("b", "a"), past_covariates=("wind",))
    assert table.frame["unique_id"].tolist() == ["a", "a", "b", "b"]
    assert table.frame["y"].tolist() == [2, 4, 1, 3]
    assert table.frame["wind"].tolist() == [9, 8, 9, 8]
    assert table.findings.unused == ("note",)


@pytest.mark.parametrize(
    ("time_format", "stamps"),
    [
        ("epoch_s", ("1577836800", "1577840400")),
        ("epoch_ms", ("1577836800000", "1577840400000")),
        ("excel", ("43831", "43831.0416666667")),
        ("%d.%m.%Y %H:%M", ("01.01.2020 00:00", "01.01.2020 01:00")),
        ("%Y%m%d%H", ("2020010100", "2020010101")),
    ],
)
def test_time_formats(tmp_path: Path, time_format: str, stamps: tuple[str, str]) -> None:
    table = read(tmp_path, f"ds,y\n{stamps[0]},1\n{stamps[1]},2\n", time_format=time_format)
    assert table.frame["ds"].tolist() == [
        pd.Timestamp("2020-01-01 00:00"),
        pd.Timestamp("2020-01-01 01:00"),
    ]
    assert table.frequency == "h"


def test_local_time_stamps_become_utc(tmp_path: Path) -> None:
    local = "ds,y\n2020-07-01 02:00,1\n2020-07-01 03:00,2\n"
    offset = "ds,y\n2020-07-01T00:00Z,1\n2020-07-01T03:00+02:00,2\n"
    for content in (local, offset):
        table = read(tmp_path, content, timezone="Europe/Berlin")
        assert table.frame["ds"].iloc[0] == pd.Timestamp("2020-07-01 00:00")
        assert table.frame["ds"].iloc[1] == pd.Timestamp("2020-07-01 01:00")


def test_blank_lines_count_as_rows_and_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 5: 'x'"):
        read(tmp_path, "ds,y\n2020-01-01,1\n\n2020-01-02,2\n2020-01-03,x\n\n")
    assert len(read(tmp_path, DAYS + "\n\n").frame) == 3


def test_decimal_commas_and_a_byte_order_mark(tmp_path: Path) -> None:
    content = "\ufeffds;y\r\n2020-01-01;1,5\r\n2020-01-02; 2 \r\n"
    table = read(tmp_path, content, separator=";", decimal=",")
    assert table.frame["y"].tolist() == [1.5, 2]


def parquet(folder: Path, name: str, columns: dict[str, object]) -> None:
    folder.mkdir(exist_ok=True)
    pyarrow.parquet.write_table(pa.table(columns), folder / name)


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    writer = threading.Thread(target=(tmp_path / "t.csv").write_text, args=[DAYS])
    writer.start()
    assert tables.read(settings(), tmp_path).frame["y"].tolist() == [1, 2, 3]
    writer.join()


def test_a_folder_of_parquet_is_one_table(tmp_path: Path) -> None:
    day = [dt.date(2020, 1, n) for n in (1, 2, 3, 4)]
    parquet(tmp_path / "t", "b.parquet", {"ds": day[2:], "y": [3, None]})
    parquet(tmp_path / "t", "a.parquet", {"ds": day[:2], "y": [1, 2]})
    table = tables.read(settings(path="t"), tmp_path)
    assert np.array_equal(table.frame["y"], [1, 2, 3, np.nan], equal_nan=True)
    first = table.findings.digest
    parquet(tmp_path / "t", "b.parquet", {"ds": day[2:], "y": [3, 4]})
    assert tables.read(settings(path="t"), tmp_path).findings.digest != first


def test_a_row_of_a_folder_is_named_with_its_file(tmp_path: Path) -> None:
    day = [dt.date(2020, 1, n) for n in (1, 2, 3, 4)]
    parquet(tmp_path / "t", "a.parquet", {"ds": day[:2], "y": [1.0, 2.0]})
    parquet(tmp_path / "t", "b.parquet", {"ds": day[2:], "y": [3.0, float("inf")]})
    with pytest.raises(DataError) as error:
        tables.read(settings(path="t"), tmp_path)
    assert str(error.value).splitlines()[1] == "  b.parquet row 2: inf"


def test_parquet_integers_beyond_2_53_are_not_rounded(tmp_path: Path) -> None:
    day = [dt.date(2020, 1, n) for n in (1, 2, 3)]
    parquet(tmp_path, "t.parquet", {"ds": day, "y": [1, None, 2**53 + 1]})
    with pytest.raises(DataError) as error:
        tables.read(settings(path="t.parquet"), tmp_path)
    assert str(error.value).splitlines()[1] == "  row 3: 9007199254740993"


def test_parquet_files_of_other_columns_are_refused(tmp_path: Path) -> None:
    parquet(tmp_path / "t", "a.parquet", {"ds": ["2020-01-01"], "y": [1.0]})
    parquet(tmp_path / "t", "b.parquet", {"ds": ["2020-01-02"], "y": [1.0], "z": [1.0]})
    with pytest.raises(DataError) as error:
        tables.read(settings(path="t"), tmp_path)
    assert str(error.value) == "t: column `z` is in b.parquet and not in a.parquet"


def test_a_folder_without_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "a.csv").write_text(DAYS)
    with pytest.raises(DataError) as error:
        tables.read(settings(path="t"), tmp_path)
    assert str(error.value) == "t: this folder holds no .parquet file; name a CSV file itself"


def test_a_frame_of_a_request_is_checked_alike() -> None:
    frame = pd.DataFrame({"ds": pd.date_range("2020-01-01", periods=3), "y": [1, 2, None]})
    table = tables.clean(frame, settings(frequency="D"), "request", first_row=1)
    assert np.array_equal(table.frame["y"], [1, 2, np.nan], equal_nan=True)
    frame["y"] = [1.0, np.inf, 2.0]
    with pytest.raises(DataError) as error:
        tables.clean(frame, settings(), "request", first_row=1)
    rule = "not a finite number, or too large for one of 32 bits"
    assert str(error.value).startswith(f"request: column `y`: {rule} (1 row):\n  row 2:")
