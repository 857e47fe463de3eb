"""The paths of a pool's experts along series, and their causal forecasts at any origin."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.model.pool import smoothing, subtracting
from retain.kinds.forecast.model.pool.pool import BEST, Expert, Pool, mix
from retain.kinds.forecast.model.pool.subtracting import row_ahead

Counts = NDArray[np.int64]
Singles = NDArray[np.float32]
CHUNK = 1 << 14  # origins whose forecasts are made at once


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


class Trace(NamedTuple):
    """The paths of all experts along some series; origin 0 is before the first row.

    Attributes:
        tracks: by expert.
        extremes: (2, steps + 1, series), the least and the largest value before an origin.
        states: by expert, as `Pool.states`, at each series' last row.
    """

    tracks: list[Track]
    extremes: Singles
    states: list[Singles]

    @property
    def size(self) -> int:
        """The number of bytes."""
        arrays = [self.extremes, *self.states]
        for track in self.tracks:
            arrays += [track.level, track.trend]
            arrays += [track.repeat.values] if track.repeat else []
        return sum(array.nbytes for array in arrays)


def trace(pool: Pool, y: Floats, lengths: Counts, numbers: Counts, going: bool = False) -> Trace:
    """Run a pool along series.

    Args:
        y: (steps, series), left-aligned, NaN where missing.
        lengths: of each series; the states are those after that many steps.
        numbers: (series,), rows in the pool.
        going: continue from the states of the pool, instead of starting at the first row.
    """
    tracks, states = [], []
    logs = np.log1p(np.maximum(y, 0)) if pool.log else y
    steps = (pool.ends - pool.begins)[numbers]
    for number, name in enumerate(pool.experts):
        expert = Expert.parse(name)
        x, chosen = logs if expert.log else y, pool.chosen[numbers, number]
        saved = pool.states[name][numbers].astype(np.float64) if going else None
        track, state = _follow(expert, x, chosen, lengths, saved, steps)
        tracks.append(track)
        states.append(state)
    extremes = np.full((2, len(y) + 1, y.shape[1]), np.nan, dtype=np.float32)
    extremes[:, 1:] = y
    if going:
        extremes[:, 0] = pool.extremes[numbers].T
    np.fmin.accumulate(extremes[0], axis=0, out=extremes[0])
    np.fmax.accumulate(extremes[1], axis=0, out=extremes[1])
    return Trace(tracks, extremes, states)


def _follow(
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


def forecast(pool: Pool, found: Trace, at: Counts, series: Counts, horizon: int) -> Floats:
    """Return the experts' forecasts (n, experts, horizon) in data units.

    An expert that has not started forecasts as `es` of the same space does.

    Args:
        at: (n,), the origins, as rows of the trace.
        series: (n,), the series of each.
    """
    low, high = found.extremes[:, at, series].astype(np.float64)
    out = np.empty((len(at), len(pool.experts), horizon))
    first: dict[bool, Floats] = {}  # by data space, the forecast of its `es`
    for number, name in enumerate(pool.experts):
        expert, track = Expert.parse(name), found.tracks[number]
        levels, trends = smoothing.multipliers(expert.difference, horizon)
        part = track.level[at, series].astype(np.float64)[:, None] * levels
        slopes = track.trend[at, series].astype(np.float64) / BEST
        for candidate in range(BEST):
            factors = trends[track.trends[series, candidate]]
            part += slopes[:, candidate, None] * factors
        if track.repeat is not None:
            part += track.repeat.ahead(at, series, horizon)
        part = np.where(np.isfinite(part), part, first.setdefault(expert.log, part))
        out[:, number] = _bounded(part, low, high, expert.log)
    return out


def _bounded(part: Floats, low: Floats, high: Floats, log: bool) -> Floats:
    """Return forecasts in data units, clipped to three times the range of the values seen.

    In log1p space also to a factor of ten: a trend there is exponential growth, which a few steep
    values would make overflow.
    """
    if log:
        low, high = np.log1p(np.maximum(low, 0)), np.log1p(np.maximum(high, 0))
    reach = 3 * (high - low)
    if log:
        reach = np.minimum(reach, np.log(10))
    clipped = np.clip(part, (low - reach)[..., None], (high + reach)[..., None])
    return np.expm1(clipped) if log else clipped


def all_ahead(pool: Pool, found: Trace, numbers: Counts) -> Singles:
    """Return the same as `one_ahead` at all origins before the last: (steps, series).

    Args:
        numbers: (series,), rows in the pool.
    """
    steps, count = found.extremes.shape[1] - 1, len(numbers)
    out = np.empty((steps, count), np.float32)
    weights, at_once = pool.weights[numbers], max(CHUNK // count, 1)
    for begin in range(0, steps, at_once):
        at = np.arange(begin, min(begin + at_once, steps))
        low, high = found.extremes[:, at].astype(np.float64)
        first: dict[bool, Floats] = {}
        total = np.zeros((len(at), count))
        for number, name in enumerate(pool.experts):
            expert, track = Expert.parse(name), found.tracks[number]
            levels, trends = smoothing.multipliers(expert.difference, 1)
            part: Floats = track.level[at].astype(np.float64) * levels
            slopes = track.trend[at].astype(np.float64) / BEST
            for candidate in range(BEST):
                part += slopes[..., candidate] * trends[track.trends[:, candidate], 0]
            if track.repeat is not None:
                part += track.repeat.next_rows(at)
            part = np.where(np.isfinite(part), part, first.setdefault(expert.log, part))
            part = _bounded(part[..., None], low, high, expert.log)[..., 0]
            mixed = np.log1p(np.maximum(part, 0)) if pool.log else part
            total += weights[:, number] * mixed
        out[at] = np.expm1(total) if pool.log else total
    return out


def one_ahead(
    pool: Pool, found: Trace, at: Counts, numbers: Counts, series: Counts | None = None
) -> Singles:
    """Return the blend's forecasts one step ahead (rows, columns) at origins (rows, columns).

    Args:
        numbers: (series,), rows in the pool.
        series: (columns,), the series of each in the trace; by default one after the other.
    """
    if series is None:
        series = np.arange(at.shape[1])
    flat, own = at.ravel(), np.broadcast_to(series, at.shape).ravel()
    ahead = np.empty(len(flat), np.float32)
    for begin in range(0, len(flat), CHUNK):
        some = slice(begin, begin + CHUNK)
        experts = forecast(pool, found, flat[some], own[some], 1)
        ahead[some] = mix(experts, pool.weights[numbers[own[some]]], pool.log)[:, 0]
    return ahead.reshape(at.shape)
