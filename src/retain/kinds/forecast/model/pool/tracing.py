"""The paths of a pool's experts along series, and their causal forecasts at any origin."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.model.pool import lagging
from retain.kinds.forecast.model.pool.lagging import Lagged
from retain.kinds.forecast.model.pool.pool import Expert, Pool, mix
from retain.kinds.forecast.model.pool.tracks import Counts, Singles, Track, follow

CHUNK = 1 << 14  # origins whose forecasts are made at once


class Trace(NamedTuple):
    """The paths of all experts along some series; origin 0 is before the first row.

    Attributes:
        tracks: by expert.
        extremes: (2, steps + 1, series), the least and the largest value before an origin.
        states: by expert, as `Pool.states`, at each series' last row.
    """

    tracks: list[Track | Lagged]
    extremes: Singles
    states: list[Singles]

    @property
    def size(self) -> int:
        """The number of bytes."""
        return sum(part.nbytes for part in (self.extremes, *self.states, *self.tracks))


def trace(pool: Pool, y: Floats, lengths: Counts, numbers: Counts, going: bool = False) -> Trace:
    """Run a pool along series.

    Args:
        y: (steps, series), left-aligned, NaN where missing.
        lengths: of each series; the states are those after that many steps.
        numbers: (series,), rows in the pool.
        going: continue from the states of the pool, instead of starting at the first row.
    """
    tracks: list[Track | Lagged] = []
    states = []
    logs = np.log1p(np.maximum(y, 0)) if pool.log else y
    steps = (pool.ends - pool.begins)[numbers]
    for number, name in enumerate(pool.experts):
        expert = Expert.parse(name)
        x, chosen = logs if expert.log else y, pool.chosen[numbers, number]
        saved = pool.states[name][numbers].astype(np.float64) if going else None
        if expert.lagged:
            before = steps if going else np.zeros_like(steps)
            lags = lagging.follow(expert, x, saved, before, steps, pool.filters[name])
            tracks.append(lags)
            states.append(_by_series(lengths, lags.state))
        else:
            track, state = follow(expert, x, chosen, lengths, saved, steps)
            tracks.append(track)
            states.append(state)
    extremes = np.full((2, len(y) + 1, y.shape[1]), np.nan, dtype=np.float32)
    extremes[:, 1:] = y
    if going:
        extremes[:, 0] = pool.extremes[numbers].T
    np.fmin.accumulate(extremes[0], axis=0, out=extremes[0])
    np.fmax.accumulate(extremes[1], axis=0, out=extremes[1])
    return Trace(tracks, extremes, states)


def _by_series(lengths: Counts, state: Callable[[int, Counts], Singles]) -> Singles:
    """Return the states of series after `lengths` steps, by a function of one length."""
    parts = [(end, np.flatnonzero(lengths == end)) for end in np.unique(lengths).tolist()]
    order = np.argsort(np.concatenate([some for _, some in parts]), kind="stable")
    found: Singles = np.concatenate([state(end, some) for end, some in parts])[order]
    return found


def forecast(pool: Pool, found: Trace, at: Counts, series: Counts, horizon: int) -> Floats:
    """Return the experts' forecasts (n, experts, horizon) in data units.

    An expert that has not started forecasts as `es` of the same space does.

    Args:
        at: (n,), the origins, as rows of the trace.
        series: (n,), the series of each.
    """

    def ahead(expert: Expert, track: Track | Lagged, bounds: tuple[Floats, Floats]) -> Floats:
        if isinstance(track, Lagged):
            low, high = (bound[:, 0] for bound in bounds)
            return track.forecast(at, series, horizon, (low, high))
        return track.forecast(expert, at, series, horizon)

    extremes = found.extremes[:, at, series, None].astype(np.float64)
    return np.stack([*_in_units(pool, found, extremes, ahead)], axis=1)


def all_ahead(pool: Pool, found: Trace, numbers: Counts) -> Singles:
    """Return the same as `one_ahead` at all origins before the last: (steps, series).

    Args:
        numbers: (series,), rows in the pool.
    """
    steps, count = found.extremes.shape[1] - 1, len(numbers)
    out = np.empty((steps, count), np.float32)
    at_once = max(CHUNK // count, 1)
    for begin in range(0, steps, at_once):
        at = np.arange(begin, min(begin + at_once, steps))

        def ahead(
            expert: Expert, track: Track | Lagged, bounds: tuple[Floats, Floats], at: Counts = at
        ) -> Floats:
            if isinstance(track, Lagged):
                return track.next_rows(at, bounds)
            return track.next_rows(expert, at)

        extremes = found.extremes[:, at].astype(np.float64)
        parts = [part.reshape(-1, 1) for part in _in_units(pool, found, extremes, ahead)]
        weights = np.tile(pool.weights[numbers], (len(at), 1))
        out[at] = mix(np.stack(parts, axis=1), weights, pool.log).reshape(len(at), count)
    return out


def _in_units(
    pool: Pool,
    found: Trace,
    extremes: Floats,
    ahead: Callable[[Expert, Track | Lagged, tuple[Floats, Floats]], Floats],
) -> Iterator[Floats]:
    """Yield the forecasts of each expert in data units, within its bounds.

    Args:
        extremes: (2, ...), the least and the largest value before each origin.
        ahead: returns the forecasts of an expert in its space, NaN where it has not started.
    """
    low, high = extremes
    first: dict[bool, Floats] = {}  # by data space, the forecast of its `es`
    for name, track in zip(pool.experts, found.tracks, strict=True):
        expert = Expert.parse(name)
        bounds = _bounds(low, high, expert.log)
        part = ahead(expert, track, bounds)
        part = np.where(np.isfinite(part), part, first.setdefault(expert.log, part))
        part = np.clip(part, *bounds)
        yield np.expm1(part) if expert.log else part


def _bounds(low: Floats, high: Floats, log: bool) -> tuple[Floats, Floats]:
    """Return the bounds of forecasts, three times the range of the values seen, in their space.

    In log1p space also a factor of ten: a trend there is exponential growth, which a few steep
    values would make overflow.
    """
    if log:
        low, high = np.log1p(np.maximum(low, 0)), np.log1p(np.maximum(high, 0))
    reach = 3 * (high - low)
    if log:
        reach = np.minimum(reach, np.log(10))
    return low - reach, high + reach


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
