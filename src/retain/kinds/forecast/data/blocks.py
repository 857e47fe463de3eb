"""A local CSV or Parquet table in blocks of raw rows, for one that is too large to be read whole.

The columns are those that `files` would give. Whatever is out of the ordinary is an UnsuitedError,
without words for people: `files`, which reads the table whole, has them.
"""

import bz2
import gzip
import hashlib
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import reader

ROWS = 1 << 16  # of a block of Parquet
BYTES = 1 << 20  # of a block of CSV; Arrow reads dozens of them ahead
HEAD = 1_000_000  # bytes in which the header of a CSV file ends
UNREADABLE = (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error, pa.ArrowException)


class UnsuitedError(Exception):
    """The table is not read in blocks; what may be wrong with it shows when it is read whole."""


@dataclass(frozen=True)
class Csv:
    """A CSV file, plain or compressed."""

    place: Path
    separator: str
    names: tuple[str, ...]

    def digest(self) -> str:
        """The md5 of the bytes, as `files.Raw` has it."""
        return _md5(self.place)

    def tables(self, used: list[str]) -> Iterator[pa.Table]:
        """The columns in use, as text, without blank rows."""
        try:
            with _opened(self.place) as stream:
                for batch in pyarrow.csv.open_csv(stream, **self._options()):
                    blank = np.logical_and.reduce([pc.equal(c, "") for c in batch.columns])
                    table = pa.Table.from_batches([batch]).select(used)
                    yield table.filter(pa.array(~blank)) if blank.any() else table
        except UNREADABLE as error:
            raise UnsuitedError(str(error)) from None

    def _options(self) -> dict[str, Any]:
        return {
            "read_options": pyarrow.csv.ReadOptions(use_threads=False, block_size=BYTES),
            "parse_options": reader.parse_options(self.separator),
            "convert_options": reader.convert_options(list(self.names)),
        }


@dataclass(frozen=True)
class Parquet:
    """A Parquet file, or the files of a folder, which have the same columns of the same types."""

    places: tuple[Path, ...]
    base: Path | None  # the folder
    names: tuple[str, ...]

    def digest(self) -> str:
        """The md5 of the bytes, or of a folder's listing, as `files.Raw` has it."""
        if self.base is None:
            return _md5(self.places[0])
        names = [place.relative_to(self.base).as_posix() for place in self.places]
        return reader.listing_digest({name: _md5(self.base / name) for name in names})

    def tables(self, used: list[str]) -> Iterator[pa.Table]:
        """The columns in use."""
        try:
            for place in self.places:
                with pyarrow.parquet.ParquetFile(place, memory_map=True) as file:
                    for batch in file.iter_batches(ROWS, columns=used, use_threads=False):
                        yield pa.Table.from_batches([batch])
        except UNREADABLE as error:
            raise UnsuitedError(str(error)) from None


def open_table(data: Data, root: Path) -> Csv | Parquet:
    """The table at `data.path`.

    Raises:
        UnsuitedError: it is not local, or not what is expected of a table.
        DataError: neither, and `files` would say the same.
    """
    system, located = reader.locate(data.path, root)
    if not isinstance(system, LocalFileSystem):
        raise UnsuitedError("the table is not local")
    place = Path(located)
    try:
        if place.is_dir():
            found = reader.parquet_files(system, located)
            return _parquet(tuple(map(Path, found)), place, data)
        with place.open("rb") as file:
            start = file.read(4)
        if start == b"PAR1":
            return _parquet((place,), None, data)
        if start == b"PK\x03\x04":
            raise UnsuitedError("an Excel workbook")
        with _opened(place) as stream:
            head = bytes(stream.read(HEAD)).decode("utf-8-sig", errors="ignore")
    except UNREADABLE as error:
        raise UnsuitedError(str(error)) from None
    names = reader.checked_header(data.path, head, data.separator)
    if not names:
        raise UnsuitedError("there is no header")
    return Csv(place, data.separator, tuple(names))


def _parquet(places: tuple[Path, ...], base: Path | None, data: Data) -> Parquet:
    if not places:
        raise UnsuitedError("there is no file")
    schemas = [pyarrow.parquet.read_schema(place).remove_metadata() for place in places]
    types = [dict(zip(schema.names, schema.types, strict=True)) for schema in schemas]
    if any(found != types[0] for found in types) or len(types[0]) < len(schemas[0].names):
        raise UnsuitedError("files of other columns")
    for name in data.categorical:
        # Other types are written otherwise as text where a value is missing, in whatever part.
        if name in types[0] and not _same_text(types[0][name]):
            raise UnsuitedError("a category that is no text")
    return Parquet(places, base, tuple(schemas[0].names))


def _same_text(kind: pa.DataType) -> bool:
    of_text: list[Callable[[pa.DataType], bool]] = [pa.types.is_string, pa.types.is_large_string]
    return any(check(kind) for check in of_text) or kind in reader.EXACT_INTEGERS


def _opened(place: Path) -> Any:
    """The file as a stream of what it holds, decompressed."""
    suffix = PurePosixPath(place.name.lower()).suffix
    python: dict[str, Callable[[Path], Any]] = {
        ".gz": gzip.open,
        ".xz": lzma.open,
        ".bz2": bz2.open,
    }
    if suffix in python:
        return python[suffix](place)
    return pa.input_stream(str(place), compression="zstd" if suffix == ".zst" else None)


def _md5(place: Path) -> str:
    with place.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
