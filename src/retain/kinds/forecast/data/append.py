"""New rows for the table of a problem: checked with it, added behind it, never instead of it."""

import bz2
import csv
import gzip
import hashlib
import io
import lzma
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from retain.errors import DataError, listed
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.data import reader, tables, timestamps
from retain.kinds.forecast.data.reader import Origin, Raw
from retain.project import raw_table

# What each makes of new rows may stand behind what it made of the old ones.
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda content: gzip.compress(content, mtime=0),
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
}


@dataclass(frozen=True)
class Appended:
    """What became of the rows of a new table."""

    table: str  # path, as params.yaml has it
    added: int
    known: int  # were in the table already, with the same values
    last: str  # time stamp of the table, with them


def append(problem: Problem, root: Path, new: Path) -> Appended:
    """Add the rows of the file `new` to a problem's table, which git or DVC can bring back.

    Raises:
        DataError: no commit has the table as it is now, or as `add_rows`.
    """
    raw_table.check_recoverable(root, problem.data.path)
    return add_rows(problem.data, root, new)


def add_rows(data: Data, root: Path, new: Path) -> Appended:
    """Add the rows of the file `new` that the table does not have; whole, or not at all.

    Raises:
        DataError: either cannot be read, the new rows have other columns, say otherwise than the
            table of a series and time stamp, or make a table that cannot be used.
    """
    old = reader.load(data.path, root, data.separator)
    more = reader.load(str(new), Path.cwd(), data.separator)
    _check_columns(data, old, more)
    rows, known = _unknown(data, old, more)
    whole = pd.concat([old.frame, more.frame.iloc[rows]], ignore_index=True)
    parts = ((data.path, 0), (str(new), len(old.frame)))
    origin = Origin(data.path, more.origin.first_row, parts) if len(rows) else old.origin
    table = tables.check(Raw(whole, origin, ""), data)
    if len(rows):
        _write(data, root, more, rows)
    return Appended(data.path, len(rows), known, str(table.frame["ds"].max()))


def _check_columns(data: Data, old: Raw, more: Raw) -> None:
    ours, theirs = list(map(str, old.frame.columns)), list(map(str, more.frame.columns))
    lacks = [f"`{name}`" for name in ours if name not in theirs]
    extra = [f"`{name}`" for name in theirs if name not in ours]
    if lacks or extra:
        said = [f"lacks {', '.join(lacks)}"] * bool(lacks)
        said += [f"has {', '.join(extra)} besides"] * bool(extra)
        raise DataError(
            f"{more.origin.where} {' and '.join(said)}: give it the columns of {data.path}"
        )
    if _is_text(old) != _is_text(more):
        raise DataError(
            f"{more.origin.where} and {data.path} are not both CSV or both Parquet; write the new "
            f"rows as the table is written"
        )


def _is_text(raw: Raw) -> bool:
    return raw.origin.first_row == 2  # a header is what only text has


def _unknown(data: Data, old: Raw, more: Raw) -> tuple[NDArray[np.int64], int]:
    """The places of the new rows that the table does not have, and how many it has.

    Raises:
        DataError: a row says otherwise than the table.
    """
    key = ["unique_id", "ds"]
    before = tables.check(old, data).frame
    after, _ = tables.clean_part(more.frame, data, more.origin.where)
    both = after.reset_index(names="place").merge(
        before, on=key, how="left", suffixes=("", " before"), indicator="in_table"
    )
    there = (both["in_table"] == "both").to_numpy()
    differs = {}
    for name in before.columns.difference(key):
        new, old_value = both[name], both[f"{name} before"]
        differs[name] = there & (new.ne(old_value) & ~(new.isna() & old_value.isna())).to_numpy()
    conflict = np.logical_or.reduce(list(differs.values()))
    if conflict.any():
        said = _conflicts(both, conflict, differs, more.origin, data)
        raise DataError(
            f"{more.origin.where}: {len(said):,} rows say otherwise than {data.path}, and nothing "
            f"was added:\n{listed(said)}\n"
            f"Take them out; to correct what the table says, change the table itself."
        )
    fresh = both.loc[~there, key]
    # Where the file repeats a time stamp, all of its rows go in: the table's rule is for them too.
    ds = timestamps.parse(more.frame[data.ds], data, more.origin)
    if data.value_columns:  # a row of the file is one of each series
        wanted = ds.isin(set(fresh["ds"]))
    else:
        pairs = pd.MultiIndex.from_arrays([tables.ids(more.frame, data, more.origin), ds])
        wanted = pd.Series(pairs.isin(pd.MultiIndex.from_frame(fresh)), index=more.frame.index)
    rows = np.flatnonzero(wanted.to_numpy())
    return rows, len(more.frame) - len(rows)


def _conflicts(
    both: pd.DataFrame,
    conflict: NDArray[np.bool_],
    differs: dict[str, NDArray[np.bool_]],
    origin: Origin,
    data: Data,
) -> list[str]:
    said = []
    for number in np.flatnonzero(conflict):
        row = both.iloc[number]
        what = ", ".join(
            f"{name} is {row[name]}, not {row[f'{name} before']}"
            for name, mask in differs.items()
            if mask[number]
        )
        series = f" of series {row['unique_id']!r}" if data.unique_id or data.value_columns else ""
        said.append(f"{origin.row(int(row['place']))}: {row['ds']}{series}: {what}")
    return said


def _write(data: Data, root: Path, more: Raw, rows: NDArray[np.int64]) -> None:
    target = root / data.path
    if target.is_dir():
        content = _parquet(next(iter(sorted(target.rglob("*.parquet")))), more, rows, alone=True)
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        target = target / f"appended-{digest[:12]}.parquet"
    elif _is_text(more):
        content = _csv(target, data, more.frame.iloc[rows])
    else:
        content = _parquet(target, more, rows)
    scratch = target.with_name(f".{target.name}.part")
    try:
        scratch.write_bytes(content)
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)


def _csv(target: Path, data: Data, rows: pd.DataFrame) -> bytes:
    """The file with rows behind it; what was there keeps its bytes, unless only zstd can tell."""
    content = target.read_bytes()
    text = reader.decode(data.path, content)
    names = reader.header(text, data.separator)
    written = io.StringIO()
    writer = csv.writer(written, delimiter=data.separator, lineterminator="\n")
    writer.writerows(rows[names].itertuples(index=False))
    added = ("" if text.endswith("\n") else "\n") + written.getvalue()
    suffix = PurePosixPath(data.path.lower()).suffix
    if suffix == ".zst":
        return bytes(pa.compress((text + added).encode(), codec="zstd", asbytes=True))
    return content + COMPRESS.get(suffix, bytes)(added.encode())


def _parquet(target: Path, more: Raw, rows: NDArray[np.int64], alone: bool = False) -> bytes:
    """Rows as a Parquet file of the same types as `target`, behind its own unless `alone`."""
    old = pyarrow.parquet.read_table(target)
    try:
        new = pa.Table.from_pandas(more.frame.iloc[rows], preserve_index=False)
        new = new.select(old.column_names).cast(old.schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"{more.origin.where}: a column cannot be given the type that it has in {target.name}: "
            f"{error}"
        ) from None
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(new if alone else pa.concat_tables([old, new]), buffer)
    return buffer.getvalue()
