"""Rows of a series that lie in one step of a frequency, made one: events, or too fine a table.

The first and the last step of a table count where they seem whole: where the rows begin as early,
or end as late, in the step as they do in half of the others. A step without a row is zero for `sum`
and `count`, from the first row of a series to the end of the table, and missing for `mean`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from retain.errors import DataError, setting
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data.alignment import limits, period
from retain.kinds.forecast.data.frequency import Micros, check_steps, micros


def to_steps(long: pd.DataFrame, data: Data) -> pd.DataFrame:
    """Return one row a series and step of rows by series and time, at the place of its first."""
    slots = period(micros(long["ds"]), str(data.frequency))
    codes, _ = pd.factorize(long["unique_id"])
    begins = np.r_[True, (np.diff(codes) != 0) | (np.diff(slots) != 0)][: len(long)]
    group = np.cumsum(begins) - 1
    merged: pd.DataFrame = long[begins].assign(ds=slots[begins].astype("datetime64[us]"))
    if data.aggregate == "count":
        merged["y"] = np.bincount(group).astype(np.float64)
    else:
        by_step = long["y"].groupby(group)
        merged["y"] = (
            by_step.sum(min_count=1) if data.aggregate == "sum" else by_step.mean()
        ).to_numpy()
    first = {*data.categorical, *data.static_covariates}  # a mean of equal numbers is rounded
    for name in data.covariates:
        column = long[name].groupby(group)
        merged[name] = (column.first() if name in first else column.mean()).to_numpy()
    return merged


def stamps(long: pd.DataFrame) -> tuple[Micros, ...]:
    """Return the distinct stamps of rows that have a value."""
    return (np.unique(micros(long["ds"])[long["y"].notna().to_numpy()]),)


def whole_steps(stamps: Sequence[Micros], data: Data, where: str) -> tuple[int, int]:
    """Return the first and the last step that a table has whole, in microseconds.

    Args:
        stamps: distinct ones of all its rows that have a value, in parts.
        where: what messages call the table.

    Raises:
        DataError: there is none.
    """
    frequency = str(data.frequency)
    every = np.unique(np.concatenate(stamps))
    slots = period(every, frequency)
    check_steps(int(slots[0]), int(slots[-1]), frequency, where)
    begins = np.flatnonzero(np.r_[True, np.diff(slots) != 0])
    ends = np.r_[begins[1:], len(every)] - 1
    starts, nexts = limits(slots[begins], frequency)
    since, until = every[begins] - starts, nexts - every[ends]
    few = len(begins) < 2
    begin = int(few or since[0] > np.median(since[1:]))
    end = len(begins) - int(few or until[-1] > np.median(until[:-1]))
    if begin >= end:
        raise DataError(
            f"{where}: from {_text(every[0])} to {_text(every[-1])} there is no whole step of "
            f"{frequency}; take a finer {setting('frequency')}, or bring more rows"
        )
    return int(slots[begins[begin]]), int(slots[begins[end - 1]])


def _text(stamp: int) -> str:
    return str(pd.Timestamp(stamp, unit="us"))


def complete(frame: pd.DataFrame, first: int, last: int, data: Data) -> pd.DataFrame:
    """Return the steps from `first` to `last` of aggregated rows, with zeros where none was.

    Rows behind `last` that have no value are the future of known covariates, and stay.
    """
    ds = micros(frame["ds"])
    inside = (ds >= first) & (ds <= last)
    future = frame[(ds > last) & frame["y"].isna().to_numpy()]
    kept = frame[inside]
    if data.aggregate == "mean" or kept.empty:
        return frame[inside | ((ds > last) & frame["y"].isna().to_numpy())]
    grid = pd.date_range(
        kept["ds"].min(), np.int64(last).astype("datetime64[us]"), freq=data.frequency
    )
    step = grid.get_indexer(pd.DatetimeIndex(kept["ds"]))
    codes, _ = pd.factorize(kept["unique_id"])
    begins = step[np.r_[True, np.diff(codes) != 0]]
    lengths = len(grid) - begins
    starts = np.cumsum(lengths) - lengths
    found = np.full(lengths.sum(), -1)
    found[starts[codes] + step - begins[codes]] = np.arange(len(kept))
    missing = found < 0
    filled = kept.iloc[np.maximum.accumulate(found)].copy()  # a series begins with a row
    steps = np.arange(len(found)) + np.repeat(begins - starts, lengths)
    filled["ds"] = grid.to_numpy(dtype="datetime64[us]")[steps]
    filled.loc[missing, "y"] = 0.0
    for name in (*data.past_covariates, *data.known_covariates):
        filled.loc[missing, name] = None if name in data.categorical else np.nan
    if future.empty:
        return filled
    both = pd.concat([filled, future])
    order = np.lexsort((both["ds"].to_numpy(), pd.factorize(both["unique_id"])[0]))
    return both.iloc[order]
