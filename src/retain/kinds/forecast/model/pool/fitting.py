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
from retain.kinds.forecast.model.pool import blocks, ranking, regressing, smoothing, subtracting
from retain.kinds.forecast.model.pool.blocks import Block
from retain.kinds.forecast.model.pool.paths import Paths
from retain.kinds.forecast.model.pool.pool import BEST, Expert, Pool
from retain.kinds.forecast.model.pool.subtracting import row_ahead
from retain.kinds.forecast.model.pool.tracing import Trace, forecast, one_ahead
from retain.kinds.forecast.model.pool.tracks import Counts

ORIGINS = 250  # at most, at which candidates are scored
AHEAD = 10  # steps of the horizon, at most, at which they are
SAMPLE = 2_000  # series, at most, over which their errors are averaged
AT_ONCE = 1 << 14  # states that are updated together: they fit into a processor's cache
PRIOR = 10  # weight, in horizons, of all series' errors in the choice for one series
PRIOR_WEIGHT = 2  # and in the weights of the blend
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
    _choose(pool, panel, fitted, until)
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


def _choose(pool: Pool, panel: Panel, fitted: Panel, until: int) -> None:
    """Choose the candidates of each fitted series, by its errors and those of a sample of all."""
    longest = _longest(panel, until)

    def scores(block: Block) -> list[tuple[Floats, Floats]]:
        return _scores(pool, block.y, block.lengths, longest)

    sample = _drawn(panel, SAMPLE)
    scored = [scores(blocks.read(sample, series, until)) for series in blocks.spans(sample)]
    common = [
        ranking.common(np.concatenate([e for e, _ in parts]), np.concatenate([n for _, n in parts]))
        for parts in zip(*scored, strict=True)
    ]
    smoothed = [number for number, name in enumerate(pool.experts) if not Expert.parse(name).lagged]
    for number, ratios in zip(smoothed, common, strict=True):
        pool.chosen[0, number] = np.argsort(ratios, kind="stable")[:BEST]
    for place, series in enumerate(blocks.spans(fitted)):
        rows = slice(1 + series.start, 1 + series.stop)
        block = blocks.read(fitted, series, until)
        pool.begins[rows], pool.ends[rows] = block.begins, until
        parts = scored[place] if sample is fitted else scores(block)
        for number, ratios, (errors, horizons) in zip(smoothed, common, parts, strict=True):
            own = np.where(horizons[:, None] > 0, ranking.ratios(errors), 1.0)
            total = horizons[:, None] * own + PRIOR * ratios
            best = np.argsort(total / (horizons[:, None] + PRIOR), axis=1, kind="stable")
            pool.chosen[rows, number] = best[:, :BEST]


def _regress(pool: Pool, panel: Panel, until: int) -> None:
    """Estimate the weights of autoregressions from all series, or from some evenly drawn."""
    lagged = [name for name in pool.experts if Expert.parse(name).lagged]
    if not lagged:
        return
    most = regressing.CELLS // max(_longest(panel, until), 1)
    sample = _drawn(panel, min(SAMPLE, max(most, 1)))
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


def _longest(panel: Panel, until: int) -> int:
    """Return the steps of the longest series before a grid step."""
    ends = np.minimum(panel.index["first_step"] + panel.index["length"], until)
    return int((ends - panel.index["first_step"]).max())


def _drawn(panel: Panel, most: int) -> Panel:
    """Return a panel of at most so many of its series, evenly drawn."""
    count = len(panel.index)
    if count <= most:
        return panel
    return blocks.among(panel, np.unique(np.linspace(0, count - 1, most).astype(np.int64)))


def _scores(pool: Pool, y: Floats, lengths: Counts, longest: int) -> list[tuple[Floats, Floats]]:
    """Return by expert the errors of all candidates on some series, as `_score` does.

    Args:
        y: (steps, series), left-aligned.
        longest: steps of the longest series of the panel, which determines the spacing of origins.
    """
    logs = np.log1p(np.maximum(y, 0)) if pool.log else y
    scored: list[tuple[Floats, Floats]] = []
    for name in pool.experts:
        expert = Expert.parse(name)
        if expert.lagged:
            continue
        x, size = logs if expert.log else y, len(smoothing.grid(expert.season > 0).alpha)
        errors: Floats = np.zeros((len(lengths), size))
        horizons: Floats = np.zeros(len(lengths))
        width = max(AT_ONCE // size, 1)
        for begin in range(0, len(lengths), width):
            some = slice(begin, begin + width)
            steps = max(int(lengths[some].max()), 1)
            errors[some], horizons[some] = _score(
                expert, x[:steps, some], lengths[some], pool.horizon, longest
            )
        scored.append((errors, horizons))
    return scored


def _score(
    expert: Expert, x: Floats, lengths: Counts, horizon: int, longest: int
) -> tuple[Floats, Floats]:
    """Return mean absolute errors (series, candidates) in its space, and horizons scored."""
    season, gains = expert.season, smoothing.grid(expert.season > 0)
    shape = x.shape[1], len(gains.alpha)
    levels, trends = smoothing.multipliers(expert.difference, horizon)
    ahead = np.unique(np.linspace(0, horizon - 1, min(horizon, AHEAD)).round().astype(int))
    first, stride = _origins(expert, horizon, longest)
    taken = subtracting.of(expert, x)
    rest = x if taken is None else taken.rest(x)
    lag = len(x) - len(rest)
    # Before and after the second start.
    total, seen = np.zeros((2, *shape)), np.zeros((2, x.shape[1]))
    damped = trends[gains.trends].T[ahead, None]  # (steps, 1, candidates)
    single = bool((levels[ahead] == 1).all())
    errors = np.empty((len(ahead), *shape))
    for t, state in smoothing.follow(rest, gains, season):
        at = t + lag
        if at < first or (at - first) % stride:
            continue
        part = int(t >= 2 * season)
        steps = ahead[at + ahead < len(x)]
        error = errors[: len(steps)]
        target = x[at + steps]
        if taken is not None:
            target = target - taken.values[at + row_ahead(steps, taken.season, taken.fresh)]
        np.multiply(state.trend, damped[: len(steps)], out=error)
        level = state.level if single else state.level * levels[steps, None, None]
        np.add(error, level, out=error)
        if state.figures is not None:
            for number, step in enumerate(steps.tolist()):
                figures = state.figures[(t + step) % season]
                np.add(error[number], figures, out=error[number])
        np.subtract(target[..., None], error, out=error)
        np.abs(error, out=error)
        known = np.isfinite(target)
        if not known.all():
            error[~known] = 0
        for of_step in error:
            np.add(total[part], of_step, out=total[part])
        seen[part] += known.sum(axis=0)
    if season:  # a series of three cycles is scored from the second on, where the slope is known
        late = lengths >= 3 * season + horizon
        total[0, late], seen[0, late] = 0, 0
    sums, counts = total[0] + total[1], seen[0] + seen[1]
    return sums / np.maximum(counts, 1)[:, None], counts / (len(ahead) * horizon)


def _origins(expert: Expert, horizon: int, longest: int) -> tuple[int, int]:
    """Return the first origin at which candidates are scored, and the spacing of the next ones.

    The spacing is no multiple of the season, so that every phase is covered.
    """
    first = expert.start + 1 if expert.reach else max(min(2 * horizon, longest // 4), 3)
    return first, ranking.spacing(-(-(longest - first) // ORIGINS), expert.reach)


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
