"""Tables that are made to break a reader, each checked by `retain check` and `retain add`."""

import bz2
import contextlib
import gzip
import io
import itertools
import lzma
import os
import random
import shutil
import socket
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from retain import cli
from retain.kinds.forecast.data import sources

from .attempts import Outcome, attempt

ENTRY = """\
problems:
  made:
    kind: forecast
    preset: fast
    data: {{path: "{path}", unique_id: id, horizon: 2, context_length: 4, season_length: 2}}
    gate: [{{check: finite}}]
"""
PLAIN = "id,ds,y\n" + "".join(
    f"{name},2024-01-{day:02},{day + len(name)}\n" for name in ("a", "bb") for day in range(1, 29)
)
Maker = Callable[[Path], str]  # given an empty folder, it returns the table's path in it


def _bytes(content: bytes | Callable[[], bytes], name: str = "t.csv") -> Maker:
    def make(folder: Path) -> str:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content())
        return name

    return make


def _text(text: str, name: str = "t.csv") -> Maker:
    return _bytes(text.encode(), name)


def _frame() -> pd.DataFrame:
    return pd.read_csv(io.StringIO(PLAIN), parse_dates=["ds"])


def _parquet(**columns: Any) -> Maker:
    """A Parquet file with these columns in place of those of the plain table."""

    def make(folder: Path) -> str:
        table = pa.Table.from_pandas(_frame())
        for name, values in columns.items():
            array = values if isinstance(values, pa.Array) else pa.array(values)
            place = table.schema.get_field_index(name)
            table = table.set_column(place, name, array) if place >= 0 else table
        pq.write_table(table, folder / "t.parquet")
        return "t.parquet"

    return make


def _damaged(content: bytes, name: str, number: int) -> Maker:
    """A file in which bytes are changed, cut out, repeated or cut off, drawn by a number."""
    draw = random.Random(number)  # noqa: S311 - no secrets
    damaged = bytearray(content)
    for _ in range(draw.choice([1, 1, 3, 20])):
        place, size = draw.randrange(len(damaged)), draw.choice([1, 2, 8, 64])
        match draw.randrange(4):
            case 0:
                damaged[place : place + size] = draw.randbytes(size)
            case 1 if len(damaged) > 2 * size:
                del damaged[place : place + size]
            case 2:
                damaged[place:place] = damaged[place : place + size] * draw.choice([1, 50])
            case _ if draw.randrange(4) == 0 and place > 8:
                del damaged[place:]
            case _:
                damaged[place] ^= 1 << draw.randrange(8)
    return _bytes(bytes(damaged), name)


def _workbook(change: Callable[[dict[str, bytes]], object] = lambda files: None) -> bytes:
    """A workbook whose archive is changed."""
    stream = io.BytesIO()
    _frame().to_excel(stream, index=False)
    with zipfile.ZipFile(stream) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _archive(names: list[str]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, PLAIN)
    return stream.getvalue()


def _partitions(folder: Path, values: Iterable[str], column: str = "id") -> str:
    """A folder with a Parquet file for each value of a column, as Hive writes it."""
    frame = _frame().drop(columns="id")
    for value in values:
        place = folder / "t" / f"{column}={value}"
        place.mkdir(parents=True)
        frame.to_parquet(place / "part-0.parquet")
    return "t"


def _blank_lines() -> bytes:
    return gzip.compress(PLAIN.encode() + b"\n" * 600_000_000, 9)


def _link(target: str) -> Maker:
    def make(folder: Path) -> str:
        (folder / "t.csv").symlink_to(target)
        return "t.csv"

    return make


def _special(kind: str) -> Maker:
    def make(folder: Path) -> str:
        path = folder / "t.csv"
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            with contextlib.chdir(folder), socket.socket(socket.AF_UNIX) as bound:
                bound.bind("t.csv")
        elif kind == "folder":
            path.mkdir()
        elif kind == "loop of folders":
            (path / "a").mkdir(parents=True)
            (path / "a" / "b").symlink_to(path)
        return "t.csv"

    return make


def _named(name: str) -> Maker:
    """A path that is not made."""
    return lambda folder: name


HUGE = 180_000_000
CELLS: dict[str, str] = {
    "a field that never ends": '"',
    "a quote within": 'a"b',
    "a number of a thousand digits": "9" * 1000,
    "an exponent": "1e999999999",
    "a byte 0": "\0",
    "a formula": "=1+1",
    "a sign alone": "-",
    "numbers of India": "\u0967\u0968",
    "a mark of direction": "\u202e12",
    "a lone surrogate": "\\ud800",
    "half a date": "2024-13",
    "year 0": "0000-01-01",
    "year 9999": "9999-12-31",
    "year 99999": "99999-01-01",
    "before Christ": "-0044-03-15",
    "the 30th of February": "2024-02-30",
    "a leap second": "2016-12-31T23:59:60Z",
    "an offset of 99 hours": "2024-01-01T00:00+99:00",
    "a century of nanoseconds": "2262-04-12T00:00:00",
    "nothing": "",
    "blanks": " \t ",
    "infinite": "inf",
    "a code": "$(touch x)",
    "markup": "<script>alert(1)</script>",
    "a control sign": "\x1b[2J",
    "ten megabytes": "x" * 10_000_000,
}
LISTS: dict[str, Any] = {
    "lists": pa.array([[1.0]] * 56),
    "structs": pa.array([{"a": 1.0}] * 56),
    "maps": pa.array([[("a", 1.0)]] * 56, pa.map_(pa.string(), pa.float64())),
    "bytes": pa.array([b"\xff\xfe"] * 56),
    "decimals": pa.array(range(56), pa.decimal128(38, 10)),
    "wide decimals": pa.array(range(56), pa.decimal256(70, 10)),
    "nulls": pa.nulls(56),
    "half floats": pa.array(np.arange(56, dtype=np.float16)),
    "times of day": pa.array(range(56), pa.time32("s")),
    "durations": pa.array(range(56), pa.duration("s")),
    "categories": pa.array(["1", "2"] * 28).dictionary_encode(),
    "booleans": pa.array([True, False] * 28),
    "large integers": pa.array([2**63] * 56, pa.uint64()),
    "dates far away": pa.array([2**62] * 56, pa.timestamp("us")),
    "dates of 64 bits": pa.array(range(0, 56 * 86_400_000, 86_400_000), pa.date64()),
    "intervals": pa.array([(1, 2, 3)] * 56, pa.month_day_nano_interval()),
    "infinite": pa.array([np.inf, -np.inf] * 28),
    "dates with a zone": pa.array(range(56), pa.timestamp("ns", "Asia/Kolkata")),
}


def makers() -> Iterator[tuple[str, Maker]]:
    """Yield every table by name; those that are drawn come last and never end."""
    yield from _files()
    for (what, cell), place in itertools.product(CELLS.items(), range(3)):
        row = ["a", "2024-01-29", "1"]
        row[place] = cell
        yield f"{what} as {('id', 'stamp', 'value')[place]}", _text(PLAIN + ",".join(row) + "\n")
    for (what, array), column in itertools.product(LISTS.items(), ("id", "ds", "y")):
        with contextlib.suppress(pa.ArrowException):
            pq.write_table(pa.table({"a": array}), io.BytesIO())
            yield f"Parquet: {what} as {column}", _parquet(**{column: array})
    stream = io.BytesIO()
    _frame().to_parquet(stream)
    files = [("t.csv", PLAIN.encode()), ("t.csv.gz", gzip.compress(PLAIN.encode(), mtime=0)),
             ("t.parquet", stream.getvalue()), ("t.xlsx", _workbook())]  # fmt: skip
    for number in itertools.count():
        name, content = files[number % len(files)]
        yield f"damaged {name} {number}", _damaged(content, name, number)


def _files() -> Iterator[tuple[str, Maker]]:  # noqa: PLR0915 - a line a table
    text, rows = PLAIN.encode(), PLAIN.splitlines(keepends=True)
    yield "plain", _bytes(text)
    yield "two marks of byte order", _bytes(b"\xef\xbb\xbf" * 2 + text)
    yield "line ends of CR alone", _bytes(text.replace(b"\n", b"\r"))
    yield "line ends of CR alone, one field", _bytes(b"y\r" + b"1\r" * 50)
    yield "mixed line ends", _bytes(b"\r\n".join(text.split(b"\n", 20)))
    yield "ids that are not UTF-8", _bytes(text.replace(b"bb", b"b\xe9"))
    yield "ids that are not UTF-8, late", _bytes(text * 2 + b"\xff\xfe,2024-01-29,1\n")
    yield "a header that is not UTF-8", _bytes(text.replace(b"id,", b"i\xe9,", 1))
    yield "one field of 180 MB", _bytes(lambda: text + b"a,2024-01-29," + b"9" * HUGE + b"\n")
    yield "one id of 180 MB", _bytes(lambda: text + b"x" * HUGE + b",2024-01-29,1\n")
    yield "a header of 180 MB", _bytes(lambda: b"x" * HUGE + b"," + text)
    yield (
        "one quoted field of 180 MB",
        _bytes(lambda: text + b'a,2024-01-29,"' + b"9\n" * (HUGE // 2)),
    )
    yield (
        "a bad field of 10 MB",
        _bytes(lambda: text + b"a,2024-01-29," + b"x" * 10_000_000 + b"\n"),
    )
    yield (
        "a quoted bad field of 10 MB",
        _bytes(lambda: text + b'a,2024-01-29,"' + b"x" * 10_000_000 + b'"\n'),
    )
    yield (
        "10,001 columns",
        _text(
            ",".join(["id", "ds", "y", *(f"c{n}" for n in range(10_001))])
            + "\n"
            + "".join(row.strip() + ",1" * 10_001 + "\n" for row in rows[1:])
        ),
    )
    yield "10,001 columns of Parquet", _wide_parquet
    yield "gzipped blank lines", _bytes(_blank_lines, "t.csv.gz")
    yield "gzipped blanks", _bytes(lambda: gzip.compress(b" " * 600_000_000), "t.csv.gz")
    yield "xz of zeros", _bytes(lambda: lzma.compress(text + b"\0" * 30_000_000), "t.csv.xz")
    yield (
        "bz2 of a row",
        _bytes(lambda: bz2.compress(text + b"a,2024-01-29,1\n" * 200_000), "t.csv.bz2"),
    )
    yield "blank lines", _bytes(lambda: b"\n" * 50_000_000)
    yield "partitions of Hive", lambda folder: _partitions(folder, ("a", "bb"))
    yield "partitions with codes", lambda folder: _partitions(folder, ("a%2Fb", "b%C3%A9"))
    yield "partitions of another column", lambda f: _partitions(f, ("a",), "region")
    yield "a partition of a column that is there", lambda f: _partitions(f, ("1", "2"), "y")
    yield "a partition without value", lambda f: _partitions(f, ("", "a"))
    yield (
        "the default partition",
        lambda f: _partitions(f, ("__HIVE_DEFAULT_PARTITION__", "a")),
    )
    yield "partitions on two levels", _two_levels
    yield "a symlink to itself", _link("t.csv")
    yield "a symlink to nothing", _link("nothing.csv")
    yield "a symlink to zeros without end", _link("/dev/zero")
    yield "a symlink to random bytes", _link("/dev/urandom")
    yield "a symlink to nothing at all", _link("/dev/null")
    yield "a symlink to a folder above", _link("..")
    yield "a symlink to /proc", _link("/proc/self/mem")
    for kind in ("pipe", "socket", "folder", "loop of folders"):
        yield f"a {kind}", _special(kind)
    for name in ("", ".", "..", "/", "nothing.csv", "t.csv/", "~", "t\0.csv", "x" * 5000,
                 "a\nb.csv",
                 "http://127.0.0.1:1/t.csv", "ftp://127.0.0.1:1/t", "s3://x/y.csv", "xyz://t.csv",
                 "file:///nothing", "://", "data:,ds", "memory://t.csv", "zip://t.csv::t.zip",
                 "simplecache::file:///dev/zero", "$(touch x).csv", "-rf", "*.csv"):  # fmt: skip
        yield f"a path {name[:40]!r}", _named(name)
    yield "a name with a line end", _text(PLAIN, "t\n.csv")
    yield "a name with signs of a shell", _text(PLAIN, "t;touch x;'\".csv")
    yield "empty", _bytes(b"")
    yield "one byte", _bytes(b"x")
    yield "a line end", _bytes(b"\n")
    yield "a header alone", _text(rows[0])
    yield "a header twice", _text(rows[0] + PLAIN)
    yield "no header", _text("".join(rows[1:]))
    yield "one row", _text("".join(rows[:2]))
    yield "a column twice", _text(PLAIN.replace("id,", "y,", 1))
    yield "a column without name", _text(PLAIN.replace("id,", ",", 1))
    yield "quotes without end", _text(PLAIN.replace("a,", '"a,', 1))
    yield "zeros", _bytes(b"\0" * 5_000_000)
    yield "zeros within", _bytes(text[:200] + b"\0" * 100 + text[200:])
    yield "UTF-16 without a mark", _bytes(PLAIN.encode("utf-16-le"))
    yield "UTF-16", _bytes(PLAIN.encode("utf-16"))
    yield "UTF-32", _bytes(PLAIN.encode("utf-32"))
    yield "UTF-7", _bytes(PLAIN.replace("bb", "b\u00e9").encode("utf-7"))
    yield "EBCDIC", _bytes(PLAIN.encode("cp500"))
    for suffix in ("gz", "bz2", "xz", "zst", "zip", "lzma", "sz", "lz4"):
        yield f"text named .{suffix}", _text(PLAIN, f"t.csv.{suffix}")
    yield "gzip, cut off", _bytes(gzip.compress(text)[:-20], "t.csv.gz")
    yield "gzip within gzip", _bytes(gzip.compress(gzip.compress(text)), "t.csv.gz")
    yield "two gzips", _bytes(gzip.compress(text) + gzip.compress(b"a,2024-01-29,3\n"), "t.csv.gz")
    yield "a zip of two", _bytes(_archive(["a.csv", "b.csv"]), "t.zip")
    yield "a zip of none", _bytes(_archive([]), "t.zip")
    yield "a zip that leads out", _bytes(_archive(["../../x.csv"]), "t.csv.zip")
    yield "an old workbook", _bytes(b"\xd0\xcf\x11\xe0" + b"\0" * 600, "t.xls")
    yield "a page", _text("<html><body>404</body></html>")
    yield "JSON", _text('[{"id": "a", "ds": "2024-01-01", "y": 1}]', "t.json")
    yield "a program", _bytes(lambda: Path(sys.executable).read_bytes()[:100_000])
    yield "a workbook of entities", _bytes(lambda: _workbook(_entities), "t.xlsx")
    yield "a workbook that unpacks to 1 GB", _bytes(lambda: _workbook(_bomb), "t.xlsx")
    yield (
        "a workbook without a sheet",
        _bytes(lambda: _workbook(lambda files: files.pop("xl/worksheets/sheet1.xml")), "t.xlsx"),
    )
    yield "a workbook with a cell far away", _bytes(lambda: _workbook(_far), "t.xlsx")
    yield "Parquet without rows", lambda folder: _written(_frame().iloc[:0], folder)
    yield "Parquet without columns", lambda folder: _written(pd.DataFrame(), folder)
    yield "Parquet, begun alone", _bytes(b"PAR1" + b"\0" * 100, "t.parquet")
    yield "Parquet, ends alone", _bytes(b"PAR1PAR1", "t.parquet")
    yield "a footer of 2 GB", _bytes(b"PAR1" + b"\xff\xff\xff\x7f" + b"PAR1", "t.parquet")
    yield "a folder of other files", _mixed


def _wide_parquet(folder: Path) -> str:
    more = pd.DataFrame(np.ones((56, 10_001))).add_prefix("c")
    frame = pd.concat([_frame(), more], axis=1)
    return _written(frame, folder)


def _written(frame: pd.DataFrame, folder: Path) -> str:
    frame.to_parquet(folder / "t.parquet")
    return "t.parquet"


def _two_levels(folder: Path) -> str:
    frame = _frame().drop(columns="id")
    for region, name in itertools.product("ab", "cd"):
        place = folder / "t" / f"region={region}" / f"id={name}"
        place.mkdir(parents=True)
        frame.to_parquet(place / "part-0.parquet")
    return "t"


def _mixed(folder: Path) -> str:
    (folder / "t").mkdir()
    _frame().to_parquet(folder / "t" / "a.parquet")
    (folder / "t" / "b.parquet").write_text(PLAIN)
    (folder / "t" / "c.parquet").symlink_to("c.parquet")
    return "t"


def _entities(files: dict[str, bytes]) -> None:
    lines = [b'<!ENTITY a "x">'] + [
        b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(12)
    ]
    sheet = files["xl/worksheets/sheet1.xml"]
    files["xl/worksheets/sheet1.xml"] = (
        b"<?xml version='1.0'?><!DOCTYPE x [" + b"".join(lines) + b"]>"
        + sheet.partition(b"?>")[2].replace(b"<v>", b"<v>&m;", 1)
    )  # fmt: skip


def _bomb(files: dict[str, bytes]) -> None:
    sheet = files["xl/worksheets/sheet1.xml"]
    files["xl/worksheets/sheet1.xml"] = sheet.replace(b"<v>", b"<v>" + b"1" * 1_000_000_000, 1)


def _far(files: dict[str, bytes]) -> None:
    sheet = files["xl/worksheets/sheet1.xml"]
    row = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    files["xl/worksheets/sheet1.xml"] = sheet.replace(b"</sheetData>", row)


def warm() -> None:
    """Import in this process what its forks need, by a table of every format that is read."""
    sources.WAIT = 0.5  # for a pipe that nobody writes to
    command = typer.main.get_command(cli.app)
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        folder = Path(place)
        (folder / "dvc.yaml").write_text("stages: {}\n")
        for make in (_text(PLAIN), _parquet(), _bytes(_workbook(), "t.xlsx")):
            (folder / "params.yaml").write_text("problems:\n")
            url = f"file://{folder / make(folder)}"
            words = ["add", "made", "--horizon", "2", "--budget", "0", "--yes", "--", url]
            with contextlib.redirect_stdout(io.StringIO()):
                command.main(words, standalone_mode=False)
                command.main(["check", "made"], standalone_mode=False)


def run(count: int) -> Iterator[tuple[str, Outcome]]:
    """Yield what comes of so many tables, read by `retain check` and then by `retain add`."""
    for number, (name, make) in enumerate(makers()):
        if number == count:
            return
        yield from read(name, make)


def read(name: str, make: Maker) -> Iterator[tuple[str, Outcome]]:
    """Yield what comes of one table."""
    folder = Path(tempfile.mkdtemp())
    try:
        path = make(folder)
        (folder / "dvc.yaml").write_text("stages: {}\n")
        (folder / "params.yaml").write_text(ENTRY.format(path=_quoted(path)))
        yield f"check: {name}", _command(folder, "check", "made")
        (folder / "params.yaml").write_text("problems:\n")
        plain = (
            folder / path in folder.iterdir() and (folder / path).is_file()
        )  # else it is no file
        url = f"file://{folder / path}" if plain else path
        words = ("add", "made", "--horizon", "2", "--budget", "0", "--yes", "--", url)
        yield f"add: {name}", _command(folder, *words)
    finally:
        shutil.rmtree(folder)


def _quoted(path: str) -> str:
    return path.encode("unicode_escape").decode().replace('"', '\\"')


def _command(folder: Path, *words: str) -> Outcome:
    """Run a command of retain in a folder."""

    def action() -> None:
        os.chdir(folder)
        sys.argv = ["retain", *words]
        cli.main()

    return attempt(action, folder.parent / f"{folder.name}.log")
