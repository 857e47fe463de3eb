"""The pool's forecasts at the end of histories."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.model.pool.pool import Pool
from retain.kinds.forecast.model.pool.tracing import forecast, one_ahead, trace
from retain.kinds.forecast.model.pool.tracks import Counts


class Based(NamedTuple):
    """Forecasts of the experts at some origins, in data units.

    Attributes:
        experts: (n, experts, horizon).
        ahead: (n, context), the blend's forecast one step ahead of each step of the context; NaN
            where there is none, up to the first value of a series.
    """

    experts: NDArray[np.float32]
    ahead: NDArray[np.float32]


def newest(pool: Pool, y: Floats, begins: Counts, numbers: Counts, context: int) -> Based:
    """Return the forecasts at the end of histories.

    A series whose history starts at or before its beginning in the pool is run from there, so that
    corrected values have an effect. A series whose history ends at or after the states continues
    from them; steps in between that are not given are missing. Any other series is run on the given
    rows only.

    Args:
        y: (series, steps), right-aligned, NaN where missing and before a history begins.
        begins: (series,), the grid step of each first given value; it may be negative or after the
            end of the grid.
        numbers: (series,), rows in the pool, 0 for a new series.
        context: steps before the end whose forecasts one step ahead are returned.
    """
    y = np.asarray(y, dtype=np.float64)
    seen = np.isfinite(y)
    lead = np.where(seen.any(axis=1), seen.argmax(axis=1), y.shape[1])
    ends = begins + y.shape[1] - lead
    known = (numbers > 0) & (pool.ends[numbers] > pool.begins[numbers])
    going = known & (begins > pool.begins[numbers]) & (ends >= pool.ends[numbers])
    experts = np.empty((len(y), len(pool.experts), pool.horizon), np.float32)
    ahead = np.empty((len(y), context), np.float32)
    for some, on in ((np.flatnonzero(~going), False), (np.flatnonzero(going), True)):
        if len(some):
            lengths = ends[some] - (pool.ends[numbers[some]] if on else begins[some])
            x = _left_aligned(y[some], lead[some], lengths)
            found = _newest(pool, x, lengths, numbers[some], context, on)
            experts[some], ahead[some] = found.experts, found.ahead
    return Based(experts, ahead)


def _left_aligned(y: Floats, lead: Counts, lengths: Counts) -> Floats:
    """Return the last `lengths` steps of each series: (steps, series), NaN where not given."""
    rows = np.arange(max(int(lengths.max()), 1))[:, None]
    column = rows + (y.shape[1] - lengths)
    given = (column >= lead) & (rows < lengths)
    own = np.arange(len(y))
    return np.where(given, y[own, np.clip(column, 0, y.shape[1] - 1)], np.nan)


def _newest(
    pool: Pool, x: Floats, lengths: Counts, numbers: Counts, context: int, going: bool
) -> Based:
    """Return the forecasts after `lengths` steps, of series that all continue, or all start."""
    found = trace(pool, x, lengths, numbers, going)
    own = np.arange(len(numbers))
    experts = forecast(pool, found, lengths, own, pool.horizon)
    steps = lengths + np.arange(-context, 0)[:, None]  # (context, series)
    ahead = one_ahead(pool, found, np.maximum(steps, 0), numbers)
    if going:  # forecasts from before the states were saved
        size = pool.tail.shape[1]
        older = pool.tail[numbers[None], np.clip(size + steps, 0, size - 1)]
        first = np.maximum(1 + (pool.begins - pool.ends)[numbers], -size)
        ahead = np.where(steps >= 0, ahead, np.where(steps >= first, older, np.nan))
    else:
        ahead = np.where(steps >= 1, ahead, np.nan)
    return Based(experts.astype(np.float32), ahead.T.astype(np.float32))
