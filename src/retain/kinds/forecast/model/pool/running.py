"""The experts of a fitted pool, run along series: what they forecast at any origin, causally."""

from collections import OrderedDict
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.model.pool import blocks, smoothing
from retain.kinds.forecast.model.pool.pool import BEST, Expert, Pool, mix

Counts = NDArray[np.int64]
KEPT = 1 << 29  # bytes of traces that a run keeps; of a larger panel those used last

CHUNK = 1 << 14  # origins whose forecasts are made at once


class Based(NamedTuple):
    """Forecasts of the experts at some origins, in data units.

    Attributes:
        experts: (n, experts, horizon).
        ahead: (n, context), the blend's forecast one step ahead of each step of the context; NaN
            where there is none, before the second value of a series.
    """

    experts: NDArray[np.float32]
    ahead: NDArray[np.float32]


class Track(NamedTuple):
    """The path of one expert along some series: its state as of each step.

    Attributes:
        level: (steps + 1, series), the mean of the candidates; NaN where they have not started.
        trend: (steps + 1, series, BEST).
        base: what a forecast repeats: the figures of `hw`, the values of `sd`, by step and series.
        shift: (steps + 1,), how much further on in `base` lies what is known at an origin.
        trends: (series, BEST), which of TRENDS a candidate has.
    """

    level: NDArray[np.float32]
    trend: NDArray[np.float32]
    base: NDArray[np.float32] | None
    shift: Counts
    trends: Counts


class Trace(NamedTuple):
    """The paths of all experts along some series, in which origin 0 is before the first row.

    Attributes:
        tracks: by expert.
        extremes: (2, steps + 1, series), the least and the largest value before an origin.
        weights: (series, experts).
        ahead: (steps, series), the blend's forecast of each row as of the one before.
        states: by expert, as `Pool.states`, as of each series' last row.
    """

    tracks: list[Track]
    extremes: NDArray[np.float32]
    weights: Floats
    ahead: NDArray[np.float32]
    states: list[NDArray[np.float32]]


def trace(pool: Pool, y: Floats, lengths: Counts, numbers: Counts, going: bool = False) -> Trace:
    """Run a pool along series.

    Args:
        y: (steps, series), left-aligned, NaN where missing.
        lengths: of each series; the states are those after as many steps.
        numbers: (series,), rows in the pool.
        going: go on from the states of the pool, in place of starting at the first row.
    """
    tracks, states = [], []
    logs = np.log1p(np.maximum(y, 0)) if pool.log else y
    steps = (pool.ends - pool.begins)[numbers]
    for number, name in enumerate(pool.experts):
        expert = Expert.parse(name)
        saved = pool.states[name][numbers].astype(np.float64) if going else None
        track, state = _follow(
            expert, logs if expert.log else y, pool.chosen[numbers, number], lengths, saved, steps
        )
        tracks.append(track)
        states.append(state)
    extremes = np.full((2, len(y) + 1, y.shape[1]), np.nan)
    extremes[:, 1:] = y
    if going:
        extremes[:, 0] = pool.extremes[numbers].T
    np.fmin.accumulate(extremes[0], axis=0, out=extremes[0])
    np.fmax.accumulate(extremes[1], axis=0, out=extremes[1])
    ahead = np.empty(y.shape, dtype=np.float32)
    found = Trace(tracks, extremes.astype(np.float32), pool.weights[numbers], ahead, states)
    own = np.arange(y.shape[1])
    size = max(CHUNK // y.shape[1], 1)
    for begin in range(0, len(y), size):
        rows = np.arange(begin, min(begin + size, len(y)))
        at, of = np.repeat(rows, len(own)), np.tile(own, len(rows))
        experts = forecast(pool, found, at, of, 1)
        ahead[rows] = mix(experts, found.weights[of], pool.log).reshape(len(rows), len(own))
    return found


def _follow(  # noqa: PLR0912
    expert: Expert,
    x: Floats,
    chosen: Counts,
    lengths: Counts,
    saved: Floats | None,
    steps: Counts,
) -> tuple[Track, NDArray[np.float32]]:
    """Run an expert's chosen candidates (series, BEST) along series."""
    m, (length, count) = expert.season, x.shape
    gains = smoothing.grid(expert.kind)[chosen]
    level = np.full((length + 1, count), np.nan, dtype=np.float32)
    trend = np.zeros((length + 1, count, BEST), dtype=np.float32)
    shift = np.zeros(length + 1, dtype=np.int64)
    base = None
    state = np.zeros((count, BEST, 2 + m), dtype=np.float32)
    lag = m if expert.kind == "sd" else 0  # its first difference is that of step m
    if expert.kind == "sd":
        if saved is None:
            base = smoothing.fill(x, m)
            x = x[m:] - base[: max(length - m, 0)]
        else:
            before = np.ascontiguousarray(saved[:, 0, 2:].T)
            base = np.concatenate([before, smoothing.fill(x, m, before)])
            x = x - base[:length]
            lag, shift[:] = 0, m
    elif m:
        base = np.zeros((length + m, count))
        shift[2 * m :] = m
        shift[:] = m if saved is not None else shift
    ends = {int(t): np.flatnonzero(lengths == t) for t in np.unique(lengths)}
    season = m if expert.kind == "hw" else 0
    if saved is None:
        path = smoothing.follow(x, gains, season) if len(x) else iter(())
    else:
        path = smoothing.go_on(x, gains, saved, season, steps - (m if expert.kind == "sd" else 0))
    for t, now in path:
        at = t + lag
        level[at], trend[at] = now.level.mean(axis=1), now.trend
        figures = now.figures
        if figures is not None and base is not None:
            if (t in (m, 2 * m) and saved is None) or t == 0:
                base[int(shift[t]) + t - m : int(shift[t]) + t] = figures.mean(axis=2)
            else:
                base[int(shift[t]) + t - 1] = figures[(t - 1) % m].mean(axis=1)
        if at in ends:
            some = ends[at]
            state[some, :, 0], state[some, :, 1] = now.level[some], now.trend[some]
            if figures is not None:
                order = (t + np.arange(m)) % m
                state[some, :, 2:] = figures[order][:, some].transpose(1, 2, 0)
    if expert.kind == "sd" and base is not None:
        for end, some in ends.items():
            top = end + (m if saved is not None else 0)
            if top >= m:
                state[some, :, 2:] = base[top - m : top, some].T[:, None]
    packed = None if base is None else base.astype(np.float32)
    return Track(level, trend, packed, shift, chosen_trends(expert.kind, chosen)), state


def chosen_trends(kind: str, chosen: Counts) -> Counts:
    """Return which of TRENDS each candidate has."""
    gains = smoothing.grid(kind)
    pairs = [(beta, phi) for beta, phi in zip(gains.beta, gains.phi, strict=True)]
    return np.array([smoothing.TRENDS.index(pair) for pair in pairs])[chosen]


def forecast(pool: Pool, found: Trace, at: Counts, series: Counts, horizon: int) -> Floats:
    """Return the experts' forecasts (n, experts, horizon) in data units.

    Args:
        at: (n,), the origins, as rows of the trace.
        series: (n,), the series of each.
    """
    low, high = found.extremes[:, at, series].astype(np.float64)
    out = np.empty((len(at), len(pool.experts), horizon))
    first = {}  # by space, the forecast of its `es`
    for number, name in enumerate(pool.experts):
        expert, track = Expert.parse(name), found.tracks[number]
        levels, trends = smoothing.multipliers(expert.kind, expert.season, horizon)
        part = track.level[at, series].astype(np.float64)[:, None] * levels
        for j in range(BEST):
            slope = track.trend[at, series, j].astype(np.float64) / BEST
            part += slope[:, None] * trends[track.trends[series, j]]
        if track.base is not None:
            ahead = np.arange(horizon) - expert.season * (1 + np.arange(horizon) // expert.season)
            rows = (at + track.shift[at])[:, None] + ahead
            part += track.base[np.maximum(rows, 0), series[:, None]]
        if expert.kind == "es":
            first[expert.log] = part
        else:
            part = np.where(np.isfinite(part), part, first[expert.log])
        out[:, number] = _bounded(part, low, high, expert.log)
    return out


def _bounded(part: Floats, low: Floats, high: Floats, log: bool) -> Floats:
    """Return forecasts in data units, no further from the values seen than three times their range.

    And, in log1p space, than a factor of ten: a trend there is exponential growth, which a few
    steep values would send beyond what numbers can hold.
    """
    if log:
        low, high = np.log1p(np.maximum(low, 0)), np.log1p(np.maximum(high, 0))
    reach = 3 * (high - low)
    if log:
        reach = np.minimum(reach, np.log(10))
    clipped = np.clip(part, (low - reach)[:, None], (high + reach)[:, None])
    return np.expm1(clipped) if log else clipped


class Run:
    """A pool along all series of a panel, causal at every origin.

    The paths of a block of series are computed when it is first asked for, and kept while there
    is room.
    """

    def __init__(self, pool: Pool, panel: Panel, numbers: Counts | None = None):
        """Prepare to run; nothing is computed yet.

        Args:
            numbers: (series of the panel,), the row of each in the pool, 0 for one that it does not
                know; 1 to their number where not given.
        """
        count = len(panel.index)
        self._pool, self._panel = pool, panel
        self._numbers = np.arange(1, count + 1) if numbers is None else numbers
        self._blocks = list(blocks.spans(panel))
        self._firsts = np.array([span[0].start for span in self._blocks])
        self._traces: OrderedDict[int, tuple[blocks.Block, Trace]] = OrderedDict()

    def at(self, series: Counts, rows: Counts, context: int) -> Based:
        """Return what is forecast at some origins.

        Args:
            series: (n,), from 0.
            rows: (n,), the row of `panel.values` at which the horizon begins.
            context: steps before it.
        """
        pool = self._pool
        experts = np.empty((len(series), len(pool.experts), pool.horizon), dtype=np.float32)
        ahead = np.empty((len(series), context), dtype=np.float32)
        owner = np.searchsorted(self._firsts, series, side="right") - 1
        for number in np.unique(owner):
            some = np.flatnonzero(owner == number)
            block, found = self._trace(int(number))
            own = series[some] - block.first
            at = np.clip(rows[some] - block.rows[own], 0, len(block.y))
            experts[some] = forecast(pool, found, at, own, pool.horizon)
            steps = (rows[some] - block.rows[own])[:, None] + np.arange(-context, 0)
            inside = (steps >= 0) & (steps < len(block.y))
            values = found.ahead[np.where(inside, steps, 0), own[:, None]]
            ahead[some] = np.where(inside, values, np.nan)
        return Based(experts, ahead)

    def _trace(self, number: int) -> tuple[blocks.Block, Trace]:
        if number in self._traces:
            self._traces.move_to_end(number)
            return self._traces[number]
        block = blocks.read(self._panel, *self._blocks[number])
        numbers = self._numbers[block.first : block.first + block.y.shape[1]]
        made = block, trace(self._pool, block.y, block.lengths, numbers)
        self._traces[number] = made
        while len(self._traces) > 1 and sum(map(_size, self._traces.values())) > KEPT:
            self._traces.popitem(last=False)
        return made


def _size(made: tuple[blocks.Block, Trace]) -> int:
    """Return the bytes of a block and its trace."""
    block, found = made
    size = block.y.nbytes + found.extremes.nbytes + found.ahead.nbytes
    for track in found.tracks:
        base = 0 if track.base is None else track.base.nbytes
        size += track.level.nbytes + track.trend.nbytes + base
    return size


def newest(pool: Pool, y: Floats, begins: Counts, numbers: Counts, context: int) -> Based:
    """Return what is forecast at the end of histories.

    A series whose history reaches back to its beginning in the pool is run from there, so that
    corrected values count. One whose history ends at or behind the states goes on from them; steps
    in between that are not given are missing. Any other is run on what is given.

    Args:
        y: (series, steps), right-aligned, NaN where missing and before a history begins.
        begins: (series,), the grid step of each first value given; it may be negative or lie behind
            the end of the grid.
        numbers: (series,), rows in the pool, 0 for a series never seen.
        context: steps before the end whose forecasts one step ahead are returned.
    """
    y = np.asarray(y, dtype=np.float64)
    seen = np.isfinite(y)
    lead = np.where(seen.any(axis=1), seen.argmax(axis=1), y.shape[1])
    ends = begins + y.shape[1] - lead
    known = (numbers > 0) & (pool.ends[numbers] > pool.begins[numbers])
    going = known & (begins > pool.begins[numbers]) & (ends >= pool.ends[numbers])
    experts = np.full((len(y), len(pool.experts), pool.horizon), np.nan, dtype=np.float32)
    ahead = np.full((len(y), context), np.nan, dtype=np.float32)
    for some, on in ((np.flatnonzero(~going), False), (np.flatnonzero(going), True)):
        if not len(some):
            continue
        starts = pool.ends[numbers[some]] if on else begins[some]
        lengths = np.maximum(ends[some] - starts, 0)
        x = np.full((max(int(lengths.max()), 1), len(some)), np.nan)
        # Column of y at which each row of x lies; before the history where it leaves a gap.
        column = np.arange(len(x))[:, None] + (y.shape[1] - lengths)
        inside = (column >= lead[some]) & (column < y.shape[1])
        picked = y[some[None, :], np.clip(column, 0, y.shape[1] - 1)]
        x[inside] = picked[inside]
        found = trace(pool, x, lengths, numbers[some], on)
        own = np.arange(len(some))
        experts[some] = forecast(pool, found, lengths, own, pool.horizon)
        tail = pool.tail[numbers[some]].T if on else np.empty((0, len(some)), dtype=np.float32)
        if on:  # the tail may reach back further than the series
            age = (pool.ends - pool.begins)[numbers[some]]
            early = np.arange(-len(tail), 0)[:, None] < -(age - 1)
            tail = np.where(early, np.nan, tail)
        paths = np.concatenate([tail, found.ahead])
        rows = lengths + len(tail) + np.arange(-context, 0)[:, None]
        values = paths[np.clip(rows, 0, len(paths) - 1), own]
        ahead[some] = np.where(rows >= 0, values, np.nan).T
    return Based(experts, ahead)
