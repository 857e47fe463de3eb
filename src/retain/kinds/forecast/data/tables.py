"""Read a forecasting table and check it: long or wide, CSV or Parquet, into one known shape.

What is wrong is a DataError that names file, row, column, value, rule and remedy; what is merely
worth knowing (blanks, values out of range, duplicates resolved) is counted in the findings.
"""

import dataclasses
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import columns, reader, timestamps
from retain.kinds.forecast.data.columns import fault
from retain.kinds.forecast.data.frequency import (
    canonical,
    infer_frequency,
    off_grid,
    steps_of,
    strangers,
)
from retain.kinds.forecast.data.reader import Origin, Raw

__all__ = ["Findings", "Table", "check", "check_names", "clean", "infer_frequency", "read"]

ONE_SERIES = "series"  # the id where the table has no column for it


@dataclass(frozen=True)
class Findings:
    """What was found in the table; columns under their names in the file."""

    rows: int
    duplicates: int  # rows that were dropped or merged
    out_of_range: dict[str, int]  # values made missing by `valid_range`
    blank: dict[str, int]  # missing values
    unused: tuple[str, ...] = ()  # columns of the file that the problem does not use
    digest: str = ""  # md5 of the file's bytes, or of the listing of a folder's files


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
    return check(reader.load(data.path, root, data.separator), data)


def check(raw: Raw, data: Data) -> Table:
    """Check a table whose file has been read; raises DataError as `read` does."""
    table = _clean(raw.frame, data, raw.origin)
    findings = dataclasses.replace(table.findings, digest=raw.digest)
    return dataclasses.replace(table, findings=findings)


def clean(frame: pd.DataFrame, data: Data, where: str, first_row: int = 2) -> Table:
    """Check a table that is in memory already; `where` and `first_row` are for the messages.

    Columns may be text, as in a CSV file, or numbers and dates.

    Raises:
        DataError: the table cannot be used as it is.
    """
    return _clean(frame.reset_index(drop=True), data, Origin(where, first_row))


def _clean(frame: pd.DataFrame, data: Data, origin: Origin) -> Table:
    """`frame` is indexed by the place of each row in its file."""
    names = list(map(str, frame.columns))
    unused = check_columns(origin.where, names, data)
    if frame.empty:
        raise DataError(f"{origin.where} has no rows")
    long, findings = _long(frame, data, origin, whole=True)
    frequency = _check_grid(long, data, origin)
    for name in data.static_covariates:
        long[name] = _static(long, name, origin)
    findings = dataclasses.replace(findings, unused=unused)
    return Table(long.reset_index(drop=True), frequency, findings)


def clean_part(frame: pd.DataFrame, data: Data, where: str) -> tuple[pd.DataFrame, Findings]:
    """Some series of a long table, each with all its rows, checked but for what needs the whole.

    That is: that the target has a value, that all series are on one grid, and that the time stamps
    of all parts are written in one form. Errors name rows of the part.
    """
    origin = Origin(where)
    long, findings = _long(frame, data, origin, whole=False)
    for name in data.static_covariates:
        long[name] = _static(long, name, origin)
    return long, findings


def check_columns(where: str, names: list[str], data: Data) -> tuple[str, ...]:
    """The columns that the problem does not use; raises DataError where one that it uses lacks."""
    used = used_columns(data)
    check_names(where, names, used)
    reserved = {"unique_id", "ds", "y"}.intersection(data.covariates)
    if reserved:
        raise DataError(
            f"{where}: a covariate cannot be called `{min(reserved)}`, which has a meaning "
            "of its own; rename the column"
        )
    return tuple(name for name in names if name not in used)


def used_columns(data: Data) -> list[str]:
    """The columns of the file that the problem uses."""
    ids = [] if data.unique_id is None else [data.unique_id]
    return [*ids, data.ds, *(data.value_columns or (data.y,)), *data.covariates]


def _long(
    frame: pd.DataFrame, data: Data, origin: Origin, whole: bool
) -> tuple[pd.DataFrame, Findings]:
    """The long table that `Table.frame` is, but for its grid and its static covariates."""
    targets = data.value_columns or (data.y,)
    converted: dict[str, pd.Series[Any]] = {}
    blank, out_of_range = {}, {}
    for name in (*targets, *data.covariates):
        if name in data.categorical:
            converted[name] = columns.texts(frame[name])
        else:
            values = columns.numbers(frame[name], data, origin)
            converted[name] = pd.Series(values, index=frame.index)
        blank[name] = int(converted[name].isna().sum())
        if whole and name in targets and blank[name] == len(frame):
            raise DataError(f"{origin.where}: column `{name}` has no value in any row")
        if name in data.valid_range:
            low, high = data.valid_range[name]
            outside = (converted[name] < (-np.inf if low is None else low)) | (
                converted[name] > (np.inf if high is None else high)
            )
            converted[name] = converted[name].mask(outside)
            out_of_range[name] = int(outside.sum())

    ds = timestamps.parse(frame[data.ds], data, origin)
    names = ids(frame, data, origin)
    covariates = pd.DataFrame({name: converted[name] for name in data.covariates})
    parts = [
        pd.concat([names.rename("unique_id"), ds.rename("ds"), converted[name].rename("y")], axis=1)
        .join(covariates)
        .assign(**({"unique_id": name} if data.value_columns else {}))
        for name in targets
    ]
    long = _sorted(pd.concat(parts) if len(parts) > 1 else parts[0])
    long, duplicates = _without_duplicates(long, data, origin)
    findings = Findings(
        rows=len(frame),
        duplicates=duplicates // len(targets),  # a row of a wide table is one row a series
        out_of_range=out_of_range,
        blank=blank,
    )
    return long, findings


def check_names(where: str, names: list[str], used: Iterable[str]) -> None:
    """Raise DataError where a column in use is not among those of the file."""
    for name in used:
        if name not in names:
            near = difflib.get_close_matches(name.lower(), [other.lower() for other in names], n=1)
            hint = [other for other in names if near and other.lower() == near[0]]
            also = f"; did you mean `{hint[0]}`?" if hint else ""
            raise DataError(
                f"{where}: there is no column `{name}`{also}"
                f"\nThe columns are: {', '.join(f'`{other}`' for other in names)}"
            )


def ids(frame: pd.DataFrame, data: Data, origin: Origin) -> "pd.Series[Any]":
    """The series of each row, under the index of the frame; raises DataError where one lacks."""
    if data.unique_id is None:
        return pd.Series(ONE_SERIES, index=frame.index, dtype="str")
    names = columns.texts(frame[data.unique_id])
    missing = names.isna()
    if missing.any():
        rows = [(place, "no id") for place in names.index[missing]]
        raise fault(
            origin, data.unique_id, "missing", rows, "Every row needs the id of its series."
        )
    return names


def _sorted(long: pd.DataFrame) -> pd.DataFrame:
    codes, _ = pd.factorize(long["unique_id"], sort=True)
    return long.iloc[np.lexsort((long["ds"].to_numpy(), codes))]  # a stable sort


def _shown(long: pd.DataFrame, mask: Any, data: Data) -> list[tuple[int, object]]:
    """Place, series and time stamp of rows, in the order of the file."""
    rows = long.loc[mask, ["unique_id", "ds"]].sort_index(kind="stable")
    if data.value_columns:  # a row of the file is one row for each of its series
        rows = rows[~rows.index.duplicated()]
    return [
        (int(place), ds if data.unique_id is None else f"{ds} of series {name!r}")
        for place, name, ds in rows.itertuples()
    ]


def _without_duplicates(long: pd.DataFrame, data: Data, origin: Origin) -> tuple[pd.DataFrame, int]:
    """One row a series and time stamp, by the problem's rule, and how many rows that took away."""
    key = ["unique_id", "ds"]
    repeated = long.duplicated(key).to_numpy()
    if not repeated.any():
        return long, 0
    if data.duplicates == "error":
        everyone = long.duplicated(key, keep=False)
        raise fault(
            origin,
            data.ds,
            "more than one row for a time stamp" + (" of a series" if data.unique_id else ""),
            _shown(long, everyone, data),
            "Set `duplicates` to first, last or mean, or correct the file.",
        )
    if data.duplicates == "mean":
        texts = [name for name in data.categorical if name in long]
        how: dict[Any, str] = {name: "first" if name in [*key, *texts] else "mean" for name in long}
        merged = long.groupby(np.cumsum(~repeated)).agg(how)
        merged.index = long.index[~repeated]
        return merged[long.columns], int(repeated.sum())
    return long.drop_duplicates(key, keep=data.duplicates), int(repeated.sum())


def _check_grid(long: pd.DataFrame, data: Data, origin: Origin) -> str:
    """The frequency, given or found; every stamp lies on its grid."""
    ds = long.set_index("unique_id")["ds"]
    if data.frequency is not None:
        frequency = canonical(data.frequency)
    else:
        try:
            frequency = infer_frequency(ds)
        except DataError as error:
            raise DataError(
                f"{origin.where}: column `{data.ds}`: {error}; set `frequency`"
            ) from None
        odd = strangers(ds)
        if odd:
            first = long[~long["unique_id"].duplicated() & long["unique_id"].isin(list(odd))]
            rows = [
                (int(place), f"series {name!r} steps by {odd[name]}")
                for place, name in zip(first.index, first["unique_id"], strict=True)
            ]
            raise fault(
                origin,
                data.ds,
                f"most series step by {frequency}, some do not",
                sorted(rows),
                "One problem has one frequency: make a problem of its own for the others.",
            )
    off = off_grid(ds, frequency)
    if off.any():
        remedy = "Correct the stamps, or set `frequency`."
        if data.frequency is not None:
            remedy = "Correct the stamps or `frequency`."
            if len(steps_of(ds)[1]) and (found := infer_frequency(ds)) != frequency:
                remedy = f"Correct the stamps or `frequency`; their most common step is {found}."
        elif data.timezone is not None and not frequency.endswith(("h", "min", "s")):
            remedy = "For data by the day leave `timezone` out: the local date is the time stamp."
        rule = f"off the grid of frequency {frequency}"
        raise fault(origin, data.ds, rule, _shown(long, off, data), remedy)
    return frequency


def _static(long: pd.DataFrame, name: str, origin: Origin) -> "pd.Series[Any]":
    """The one value that each series has in the column, in all of its rows."""
    first: pd.Series[Any] = long.groupby("unique_id", sort=False)[name].transform("first")
    changed = long[name].notna() & (long[name] != first)
    if changed.any():
        rows = [
            (int(place), f"{value!r} in series {series!r}, which began with {began!r}")
            for place, value, series, began in zip(
                long.index[changed],
                long.loc[changed, name],
                long.loc[changed, "unique_id"],
                first[changed],
                strict=True,
            )
        ]
        remedy = (
            "A static covariate is one value a series; use `past_covariates` for one that moves."
        )
        raise fault(origin, name, "changes within a series", sorted(rows), remedy)
    return first
