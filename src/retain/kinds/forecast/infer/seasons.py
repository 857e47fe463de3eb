"""The season of a table: a natural cycle, unless smoothing without one forecasts clearly better.

The error of the seasonal-naive forecast would not tell: where the level grows, or wanders, it says
that there is no season although there is one.
"""

import numpy as np

from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.model import learner
from retain.kinds.forecast.model.pool.pool import Expert, Pool, mix

JUDGED = 500  # windows of a fold, at most
WORTHWHILE = 0.01  # of the error that no season at all must take off the first cycle's
CLEARLY = 0.05  # that a longer cycle must take off a shorter one's

Errors = tuple[float, ...]  # by fold, in deviations of the series


def measure(folds: list[Panel], cycles: tuple[int, ...]) -> dict[int, Errors]:
    """Return the errors of the pool's experts without a season (1), and with each of some cycles.

    NaN where the training part of a fold is too short for a cycle; one that is too long for all
    of them is left out.

    Args:
        folds: panels whose validation parts are forecast, with a pool fitted to what precedes them.
    """
    by_fold = [_errors(cut, cycles) for cut in folds]
    return {
        season: tuple(errors.get(season, float("nan")) for errors in by_fold)
        for season in (1, *cycles)
        if any(season in errors for errors in by_fold)
    }


def choose(errors: dict[int, Errors], cycles: tuple[int, ...]) -> int:
    """Return a cycle, or 1; a tie goes to the first cycle.

    Args:
        cycles: the shortest first.
    """
    if not cycles:
        return 1
    season = cycles[0]
    for other, better in ((1, WORTHWHILE), *((longer, CLEARLY) for longer in cycles[1:])):
        if season in errors and other in errors:
            new, old = np.array(errors[other]), np.array(errors[season])
            both = np.isfinite(new) & np.isfinite(old)
            new, old = new[both], old[both]
            if both.any() and new.mean() < (1 - better) * old.mean() and (new < old).all():
                season = other
    return season


def _errors(cut: Panel, cycles: tuple[int, ...]) -> dict[int, float]:
    windows = Windows(cut, "validation").thinned(JUDGED)
    if not len(windows):
        return {}
    pool, bases = learner.fit_base(cut)
    series, rows = windows.locate(np.arange(len(windows)))
    forecasts = bases.at(series, rows, 1).experts.astype(np.float64)
    truth = np.asarray(cut.values[:, 0], dtype=np.float64)[rows[:, None] + np.arange(pool.horizon)]
    deviation = cut.index["std"].to_numpy(dtype=np.float64)[series, None]
    errors = {}
    seasons = {Expert.parse(name).reach for name in pool.experts}
    for season in (1, *cycles):
        if season > 1 and season not in seasons:
            continue
        blend = mix(forecasts, _weights(pool, season)[series + 1], pool.log)
        errors[season] = float(np.nanmean(np.abs(truth - blend) / deviation))
    return errors


def _weights(pool: Pool, season: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the pool's weights of the experts with a season and of those without one."""
    own = [Expert.parse(name).reach for name in pool.experts]
    used = np.where(np.isin(own, (0, season)), pool.weights, 0.0)
    used = used + np.where(np.array(own) == 0, 1e-9, 0.0)  # a series may have weight nowhere else
    weights: np.ndarray[tuple[int, int], np.dtype[np.float64]] = used / used.sum(
        axis=1, keepdims=True
    )
    return weights
