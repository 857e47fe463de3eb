"""The pool's forecasts at any origin of a panel."""

import numpy as np

from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.model.pool import blocks
from retain.kinds.forecast.model.pool.newest import Based
from retain.kinds.forecast.model.pool.paths import Paths
from retain.kinds.forecast.model.pool.pool import Pool
from retain.kinds.forecast.model.pool.tracing import forecast, one_ahead
from retain.kinds.forecast.model.pool.tracks import Counts

FEW = 2  # blocks of series, whose paths are for all of their series


class Run:
    """A pool along all series of a panel, causal at every origin.

    The paths of a block of series are computed on first use, and cached as far as memory allows.
    """

    def __init__(self, pool: Pool, panel: Panel, numbers: Counts | None = None):
        """Prepare to run; nothing is computed yet.

        Args:
            numbers: (series of the panel,), the row of each in the pool, 0 for a new series; by
                default 1 to their number.
        """
        if numbers is None:
            numbers = np.arange(1, len(panel.index) + 1)
        self._pool, self._panel, self._numbers = pool, panel, numbers
        self._paths = Paths(pool, panel, numbers)
        self._firsts = np.array([series.start for series in self._paths.spans])
        # A network and its base alone forecast the same windows one after the other.
        self._last: tuple[Counts, int, Based] | None = None

    def at(self, series: Counts, rows: Counts, context: int, once: bool = False) -> Based:
        """Return the forecasts at some origins; origins in the order of series are fastest.

        Args:
            series: (n,), from 0.
            rows: (n,), the row of `panel.values` at which the horizon begins.
            context: steps before it.
            once: whether no other origins of these series will follow.
        """
        last = self._last
        if last is not None and last[1] == context and np.array_equal(last[0], rows):
            return last[2]
        found = self._at(series, rows, context, once)
        self._last = None if once else (rows, context, found)
        return found

    def _at(self, series: Counts, rows: Counts, context: int, once: bool) -> Based:
        pool = self._pool
        owner = np.searchsorted(self._firsts, series, side="right") - 1
        needed, some = np.unique(owner), np.unique(series)
        among = sum(self._paths.spans[number].stop - self._firsts[number] for number in needed)
        if len(needed) > FEW and 2 * len(some) < among:  # run them without the others
            few = Run(pool, blocks.among(self._panel, some), self._numbers[some])
            return few._at(np.searchsorted(some, series), rows, context, once)
        experts = np.empty((len(series), len(pool.experts), pool.horizon), np.float32)
        ahead = np.empty((len(series), context), np.float32)
        for number in needed.tolist():
            some = np.flatnonzero(owner == number)
            path = self._paths[number]
            own = series[some] - path.block.first
            at = rows[some] - path.block.rows[own]
            experts[some] = forecast(pool, path.found, np.maximum(at, 0), own, pool.horizon)
            steps = at[:, None] + np.arange(-context, 0)
            before = np.maximum(steps, 0)
            if once and steps.size < path.block.y.size:  # of many series few steps are needed
                older = one_ahead(pool, path.found, before.T, path.numbers, own).T
            else:
                older = path.ahead[before, own[:, None]]
            ahead[some] = np.where(steps >= 1, older, np.nan)
        return Based(experts, ahead)
