"""Open the table that a problem names, local or at a URL, and read all of it."""

import itertools
import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
import pandas as pd
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

from retain.errors import DataError, RetainError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data.formats import PLACE, Csv, Dialect, Origin
from retain.kinds.forecast.data.parquet import Parquet
from retain.kinds.forecast.data.sheets import Sheet
from retain.kinds.forecast.data.sources import Source, check_unique, find, open_source, walk
from retain.words import clipped, nearest

AnyTable = Csv | Parquet | Sheet

# no null may pass through float64, which would round an integer beyond 2^53
EXACT_INTEGERS = {pa.int64(): pd.Int64Dtype(), pa.uint64(): pd.UInt64Dtype()}


@dataclass(frozen=True)
class Raw:
    """Rows as they are in the file, indexed by their place in it, and the md5 of the file."""

    frame: pd.DataFrame
    origin: Origin
    digest: str = ""


def of_frame(frame: pd.DataFrame, where: str, first_row: int) -> Raw:
    """Return the rows of a table that is in memory; DataError where two columns have one name."""
    check_unique(where, list(map(str, frame.columns)))
    return Raw(frame.reset_index(drop=True), Origin(where, first_row))


def open_for(data: Data, root: Path, path: str | None = None) -> AnyTable:
    """Open a problem's table, or another that is written as it is; raises DataError."""
    return open_table(data.path if path is None else path, root, dialect(data))


def dialect(data: Data) -> Dialect:
    """Return how a problem's table is written."""
    return Dialect(data.separator, data.encoding, data.skip_rows, data.sheet, data.max_bytes)


def open_table(path: str, root: Path, dialect: Dialect | None = None) -> AnyTable:
    """Open the table at `path`, relative to `root` or a URL.

    Raises:
        DataError: there is no such file, or it is no table.
    """
    dialect = dialect or Dialect()
    try:
        system, place = fsspec.core.url_to_fs(path if "://" in path else str(root / path))
    except Exception as error:  # an unknown protocol, one not installed, or what a library raises
        raise DataError(f"{path} cannot be opened: {clipped(error, 300)}") from None
    try:
        if system.isdir(place):
            return _open_folder(path, system, place, dialect)
        source = _source(system, place)
        with open_source(source) as file:
            start = file.read(4)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist{_near_file(path, system, place)}") from None
    except RetainError:
        raise
    except Exception as error:  # of the system, or of the library of a protocol
        raise DataError(f"{clipped(path, 300)} cannot be read: {clipped(error, 300)}") from None
    if start == b"PAR1":
        return Parquet(path, {"": source}, dialect.max_bytes)
    if start in (b"PK\x03\x04", b"PK\x05\x06"):  # the second of an empty archive
        return Sheet(path, source, dialect)
    if start == b"\xd0\xcf\x11\xe0":
        raise DataError(f"{path} is a workbook of an old Excel; save it as .xlsx")
    if not start:
        raise DataError(f"{path} is empty (0 bytes)")
    return Csv(path, source, dialect)


def load(table: AnyTable) -> Raw:
    """Read a whole table; raise DataError where that cannot be done without a guess."""
    groups = itertools.groupby(table.blocks(), operator.attrgetter("schema"))
    frames = [to_frame(pa.concat_tables(blocks), table.path) for _, blocks in groups]
    return Raw(pd.concat(frames) if len(frames) > 1 else frames[0], table.origin, table.digest())


def to_frame(block: pa.Table, where: str) -> pd.DataFrame:
    """Convert a block to a frame indexed by PLACE, without a guess at types.

    Raises:
        DataError: a value cannot be one of pandas, such as a date of the year 300,000.
    """
    for name in block.column_names:
        column = block[name]
        if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
            try:
                place = block.column_names.index(name)
                block = block.set_column(place, name, column.cast(pa.string()))
            except pa.ArrowInvalid:
                raise DataError(
                    f"{where}: column `{clipped(name)}` holds bytes that are no text in UTF-8; "
                    "write it as text"
                ) from None
    try:
        frame = pd.DataFrame(
            block.drop_columns([PLACE]).to_pandas(
                types_mapper=EXACT_INTEGERS.get, date_as_object=False, ignore_metadata=True
            )
        )
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise DataError(f"{where}: a value cannot be read: {clipped(error, 300)}") from None
    return frame.set_axis(block[PLACE].to_numpy())


def _open_folder(path: str, system: Any, place: str, dialect: Dialect) -> Parquet:
    local = isinstance(system, LocalFileSystem)
    names = (walk if local else system.find)(place)
    files = sorted(name for name in names if name.endswith((".parquet", ".pq")))
    if not files:
        raise DataError(f"{path}: this folder holds no .parquet file; name a CSV file itself")
    base = place.rstrip("/") + "/"
    sources = {name.removeprefix(base): _source(system, name) for name in files}
    return Parquet(path, sources, dialect.max_bytes)


def _source(system: Any, place: str) -> Source:
    if isinstance(system, LocalFileSystem):
        return find(Path(place))
    content: bytes = system.cat_file(place)
    return content


def _near_file(path: str, system: Any, place: str) -> str:
    folder, _, name = place.rpartition("/")
    try:
        names = [str(other).rstrip("/").rpartition("/")[2] for other in system.ls(folder, False)]
    except (OSError, NotImplementedError):
        return ""
    near = nearest(name, names)
    return f"; did you mean {path.removesuffix(name)}{near}?" if near else ""
