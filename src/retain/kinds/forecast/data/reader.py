"""A CSV or Parquet file, or a folder of Parquet files, as a frame of its raw columns.

CSV stays text, so that nothing is guessed here; what would be misread in silence (a row of another
length, a wrong separator, a header that names a column twice) is an error that names the row.
"""

import bz2
import csv
import difflib
import gzip
import hashlib
import io
import lzma
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from retain.errors import DataError, listed

SEPARATORS = (",", ";", "\t", "|")
# no null may pass through float64, which would round an integer beyond 2^53
EXACT_INTEGERS = {pa.int64(): pd.Int64Dtype(), pa.uint64(): pd.UInt64Dtype()}


def _unzstd(content: bytes) -> bytes:
    with pa.input_stream(io.BytesIO(content), compression="zstd") as stream:
        return bytes(stream.read())


DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
    ".bz2": bz2.decompress,
    ".zst": _unzstd,
}


@dataclass(frozen=True)
class Origin:
    """Where rows came from, so that a message can name file and row.

    A row's place is its index label in the frame, counted from 0; `parts` are the files of a
    folder, each with the place of its first row.
    """

    where: str
    first_row: int = 2
    parts: tuple[tuple[str, int], ...] = ()

    def row(self, place: int) -> str:
        """`row 7`, or `part-1.parquet row 7` where the rows come from several files."""
        if not self.parts:
            return f"row {self.first_row + place:,}"
        part = np.searchsorted([start for _, start in self.parts], place, side="right") - 1
        name, start = self.parts[int(part)]
        return f"{name} row {self.first_row + place - start:,}"


@dataclass(frozen=True)
class Raw:
    """The columns as they stand in the file, where they came from, and the md5 of the bytes."""

    frame: pd.DataFrame
    origin: Origin
    digest: str


def load(path: str, root: Path, separator: str = ",") -> Raw:
    """Read the table at `path`, relative to `root` or a URL.

    Raises:
        DataError: there is no such file, or it is not a table that can be read without a guess.
    """
    if is_folder(path, root):
        return _folder(path, *locate(path, root))
    content = fetch(path, root)
    if content.startswith(b"PAR1"):
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return Raw(to_frame(_parquet(path, content)), Origin(path, first_row=1), digest)
    return from_csv(path, content, separator)


def from_csv(where: str, content: bytes, separator: str) -> Raw:
    """The bytes of a CSV file; raises DataError as `load` does, calling it `where`."""
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return Raw(_csv(where, decode(where, content), separator), Origin(where), digest)


def locate(path: str, root: Path) -> tuple[Any, str]:
    """The file system of fsspec that holds `path`, and the path there."""
    url = path if "://" in path else str(root / path)
    try:
        system, place = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:  # an unknown protocol, or one not installed
        raise DataError(f"{path} cannot be opened: {error}") from None
    return system, place


def is_folder(path: str, root: Path) -> bool:
    """Whether `path` is a folder; raises DataError where its place does not answer."""
    system, place = locate(path, root)
    try:
        return bool(system.isdir(place))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def fetch(path: str, root: Path) -> bytes:
    """The bytes of the file at `path`; raises DataError where there is none, or it is empty."""
    system, place = locate(path, root)
    try:
        content: bytes = system.cat_file(place)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist{_near_file(path, system, place)}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if not content:
        raise DataError(f"{path} is empty (0 bytes)")
    return content


def decode(path: str, content: bytes) -> str:
    """The text of a CSV file, decompressed where its name ends in .gz, .xz, .bz2 or .zst."""
    if content.startswith(b"PK\x03\x04"):
        raise DataError(f"{path} is an Excel workbook or a zip archive; save the table as CSV")
    decompress = DECOMPRESS.get(PurePosixPath(path.partition("?")[0].lower()).suffix)
    if decompress is not None:
        try:
            content = decompress(content)
        except (OSError, EOFError, lzma.LZMAError, zlib.error, pa.ArrowInvalid) as error:
            raise DataError(f"{path} cannot be decompressed: {error}") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, row {row:,}: byte 0x{content[error.start]:02x} is not UTF-8; "
            "save the file as UTF-8"
        ) from None
    if not text.strip():
        raise DataError(f"{path} is empty ({len(text):,} blank characters)")
    return text


def header(text: str, separator: str) -> list[str]:
    """The names in the first row of a CSV file."""
    return next(csv.reader(io.StringIO(text[:1_000_000]), delimiter=separator), [])


def _csv(path: str, text: str, separator: str) -> pd.DataFrame:
    names = checked_header(path, text, separator)
    ragged: list[tuple[int, int]] = []  # row, number of fields

    def refuse(row: Any) -> str:
        ragged.append((row.number, row.actual_columns))
        return "skip"

    try:
        table = pyarrow.csv.read_csv(
            io.BytesIO(text.encode()),
            # with threads, a row would not know its number
            read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=1 << 24),
            parse_options=parse_options(separator, refuse),
            convert_options=convert_options(names),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" not in str(error):
            raise DataError(f"{path} cannot be read as CSV: {error}") from None
        table = pa.table({name: pa.array([], pa.string()) for name in names})
    if ragged:
        rows = [f"row {row:,}: {found} fields" for row, found in ragged]
        raise DataError(
            f"{path}: rows of another length than the header's {len(names)} fields, which would "
            f"shift the columns ({_rows(rows)}):\n{listed(rows)}\n"
            f"Quote a field that holds {separator!r}, and take away a separator too many."
        )
    blank = np.logical_and.reduce([_is_blank(column) for column in table.columns])
    frame = pd.DataFrame(table.to_pandas()[~blank])
    if frame.empty:
        raise DataError(f"{path} has a header and no rows")
    return frame


def parse_options(
    separator: str, refuse: Callable[[Any], str] | None = None
) -> pyarrow.csv.ParseOptions:
    """How CSV is written; `refuse` answers for a row of another length, an error without it."""
    return pyarrow.csv.ParseOptions(
        delimiter=separator,
        newlines_in_values=True,
        ignore_empty_lines=False,  # they count as rows
        invalid_row_handler=refuse,
    )


def convert_options(names: list[str]) -> pyarrow.csv.ConvertOptions:
    """All columns stay text, and what is empty stays empty."""
    return pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
    )


def checked_header(path: str, text: str, separator: str) -> list[str]:
    """The names in the first row of a CSV file; raises DataError where they cannot be meant."""
    names = header(text, separator)
    if len(names) == 1:
        other = max(SEPARATORS, key=names[0].count)
        if names[0].count(other):
            raise DataError(
                f"{path}, row 1: read with {separator!r} there is one column, {names[0]!r}; it "
                f"looks separated by {other!r}: set `separator: {_quoted(other)}`"
            )
    _check_unique(f"{path}, row 1", names)
    return names


def _check_unique(where: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise DataError(
                f"{where}: the column name {name!r} stands {names.count(name)} times in the "
                "header; give each column a name of its own"
            )


def _folder(path: str, system: Any, place: str) -> Raw:
    found = parquet_files(system, place)
    if not found:
        raise DataError(f"{path}: this folder holds no .parquet file; name a CSV file itself")
    base = place.rstrip("/") + "/"
    tables: dict[str, pa.Table] = {}
    digests: dict[str, str] = {}
    for file in found:
        name = file.removeprefix(base)
        content = system.cat_file(file)
        digests[name] = hashlib.md5(content, usedforsecurity=False).hexdigest()
        tables[name] = _parquet(f"{path.rstrip('/')}/{name}", content)
    first_name, first = next(iter(tables.items()))
    for name, table in tables.items():
        for column in sorted(set(table.column_names) ^ set(first.column_names)):
            has, lacks = (name, first_name) if column in table.column_names else (first_name, name)
            raise DataError(f"{path}: column `{column}` is in {has} and not in {lacks}")
    starts = np.cumsum([0, *(table.num_rows for table in tables.values())])[:-1]
    frame = pd.concat(map(to_frame, tables.values()), ignore_index=True)
    if frame.empty:
        raise DataError(f"{path} has no rows")
    origin = Origin(path, 1, tuple(zip(tables, map(int, starts), strict=True)))
    return Raw(frame, origin, listing_digest(digests))


def parquet_files(system: Any, place: str) -> list[str]:
    """The Parquet files of a folder, in the order in which they are read."""
    return sorted(name for name in system.find(place) if name.endswith((".parquet", ".pq")))


def listing_digest(digests: dict[str, str]) -> str:
    """The md5 of a folder, of those of its files by name."""
    listing = "".join(f"{digest} {name}\n" for name, digest in digests.items())
    return hashlib.md5(listing.encode(), usedforsecurity=False).hexdigest()


def _parquet(where: str, content: bytes) -> pa.Table:
    try:
        table = pyarrow.parquet.read_table(io.BytesIO(content))
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{where} cannot be read as Parquet: {error}") from None
    _check_unique(where, table.column_names)
    return table


def to_frame(table: pa.Table) -> pd.DataFrame:
    """An Arrow table as a frame, without a guess at types or an index."""
    frame = table.to_pandas(
        types_mapper=EXACT_INTEGERS.get, date_as_object=False, ignore_metadata=True
    )
    return pd.DataFrame(frame)


def _near_file(path: str, system: Any, place: str) -> str:
    folder, _, name = place.rpartition("/")
    try:
        names = [str(other).rstrip("/").rpartition("/")[2] for other in system.ls(folder, False)]
    except (OSError, NotImplementedError):
        return ""
    near = difflib.get_close_matches(name, sorted(names), n=1)
    return f"; did you mean {re.sub(re.escape(name) + '$', '', path)}{near[0]}?" if near else ""


def _is_blank(column: pa.ChunkedArray) -> Any:
    return np.asarray(pa.compute.equal(column, "").to_numpy(), dtype=bool)


def _quoted(separator: str) -> str:
    return '"\\t"' if separator == "\t" else f'"{separator}"'


def _rows(items: list[str]) -> str:
    return f"{len(items):,} row{'s' * (len(items) != 1)}"
