"""Fit the pool: which candidates suit each series, and how the experts are blended.

Both are chosen by past errors at the horizon wanted, and shrunk towards what suits all series: one
series has few independent errors, and the best of 300 candidates on them is the luckiest
(James & Stein 1961; Montero-Manso & Hyndman 2021, doi:10.1016/j.ijforecast.2021.03.004, on local
and global choices). Several candidates and experts are averaged, not picked (Bates & Granger 1969).
"""

from math import gcd

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.data.cycles import natural
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.model.pool import blocks, smoothing
from retain.kinds.forecast.model.pool.pool import BEST, Expert, Pool
from retain.kinds.forecast.model.pool.running import Trace, forecast, trace

ORIGINS = 250  # at most, at which candidates are scored
AHEAD = 24  # steps of the horizon, at most, at which they are
SAMPLE = 2_000  # series, at most, over which errors are averaged
AT_ONCE = 1 << 15  # states that are moved on at once: they stay in a processor's cache
PRIOR = 10  # horizons' worth of errors that all series add to the choice of one
PRIOR_WEIGHT = 3  # and to the weights of the blend
SHARPNESS = 4  # weights fall with this power of the error
WORST = 10.0  # times the error of the best, beyond which it does not matter how bad one is

Choice = list[tuple[Floats, Floats]]  # by expert: errors (series, candidates), horizons (series,)


def fit(panel: Panel, until: int, log: bool) -> Pool:
    """Fit to the rows before a grid step; the states are those as of it.

    Args:
        log: whether there are experts of log1p, too, and the blend is mixed there.
    """
    horizon, count = panel.schema.data["horizon"], len(panel.index)
    experts = names(panel, until, log)
    pool = Pool.empty(experts, horizon, log, count)
    sampled = np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.int64))
    found: list[list[tuple[Floats, Floats]]] = [[] for _ in experts]
    longest = int(
        (
            np.minimum(panel.index["first_step"] + panel.index["length"], until)
            - panel.index["first_step"]
        ).max()
    )
    for span in blocks.spans(panel):
        block = blocks.read(panel, *span, until)
        some = sampled[(sampled >= span[0].start) & (sampled < span[0].stop)] - block.first
        for number, scored in enumerate(
            _scores(experts, block.y[:, some], block.lengths[some], horizon, longest)
        ):
            found[number].append(scored)
    common = [_common(parts) for parts in found]
    for number, ratios in enumerate(common):
        pool.chosen[0, number] = np.argsort(ratios, kind="stable")[:BEST]
    for place, span in enumerate(blocks.spans(panel)):
        block = blocks.read(panel, *span, until)
        rows = slice(1 + span[0].start, 1 + span[0].stop)
        pool.begins[rows] = block.begins
        pool.ends[rows] = np.maximum(until, block.begins)
        own = [parts[place] for parts in found]
        if len(sampled) < count:
            own = _scores(experts, block.y, block.lengths, horizon, longest)
        for number, (errors, horizons) in enumerate(own):
            pool.chosen[rows, number] = _choose(errors, horizons, common[number])
    return _weigh(pool, panel, until)


def names(panel: Panel, until: int, log: bool) -> tuple[str, ...]:
    """Return the experts of a panel: one without a season, and two for each natural season.

    Those of which the median series has a cycle, and two horizons to judge by, whatever the error
    of the naive forecast.
    """
    index = panel.index
    first = index["first_step"].to_numpy()
    lengths = np.maximum(np.minimum(first + index["length"].to_numpy(), until) - first, 0)
    middle = float(np.median(lengths[lengths > 0])) if (lengths > 0).any() else 0.0
    seasons = {*natural(panel.schema.frequency), panel.schema.data["season_length"]}
    used = sorted(m for m in seasons if m > 1 and m + 2 * panel.schema.data["horizon"] <= middle)
    kinds = [("es", 0), *((kind, m) for m in used for kind in ("hw", "sd"))]
    spaces = (False, True) if log else (False,)
    return tuple(Expert(kind, m, space).name for space in spaces for kind, m in kinds)


def _scores(
    experts: tuple[str, ...], y: Floats, lengths: NDArray[np.int64], horizon: int, longest: int
) -> Choice:
    """Return for each expert the mean error of every candidate on some series.

    Args:
        y: (steps, series), left-aligned.
        longest: steps of the longest series of the panel, by which origins are spaced.
    """
    scored: Choice = []
    for name in experts:
        expert = Expert.parse(name)
        size = len(smoothing.grid(expert.kind).alpha)
        width = max(AT_ONCE // size, 1)
        x = np.log1p(np.maximum(y, 0)) if expert.log else y
        errors, horizons = np.zeros((y.shape[1], size)), np.zeros(y.shape[1])
        for begin in range(0, y.shape[1], width):
            some = slice(begin, begin + width)
            steps = max(int(lengths[some].max()), 1)
            errors[some], horizons[some] = _score(
                expert, x[:steps, some], lengths[some], horizon, longest
            )
        scored.append((errors, horizons))
    return scored


def _score(
    expert: Expert, x: Floats, lengths: NDArray[np.int64], horizon: int, longest: int
) -> tuple[Floats, Floats]:
    """Return mean absolute errors (series, candidates) in its space, and horizons scored."""
    m, gains = expert.season, smoothing.grid(expert.kind)
    size, count = len(gains.alpha), x.shape[1]
    ahead = np.unique(np.linspace(0, horizon - 1, min(horizon, AHEAD)).round().astype(int))
    levels, trends = smoothing.multipliers(expert.kind, m, horizon)
    trends = trends[_trends(expert.kind)].T  # (horizon, candidates)
    first = m + 1 if m else max(min(2 * horizon, longest // 4), 3)
    stride = max(1, -(-(longest - first) // ORIGINS))
    while m and stride > 1 and gcd(stride, m) > 1:
        stride += 1
    season, lag, filled = 0, 0, x
    if expert.kind == "hw":
        season = m
    elif m:
        filled, lag = smoothing.fill(x, m), m
    changes = x[lag:] - filled[: len(x) - lag] if lag else x
    total, seen = np.zeros((2, count, size)), np.zeros((2, count))
    error, scratch = np.empty((count, size)), np.empty((count, size))
    for t, state in smoothing.follow(changes, gains, season) if len(changes) else ():
        at = t + lag
        if at < first or (at - first) % stride or at >= len(x):
            continue
        again = int(expert.kind == "hw" and at >= 2 * m)
        for h in ahead:
            if at + h >= len(x):
                break
            target = x[at + h]
            known = np.isfinite(target)
            if not known.any():
                continue
            if lag:
                target = target - filled[at + h - m * (1 + h // m)]
            np.multiply(state.trend, trends[h], out=scratch)
            np.multiply(state.level, levels[h], out=error)
            np.add(error, scratch, out=error)
            if state.figures is not None:
                np.add(error, state.figures[(at + h) % m], out=error)
            np.subtract(target[:, None], error, out=error)
            np.abs(error, out=error)
            if not known.all():
                error[~known] = 0
            np.add(total[again], error, out=total[again])
            seen[again] += known
    # A series of three cycles is judged from the second on, where the slope is known.
    late = lengths >= 3 * m + horizon
    total = np.where(late[:, None], total[1], total[0] + total[1]) if season else total[0]
    seen = np.where(late, seen[1], seen[0] + seen[1]) if season else seen[0]
    return total / np.maximum(seen, 1)[:, None], seen / (len(ahead) * horizon)


def _trends(kind: str) -> NDArray[np.int64]:
    gains = smoothing.grid(kind)
    return np.array(
        [smoothing.TRENDS.index(pair) for pair in zip(gains.beta, gains.phi, strict=True)]
    )


def _ratios(errors: Floats) -> Floats:
    """Return errors as multiples of the least of each row; 1 where that is 0 as well."""
    least = errors.min(axis=1, keepdims=True)
    floor = np.maximum(least, np.finfo(np.float32).tiny)
    return np.where(errors > WORST * floor, WORST, np.maximum(errors / floor, 1.0))


def _common(parts: list[tuple[Floats, Floats]]) -> Floats:
    """Return the mean ratio of every candidate over series that have been scored."""
    errors = np.concatenate([errors[horizons > 0] for errors, horizons in parts])
    if not len(errors):
        return np.ones(parts[0][0].shape[1])
    mean: Floats = np.cumsum(_ratios(errors), axis=0)[-1] / len(errors)
    return mean


def _choose(errors: Floats, horizons: Floats, common: Floats) -> NDArray[np.int64]:
    """Return the numbers of the BEST candidates of each series, shrunk towards all series."""
    n = horizons[:, None]
    own = np.where(n > 0, _ratios(errors), 1.0)
    scores = (n * own + PRIOR * common) / (n + PRIOR)
    return np.argsort(scores, axis=1, kind="stable")[:, :BEST]


def _weigh(pool: Pool, panel: Panel, until: int) -> Pool:
    """Return the pool with weights, states and what else there is at its end."""
    experts = [Expert.parse(name) for name in pool.experts]
    longest = max(expert.season for expert in experts)
    reach = max(2 * longest, 8 * pool.horizon)
    count = len(panel.index)
    errors, horizons = np.zeros((count, len(experts))), np.zeros(count)
    for span in blocks.spans(panel):
        block = blocks.read(panel, *span, until)
        numbers = np.arange(1 + span[0].start, 1 + span[0].stop)
        found = trace(pool, block.y, block.lengths, numbers)
        errors[span[0]], horizons[span[0]] = _recent(pool, found, block, reach)
    scored = horizons > 0
    usable = pool.begins[1:, None] + [e.season + pool.horizon for e in experts] <= until
    logs = np.where(scored[:, None], np.log(_ratios(errors)), 0.0)
    overall = np.cumsum(logs[scored], axis=0)[-1] / scored.sum() if scored.any() else 0.0 * logs[0]
    n = horizons[:, None]
    shrunk = (n * logs + PRIOR_WEIGHT * overall) / (n + PRIOR_WEIGHT)
    raw = np.exp(-SHARPNESS * np.concatenate([overall[None], shrunk]))
    raw[1:] = np.where(usable | ~usable.any(axis=1, keepdims=True), raw[1:], 0)
    weights = raw / raw.cumsum(axis=1)[:, -1:]
    pool.weights[:] = weights
    for span in blocks.spans(panel):
        block = blocks.read(panel, *span, until)
        rows = slice(1 + span[0].start, 1 + span[0].stop)
        numbers = np.arange(rows.start, rows.stop)
        found = trace(pool, block.y, block.lengths, numbers)
        own = np.arange(len(numbers))
        for name, state in zip(pool.experts, found.states, strict=True):
            pool.states[name][rows] = state
        extremes = found.extremes[:, block.lengths, own].T
        pool.extremes[rows] = np.nan_to_num(extremes)
        size = pool.tail.shape[1]
        at = block.lengths[:, None] + np.arange(-size, 0)
        tail = found.ahead[np.clip(at, 0, len(block.y) - 1), own[:, None]]
        pool.tail[rows] = np.where(at >= 1, np.nan_to_num(tail), 0)
    return pool


def _recent(
    pool: Pool, found: Trace, block: blocks.Block, reach: int
) -> tuple[Floats, NDArray[np.float64]]:
    """Return mean absolute errors (series, experts) over the last origins, and horizons scored."""
    count, horizon = block.y.shape[1], pool.horizon
    errors = np.zeros((count, len(pool.experts)))
    seen = np.zeros(count)
    steps = np.arange(horizon)
    for back in range(reach, 0, -1):
        at = block.lengths - back
        own = np.flatnonzero(at >= 1)
        if not len(own):
            continue
        at = at[own]
        rows = at[:, None] + steps
        inside = rows < block.lengths[own][:, None]
        target = block.y[np.minimum(rows, len(block.y) - 1), own[:, None]]
        inside &= np.isfinite(target)
        miss = np.abs(target[:, None] - forecast(pool, found, at, own, horizon))
        miss = np.where(inside[:, None], miss, 0)
        errors[own] += np.cumsum(miss, axis=2)[..., -1]
        seen[own] += inside.sum(axis=1)
    return errors / np.maximum(seen, 1)[:, None], seen / horizon / horizon
