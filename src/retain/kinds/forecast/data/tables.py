"""Check a forecasting table, long or wide, and bring it into one shape.

What is wrong is a DataError that names file, row, column, value, rule and remedy; what is merely
worth knowing (blanks, values out of range, duplicates resolved) is counted in the findings.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import (
    across,
    aggregate,
    alignment,
    columns,
    frequency,
    grid,
    keys,
    mistyped,
    reader,
    timestamps,
)
from retain.kinds.forecast.data.columns import fault
from retain.kinds.forecast.data.formats import Origin
from retain.kinds.forecast.data.frequency import Micros
from retain.kinds.forecast.data.reader import Raw
from retain.words import clipped, nearest, several

SHOWN = 50  # names of columns in a message


@dataclass(frozen=True)
class Findings:
    """What was found in the table; columns under their names in the file."""

    rows: int
    duplicates: int  # rows that were dropped or merged
    out_of_range: dict[str, int]  # values made missing by `valid_range`
    blank: dict[str, int]  # missing values
    unused: tuple[str, ...] = ()  # columns of the file that the problem does not use
    digest: str = ""  # md5 of the file's bytes, or of the listing of a folder's files
    stamps: tuple[Micros, ...] = ()  # distinct ones of the rows, where they are aggregated

    def __add__(self, other: "Findings") -> "Findings":
        return dataclasses.replace(
            self,
            rows=self.rows + other.rows,
            duplicates=self.duplicates + other.duplicates,
            out_of_range={k: n + other.out_of_range[k] for k, n in self.out_of_range.items()},
            blank={k: n + other.blank[k] for k, n in self.blank.items()},
            stamps=self.stamps + other.stamps,
        )


@dataclass(frozen=True)
class Table:
    """A checked table.

    `frame` is sorted by `unique_id` (str) and `ds` (datetime64[us], naive), and has `y` (float64,
    NaN where missing) and each covariate under its own name: float64, or str where categorical.
    """

    frame: pd.DataFrame
    frequency: str
    findings: Findings


def read(data: Data, root: Path) -> Table:
    """Read and check the table at `data.path`, relative to `root` or a URL.

    Raises:
        DataError: the table cannot be used as it is.
    """
    return check(reader.load(reader.open_for(data, root)), data)


def clean(frame: pd.DataFrame, data: Data, where: str, first_row: int = 2) -> Table:
    """Check a table that is in memory already; `where` and `first_row` are for the messages.

    Columns may be text, as in a CSV file, or numbers and dates.

    Raises:
        DataError: the table cannot be used as it is.
    """
    return check(reader.of_frame(frame, where, first_row), data)


def check(raw: Raw, data: Data, part: bool = False) -> Table:
    """Check a whole table as it is in the file; raises DataError as `read` does.

    Args:
        part: whether it is a part of one, in which a column may have no value.
    """
    unused = check_columns(raw.origin.where, list(map(str, raw.frame.columns)), data)
    if raw.frame.empty:
        raise DataError(f"{raw.origin.where} has no rows")
    if data.dates_across:
        raw, unused = across.melt(raw, data)
    long, findings = to_long(raw, data)
    if not part:
        check_values(findings, data, raw.origin)
    codes, names = pd.factorize(long["unique_id"])
    times, frame = frequency.count_times(codes, long["ds"]), long.assign(series=codes)
    mistyped.check_ends(lambda: [frame], times, data, raw.origin)
    if data.aggregate is not None:
        first, last = aggregate.whole_steps(findings.stamps, data, raw.origin.where)
        long = aggregate.complete(long, first, last, data)
        codes, names = pd.factorize(long["unique_id"])
        times, frame = frequency.count_times(codes, long["ds"]), long.assign(series=codes)
    name = grid.check_grid(lambda: [frame], names, times, data, raw.origin)
    findings = dataclasses.replace(findings, unused=unused, digest=raw.digest)
    return Table(long.reset_index(drop=True), name, findings)


def check_columns(where: str, names: list[str], data: Data) -> tuple[str, ...]:
    """Return the columns that are not used; raises DataError where one that is used lacks."""
    used = used_columns(data)
    check_names(where, names, used)
    reserved = {"unique_id", "ds", "y"}.intersection(data.covariates)
    if reserved:
        raise DataError(
            f"{where}: a covariate cannot be called `{min(reserved)}`, which has a meaning "
            "of its own; rename the column"
        )
    return tuple(name for name in names if name not in used)


def check_names(where: str, names: list[str], used: Iterable[str]) -> None:
    """Raise DataError where a column in use is not among those of the file."""
    for name in used:
        if name not in names:
            near = nearest(name, names)
            hint = f"; did you mean `{near}`?" if near else ""
            columns = several([f"`{clipped(name)}`" for name in names], SHOWN)
            raise DataError(
                f"{where}: there is no column `{name}`{hint}\nThe columns are: {columns}"
            )


def used_columns(data: Data) -> list[str]:
    """Return the columns of the file that the problem uses."""
    if data.dates_across:
        return [*data.id_columns, *data.covariates]
    return [*data.id_columns, *data.time_columns, *read_targets(data), *data.covariates]


def read_targets(data: Data) -> tuple[str, ...]:
    """Return the columns of the target; none where rows are counted."""
    return () if data.aggregate == "count" else data.value_columns or (data.y,)


def to_long(raw: Raw, data: Data, like: object = None) -> tuple[pd.DataFrame, Findings]:
    """Convert rows of the file, of each series all or none, to the columns of `Table.frame`.

    Args:
        like: see `timestamps.parse`.

    Returns:
        The rows by series and time, still indexed by their place in the file.

    Raises:
        DataError: they cannot be used as they are.
    """
    frame, origin = raw.frame, raw.origin
    targets = data.value_columns or (data.y,)
    converted: dict[str, pd.Series[Any]] = {}
    blank, out_of_range = {}, {}
    for name in (*read_targets(data), *data.covariates):
        if name in data.categorical:
            values = columns.texts(frame[name])
        else:
            values = pd.Series(columns.numbers(frame[name], data, origin), index=frame.index)
        blank[name] = int(values.isna().sum())
        if name in data.valid_range:
            outside = columns.outside(values, data.valid_range[name])
            values = values.mask(outside)
            out_of_range[name] = int(outside.sum())
        converted[name] = columns.bounded(values, name, data, origin)

    names = keys.ids(frame, data, origin)
    ds = timestamps.parse(timestamps.column(frame, data), data, origin, like, names)
    if not data.ds_is_step:
        mistyped.check_years(ds, data.time_name, origin)
    covariates = {name: converted[name] for name in data.covariates}
    parts = []
    for name in targets:
        of_series = name if data.value_columns else names
        content = {"unique_id": of_series, "ds": ds, "y": converted.get(name, 1.0), **covariates}
        parts.append(pd.DataFrame(content, index=frame.index))
    long = pd.concat(parts) if len(parts) > 1 else parts[0]
    codes, _ = pd.factorize(long["unique_id"], sort=True)
    order = np.lexsort((long["ds"].to_numpy(), codes))  # a stable sort
    long, duplicates, stamps = _to_steps(long.iloc[order], codes[order], data, origin)
    for name in data.static_covariates:
        long[name] = _static(long, name, origin)
    # a row of a wide table is one row a series
    return long, Findings(
        len(frame), duplicates // len(targets), out_of_range, blank, stamps=stamps
    )


def _to_steps(
    long: pd.DataFrame, codes: Micros, data: Data, origin: Origin
) -> tuple[pd.DataFrame, int, tuple[Micros, ...]]:
    """Return rows at their steps, how many were dropped, and the stamps of what is aggregated."""
    if data.aggregate is not None:
        return aggregate.to_steps(long, data), 0, aggregate.stamps(long)
    mistyped.check_order(long, codes, data, origin)
    if data.align is not None:
        long = alignment.to_grid(long, data, origin)
    return *grid.without_duplicates(long, data, origin), ()


def check_values(findings: Findings, data: Data, origin: Origin) -> None:
    """Raise DataError where a target column has no value in the whole table."""
    for name in read_targets(data):
        if findings.blank[name] == findings.rows:
            raise DataError(f"{origin.where}: column `{name}` has no value in any row")


def _static(long: pd.DataFrame, name: str, origin: Origin) -> "pd.Series[Any]":
    """Return the one value that each series has in the column, for all of its rows."""
    first: pd.Series[Any] = long.groupby("unique_id", sort=False)[name].transform("first")
    changed = long[name].notna() & (long[name] != first)
    if changed.any():
        faulty = pd.DataFrame({"series": long["unique_id"], "value": long[name], "began": first})
        rows = [
            (int(str(place)), f"{value!r} in series {series!r}, which began with {began!r}")
            for place, series, value, began in faulty[changed].itertuples()
        ]
        remedy = (
            "A static covariate is one value a series; use `past_covariates` for one that moves."
        )
        raise fault(origin, name, "changes within a series", sorted(rows), remedy)
    return first
