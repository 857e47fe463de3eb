"""New rows for a table: what is added, what is passed over and what is refused."""

import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import append, tables

SMALL = {"horizon": 2, "context_length": 4, "unique_id": "shop"}


def rows(first: str, count: int, shop: str = "a", level: float = 0.0) -> pd.DataFrame:
    ds = pd.date_range(first, periods=count, freq="D")
    return pd.DataFrame({"ds": ds.astype(str), "shop": shop, "y": level + ds.day, "note": "x"})


def table(folder: Path, name: str = "t.csv", **more: Any) -> Data:
    both = pd.concat([rows("2024-01-01", 10), rows("2024-01-01", 10, "b", 100.0)])
    if name.endswith(".parquet"):
        both.to_parquet(folder / name, index=False)
    elif name == "parts":
        (folder / name).mkdir()
        both.to_parquet(folder / name / "one.parquet", index=False)
    elif name.endswith(".zst"):
        text = both.to_csv(index=False).encode()
        (folder / name).write_bytes(pa.compress(text, codec="zstd", asbytes=True))
    else:
        both.to_csv(folder / name, index=False, sep=more.get("separator", ","))
    return Data.model_validate({"path": name, **SMALL, **more})


def new(folder: Path, *frames: pd.DataFrame, name: str = "new.csv", **options: Any) -> Path:
    path = folder / name
    whole = pd.concat(frames)
    whole.to_parquet(path, index=False) if name.endswith(".parquet") else whole.to_csv(
        path, index=False, **options
    )
    return path


@pytest.mark.parametrize(
    "name", ["t.csv", "t.csv.gz", "t.csv.bz2", "t.csv.xz", "t.csv.zst", "t.parquet", "parts"]
)
def test_rows_that_are_new_stand_behind_the_old(name: str, tmp_path: Path) -> None:
    data = table(tmp_path, name)
    before = tables.read(data, tmp_path).frame
    suffix = ".csv" if ".csv" in name else ".parquet"
    more = new(
        tmp_path, rows("2024-01-09", 4), rows("2024-01-11", 1, "b", 100.0), name=f"n{suffix}"
    )
    done = append.add_rows(data, tmp_path, more)
    assert (done.added, done.known, done.last) == (3, 2, "2024-01-12 00:00:00")
    after = tables.read(data, tmp_path).frame
    assert len(after) == 23
    both = after.merge(before, on=["unique_id", "ds", "y"])
    assert len(both) == len(before)
    again = append.add_rows(data, tmp_path, more)
    assert (again.added, again.known) == (0, 5)


def test_what_was_there_keeps_its_bytes(tmp_path: Path) -> None:
    data = table(tmp_path, "t.csv.gz", separator=";")
    content = (tmp_path / "t.csv.gz").read_bytes()
    append.add_rows(data, tmp_path, new(tmp_path, rows("2024-01-11", 1), sep=";"))
    now = (tmp_path / "t.csv.gz").read_bytes()
    assert now.startswith(content)
    assert gzip.decompress(now).decode().endswith("2024-01-11;a;11.0;x\n")


def test_columns_may_stand_in_another_order(tmp_path: Path) -> None:
    data = table(tmp_path)
    more = rows("2024-01-11", 1)[["note", "y", "shop", "ds"]]
    append.add_rows(data, tmp_path, new(tmp_path, more))
    assert (tmp_path / "t.csv").read_text().endswith("2024-01-11,a,11.0,x\n")


def test_a_table_without_a_last_line_break_gets_one(tmp_path: Path) -> None:
    data = table(tmp_path)
    path = tmp_path / "t.csv"
    path.write_text(path.read_text().rstrip("\n"))
    append.add_rows(data, tmp_path, new(tmp_path, rows("2024-01-11", 1)))
    assert len(tables.read(data, tmp_path).frame) == 21


def test_a_row_of_a_wide_table_goes_in_whole(tmp_path: Path) -> None:
    ds = pd.date_range("2024-01-01", periods=10, freq="D").astype(str)
    pd.DataFrame({"ds": ds, "a": range(10), "b": range(10)}).to_csv(tmp_path / "w.csv", index=False)
    data = Data.model_validate(
        {"path": "w.csv", "horizon": 2, "context_length": 4, "value_columns": ["a", "b"]}
    )
    more = pd.DataFrame({"ds": ["2024-01-10", "2024-01-11"], "a": [9, 10], "b": [9, 10]})
    assert append.add_rows(data, tmp_path, new(tmp_path, more)).added == 1
    assert len(tables.read(data, tmp_path).frame) == 22


def test_all_rows_of_a_time_stamp_go_in_for_the_rule_of_the_table(tmp_path: Path) -> None:
    data = table(tmp_path, duplicates="mean")
    more = new(tmp_path, rows("2024-01-11", 1), rows("2024-01-11", 1, level=2.0))
    assert append.add_rows(data, tmp_path, more).added == 2
    after = tables.read(data, tmp_path).frame
    assert after.query("unique_id == 'a'")["y"].iloc[-1] == 12.0


PLANNED = "ds,shop,y,price,note\n"  # rows of the future have prices, and no sales yet


def planned(folder: Path, text: str, **more: Any) -> Data:
    (folder / "t.csv").write_bytes(text.encode(more.get("encoding", "utf-8")))
    return Data.model_validate({"path": "t.csv", **SMALL, "known_covariates": ["price"], **more})


def days(begin: int, end: int, sold: str = "{day}", note: str = "") -> str:
    lines = [f"2024-01-{day:02},a,{sold.format(day=day)},1.50,{note}" for day in range(begin, end)]
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_values_that_came_are_filled_in_and_all_else_keeps_its_bytes(
    end: str, encoding: str, tmp_path: Path
) -> None:
    quoted = '2024-01-10,"a","10","1.50","two\nlines, ""ü"""\n'
    known, plans = PLANNED + days(1, 10) + quoted, days(11, 13, "", "planned")
    text = (known + plans + "\n" + days(13, 15, "n/a")).replace("\n", end)
    data = planned(tmp_path, text, encoding=encoding.removesuffix("-sig"), na_values=["n/a"])
    more = tmp_path / "new.csv"
    more.write_bytes((PLANNED + days(12, 16) + days(9, 10)).encode(encoding))
    done = append.add_rows(data, tmp_path, more)
    assert (done.added, done.filled, done.known) == (1, 3, 1)
    filled = days(11, 12, "", "planned") + days(12, 13, note="planned") + "\n" + days(13, 16)
    now = (tmp_path / "t.csv").read_bytes().decode(encoding)
    assert now == (known + filled).replace("\n", end)
    again = append.add_rows(data, tmp_path, more)
    assert (again.added, again.filled, again.known) == (0, 0, 5)


@pytest.mark.parametrize("name", ["t.csv.gz", "t.parquet"])
def test_values_are_filled_in_where_the_row_was(name: str, tmp_path: Path) -> None:
    data = table(tmp_path, name)
    read: Any = pd.read_parquet if name.endswith(".parquet") else pd.read_csv
    write = "to_parquet" if name.endswith(".parquet") else "to_csv"
    before = read(tmp_path / name)
    lacking = before.assign(y=before["y"].mask(before.index.isin([3, 9, 19])))
    getattr(lacking, write)(tmp_path / name, index=False)
    more = new(
        tmp_path,
        rows("2024-01-11", 1),
        rows("2024-01-09", 2).iloc[::-1],
        rows("2024-01-10", 1, "b", 100.0),
        name=f"n{'.parquet' if write == 'to_parquet' else '.csv'}",
    )
    done = append.add_rows(data, tmp_path, more)
    assert (done.added, done.filled, done.known) == (1, 2, 1)
    expected = pd.concat(
        [before.assign(y=before["y"].mask(before.index == 3)), rows("2024-01-11", 1)]
    )
    assert read(tmp_path / name).equals(expected.reset_index(drop=True))


def test_a_row_of_a_wide_table_is_filled_in_where_its_other_values_agree(tmp_path: Path) -> None:
    ds = pd.date_range("2024-01-01", periods=10, freq="D").astype(str)
    wide = pd.DataFrame({"ds": ds, "a": range(10), "b": [*range(8), None, None]})
    wide.to_csv(tmp_path / "w.csv", index=False)
    data = Data.model_validate(
        {"path": "w.csv", "horizon": 2, "context_length": 4, "value_columns": ["a", "b"]}
    )
    more = new(tmp_path, pd.DataFrame({"ds": ds[8:], "a": [8, 9], "b": [8, 9]}))
    assert append.add_rows(data, tmp_path, more).filled == 2
    assert (tmp_path / "w.csv").read_text().endswith("2024-01-09,8,8\n2024-01-10,9,9\n")
    wide.to_csv(tmp_path / "w.csv", index=False)
    more = new(tmp_path, pd.DataFrame({"ds": ds[8:], "a": [7, 9], "b": [8, 9]}))
    with pytest.raises(DataError, match=r"1 rows say .*\n.*row 2: .* 'a': y is 7\.0, not 8\.0\n"):
        append.add_rows(data, tmp_path, more)


def test_rows_that_repeat_a_time_stamp_or_lie_in_a_folder_are_not_filled_in(tmp_path: Path) -> None:
    data = planned(tmp_path, PLANNED + days(1, 11) + days(11, 12, "") * 2, duplicates="last")
    (tmp_path / "new.csv").write_text(PLANNED + days(11, 12))
    with pytest.raises(DataError, match=r"y is 11\.0, not nan"):
        append.add_rows(data, tmp_path, tmp_path / "new.csv")
    data = table(tmp_path, "parts")
    path = tmp_path / "parts" / "one.parquet"
    pd.read_parquet(path).assign(y=lambda t: t["y"].where(t.index != 3)).to_parquet(path)
    more = new(tmp_path, rows("2024-01-04", 1), name="n.parquet")
    with pytest.raises(DataError, match=r"1 rows have values that parts lacks, which is a folder"):
        append.add_rows(data, tmp_path, more)


def test_a_row_that_cannot_be_found_is_refused(tmp_path: Path) -> None:
    long = days(1, 2, note="x" * 2**18)  # more than a field of Python's csv may have
    data = planned(tmp_path, PLANNED + long + days(2, 11) + days(11, 12, ""))
    (tmp_path / "new.csv").write_text(PLANNED + days(11, 12))
    with pytest.raises(DataError, match=r"t\.csv: 1 rows without values are not found"):
        append.add_rows(data, tmp_path, tmp_path / "new.csv")


def test_rows_and_messages_have_the_time_of_the_file(tmp_path: Path) -> None:
    hours = pd.date_range("2024-06-10", periods=30, freq="h", tz="Europe/Berlin")
    whole = pd.DataFrame({"ds": [hour.isoformat() for hour in hours], "shop": "a", "y": range(30)})
    data = table(tmp_path, timezone="Europe/Berlin")
    whole[:28].to_csv(tmp_path / "t.csv", index=False)
    assert append.add_rows(data, tmp_path, new(tmp_path, whole)).last == "2024-06-11 05:00:00"
    with pytest.raises(DataError, match=r"row 2: 2024-06-11 05:00:00 of series 'a': y is 30\.0,"):
        append.add_rows(data, tmp_path, new(tmp_path, whole[29:].assign(y=30)))


def test_rows_have_the_line_ends_of_the_table(tmp_path: Path) -> None:
    data = table(tmp_path)
    path = tmp_path / "t.csv"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    append.add_rows(data, tmp_path, new(tmp_path, rows("2024-01-11", 2)))
    assert path.read_bytes().endswith(b"2024-01-11,a,11.0,x\r\n2024-01-12,a,12.0,x\r\n")


REFUSED = {
    "a conflict": (
        rows("2024-01-09", 3, level=0.5),
        "2 rows say otherwise than t.csv, and nothing was added:\n"
        "  row 2: 2024-01-09 00:00:00 of series 'a': y is 9.5, not 9.0\n"
        "  row 3: 2024-01-10 00:00:00 of series 'a': y is 10.5, not 10.0",
    ),
    "a value where there was none": (
        rows("2024-01-09", 1).assign(y=None),
        "y is nan, not 9.0",
    ),
    "a column too few": (
        rows("2024-01-11", 1).drop(columns="note"),
        "lacks `note`: give it the columns of t.csv",
    ),
    "a column too many": (
        rows("2024-01-11", 1).assign(more=1),
        "has `more` besides: give it the columns of t.csv",
    ),
    "no number": (rows("2024-01-11", 1).assign(y="many"), "row 2: 'many'"),
    "off the grid": (
        rows("2024-01-11", 1).assign(ds="2024-01-11 07:00"),
        "new.csv row 2: ",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_and_nothing_is_written(case: str, tmp_path: Path) -> None:
    frame, said = REFUSED[case]
    data = table(tmp_path)
    content = (tmp_path / "t.csv").read_bytes()
    with pytest.raises(DataError) as caught:
        append.add_rows(data, tmp_path, new(tmp_path, frame))
    assert said in str(caught.value), json.dumps(str(caught.value))
    assert (tmp_path / "t.csv").read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.csv", "t.csv"]


def test_csv_and_parquet_do_not_mix(tmp_path: Path) -> None:
    data = table(tmp_path, "t.parquet")
    with pytest.raises(DataError, match="not both CSV or both Parquet"):
        append.add_rows(data, tmp_path, new(tmp_path, rows("2024-01-11", 1)))
