"""Scores of probabilistic forecasts on overlapping windows, summed batch by batch.

Only sums by forecast origin, by step ahead and by series are kept, so the memory needed does not
grow with the number of windows. Differences between models are judged by a moving-block bootstrap
over the origins, because neighbouring windows share most of their errors.
"""

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats
from retain.evaluation.bootstrap import Interval, moving_block

MEASURES = ("absolute", "square", "scaled", "symmetric", "pinball", "covered", "width", "size")


def measures(truth: Floats, quantiles: Floats, levels: tuple[float, ...], scale: Floats) -> Floats:
    """Compute each of MEASURES for each forecast value: (measure, windows, horizon).

    Args:
        truth: (windows, horizon), NaN where missing.
        quantiles: (windows, horizon, levels); the level 0.5 is the point forecast.
        levels: must hold 0.1, 0.5 and 0.9.
        scale: (windows,) the MASE scale of each window's series, NaN where it has none.
    """
    low, point, high = (quantiles[..., levels.index(level)] for level in (0.1, 0.5, 0.9))
    error = truth - point
    sizes = np.abs(truth) + np.abs(point)
    symmetric = np.divide(200 * np.abs(error), sizes, out=np.zeros_like(error), where=sizes != 0)
    missed = truth[..., None] - quantiles  # (windows, horizon, levels)
    weights = np.array(levels)
    pinball = np.maximum(weights * missed, (weights - 1) * missed)
    covered = ((truth >= low) & (truth <= high)).astype(np.float64)
    values = np.stack(
        [
            np.abs(error),
            error**2,
            np.abs(error) / scale[:, None],
            symmetric,
            2 * pinball.mean(-1),  # CRPS as the mean over quantiles (Gneiting & Ranjan 2011)
            covered,
            high - low,
            np.abs(truth),
        ]
    )
    values[:, np.isnan(truth)] = np.nan
    return values


class MetricSums:
    """Running sums of one model's measures.

    Args:
        first_step: grid step of the first possible forecast origin.
        steps: how many origins there may be.
        horizon, series: the lengths of the other two sums.
    """

    def __init__(
        self, first_step: int, steps: int, horizon: int, series: int, levels: tuple[float, ...]
    ):
        self.first_step, self.levels = first_step, levels
        self.by_origin = np.zeros((2, len(MEASURES), steps))  # sums, counts
        self.by_step = np.zeros((2, len(MEASURES), horizon))
        self.by_series = np.zeros((2, len(MEASURES), series))
        self.below = np.zeros((2, len(levels)))  # truths at or below each quantile, all truths
        self.not_finite = 0
        self.by_window: list[Floats] = []  # mean absolute error of each window, in order

    def add(
        self,
        step: NDArray[np.int64],
        series: NDArray[np.int64],
        truth: Floats,
        quantiles: Floats,
        scale: Floats,
    ) -> None:
        """Add windows; `step` is each one's origin, `series` its number from 0."""
        self.not_finite += int(np.count_nonzero(~np.isfinite(quantiles)))
        values = measures(truth, quantiles, self.levels, scale)
        # What is left out depends on the truth alone: a forecast that is not a number must count.
        known = np.isfinite(truth)
        seen = np.repeat(known[None], len(MEASURES), axis=0)
        seen[MEASURES.index("scaled")] &= np.isfinite(scale)[:, None]
        both = np.stack([np.where(seen, values, 0.0), seen])  # (2, measures, windows, horizon)
        self.by_step += both.sum(2)
        windows = both.sum(3)  # (2, measures, windows)
        for target, places in (
            (self.by_origin, step - self.first_step),
            (self.by_series, series),
        ):
            for kind in range(2):
                for number in range(len(MEASURES)):
                    target[kind, number] += np.bincount(
                        places, weights=windows[kind, number], minlength=target.shape[2]
                    )
        self.by_window.append(windows[0, 0] / windows[1, 0])
        self.below += [
            (truth[known][:, None] <= quantiles[known]).sum(0),
            np.full(len(self.levels), known.sum()),
        ]

    def scores(self) -> dict[str, float]:
        """Return the figures of metrics.json, over all windows that were added."""
        return {**_scores(*self.by_origin.sum(2)), "not_finite": self.not_finite}

    def mae_by_step(self) -> Floats:
        """Compute the mean absolute error at each step ahead; NaN where nothing was observed."""
        return _ratio(*self.by_step[:, MEASURES.index("absolute")])

    def scores_by_series(self) -> list[dict[str, float]]:
        """Return the same figures as `scores`, for each series."""
        return [_scores(*self.by_series[:, :, n]) for n in range(self.by_series.shape[2])]


def _ratio(sums: Floats, counts: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.where(counts > 0, sums / counts, np.nan)


def _scores(sums: Floats, counts: Floats) -> dict[str, float]:
    mean = dict(zip(MEASURES, _ratio(sums, counts).tolist(), strict=True))
    return {
        "mae": mean["absolute"],
        "rmse": float(np.sqrt(mean["square"])),
        "mase": mean["scaled"],
        "smape": mean["symmetric"],
        "crps": mean["pinball"],
        "wql": mean["pinball"] / mean["size"] if mean["size"] else float("nan"),
        "coverage_80": mean["covered"],
        "width_80": mean["width"],
    }


COMPARED = {"mae": "absolute", "crps": "pinball"}  # metrics by which models are compared


def difference(
    ours: MetricSums, theirs: MetricSums, metric: str, block: int, draws: int, seed: int
) -> Interval:
    """Subtract the score of `theirs` from that of `ours`, by a bootstrap over forecast origins.

    The same origins are drawn for both models.

    Args:
        metric: one of COMPARED.
        block: at least the horizon, since windows that overlap share their errors.
    """
    measure = MEASURES.index(COMPARED[metric])
    # our sums, our counts, their sums, their counts: (4, origins)
    both = np.concatenate([ours.by_origin[:, measure], theirs.by_origin[:, measure]])
    used = np.flatnonzero(both[1] + both[3])
    both = both[:, used[0] : used[-1] + 1]
    return moving_block(
        both, lambda sums: _ratio(sums[0], sums[1]) - _ratio(sums[2], sums[3]), block, draws, seed
    )
