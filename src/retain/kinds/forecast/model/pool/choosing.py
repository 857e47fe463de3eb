"""Choose the candidates of each series, by their past errors at the given horizon.

Of a panel, all candidates are scored on some series, and the others on the best of these alone:
few of hundreds are ever among the best, and they are the same for most series of a panel.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.model.pool import blocks, ranking, smoothing, subtracting
from retain.kinds.forecast.model.pool.blocks import Block
from retain.kinds.forecast.model.pool.pool import BEST, Expert, Pool
from retain.kinds.forecast.model.pool.smoothing import Gains
from retain.kinds.forecast.model.pool.subtracting import row_ahead
from retain.kinds.forecast.model.pool.tracks import Counts

ORIGINS = 250  # at most, at which candidates are scored
AHEAD = 10  # steps of the horizon, at most, at which they are
FIRST = 128  # series, at most, on which all candidates are scored
SAMPLE = 2_000  # series, at most, over which the errors of those that remain are averaged
PLACES = 2 * BEST  # a candidate remains if it is among so many best of one of the first series
AT_ONCE = 1 << 14  # states that are updated together: they fit into a processor's cache
PRIOR = 10  # weight, in horizons, of all series' errors in the choice for one series


class Scored(NamedTuple):
    """Candidates of an expert, scored on some series.

    Attributes:
        errors: (series, candidates), mean absolute errors.
        horizons: (series,), in which they were scored.
    """

    errors: Floats
    horizons: Floats

    def common(self) -> Floats:
        """Return the mean ratio of each candidate over the series."""
        return ranking.common(self.errors, self.horizons)

    def best(self, common: Floats, count: int) -> NDArray[np.int64]:
        """Return the numbers of the best candidates of each series, (series, count).

        Args:
            common: the candidates' ratios over all series, towards which its own are shrunk.
        """
        weight = self.horizons[:, None]
        own = np.where(weight > 0, ranking.ratios(self.errors), 1.0)
        total = (weight * own + PRIOR * common) / (weight + PRIOR)
        return np.argsort(total, axis=1, kind="stable")[:, :count]


def choose(pool: Pool, panel: Panel, fitted: Panel, until: int) -> None:
    """Choose the candidates of each fitted series, by its errors and those of a sample of all."""
    places = [n for n, name in enumerate(pool.experts) if not Expert.parse(name).lagged]
    experts = [Expert.parse(pool.experts[place]) for place in places]
    grids = [smoothing.grid(expert.season > 0) for expert in experts]
    longest = blocks.longest(panel, until)

    def scores(block: Block) -> list[Scored]:
        return _scores(pool, experts, grids, block, longest)

    def sampled(most: int) -> tuple[Panel, list[list[Scored]], list[Scored]]:
        sample = blocks.drawn(panel, most)
        parts = [scores(blocks.read(sample, series, until)) for series in blocks.spans(sample)]
        return sample, parts, [_joined(of_expert) for of_expert in zip(*parts, strict=True)]

    sample, parts, found = sampled(FIRST)
    if len(panel.index) > FIRST:
        grids = [grid[_lasting(one)] for grid, one in zip(grids, found, strict=True)]
        sample, parts, found = sampled(SAMPLE)
    common = [one.common() for one in found]
    for place, grid, ratios in zip(places, grids, common, strict=True):
        pool.chosen[0, place] = grid.numbers[np.argsort(ratios, kind="stable")[:BEST]]
    for number, series in enumerate(blocks.spans(fitted)):
        rows = slice(1 + series.start, 1 + series.stop)
        block = blocks.read(fitted, series, until)
        pool.begins[rows], pool.ends[rows] = block.begins, until
        own = parts[number] if sample is fitted else scores(block)
        for place, grid, ratios, one in zip(places, grids, common, own, strict=True):
            pool.chosen[rows, place] = grid.numbers[one.best(ratios, BEST)]


def _joined(parts: tuple[Scored, ...]) -> Scored:
    errors, horizons = zip(*parts, strict=True)
    return Scored(np.concatenate(errors), np.concatenate(horizons))


def _lasting(found: Scored) -> NDArray[np.int64]:
    """Return the candidates that are among the best of any series, in the order of the grid."""
    return np.unique(found.best(found.common(), PLACES))


def _scores(
    pool: Pool, experts: list[Expert], grids: list[Gains], block: Block, longest: int
) -> list[Scored]:
    """Return by expert the errors of the candidates of its grid on the series of a block.

    Args:
        longest: steps of the longest series of the panel, which determines the spacing of origins.
    """
    y, lengths = block.y, block.lengths
    logs = np.log1p(np.maximum(y, 0)) if pool.log else y
    scored: list[Scored] = []
    for expert, grid in zip(experts, grids, strict=True):
        x, size = logs if expert.log else y, len(grid.numbers)
        errors: Floats = np.zeros((len(lengths), size))
        horizons: Floats = np.zeros(len(lengths))
        width = max(AT_ONCE // size, 1)
        for begin in range(0, len(lengths), width):
            some = slice(begin, begin + width)
            steps = max(int(lengths[some].max()), 1)
            errors[some], horizons[some] = _score(
                expert, grid, x[:steps, some], lengths[some], pool.horizon, longest
            )
        scored.append(Scored(errors, horizons))
    return scored


def _score(
    expert: Expert, gains: Gains, x: Floats, lengths: Counts, horizon: int, longest: int
) -> tuple[Floats, Floats]:
    """Return mean absolute errors (series, candidates) in its space, and horizons scored."""
    season = expert.season
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
