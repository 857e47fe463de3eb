"""The path of a smoothing expert along series, and its forecasts at any origin."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.model.pool import smoothing, subtracting
from retain.kinds.forecast.model.pool.pool import BEST, Expert
from retain.kinds.forecast.model.pool.subtracting import row_ahead

Counts = NDArray[np.int64]
Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Repeat:
    """The values that forecasts repeat in each cycle: figures, or the base values of differences.

    Attributes:
        season: steps of a cycle.
        values: (rows, series).
        shift: (steps + 1,), by origin, the offset of a step in `values`.
        fresh: number of steps from an origin on that have a separate row; later steps use the row
            one cycle before.
    """

    season: int
    values: Singles
    shift: Counts
    fresh: int = 0

    def ahead(self, at: Counts, series: Counts, horizon: int) -> Singles:
        """Return the repeated values (n, horizon) from origins on."""
        rows = (at + self.shift[at])[:, None] + row_ahead(
            np.arange(horizon), self.season, self.fresh
        )
        found: Singles = self.values[np.maximum(rows, 0), series[:, None]]
        return found

    def next_rows(self, at: Counts) -> Singles:
        """Return the repeated values (n, series) of the first step from origins on."""
        rows = at + self.shift[at] + row_ahead(0, self.season, self.fresh)
        found: Singles = self.values[np.maximum(rows, 0)]
        return found


@dataclass(frozen=True)
class Track:
    """The path of one expert along some series: its state at each step.

    Attributes:
        level: (steps + 1, series), the mean of the candidates; NaN where they have not started.
        trend: (steps + 1, series, BEST).
        trends: (series, BEST), which of TRENDS a candidate has.
        repeat: figures, or values; None without a season.
    """

    level: Singles
    trend: Singles
    trends: Counts
    repeat: Repeat | None

    @property
    def nbytes(self) -> int:
        """The number of bytes that grow with the steps."""
        values = self.repeat.values.nbytes if self.repeat else 0
        return self.level.nbytes + self.trend.nbytes + values

    def forecast(self, expert: Expert, at: Counts, series: Counts, horizon: int) -> Floats:
        """Return forecasts (n, horizon) from origins on; NaN where it has not started."""
        levels, trends = smoothing.multipliers(expert.difference, horizon)
        part: Floats = self.level[at, series].astype(np.float64)[:, None] * levels
        slopes = self.trend[at, series].astype(np.float64) / BEST
        for candidate in range(BEST):
            factors = trends[self.trends[series, candidate]]
            part += slopes[:, candidate, None] * factors
        if self.repeat is not None:
            part += self.repeat.ahead(at, series, horizon)
        return part

    def next_rows(self, expert: Expert, at: Counts) -> Floats:
        """Return the same one step ahead of origins `at` of all series: (origins, series)."""
        levels, trends = smoothing.multipliers(expert.difference, 1)
        part: Floats = self.level[at].astype(np.float64) * levels
        slopes = self.trend[at].astype(np.float64) / BEST
        for candidate in range(BEST):
            part += slopes[..., candidate] * trends[self.trends[:, candidate], 0]
        if self.repeat is not None:
            part += self.repeat.next_rows(at)
        return part


def follow(
    expert: Expert, x: Floats, chosen: Counts, lengths: Counts, saved: Floats | None, steps: Counts
) -> tuple[Track, Singles]:
    """Run an expert's chosen candidates (series, BEST) along series."""
    season, (length, count) = expert.season, x.shape
    gains = smoothing.grid(season > 0)[chosen]
    shape = length + 1, count, BEST
    level, trend = np.full(shape[:2], np.nan, np.float32), np.zeros(shape, np.float32)
    states = np.zeros((count, BEST, expert.size), np.float32)
    ends = {int(end): np.flatnonzero(lengths == end) for end in np.unique(lengths)}
    if saved is not None:
        saved[steps < expert.start, :, 0] = np.nan
    repeat = None
    taken = subtracting.of(expert, x, saved, steps)
    if taken is not None:
        for end, some in ends.items():
            if end + taken.ahead >= taken.season:
                states[some, :, 2:] = taken.state(end, some)
        x, values = taken.rest(x), taken.values.astype(np.float32)
        repeat = Repeat(taken.season, values, np.full(length + 1, taken.ahead), taken.fresh)
    elif season:
        repeat = _figures(season, length, count, started=saved is not None)
    path = (
        smoothing.follow(x, gains, season)
        if saved is None
        else smoothing.go_on(x, gains, saved, season, steps - expert.difference)
    )
    starts = (season, 2 * season) if saved is None else (0,)
    for t, state in path:
        at = t + length - len(x)
        if saved is None and at < expert.start:
            continue
        level[at], trend[at] = _mean(state.level), state.trend
        if state.figures is not None and repeat is not None:
            top = int(repeat.shift[at]) + at
            if t in starts:
                repeat.values[top - season : top] = _mean(state.figures)
            else:
                repeat.values[top - 1] = _mean(state.figures[(t - 1) % season])
        if at in ends:
            some = ends[at]
            states[some, :, 0], states[some, :, 1] = state.level[some], state.trend[some]
            if state.figures is not None:
                order = (t + np.arange(season)) % season  # from the phase of the next step on
                states[some, :, 2:] = state.figures[order][:, some].transpose(1, 2, 0)
    return Track(level, trend, gains.trends, repeat), states


def _mean(values: Floats) -> Floats:
    """Return the mean of BEST candidates, the last axis: NumPy is slow along so few."""
    total: Floats = values[..., 0] + values[..., 1]
    for candidate in range(2, BEST):
        total += values[..., candidate]
    return total / BEST


def _figures(season: int, length: int, count: int, started: bool) -> Repeat:
    """Allocate the figures of a season.

    Those of a second start are stored a season later, since origins before it use the first.
    """
    shift = np.full(length + 1, season)
    if not started:
        shift[: 2 * season] = 0
    return Repeat(season, np.zeros((length + season, count), np.float32), shift)
