"""New rows for the table of a problem: checked with it, added behind it, never instead of it."""

import csv
import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from retain.errors import DataError
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.data import across, alignment, columns, keys, reader, tables, timestamps
from retain.kinds.forecast.data.compression import compress
from retain.kinds.forecast.data.formats import Csv, Origin
from retain.kinds.forecast.data.parquet import Parquet
from retain.kinds.forecast.data.reader import AnyTable, Raw
from retain.kinds.forecast.data.sheets import Sheet
from retain.project import raw_table
from retain.project.files import md5, write_bytes
from retain.words import listed


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
    old_table = reader.open_for(data, root)
    new_table = reader.open_for(data, Path.cwd(), str(new))
    _check_formats(data, new, old_table, new_table)
    old, more = reader.load(old_table), reader.load(new_table)
    if data.dates_across:
        return _add_columns(data, root, old_table, old, more)
    _check_columns(data, old, more)
    rows = (_unknown_rows if data.aggregate is None else _unknown_events)(data, old, more)
    added = more.frame.iloc[rows]
    end = int(old.frame.index[-1]) + 1
    whole = pd.concat([old.frame, added.set_axis(added.index + end)])
    parts = (*(old.origin.parts or ((data.path, 0),)), (str(new), end))
    origin = Origin(data.path, more.origin.first_row, parts) if len(rows) else old.origin
    table = tables.check(Raw(whole, origin), data)
    target, name = root / data.path, str(new)
    if not len(rows):
        pass
    elif isinstance(old_table, Csv):
        write_bytes(target, target.read_bytes() + _csv(old_table, added))
    elif target.is_dir():
        content = _parquet(next(iter(sorted(target.rglob("*.parquet")))), added, name, alone=True)
        write_bytes(target / f"appended-{md5(content)[:12]}.parquet", content)
    else:
        write_bytes(target, _parquet(target, added, name))
    last = table.frame["ds"].max()
    if data.ds_is_step:
        last = timestamps.written(pd.DatetimeIndex([last]), data)[0]
    return Appended(data.path, len(rows), len(more.frame) - len(rows), str(last))


def _check_formats(data: Data, new: Path, old_table: AnyTable, new_table: AnyTable) -> None:
    if isinstance(old_table, Sheet) or (data.dates_across and not isinstance(old_table, Csv)):
        what = "a workbook" if isinstance(old_table, Sheet) else "no CSV, with dates across the top"
        raise DataError(
            f"{data.path} is {what}: add the rows in it yourself, then run `dvc add {data.path}` "
            "and commit"
        )
    if isinstance(old_table, Parquet) and old_table.partitions:
        raise DataError(
            f"{data.path} has a folder for each {' and '.join(old_table.partitions)}: put files of "
            f"the new rows into them yourself, then run `dvc add {data.path}` and commit"
        )
    if isinstance(old_table, Csv) != isinstance(new_table, Csv):
        raise DataError(
            f"{new} and {data.path} are not both CSV or both Parquet; write the new rows as the "
            f"table is written"
        )


def _add_columns(data: Data, root: Path, table: AnyTable, old: Raw, more: Raw) -> Appended:
    """Add the time stamps and series of a file with dates across the top; whole, or not at all."""
    assert isinstance(table, Csv)
    long = across.melt(more, data)[0]
    added, known = len(_unknown_rows(data, old, long)), len(long.frame)
    whole = across.extend(old.frame, more.frame, data)
    checked = tables.check(Raw(whole, old.origin), data)
    if added:
        write_bytes(root / data.path, across.rewritten(table, whole))
    return Appended(data.path, added, known - added, str(checked.frame["ds"].max()))


def _check_columns(data: Data, old: Raw, more: Raw) -> None:
    lacks = old.frame.columns.difference(more.frame.columns, sort=False)
    extra = more.frame.columns.difference(old.frame.columns, sort=False)
    differences = [f"lacks {', '.join(f'`{name}`' for name in lacks)}"] * bool(len(lacks))
    differences += [f"has {', '.join(f'`{name}`' for name in extra)} besides"] * bool(len(extra))
    if differences:
        raise DataError(
            f"{more.origin.where} {' and '.join(differences)}: give it the columns of {data.path}"
        )


def _unknown_rows(data: Data, old: Raw, more: Raw) -> NDArray[np.int64]:
    """Return which of the new rows the table does not have.

    Raises:
        DataError: a row says otherwise than the table.
    """
    key = ["unique_id", "ds"]
    before = tables.check(old, data).frame
    after, _ = tables.to_long(more, data)
    both = after.reset_index(names="place").merge(
        before, on=key, how="left", suffixes=("", " before"), indicator="in_table"
    )
    known = (both["in_table"] == "both").to_numpy()
    conflicts: dict[int, list[str]] = {}  # by row of `both`
    for name in before.columns.difference(key):
        value, old_value = both[name], both[f"{name} before"]
        differs = known & (value.ne(old_value) & ~(value.isna() & old_value.isna())).to_numpy()
        for number in np.flatnonzero(differs).tolist():
            words = f"{name} is {value[number]}, not {old_value[number]}"
            conflicts.setdefault(number, []).append(words)
    if conflicts:
        items = []
        for number, columns in sorted(conflicts.items()):
            row = both.iloc[number]
            of = f" of series {row['unique_id']!r}" if data.unique_id or data.value_columns else ""
            place = more.origin.row(int(row["place"]))
            items.append(f"{place}: {row['ds']}{of}: {', '.join(columns)}")
        raise DataError(
            f"{more.origin.where}: {len(items):,} rows say otherwise than {data.path}, and nothing "
            f"was added:\n{listed(items)}\n"
            f"Take them out; to correct what the table says, change the table itself."
        )
    new = both.loc[~known, key]
    # Where the file repeats a time stamp, all of its rows go in: the table's rule is for them too.
    names, ds = _keys(data, more)
    if data.align is not None:
        ds = alignment.aligned(ds, data)
    if data.value_columns:  # a row of the file is one of each series
        return np.flatnonzero(ds.isin(set(new["ds"])))
    pairs = pd.MultiIndex.from_arrays([names, ds])
    return np.flatnonzero(pairs.isin(pd.MultiIndex.from_frame(new)))


def _unknown_events(data: Data, old: Raw, more: Raw) -> NDArray[np.int64]:
    """Return which of the new rows the table does not have, where several may be of one time.

    A row is known if the table has one that is the same in every column in use; of equal ones as
    many are known as the table has.
    """
    numbered = []
    for raw in (old, more):
        names, ds = _keys(data, raw)
        content: dict[str, Any] = {"unique_id": names, "ds": ds}
        for place, name in enumerate(tables.read_targets(data) + data.covariates):
            text = name in data.categorical
            value = (
                columns.texts if text else partial(columns.numbers, data=data, origin=raw.origin)
            )
            content[str(place)] = value(raw.frame[name])
        rows = pd.DataFrame(content, index=raw.frame.index)
        rows["count"] = rows.groupby(list(content), dropna=False).cumcount()
        numbered.append(pd.MultiIndex.from_frame(rows))
    before, after = numbered
    return np.flatnonzero(~after.isin(before))


def _keys(data: Data, raw: Raw) -> tuple["pd.Series[Any]", "pd.Series[Any]"]:
    """Return series and time stamp of each row."""
    names = keys.ids(raw.frame, data, raw.origin)
    column = timestamps.column(raw.frame, data)
    return names, timestamps.parse(column, data, raw.origin, names=names)


def _csv(table: Csv, rows: pd.DataFrame) -> bytes:
    """Return rows as they are written behind those of a CSV file, which keep their bytes."""
    text = io.StringIO()
    with table.open() as stream:
        if not stream.read().endswith((b"\n", b"\r")):
            text.write("\n")
    writer = csv.writer(text, delimiter=table.separator, lineterminator="\n")
    writer.writerows(rows[table.names].itertuples(index=False))
    return compress(table.encode(text.getvalue()), table.path)


def _parquet(target: Path, rows: pd.DataFrame, where: str, alone: bool = False) -> bytes:
    """Return rows as a Parquet file of the types of `target`, behind its own unless `alone`."""
    old = pyarrow.parquet.read_table(target)
    try:
        new = pa.Table.from_pandas(rows, preserve_index=False)
        new = new.select(old.column_names).cast(old.schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"{where}: a column cannot be given the type that it has in {target.name}: {error}"
        ) from None
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(new if alone else pa.concat_tables([old, new]), buffer)
    return buffer.getvalue()
