"""Fit the pool: the candidates of each series, and the weights of the experts.

Both depend on past errors at the given horizon, and are shrunk towards those of all series: one
series has few independent errors, and the best of 300 candidates on them is mostly a matter of luck
(James & Stein 1961; Montero-Manso & Hyndman 2021, doi:10.1016/j.ijforecast.2021.03.004, on local
and global choices). Several candidates and experts are averaged instead of selecting one (Bates &
Granger 1969).
"""

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.data.cycles import natural
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.model.pool import blocks, choosing, ranking, regressing
from retain.kinds.forecast.model.pool.blocks import Block
from retain.kinds.forecast.model.pool.paths import Paths
from retain.kinds.forecast.model.pool.pool import Expert, Pool
from retain.kinds.forecast.model.pool.tracing import Trace, forecast, one_ahead
from retain.kinds.forecast.model.pool.tracks import Counts

SAMPLE = 2_000  # series, at most, from which autoregressions are estimated
PRIOR_WEIGHT = 2  # horizons of all series' errors in the weights of the blend of one
YEARLY = 52  # steps of a season of weeks or days that is a year's: a figure has its neighbours
SHORTEST = 10  # steps, besides two horizons, for an autoregression
TOGETHER = 1 << 12  # origins at which experts are weighed at once
SHARPNESS = 6  # weights fall with this power of the error


def fit(panel: Panel, until: int, log: bool, among: Counts | None = None) -> Pool:
    """Fit to the rows before a grid step; the states are those at this step.

    Args:
        log: whether there are experts of log1p, too, and the blend is computed there.
        among: the series that are fitted, whose rows in the pool are in this order; all by default.
            Their candidates are the same as if all were. Their weights are shrunk towards those of
            the series that are fitted.
    """
    data = panel.schema.data
    fitted = panel if among is None else blocks.among(panel, among)
    experts, count = names(panel, until, log), len(fitted.index)
    pool = Pool.empty(experts, data["horizon"], data["context_length"], log, count)
    choosing.choose(pool, panel, fitted, until)
    _regress(pool, panel, until)
    paths = Paths(pool, fitted, np.arange(1, count + 1), until)
    _weigh(pool, paths)
    for number in reversed(range(len(paths.spans))):  # the last ones are in the cache
        series, block, found = paths.spans[number], paths[number].block, paths[number].found
        own, rows = np.arange(block.y.shape[1]), slice(1 + series.start, 1 + series.stop)
        for name, state in zip(pool.experts, found.states, strict=True):
            pool.states[name][rows] = state
        pool.extremes[rows] = np.nan_to_num(found.extremes[:, block.lengths, own].T)
        at = block.lengths + np.arange(-pool.tail.shape[1], 0)[:, None]
        tail = one_ahead(pool, found, np.maximum(at, 0), own + rows.start)
        pool.tail[rows] = np.where(at >= 1, tail, 0).T
    return pool


def names(panel: Panel, until: int, log: bool) -> tuple[str, ...]:
    """Return the experts of a panel: one without a season, three for each natural season, and one
    autoregression, which reads the shortest.

    A season needs a median series of one cycle and two horizons, whatever the error of the naive
    forecast; for moving averages and the autoregression, three cycles and a horizon.
    """
    index, data = panel.index, panel.schema.data
    first = index["first_step"].to_numpy()
    lengths = np.maximum(np.minimum(first + index["length"].to_numpy(), until) - first, 0)
    middle = float(np.median(lengths[lengths > 0])) if (lengths > 0).any() else 0.0
    seasons = {*natural(panel.schema.frequency), data["season_length"]}
    used = sorted(m for m in seasons if m > 1 and m + 2 * data["horizon"] <= middle)
    kinds = ["es"]
    several = [m for m in used if 3 * m + data["horizon"] <= middle]
    for m in used:
        figures = "cs" if m >= YEARLY and panel.schema.frequency[:1] in "WDB" else "cd"
        kinds += [f"{kind}-{m}" for kind in ("hw", "sd", *((figures,) if m in several else ()))]
    if used[:1] == several[:1] and middle >= SHORTEST + 2 * data["horizon"]:
        kinds.append(f"ar-{used[0]}" if used else "ar")
    return tuple(space + kind for space in (("", "log ") if log else ("",)) for kind in kinds)


def _regress(pool: Pool, panel: Panel, until: int) -> None:
    """Estimate the weights of autoregressions from all series, or from some evenly drawn."""
    lagged = [name for name in pool.experts if Expert.parse(name).lagged]
    if not lagged:
        return
    most = regressing.CELLS // max(blocks.longest(panel, until), 1)
    sample = blocks.drawn(panel, min(SAMPLE, max(most, 1)))
    read = [blocks.read(sample, series, until) for series in blocks.spans(sample)]
    parts = [(block.y, block.lengths) for block in read]
    lengths = np.concatenate([own for _, own in parts])
    steps = max(len(y) for y, _ in parts)
    padded = [np.pad(y, ((0, steps - len(y)), (0, 0)), constant_values=np.nan) for y, _ in parts]
    y = np.concatenate(padded, axis=1)[: max(int(lengths.max()), 1)]
    for name in lagged:
        expert = Expert.parse(name)
        x = np.log1p(np.maximum(y, 0)) if expert.log else y
        pool.filters[name][:] = regressing.fit(expert, x, lengths, pool.horizon)


def _weigh(pool: Pool, paths: Paths) -> None:
    """Blend the experts of each series by their errors at its last origins."""
    experts = [Expert.parse(name) for name in pool.experts]
    # A series that is not scored may use experts that started a horizon before its end.
    starts = np.array([expert.start + pool.horizon for expert in experts])
    reach = max(2 * max(expert.reach for expert in experts), 8 * pool.horizon)
    usable = (pool.ends - pool.begins)[1:, None] >= starts
    usable[:, [expert.start == 1 for expert in experts]] = True  # the fallback of all others
    usable[(pool.ends <= pool.begins)[1:]] = True  # a late series counts as a new one
    errors, horizons = np.zeros(usable.shape), np.zeros(len(usable))
    for number, series in enumerate(paths.spans):
        # All experts are scored at the same origins, from the start of the last one.
        begin = np.max(np.where(usable[series], starts - pool.horizon, 1), axis=1)
        path = paths[number]
        errors[series], horizons[series] = _recent(pool, path.block, path.found, begin, reach)
    logs = np.where(horizons[:, None] > 0, np.log(ranking.ratios(errors)), 0.0)
    scored = logs[horizons > 0]
    overall = np.cumsum(scored, axis=0)[-1] / len(scored) if len(scored) else np.zeros(len(experts))
    n = horizons[:, None]
    shrunk = (n * logs + PRIOR_WEIGHT * overall) / (n + PRIOR_WEIGHT)
    raw = np.exp(-SHARPNESS * np.concatenate([overall[None], shrunk]))
    raw[1:][~usable] = 0
    pool.weights[:] = raw / np.cumsum(raw, axis=1)[:, -1:]


def _recent(
    pool: Pool, block: Block, found: Trace, begin: Counts, reach: int
) -> tuple[Floats, NDArray[np.float64]]:
    """Return mean absolute errors (series, experts) over the last origins, and horizons scored.

    Args:
        begin: (series,), the first origin of each.
        reach: the most origins.
    """
    count, horizon = block.y.shape[1], pool.horizon
    errors, seen = np.zeros((count, len(pool.experts))), np.zeros(count)
    backs = np.arange(min(reach, len(block.y)), 0, -1)
    for several in np.array_split(backs, -(-len(backs) * count // TOGETHER)):
        origins = block.lengths - several[:, None]
        number, own = np.nonzero(origins >= begin)
        if not len(own):
            continue
        at = origins[number, own]
        rows = np.minimum(at[:, None] + np.arange(horizon), len(block.y) - 1)
        target = block.y[rows, own[:, None]]
        known = np.isfinite(target) & (np.arange(horizon) < several[number][:, None])
        miss = np.abs(target[:, None] - forecast(pool, found, at, own, horizon))
        total = np.cumsum(np.where(known[:, None], miss, 0), axis=2)[..., -1]
        np.add.at(errors, own, total)  # one after another, in the order of origins
        np.add.at(seen, own, known.sum(axis=1))
    return errors / np.maximum(seen, 1)[:, None], seen / horizon**2
