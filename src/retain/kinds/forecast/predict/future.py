"""Known covariates of the future in a separate table, joined to the rows of the history."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import reader, tables, timestamps
from retain.kinds.forecast.data.alignment import PHASE
from retain.kinds.forecast.data.reader import Raw
from retain.words import listed, nearest

KEY = ["unique_id", "ds"]
NEW = "\0new"  # suffix of the future's columns


@dataclass(frozen=True)
class Future:
    """A table of known covariates: `unique_id`, `ds` and each covariate under its name."""

    frame: pd.DataFrame
    where: str
    digest: str  # md5 of the file
    unknown: tuple[str, ...]  # columns that the model does not know


def read(path: str, data: Data) -> Future:
    """Read the table at `path`, whose columns are those of the history, without a target.

    Raises:
        DataError: it cannot be used, or the model has no known covariates.
    """
    _check_wanted(path, data)
    return _checked(reader.load(reader.open_for(data, Path(), path)), data)


def of_frame(frame: pd.DataFrame, data: Data, where: str, first_row: int = 0) -> Future:
    """Check a table of the future that is in memory already; raises DataError as `read` does."""
    _check_wanted(where, data)
    return _checked(reader.of_frame(frame, where, first_row), data)


def needed_columns(data: Data) -> list[str]:
    """Return the columns that a table of the future must have."""
    alone = data.model_copy(update={"past_covariates": (), "static_covariates": ()})
    targets = data.value_columns or (data.y,)
    return [name for name in tables.used_columns(alone) if name not in targets]


def _check_wanted(where: str, data: Data) -> None:
    if not data.known_covariates:
        raise DataError(f"{where}: the model has no known covariates; leave the future out")


def _checked(raw: Raw, data: Data) -> Future:
    """Return the rows of a table of the future, with the checks of the history."""
    where = raw.origin.where
    known = data.known_covariates
    targets = data.value_columns or (data.y,)
    kept = {key: limits for key, limits in data.valid_range.items() if key in known}
    alone = {
        "path": where,
        "past_covariates": (),
        "static_covariates": (),
        "categorical": tuple(name for name in data.categorical if name in known),
        "valid_range": kept,
    }
    names = list(map(str, raw.frame.columns))
    unknown = tuple(name for name in names if name not in tables.used_columns(data))
    tables.check_names(where, names, needed_columns(data))
    data = data.model_copy(update=alone)
    if raw.frame.empty:
        raise DataError(f"{where} has no rows")
    frame = raw.frame.assign(**dict.fromkeys(targets, np.nan))  # what is not known
    long, _ = tables.to_long(replace(raw, frame=frame), data)
    return Future(long[[*KEY, *known]].reset_index(drop=True), where, raw.digest, unknown)


def join(history: pd.DataFrame, future: Future, data: Data, frequency: str) -> pd.DataFrame:
    """Return the rows of a checked table of history with those of its series' future.

    A step that the history has already must have the same values, or none, in both.

    Raises:
        DataError: a step is in both with other values, or off the grid.
    """
    begins = history.groupby("unique_id", sort=False)["ds"].min()
    rows = future.frame[future.frame["unique_id"].isin(begins.index)]
    rows = rows[(rows["ds"] >= rows["unique_id"].map(begins)).to_numpy()]
    if rows.empty:
        return history
    end = max(history["ds"].max(), rows["ds"].max())
    grid = pd.date_range(history["ds"].min(), end, freq=frequency)
    off = rows[~rows["ds"].isin(grid).to_numpy()]
    _raise(
        off,
        future.where,
        f"time stamps that are no step of {frequency} after those of {data.path}",
        "Write them as the history has them",
        data,
    )
    both = history.merge(rows, on=KEY, how="outer", suffixes=("", NEW))
    for name in data.known_covariates:
        old, new = both[name], both[name + NEW]
        _raise(
            both[(old.notna() & new.notna() & (old != new)).to_numpy()],
            future.where,
            f"{data.path} has other values of {name!r} for the same steps",
            "Correct one of the two, or leave the rows out",
            data,
        )
        both[name] = old.where(old.notna(), new)
    joined = both[list(history.columns)].sort_values(KEY, kind="stable", ignore_index=True)
    if PHASE in joined:  # the new rows are at the distance of their series
        joined[PHASE] = joined.groupby("unique_id", sort=False)[PHASE].ffill()
    return joined


def check_series(names: set[str], future: Future, path: str) -> None:
    """Raise DataError for series of the future that are not among those of the history."""
    unknown = sorted(set(future.frame["unique_id"]) - names)
    if unknown:
        near = nearest(unknown[0], names)
        hint = f"; did you mean {near!r} by {unknown[0]!r}?" if near else ""
        raise DataError(
            f"{future.where}: {len(unknown):,} series are not in {path}{hint}\n{listed(unknown)}"
        )


def _raise(rows: pd.DataFrame, where: str, rule: str, remedy: str, data: Data) -> None:
    if len(rows):
        shown = rows[KEY].head(10).itertuples(index=False)
        items = [f"{name}: {timestamps.text(ds, data)}" for name, ds in shown]
        count = f"{len(rows):,} row{'s' * (len(rows) != 1)}"
        raise DataError(f"{where}: {rule} ({count}):\n{listed(items, count=len(rows))}\n{remedy}")
