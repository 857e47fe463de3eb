"""New rows for the table of a problem: added behind it, or in place of rows that lack values."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.errors import DataError
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.data import (
    across,
    alignment,
    columns,
    keys,
    new_rows,
    reader,
    tables,
    timestamps,
)
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
    filled: int  # have values where the table had none
    known: int  # were in the table already, with the same values
    last: str  # time stamp of the table, with them


@dataclass(frozen=True)
class _Compared:
    """The rows of a new table, by their number in it, beside those of the old one."""

    unknown: NDArray[np.int64]
    filling: NDArray[np.int64]  # have values where the old table has none
    gaps: NDArray[np.int64]  # the rows of the old table that these fill


def append(problem: Problem, root: Path, new: Path) -> Appended:
    """Add the rows of the file `new` to a problem's table, which git or DVC can bring back.

    Raises:
        DataError: no commit has the table as it is now, or as `add_rows`.
    """
    raw_table.check_recoverable(root, problem.data.path)
    return add_rows(problem.data, root, new)


def add_rows(data: Data, root: Path, new: Path) -> Appended:
    """Add the rows of the file `new` that the table does not have, and fill in missing values.

    Whole, or not at all.

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
    target, name = root / data.path, str(new)
    rows = _unknown_events(data, old, more) if data.aggregate else _compare(data, old, more)
    if len(rows.filling) and target.is_dir():
        raise DataError(
            f"{name}: {len(rows.filling):,} rows have values that {data.path} lacks, which is a "
            "folder: write them into its files yourself, and give the other rows to this command"
        )
    added, filled = more.frame.iloc[rows.unknown], _filled(data, old, more, rows)
    end = int(old.frame.index[-1]) + 1
    kept = old.frame.drop(index=filled.index)
    whole = pd.concat([kept, filled, added.set_axis(added.index + end)]).sort_index()
    parts = (*(old.origin.parts or ((data.path, 0),)), (str(new), end))
    origin = Origin(data.path, more.origin.first_row, parts) if len(added) else old.origin
    table = tables.check(Raw(whole, origin), data)
    if not len(added) + len(filled):
        pass
    elif isinstance(old_table, Csv):
        content = new_rows.to_csv(old_table, target.read_bytes(), old.frame, filled, added)
        write_bytes(target, content)
    elif target.is_dir():
        first = next(iter(sorted(target.rglob("*.parquet"))))
        content = new_rows.to_parquet(first, filled, added, name, alone=True)
        write_bytes(target / f"appended-{md5(content)[:12]}.parquet", content)
    else:
        write_bytes(target, new_rows.to_parquet(target, filled, added, name))
    last = timestamps.text(table.frame["ds"].max(), data)
    known = len(more.frame) - len(added) - len(filled)
    return Appended(data.path, len(added), len(filled), known, last)


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
    rows, count = _compare(data, old, more), len(across.melt(more, data)[0].frame)
    gaps = [_missing(raw, data) for raw in (old, more)]
    whole = across.extend(old.frame, more.frame, gaps, data)
    checked = tables.check(Raw(whole, old.origin), data)
    added, filled = len(rows.unknown), len(rows.filling)
    if added or filled:
        write_bytes(root / data.path, across.rewritten(table, whole))
    last = timestamps.text(checked.frame["ds"].max(), data)
    return Appended(data.path, added, filled, count - added - filled, last)


def _check_columns(data: Data, old: Raw, more: Raw) -> None:
    lacks = old.frame.columns.difference(more.frame.columns, sort=False)
    extra = more.frame.columns.difference(old.frame.columns, sort=False)
    differences = [f"lacks {', '.join(f'`{name}`' for name in lacks)}"] * bool(len(lacks))
    differences += [f"has {', '.join(f'`{name}`' for name in extra)} besides"] * bool(len(extra))
    if differences:
        raise DataError(
            f"{more.origin.where} {' and '.join(differences)}: give it the columns of {data.path}"
        )


def _compare(data: Data, old: Raw, more: Raw) -> _Compared:
    """Return which of the new rows the table does not have, and which have values it lacks.

    Raises:
        DataError: a row says otherwise than the table.
    """
    key = ["unique_id", "ds"]
    before = tables.check(old, data).frame
    if data.dates_across:
        old, more = (across.melt(raw, data)[0] for raw in (old, more))
    after, _ = tables.to_long(more, data)
    both = after.reset_index(names="place").merge(
        before, on=key, how="left", suffixes=("", " before"), indicator="in_table"
    )
    known = (both["in_table"] == "both").to_numpy()
    old_keys, new_keys = (_keys(data, raw) for raw in (old, more))
    keys_of_both = _index(data, both["unique_id"], both["ds"])
    # Of rows that repeat a time stamp, the rule of the table does not say which one lacks a value.
    repeated = np.zeros(len(both), dtype=bool)
    for index in (old_keys, new_keys):
        repeated |= keys_of_both.isin(index[index.duplicated()])
    filling = np.zeros(len(both), dtype=bool)
    conflicts: dict[int, list[str]] = {}  # by row of `both`
    for name in before.columns.difference(key):
        value, old_value = both[name], both[f"{name} before"]
        differs = known & (value.ne(old_value) & ~(value.isna() & old_value.isna())).to_numpy()
        fills = differs & old_value.isna().to_numpy() & ~repeated
        filling |= fills
        for number in np.flatnonzero(differs & ~fills).tolist():
            words = f"{name} is {value[number]}, not {old_value[number]}"
            conflicts.setdefault(number, []).append(words)
    if conflicts:
        items = []
        for number, columns in sorted(conflicts.items()):
            row = both.iloc[number]
            of = f" of series {row['unique_id']!r}" if data.unique_id or data.value_columns else ""
            place, stamp = more.origin.row(int(row["place"])), timestamps.text(row["ds"], data)
            items.append(f"{place}: {stamp}{of}: {', '.join(columns)}")
        raise DataError(
            f"{more.origin.where}: {len(items):,} rows say otherwise than {data.path}, and nothing "
            f"was added:\n{listed(items)}\n"
            f"Take them out; to correct what the table says, change the table itself."
        )
    # Where the file repeats a time stamp, all of its rows go in: the table's rule is for them too.
    unknown, filled = (
        np.flatnonzero(new_keys.isin(keys_of_both[rows])) for rows in (~known, filling)
    )
    gaps = np.flatnonzero(old_keys.isin(new_keys[filled]))
    return _Compared(unknown, filled, gaps[old_keys[gaps].get_indexer(new_keys[filled])])


def _filled(data: Data, old: Raw, more: Raw, rows: _Compared) -> pd.DataFrame:
    """Return rows of the table with the values that they lack, by their place in it."""
    gaps, filling = (
        Raw(raw.frame.iloc[numbers], raw.origin)
        for raw, numbers in ((old, rows.gaps), (more, rows.filling))
    )
    names, count = list(gaps.frame), len(rows.gaps)
    taken = _missing(gaps, data) & ~_missing(filling, data)[names].set_axis(gaps.frame.index)
    both = pd.concat([gaps.frame, filling.frame])
    cells = {
        name: both[name].array.take(np.arange(count) + count * taken[name].to_numpy())
        for name in names
    }
    return pd.DataFrame(cells, index=gaps.frame.index)


def _missing(raw: Raw, data: Data) -> pd.DataFrame:
    """Return which cells have no value: blank, or what the problem's settings make missing."""
    names = list(map(str, raw.frame.columns))
    others = [name for name in names if name not in tables.used_columns(data)]
    stamps = across.stamp_columns(others, data) if data.dates_across else []
    numeric = {*stamps, *tables.read_targets(data), *data.covariates}.difference(data.categorical)
    missing = {}
    for name in names:
        if name not in numeric:
            missing[name] = columns.texts(raw.frame[name]).isna()
            continue
        values = pd.Series(columns.numbers(raw.frame[name], data, raw.origin), raw.frame.index)
        limits = data.valid_range.get(data.y if name in stamps else name)
        missing[name] = values.isna() | (limits is not None and columns.outside(values, limits))
    return pd.DataFrame(missing, raw.frame.index)


def _unknown_events(data: Data, old: Raw, more: Raw) -> _Compared:
    """Return which of the new rows the table does not have, where several may be of one time.

    A row is known if the table has one that is the same in every column in use; of equal ones as
    many are known as the table has.
    """
    numbered = []
    for raw in (old, more):
        names, ds = _series_and_stamps(data, raw)
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
    none = np.zeros(0, dtype=np.int64)
    return _Compared(np.flatnonzero(~after.isin(before)), none, none)


def _series_and_stamps(data: Data, raw: Raw) -> tuple["pd.Series[Any]", "pd.Series[Any]"]:
    names = keys.ids(raw.frame, data, raw.origin)
    column = timestamps.column(raw.frame, data)
    return names, timestamps.parse(column, data, raw.origin, names=names)


def _keys(data: Data, raw: Raw) -> "pd.Index[Any]":
    """Return series and step of each row."""
    names, ds = _series_and_stamps(data, raw)
    return _index(data, names, ds if data.align is None else alignment.aligned(ds, data))


def _index(data: Data, names: "pd.Series[Any]", ds: "pd.Series[Any]") -> "pd.Index[Any]":
    # of a wide table, a row of the file is one of each series
    return pd.MultiIndex.from_arrays([ds] if data.value_columns else [names, ds])
