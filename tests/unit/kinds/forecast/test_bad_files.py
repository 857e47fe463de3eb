"""Files that no person writes on purpose, and that must not fill the memory or stop the reader."""

import gzip
import io
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain import words
from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import append, chunk_reader, reader, sources, tables
from retain.kinds.forecast.infer.entry import infer
from retain.words import nearest

HEAD = "id,ds,y\n"
ROWS = "".join(f"{name},2024-01-0{day},{day}\n" for name in "ab" for day in range(1, 8))
MAX = 500_000  # bytes of the files below, unpacked


def settings(path: str = "t.csv", **keys: Any) -> Data:
    return Data.model_validate(
        {"path": path, "unique_id": "id", "horizon": 1, "context_length": 2, "season_length": 1}
        | keys
    )


def write(folder: Path, content: str | bytes, name: str = "t.csv") -> Data:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return settings(name)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", b"\xef\xbb\xbf" * 2])
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_marks_of_byte_order_and_line_ends_of_every_kind_are_read(
    mark: bytes, end: str, tmp_path: Path
) -> None:
    data = write(tmp_path, mark + (HEAD + ROWS).replace("\n", end).encode())
    table = tables.read(data, tmp_path)
    assert table.frame["unique_id"].tolist() == ["a"] * 7 + ["b"] * 7
    assert table.frame["y"].tolist() == [*range(1, 8)] * 2


@pytest.mark.parametrize("end", [b"\n", b"\r"])
def test_the_row_of_an_id_that_is_not_utf8_is_named(end: bytes, tmp_path: Path) -> None:
    content = (HEAD + ROWS).encode() + b"\xff,2024-01-01,1\n"
    data = write(tmp_path, content.replace(b"\n", end))
    with pytest.raises(DataError, match=re.escape("t.csv, row 16: byte 0xff is not UTF-8")):
        tables.read(data, tmp_path)


def test_a_row_of_another_length_that_is_not_utf8_is_named_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path, (HEAD + ROWS).encode() + b"a,\xff\n")
    with pytest.raises(DataError, match=r"row 16: byte 0xff is not UTF-8"):
        tables.read(data, tmp_path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_field_that_never_ends_is_no_row(quote: str, tmp_path: Path) -> None:
    data = write(tmp_path, f"{HEAD}{ROWS}a,2024-01-08,{quote}{'9' * 5_000_000}\n")
    with pytest.raises(DataError, match="a row is longer than 1,048,576 bytes") as error:
        tables.read(data, tmp_path)
    assert len(str(error.value)) < 300


def test_a_header_that_never_ends_is_no_header(tmp_path: Path) -> None:
    data = write(tmp_path, "x" * 200_000 + "," + HEAD + ROWS)
    with pytest.raises(DataError, match=r"t\.csv: its first rows cannot be read as CSV"):
        tables.read(data, tmp_path)


def test_a_long_wrong_field_is_shown_in_part(tmp_path: Path) -> None:
    data = write(tmp_path, f"{HEAD}{ROWS}a,2024-01-08,{'x' * 500_000}\n")
    with pytest.raises(DataError, match="row 16: 'xxx") as error:
        tables.read(data, tmp_path)
    assert len(str(error.value)) < 1000


def test_a_table_has_at_most_ten_thousand_columns(tmp_path: Path) -> None:
    data = write(tmp_path, ",".join(f"c{n}" for n in range(10_001)) + "\n")
    with pytest.raises(DataError, match="10,001 columns, and a table may have 10,000"):
        tables.read(data, tmp_path)


def test_what_unpacks_to_much_more_than_it_is_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "LEAST", MAX)
    many = "a,2024-01-08,1\n" * (2 * MAX // 15)
    data = write(tmp_path, gzip.compress((HEAD + many).encode()), "t.csv.gz")
    with pytest.raises(DataError, match="holds more than 500,000 bytes, unpacked; if that is"):
        tables.read(data, tmp_path)
    more = settings("t.csv.gz", max_bytes=10 * MAX, duplicates="first", frequency="D")
    assert len(tables.read(more, tmp_path).frame) == 1
    with pytest.raises(DataError, match="holds more than 100 bytes"):
        tables.read(settings("t.csv.gz", max_bytes=100), tmp_path)


@pytest.mark.parametrize("suffix", ["csv.gz", "parquet"])
def test_retain_add_allows_more_bytes_where_it_is_told(suffix: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=60), "y": range(60)})
    path = f"t.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(tmp_path / path)
    else:
        frame.to_csv(tmp_path / path, index=False)
    with pytest.raises(DataError, match="holds more than 100 bytes"):
        infer("sales", path, tmp_path, 2, {"max_bytes": 100}, 0.0)
    found = infer("sales", path, tmp_path, 2, {"max_bytes": 10_000}, 0.0)
    assert found.data["max_bytes"] == 10_000
    assert "max_bytes" not in infer("sales", path, tmp_path, 2, {}, 0.0).data


def test_blank_lines_without_end_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    data = write(tmp_path, gzip.compress((HEAD + ROWS + "\n" * 3_000_000).encode()), "t.csv.gz")
    with pytest.raises(DataError, match=r"t\.csv.gz has more than 65,536 blank lines one after"):
        tables.read(data, tmp_path)


def test_a_workbook_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "x" * 2 * MAX)
    data = write(tmp_path, stream.getvalue(), "t.xlsx").model_copy(update={"max_bytes": MAX})
    with pytest.raises(DataError, match=r"t\.xlsx holds more than 500,000 bytes"):
        tables.read(data, tmp_path)


def test_a_workbook_with_a_cell_far_away_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"id": ["a"], "ds": ["2024-01-01"], "y": [1]}).to_excel(tmp_path / "plain.xlsx")
    with (
        zipfile.ZipFile(tmp_path / "plain.xlsx") as plain,
        zipfile.ZipFile(tmp_path / "t.xlsx", "w") as far,
    ):
        for name in plain.namelist():
            cell = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
            far.writestr(name, plain.read(name).replace(b"</sheetData>", cell))
    with pytest.raises(DataError, match="reach to row 1,048,576 and column 16,384, and only 8 are"):
        tables.read(settings("t.xlsx"), tmp_path)


def test_parquet_of_more_values_than_its_bytes_can_mean_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"id": ["a"] * MAX, "ds": "2024-01-01", "y": 1}).to_parquet(tmp_path / "t")
    with pytest.raises(DataError, match="t holds more than 1,000,000 bytes"):
        tables.read(settings("t", max_bytes=1_000_000), tmp_path)


def test_only_a_set_bound_is_part_of_what_a_model_records_of_its_data() -> None:
    assert "max_bytes" not in settings().model_dump(mode="json")
    assert settings(max_bytes=5).model_dump(mode="json")["max_bytes"] == 5


def test_a_symlink_to_itself_and_a_device_are_no_tables(tmp_path: Path) -> None:
    (tmp_path / "t.csv").symlink_to("t.csv")
    with pytest.raises(DataError, match=r"t\.csv (cannot be read|does not exist)"):
        tables.read(settings(), tmp_path)
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    with pytest.raises(
        DataError, match=r"zero\.csv cannot be read: it is neither a file nor a fold"
    ):
        tables.read(settings("zero.csv"), tmp_path)


def test_a_folder_of_more_files_than_a_table_has_is_not_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t" / "a").mkdir(parents=True)
    (tmp_path / "t" / "a" / "above").symlink_to(tmp_path)
    with pytest.raises(DataError, match=r"t: this folder holds no \.parquet file"):
        tables.read(settings("t"), tmp_path)
    monkeypatch.setattr(sources, "FILES", 1)
    with pytest.raises(DataError, match="it holds more than 1 files: name the folder of the table"):
        tables.read(settings("t"), tmp_path)


def test_a_pipe_that_nobody_writes_to_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "WAIT", 0.05)
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(
        DataError, match=r"t\.csv cannot be read: it is a pipe, and nothing has writ"
    ):
        tables.read(settings(), tmp_path)


@pytest.mark.parametrize("way", ["rows more", "another file"])
def test_a_file_that_changes_while_it_is_read_is_named(way: str, tmp_path: Path) -> None:
    data = write(tmp_path, HEAD + ROWS)
    table = reader.open_for(data, tmp_path)
    if way == "rows more":
        with (tmp_path / "t.csv").open("a") as file:
            file.write("a,2024-01-08,1\n")
    else:
        (tmp_path / "new").write_text(HEAD + ROWS)
        (tmp_path / "new").replace(tmp_path / "t.csv")
    with pytest.raises(DataError, match=r"t\.csv changed while it was read; start again when noth"):
        reader.load(table)


def partitions(folder: Path, *keys: str) -> Data:
    """The rows of a series in the folders of each of some keys, as Hive writes them."""
    for key in keys:
        place = folder / "t" / key
        place.mkdir(parents=True)
        frame = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=7), "y": range(7)})
        frame.to_parquet(place / "part-0.parquet")
    return settings("t")


def test_the_folders_of_hive_are_columns(tmp_path: Path) -> None:
    data = partitions(tmp_path, "region=n/id=a%2Fb", "region=s/id=7")
    data = data.model_copy(update={"static_covariates": ("region",), "categorical": ("region",)})
    frame = tables.read(data, tmp_path).frame
    assert frame.groupby("unique_id")["region"].unique().map(list).to_dict() == {
        "7": ["s"],
        "a/b": ["n"],
    }
    (tmp_path / "scratch").mkdir()
    assert len(chunk_reader.read(data, tmp_path, tmp_path / "scratch").series) == 2


def test_a_folder_of_hive_without_value_is_a_row_without_id(tmp_path: Path) -> None:
    data = partitions(tmp_path, "id=__HIVE_DEFAULT_PARTITION__", "id=a")
    with pytest.raises(DataError, match="column `id`: missing"):
        tables.read(data, tmp_path)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (("id=a", "region=b"), r"region=b/part-0.parquet lies in folders of the columns"),
        (("y=1", "y=2"), "the column name 'y' stands 2 times"),
    ],
)
def test_folders_that_do_not_go_together_are_named(
    keys: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        tables.read(partitions(tmp_path, *keys), tmp_path)


def test_rows_are_not_appended_to_partitions(tmp_path: Path) -> None:
    data = partitions(tmp_path, "id=a", "id=b")
    pd.DataFrame({"id": ["a"], "ds": [pd.Timestamp("2024-01-08")], "y": [1]}).to_parquet(
        tmp_path / "new.parquet"
    )
    with pytest.raises(DataError, match="t has a folder for each id: put files of the new rows"):
        append.add_rows(data, tmp_path, tmp_path / "new.parquet")


def test_bytes_are_text_where_they_are_utf8(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": b"a", "ds": pd.date_range("2024-01-01", periods=3), "y": b"1"})
    frame.to_parquet(tmp_path / "t")
    table = tables.read(settings("t"), tmp_path).frame
    assert (table["unique_id"].tolist(), table["y"].tolist()) == (["a"] * 3, [1, 1, 1])
    frame.assign(id=b"\xff").to_parquet(tmp_path / "t")
    with pytest.raises(DataError, match="t: column `id` holds bytes that are no text in UTF-8"):
        tables.read(settings("t"), tmp_path)


def test_a_year_that_no_calendar_has_is_named(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": "a", "ds": pd.date_range("2024-01-01", periods=5), "y": 1})
    frame["ds"] = frame["ds"].astype("datetime64[us]")
    frame.loc[3, "ds"] = pd.NaT
    frame["ds"] = frame["ds"].fillna(np.datetime64(2**62, "us"))
    frame.to_parquet(tmp_path / "t")
    with pytest.raises(DataError, match="`ds`: a year before 1 or after 9999") as error:
        tables.read(settings("t"), tmp_path)
    assert "row 4: 148108-07-06" in str(error.value)
    pd.concat([frame, frame]).to_parquet(tmp_path / "t")  # for `retain add`, clocks that change
    with pytest.raises(DataError, match="`ds`: a year before 1 or after 9999"):
        infer("sales", "t", tmp_path, 1, {}, 0.0)


def test_of_many_names_the_first_and_short_ones_alone_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[tuple[int, int]] = []

    def compare(word: str, others: dict[str, str], **settings: float) -> list[str]:
        compared.append((len(word), sum(map(len, others))))
        return get_close_matches(word, others, **settings)

    get_close_matches: Any = words.difflib.get_close_matches
    monkeypatch.setattr(words.difflib, "get_close_matches", compare)
    assert nearest("x" * 10_000, [f"c{number % 10}" * 50 for number in range(100_000)]) == ""
    assert nearest("x" * 10_000, (f"c{number}" for number in range(100_000))) == ""
    assert nearest("coun", [*("a" * 10_000 for _ in range(500)), "count"]) == "count"
    letters = sum(len(f"c{number}") for number in range(words.MANY))
    assert compared == [(words.LONG, 1000), (words.LONG, letters), (4, 5)]
