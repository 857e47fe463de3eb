"""A table read in chunks gives the bytes that it gives when read whole, or the same message."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from retain.engine import Job
from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import chunk_reader, chunks, formats, panel, parquet, reader, tables
from retain.kinds.forecast.data.chunks import Chunks

KEYS: dict[str, Any] = {
    "unique_id": "id",
    "past_covariates": ["rain", "kind"],
    "known_covariates": ["price"],
    "static_covariates": ["size", "zone"],
    "categorical": ["kind", "zone"],
    "valid_range": {"rain": [0, 2]},
    "horizon": 3,
    "context_length": 7,
    "season_length": 5,
}


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "ROWS", 100)
    monkeypatch.setattr(parquet, "ROWS", 30)
    monkeypatch.setattr(formats, "BYTES", 1000)


@cache
def table(frequency: str = "D", form: str = "%Y-%m-%d") -> pd.DataFrame:
    """Sixteen series of their own spans, with gaps; two of them too short."""
    noise = np.random.default_rng(0)
    series = []
    for number, length in enumerate([*noise.integers(20, 60, 14).tolist(), 2, 3]):
        begin = int(noise.integers(0, 20))
        ds = pd.date_range("2024-01-01", periods=80, freq=frequency)[begin : begin + length]
        one = pd.DataFrame({"id": f"s{number}", "ds": ds.strftime(form)})
        one["y"] = noise.normal(10 * number, 3, length).round(2)
        one["rain"] = noise.gamma(1, 1, length).round(1)
        one["price"] = noise.integers(0, 5, length) / 2
        one["kind"] = noise.choice(["a", "b", "c"], length)
        for column in ("y", "rain", "kind"):
            one.loc[noise.random(length) < 0.1, column] = None
        one[["size", "zone", "note"]] = [number % 7, "nsw"[number % 3], "-"]
        series.append(one[noise.random(length) > 0.1])
    return pd.concat(series, ignore_index=True)


def written(frame: pd.DataFrame, path: Path) -> str:
    """Write a table as its name says; a folder gets four files, cut within series."""
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pa.Table.from_pandas(frame), path)
    elif path.suffix == ".zst":
        with pa.output_stream(path, compression="zstd") as stream:
            stream.write(frame.to_csv(index=False).encode())
    elif path.suffix:
        frame.to_csv(path, index=False)
    else:
        path.mkdir()
        for number, some in enumerate(np.array_split(np.arange(len(frame)), 4)):
            part = pa.Table.from_pandas(frame.iloc[some], preserve_index=False)
            pyarrow.parquet.write_table(part, path / f"part-{number}.parquet")
    return path.name


def in_chunks(data: Data, root: Path, scratch: Path) -> Chunks | None:
    """The table read in chunks, None where it is read whole."""
    scratch.mkdir()
    table = reader.open_for(data, root)
    if not chunks.can_be_cut(table, data):
        return None
    return chunk_reader._in_chunks(table, data, scratch, Job("prepare", "t", root))


def prepared(folder: Path, table: Chunks, data: Data) -> dict[str, bytes]:
    folder.mkdir()
    panel.save(panel.build(table, data, folder / "values.npy"), folder)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def shuffled(frame: pd.DataFrame) -> pd.DataFrame:
    names = np.random.default_rng(1).permutation(frame["id"].unique())
    return pd.concat([frame[frame["id"] == name] for name in names])


def repeated(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame.iloc[::7].assign(y=3.0)]).sort_values("id", kind="stable")


def dated(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(ds=pd.to_datetime(frame["ds"]), id=frame["id"].str[1:].astype(int))


TABLES: dict[str, tuple[str, Callable[[], pd.DataFrame], dict[str, Any]]] = {
    "CSV": ("t.csv", table, {}),
    "gzip": ("t.csv.gz", table, {}),
    "zstd": ("t.csv.zst", table, {}),
    "series in no order": ("t.csv", lambda: shuffled(table()), {}),
    "the first of several rows": ("t.csv", lambda: repeated(table()), {"duplicates": "first"}),
    "the mean of several rows": ("t.csv", lambda: repeated(table()), {"duplicates": "mean"}),
    "weeks": ("t.csv", lambda: table("W-TUE"), {}),
    "months": ("t.csv", lambda: table("MS"), {}),
    "a given frequency": ("t.csv", table, {"frequency": "D"}),
    "local hours": (
        "t.csv",
        lambda: table("h", "%Y-%m-%d %H:%M"),
        {"timezone": "Europe/Berlin", "holidays": "DE"},
    ),
    "Parquet": ("t.parquet", lambda: dated(table()), {}),
    "a folder": ("t", lambda: dated(table()), {}),
    "a folder of text": ("t", table, {}),
}


LONG = ("gzip", "zstd", "the first of several rows", "weeks", "months", "a given frequency")


@pytest.mark.parametrize(
    ("name", "made", "keys"),
    [
        pytest.param(*made, id=case, marks=[pytest.mark.long] * (case in LONG))
        for case, made in TABLES.items()
    ],
)
def test_chunks_give_the_bytes_of_the_whole(
    tmp_path: Path, name: str, made: Callable[[], pd.DataFrame], keys: dict[str, Any]
) -> None:
    data = Data(path=written(made(), tmp_path / name), **{**KEYS, **keys})
    some = in_chunks(data, tmp_path, tmp_path / "scratch")
    assert some is not None
    assert len(list(some.frames())) > 3
    whole = chunks.in_memory(tables.read(data, tmp_path), data)
    found = prepared(tmp_path / "some", some, data)
    assert found == prepared(tmp_path / "all", whole, data)
    assert sorted(found) == ["index.parquet", "quality.json", "schema.json", "values.npy"]


def test_values_are_the_same_in_memory_and_on_disk(tmp_path: Path) -> None:
    data = Data(path=written(table(), tmp_path / "t.csv"), **KEYS)
    read = tables.read(data, tmp_path)
    mapped = panel.build(read, data, tmp_path / "values.npy")
    assert isinstance(mapped.values, np.memmap)
    np.testing.assert_array_equal(mapped.values, panel.build(read, data).values)


def lines(*last: str) -> str:
    """Series a to e of fifty days each, and what stands in the rows of the last."""
    days = pd.date_range("2024-01-01", periods=50).strftime("%Y-%m-%d")
    rows = [f"{name},{day},{n % 7},1" for name in "abcde" for n, day in enumerate(days)]
    return "\n".join(["id,ds,y,size", *rows, *last]) + "\n"


FAULTS: dict[str, tuple[str | bytes, dict[str, Any]]] = {
    "no number": (lines("f,2024-01-01,n/a,1"), {}),
    "an infinity": (lines("f,2024-01-01,inf,1"), {}),
    "a number beyond 2^53": (lines("f,2024-01-01,9007199254740993,1"), {}),
    "a row of another length": (lines("f,2024-01-01,1,1,1"), {}),
    "no time stamp": (lines("f,,1,1"), {}),
    "no id": (lines(",2024-01-01,1,1"), {}),
    "no such day": (lines("f,2024-02-30,1,1"), {}),
    "a time stamp of another form": (lines("f,2024-01-01 00:00,1,1"), {}),
    "time stamps off the grid": (
        re.sub(r"(2024-..-..)", r"\1 00:00", lines()).replace("01-02 00", "01-02 12"),
        {},
    ),
    "a series of its own steps": (lines(*(f"f,2024-03-{n:02},1,1" for n in (4, 11, 18, 25))), {}),
    "a time stamp off the given grid": (lines("f,2024-01-02,1,1"), {"frequency": "W-MON"}),
    "two rows for a time stamp": (lines("f,2024-01-01,1,1", "f,2024-01-01,2,1"), {}),
    "a series in two places, with two rows for a time stamp": (lines("a,2024-01-01,1,1"), {}),
    "a static covariate that changes": (lines("f,2024-01-01,1,1", "f,2024-01-02,1,2"), {}),
    "bytes that are no UTF-8": (lines("f,2024-01-01,1,\u00e9").encode("latin-1"), {}),
    "no value at all": (lines().replace(",1\n", ",\n"), {"y": "size", "static_covariates": ()}),
    "no such column": (lines(), {"y": "sold"}),
    "no frequency": ("id,ds,y,size\na,2024-01-01,1,1\nb,2024-01-02,1,1\n", {}),
    "a header alone": ("id,ds,y,size\n", {}),
    "nothing": ("", {}),
}


@pytest.mark.parametrize(("content", "keys"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_has_the_words_that_it_has_when_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | bytes, keys: dict[str, Any]
) -> None:
    given = {"unique_id": "id", "static_covariates": ["size"], "horizon": 2, "context_length": 3}
    data = Data(path="t.csv", **{**given, **keys})
    (tmp_path / "t.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError) as whole:
        tables.read(data, tmp_path)
    if content != FAULTS["a series in two places, with two rows for a time stamp"][0]:
        monkeypatch.setattr(reader, "load", None)
    (tmp_path / "scratch").mkdir()
    with pytest.raises(DataError) as error:
        chunk_reader.read(data, tmp_path, tmp_path / "scratch")
    assert str(error.value) == str(whole.value)


def test_a_fault_is_named_before_what_is_behind_it_is_read(tmp_path: Path) -> None:
    content = lines("f,2024-01-01,1,1,1").replace("a,2024-01-31,2", "\n\na,2024-01-31,x")
    (tmp_path / "t.csv").write_text(content)
    data = Data(path="t.csv", unique_id="id", horizon=2, context_length=3)
    with pytest.raises(DataError) as error:
        chunk_reader.read(data, tmp_path, tmp_path)
    assert str(error.value) == (
        "t.csv: column `y`: not a number (1 row up to row 103):\n  row 34: 'x'\n"
        "Correct the values, or name the texts that mean missing in `na_values`."
    )


@pytest.mark.parametrize("every", [1, 3])
def test_rows_of_another_length_are_counted_to_the_end(tmp_path: Path, every: int) -> None:
    rows = [row + "," * (number % every == 0) for number, row in enumerate(lines().split()[1:])]
    (tmp_path / "t.csv").write_text("\n".join(["id,ds,y,size", *rows]))
    data = Data(path="t.csv", unique_id="id", horizon=2, context_length=3)
    with pytest.raises(DataError) as error:
        chunk_reader.read(data, tmp_path, tmp_path)
    found = str(error.value).splitlines()
    assert found[0].endswith(f"would shift the columns ({-(-250 // every)} rows):")
    assert found[1:3] == ["  row 2: 5 fields", f"  row {2 + every}: 5 fields"]
    assert found[11] == f"  ... and {-(-250 // every) - 10} more"


def test_a_good_table_of_that_shape_is_read_in_chunks(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(lines("f,2024-01-01,1,1", ",,,", ""))
    data = Data(path="t.csv", unique_id="id", horizon=2, context_length=3)
    found = in_chunks(data, tmp_path, tmp_path / "scratch")
    assert found is not None
    assert found.findings.rows == 251  # blank rows hold nothing
    assert found.series["unique_id"].tolist() == list("abcdef")


def test_chunks_of_two_forms_of_time_stamps_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "ROWS", 1)  # each series is a chunk
    frame = pd.concat(
        pd.DataFrame({"id": name, "ds": pd.date_range("2024-01-01", periods=4).strftime(form)})
        for name, form in (("a", "%Y-%m-%d"), ("b", "%Y-%m-%d 00:00"))
    )
    data = Data(
        path=written(frame.assign(y=1.0), tmp_path / "t.csv"),
        unique_id="id",
        horizon=2,
        context_length=3,
    )
    with pytest.raises(DataError) as error:
        chunk_reader.read(data, tmp_path, tmp_path)
    assert str(error.value) == (
        "t.csv: column `ds`: written unlike the other time stamps, such as '2024-01-01' (4 rows):\n"
        "  row 6: '2024-01-01 00:00'\n  row 7: '2024-01-02 00:00'\n"
        "  row 8: '2024-01-03 00:00'\n  row 9: '2024-01-04 00:00'\n"
        "Write all time stamps in one form."
    )


def test_a_table_in_order_of_time_is_read_whole(tmp_path: Path) -> None:
    frame = table().sort_values(["ds", "id"], kind="stable")
    data = Data(path=written(frame, tmp_path / "t.csv"), **KEYS)
    assert in_chunks(data, tmp_path, tmp_path / "one") is None
    (tmp_path / "two").mkdir()
    found = chunk_reader.read(data, tmp_path, tmp_path / "two")
    assert found.series["unique_id"].nunique() == 16
    assert list((tmp_path / "two").iterdir()) == []


def test_categories_that_are_numbers_are_read_whole(tmp_path: Path) -> None:
    # 1 in a chunk without a missing value is 1.0 where the whole column has one
    frame = table().assign(kind=np.int32(1))
    data = Data(path=written(frame, tmp_path / "t.parquet"), **KEYS)
    assert not chunks.can_be_cut(reader.open_table("t.parquet", tmp_path), data)


def test_files_of_other_types_are_read_whole(tmp_path: Path) -> None:
    frame = table()
    written(frame, tmp_path / "t")
    odd = pa.Table.from_pandas(frame.tail(20).assign(price="1"), preserve_index=False)
    pyarrow.parquet.write_table(odd, tmp_path / "t" / "part-9.parquet")
    assert not chunks.can_be_cut(reader.open_table("t", tmp_path), Data(path="t", **KEYS))


def test_a_series_longer_than_a_chunk_stays_whole(tmp_path: Path) -> None:
    days = pd.date_range("2020-01-01", periods=700).strftime("%Y-%m-%d")
    frame = pd.concat([pd.DataFrame({"id": name, "ds": days, "y": 1.0}) for name in "ab"])
    data = Data(
        path=written(frame, tmp_path / "t.csv"), unique_id="id", horizon=2, context_length=3
    )
    found = in_chunks(data, tmp_path, tmp_path / "scratch")
    assert found is not None
    assert [len(frame) for frame in found.frames()] == [700, 700]


@pytest.mark.long
def test_other_processes_check_chunks_as_this_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, list[dict[str, bytes] | str]] = {}
    for engine in ("local", "local:2"):
        monkeypatch.setenv("RETAIN_ENGINE", engine)
        for name in ("CSV", "the mean of several rows", "a folder"):
            file, made, keys = TABLES[name]
            path = tmp_path / file
            if not path.exists():
                written(made(), path)
            data = Data(path=file, **{**KEYS, **keys})
            place = tmp_path / f"{engine} {name}"
            some = in_chunks(data, tmp_path, place)
            assert some is not None
            assert not list(place.glob("raw-*"))
            found.setdefault(name, []).append(prepared(tmp_path / f"out {place.name}", some, data))
        bad = table().astype({"y": object})
        bad.iloc[[300, 400], 2] = "many"
        bad.to_csv(tmp_path / "bad.csv", index=False)
        with pytest.raises(DataError) as error:
            in_chunks(Data(path="bad.csv", **KEYS), tmp_path, tmp_path / f"bad {engine}")
        found.setdefault("bad", []).append(str(error.value))
    assert "row 302: 'many'" in found["bad"][0]
    for name, (here, apart) in found.items():
        assert here == apart, name
