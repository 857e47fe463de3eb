"""Means, deviations and scales of series, fitted to the training part of arrays on a grid.

The arrays may lie on disk: they are read in blocks of whole series, cut by the index alone, so that
the same values give the same bits wherever they came from.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats

BLOCK = 1 << 18  # rows, of one series at least

Counts = NDArray[np.int64]


def blocks(index: pd.DataFrame) -> Iterator[tuple[slice, slice]]:
    """Yield slices of the index and of the values, of about BLOCK rows, series after series."""
    start = index["start"].to_numpy()
    end = start + index["length"].to_numpy()
    first = 0
    while first < len(start):
        last = max(int(np.searchsorted(end, start[first] + BLOCK, side="right")), first + 1)
        yield slice(first, last), slice(int(start[first]), int(end[last - 1]))
        first = last


def steps_of(index: pd.DataFrame) -> Counts:
    """Return the grid step of each row of some series that are one after another."""
    length = index["length"].to_numpy()
    offset = index["first_step"].to_numpy() - (np.cumsum(length) - length)
    steps: Counts = np.arange(length.sum()) + np.repeat(offset, length)
    return steps


def column_moments(
    values: NDArray[np.float32], column: int, index: pd.DataFrame, validation_step: int
) -> tuple[float, float]:
    """Return mean and deviation of a column of `values` over the training part of all series."""

    def training() -> Iterator[Floats]:
        for series, rows in blocks(index):
            inside = steps_of(index[series]) < validation_step
            part = values[rows, column][inside].astype(np.float64)
            yield part[np.isfinite(part)]

    return _moments(training)


def smallest(
    values: NDArray[np.float32], index: pd.DataFrame, validation_step: int
) -> float | None:
    """Return the smallest value of the target in the training part, None where it has none."""
    least = np.inf
    for series, rows in blocks(index):
        training = values[rows, 0][steps_of(index[series]) < validation_step]
        least = float(np.fmin.reduce(training, initial=least))
    return least if np.isfinite(least) else None


def static_moments(column: Floats) -> tuple[float, float]:
    """Return mean and standard deviation of a static feature over all series."""
    values = column.astype(np.float32).astype(np.float64)  # as a network sees it
    return _moments(lambda: iter([values[np.isfinite(values)]]))


def _moments(parts: Callable[[], Iterator[Floats]]) -> tuple[float, float]:
    """Return mean and deviation of all parts; 0 and 1 where there is nothing to measure."""
    total, count = 0.0, 0
    for part in parts():
        total, count = total + float(part.sum()), count + len(part)
    if count == 0:
        return 0.0, 1.0
    mean = total / count
    squares = sum(float(((part - mean) ** 2).sum()) for part in parts())
    return mean, float(np.sqrt(squares / count)) or 1.0


def target_scales(
    values: NDArray[np.float32],
    index: pd.DataFrame,
    validation_step: int,
    season_length: int,
    context_length: int,
) -> pd.DataFrame:
    """Return mean, deviation, MASE and RMSSE scale of each series' training part.

    The MASE scale (Hyndman & Koehler 2006) is the mean absolute difference to the value one season
    before; a series that repeats itself exactly has none (NaN) and is left out of the MASE. That of
    RMSSE is the mean squared difference to the value before, from the first that is not zero on, as
    the M5 competition has it (Makridakis, Spiliotis & Assimakopoulos 2022); NaN where it is zero.

    A series with fewer than 2 values in the training part has neither, and mean and deviation
    of its first `context_length` steps: no window begins before they are over, so that they are
    always in the past of what is forecast.
    """
    scales = np.empty((len(index), 4))
    for series, rows in blocks(index):
        length = index["length"].to_numpy()[series]
        owner = np.repeat(np.arange(len(length)), length)
        y = values[rows, 0].astype(np.float64)
        everything = y.copy()
        y[steps_of(index[series]) >= validation_step] = np.nan
        mean, deviation = by_series(y, owner, len(length))
        naive_error, _ = by_series(np.abs(_changes(y, owner, season_length)), owner, len(length))
        steps = _changes(y, owner, 1) ** 2
        steps[~_begun(y, owner)] = np.nan
        square, _ = by_series(steps, owner, len(length))
        deviation[deviation == 0] = 1.0
        naive_error[naive_error == 0] = np.nan
        square[square == 0] = np.nan
        begins = np.cumsum(length) - length
        trained = np.bincount(owner[np.isfinite(y)], minlength=len(length))
        for late in np.flatnonzero(trained < 2):
            begin = begins[late]
            own = everything[begin : begin + length[late]]
            mean[late], deviation[late] = _first_scale(own, context_length)
        scales[series] = np.column_stack([mean, deviation, naive_error, square])
    return pd.DataFrame(scales, columns=["mean", "std", "mase_scale", "rmsse_scale"])


def _changes(y: Floats, owner: Counts, lag: int) -> Floats:
    """Return the difference of each value to that of its series `lag` steps before, or NaN."""
    change = np.full(len(y), np.nan)
    change[lag:] = y[lag:] - y[:-lag]
    change[lag:][owner[lag:] != owner[:-lag]] = np.nan
    return change


def _begun(y: Floats, owner: Counts) -> NDArray[np.bool_]:
    """Return whether a series had a value other than zero before, for each of its rows."""
    count = np.cumsum((y != 0) & np.isfinite(y))
    before = np.r_[0, count[:-1]]  # of this series and those before it
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    begun: NDArray[np.bool_] = before > np.repeat(before[first], np.diff(first, append=len(y)))
    return begun


def _first_scale(y: Floats, context_length: int) -> tuple[float, float]:
    """Return mean and deviation of the first steps of a series, which has a value somewhere.

    Where these steps have none, the first value there is stands for them: a window begins after it,
    since its context holds a value. What does not vary there is scaled by its level, for the steps
    after it may vary by as much.
    """
    first = y[:context_length]
    known = first[np.isfinite(first)]
    if not len(known):
        known = y[np.isfinite(y)][:1]
    return float(known.mean()), float(known.std() or np.abs(known).mean() or 1.0)


def by_series(values: Floats, owner: Counts, count: int) -> tuple[Floats, Floats]:
    """Return mean and deviation of the finite values of each series, NaN where it has none.

    Series with as many values are one matrix: no loop over series, and each row is summed as it
    would be alone.
    """
    finite = np.isfinite(values)
    flat = values[finite]
    sizes = np.bincount(owner[finite], minlength=count)
    begin = np.cumsum(sizes) - sizes
    mean, deviation = np.full(count, np.nan), np.full(count, np.nan)
    order = np.argsort(sizes, kind="stable")
    distinct, first = np.unique(sizes[order], return_index=True)
    for size, some in zip(distinct.tolist(), np.split(order, first[1:]), strict=True):
        if size:
            matrix: NDArray[Any] = flat[begin[some][:, None] + np.arange(size)]
            mean[some], deviation[some] = matrix.mean(1), matrix.std(1)
    return mean, deviation
