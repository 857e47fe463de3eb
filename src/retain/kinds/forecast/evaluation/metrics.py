"""Scores of probabilistic forecasts on overlapping windows, summed batch by batch.

Only sums by forecast origin, by step ahead and by series are kept, so the memory needed does not
grow with the number of windows.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retain.evaluation import bootstrap
from retain.evaluation.arrays import Floats
from retain.evaluation.results import Interval, Share

MEASURES = (
    *("absolute", "square", "scaled", "symmetric", "pinball", "covered", "width", "size"),
    *("square_scaled", "signed", "zero"),
)
SCALES = ("mase_scale", "rmsse_scale")  # columns of a panel's index
MOST_ZEROS = 0.2  # share of zeros in the truths up to which the symmetric error is meaningful


def measures(truth: Floats, forecast: Floats, levels: tuple[float, ...], scales: Floats) -> Floats:
    """Compute each of MEASURES for each forecast value: (measure, windows, horizon).

    Args:
        truth: (windows, horizon), NaN where missing.
        forecast: (windows, horizon, levels + 1): quantiles, of which the median is the point
            forecast, and the mean, which `square_scaled` and `signed` are of.
        levels: must hold 0.1, 0.5 and 0.9.
        scales: (windows, 2) SCALES of each window's series, NaN where it has none.
    """
    quantiles, mean = forecast[..., :-1], forecast[..., -1]
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
            np.abs(error) / scales[:, :1],
            symmetric,
            2 * pinball.mean(-1),  # CRPS as the mean over quantiles (Gneiting & Ranjan 2011)
            covered,
            high - low,
            np.abs(truth),
            (truth - mean) ** 2 / scales[:, 1:],
            mean - truth,
            (truth == 0).astype(np.float64),
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
        unit: the smallest difference of two values: 1 for counts, 0 for continuous values.
        first_series: the number of the first series.
    """

    def __init__(
        self,
        first_step: int,
        steps: int,
        horizon: int,
        series: int,
        levels: tuple[float, ...],
        unit: float = 0.0,
        first_series: int = 0,
    ):
        self.first_step, self.levels, self.unit = first_step, levels, unit
        self.first_series = first_series
        self.by_origin = np.zeros((2, len(MEASURES), steps))  # sums, counts
        self.by_step = np.zeros((2, len(MEASURES), horizon))
        self.by_series = np.zeros((2, len(MEASURES), series))
        self.below_by_origin = np.zeros((len(levels), steps))  # truths at or below each quantile
        # And the truths below it, and at or below it, by the unit of the values: the first and the
        # last.
        self.rounded_by_origin = np.zeros((2, len(levels), steps))
        self.not_finite = 0
        self.by_window: list[Floats] = []  # mean absolute error of each window, in order

    def add(
        self,
        step: NDArray[np.int64],
        series: NDArray[np.int64],
        truth: Floats,
        forecast: Floats,
        scales: Floats,
    ) -> None:
        """Add windows; `step` is each one's origin, `series` its number from 0.

        They are quickest in order of series; the sums of any other order are as right.
        The other arguments are those of `measures`.
        """
        self.not_finite += int(np.count_nonzero(~np.isfinite(forecast)))
        values = measures(truth, forecast, self.levels, scales)
        # Only missing truths are left out: a forecast that is NaN must count.
        known = np.isfinite(truth)
        values = np.where(known, values, 0.0)
        windows = np.empty((2, *values.shape[:2]))  # (2, measures, windows)
        windows[1] = known.sum(1)
        self.by_step[1] += known.sum(0)
        for measure, scale in zip(("scaled", "square_scaled"), scales.T, strict=True):
            number, without = MEASURES.index(measure), ~np.isfinite(scale)
            values[number, without] = 0.0
            windows[1, number, without] = 0
            self.by_step[1, number] -= known[without].sum(0)
        windows[0] = values.sum(2)
        self.by_step[0] += values.sum(1)
        # Windows are in order of series: for a batch, read the sums of a few series, not of all.
        first, last = int(series.min()), int(series.max())
        few = slice(first - self.first_series, last - self.first_series + 1)
        for target, places in (
            (self.by_origin, step - self.first_step),
            (self.by_series[:, :, few], series - first),
        ):
            _add(target, windows, places)
        self.by_window.append(windows[0, 0] / windows[1, 0])
        quantiles = np.ascontiguousarray(np.moveaxis(forecast[..., :-1], -1, 0))
        half = self.unit / 2
        for hits, hit in (  # of a missing truth: no
            (self.below_by_origin, truth <= quantiles),
            (self.rounded_by_origin[0], truth < quantiles - half),
            (self.rounded_by_origin[1], truth <= quantiles + half),
        ):
            _add(hits, hit.sum(-1), step - self.first_step)

    def merge(self, part: "MetricSums") -> None:
        """Add the sums of further windows, of some of the series and the same origins."""
        self.by_origin += part.by_origin
        self.by_step += part.by_step
        begin = part.first_series - self.first_series
        self.by_series[:, :, begin : begin + part.by_series.shape[2]] += part.by_series
        self.below_by_origin += part.below_by_origin
        self.rounded_by_origin += part.rounded_by_origin
        self.not_finite += part.not_finite
        self.by_window += part.by_window

    @property
    def below(self) -> Floats:
        """Count the truths at or below each quantile, and all truths: (2, levels)."""
        below = self.below_by_origin.sum(1)
        return np.stack([below, np.full_like(below, self.by_origin[1, 0].sum())])

    def calibration(self) -> dict[str, Share]:
        """Return the shares of truths at or below each quantile, with their random deviations.

        And, as `coverage_80`, the share of those within the 80 % interval. Many counts equal a
        quantile, such as 0. Then the quantile is right if its level lies between the share of
        truths below it and the share at or below it; otherwise the nearer of the two is compared.
        The same holds for the interval, whose ends may count half.
        """
        used = _used(self.by_origin[1, 0])
        counts = self.by_origin[1, MEASURES.index("covered"), used]
        below, up_to = self.rounded_by_origin[:, :, used]
        low, high = (self.levels.index(level) for level in (0.1, 0.9))
        within = below[high] - up_to[low], up_to[high] - below[low]
        below, up_to = (np.vstack(pair) for pair in zip((below, up_to), within, strict=True))
        expected = np.array([*self.levels, 0.8])
        ends = np.stack([below.sum(1), up_to.sum(1)]) / max(counts.sum(), 1)
        # The share between these two that is nearest to the level, as a mixture of them.
        wanted = np.clip(expected, ends[0], ends[1])
        gap = ends[1] - ends[0]
        part = np.divide(wanted - ends[0], gap, out=np.ones_like(gap), where=gap > 0)[:, None]
        hits = below + part * (up_to - below)
        chance = bootstrap.share_by_chance(hits, counts, self.by_step.shape[2], expected)
        observed = _ratio(hits.sum(1), np.full(len(hits), counts.sum()))
        names = [*(f"{level:g}" for level in self.levels), "coverage_80"]
        return {
            name: {"observed": float(share), "by_chance": float(by_chance)}
            for name, share, by_chance in zip(names, observed, chance, strict=True)
        }

    def scores(self) -> dict[str, float]:
        """Return the figures of metrics.json, over all windows that were added."""
        scores = {name: float(value) for name, value in _scores(*self.by_origin.sum(2)).items()}
        return {**scores, "not_finite": self.not_finite}

    def mae_by_step(self) -> Floats:
        """Compute the mean absolute error at each step ahead; NaN where nothing was observed."""
        return _ratio(*self.by_step[:, MEASURES.index("absolute")])

    def scores_by_series(self) -> dict[str, Floats]:
        """Return the same figures as `scores`, for each series: (series,)."""
        return _scores(*self.by_series)


def _add(sums: Floats, values: NDArray[Any], places: NDArray[np.int64]) -> None:
    """Add values (..., n) in order to the sums (..., places) at their places (n,)."""
    count, rows = sums.shape[-1], int(np.prod(sums.shape[:-1]))
    bins = places + count * np.arange(rows)[:, None]
    added = np.bincount(bins.ravel(), weights=values.ravel(), minlength=rows * count)
    sums += added.reshape(sums.shape)


def _used(counts: Floats) -> slice:
    """From the first to the last origin at which something was forecast."""
    places = np.flatnonzero(counts)
    return slice(places[0], places[-1] + 1) if len(places) else slice(0)


def _ratio(sums: Floats, counts: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.where(counts > 0, sums / counts, np.nan)


def _scores(sums: Floats, counts: Floats) -> dict[str, Floats]:
    """Compute the scores from sums and counts of MEASURES, each (measures, ...).

    Over all values, RMSSE (Makridakis, Spiliotis & Assimakopoulos 2022) is the root of the mean, so
    that for one series it is that of M5; MAE, WAPE and bias are ratios of sums.
    """
    mean = dict(zip(MEASURES, _ratio(sums, counts), strict=True))
    size = np.where(mean["size"] == 0, np.nan, mean["size"])
    return {
        "mae": mean["absolute"],
        "rmse": np.sqrt(mean["square"]),
        "mase": mean["scaled"],
        "rmsse": np.sqrt(mean["square_scaled"]),
        "smape": np.where(mean["zero"] <= MOST_ZEROS, mean["symmetric"], np.nan),
        "wape": mean["absolute"] / size,
        "bias": mean["signed"] / size,
        "crps": mean["pinball"],
        "wql": mean["pinball"] / size,
        "coverage_80": mean["covered"],
        "width_80": mean["width"],
    }


# Metrics by which models are compared, and the measures that they are means of; RMSSE is a root.
COMPARED = {"mae": "absolute", "crps": "pinball", "mase": "scaled", "rmsse": "square_scaled"}


def difference(
    ours: MetricSums, theirs: MetricSums, metric: str, block: int, draws: int, seed: int
) -> Interval:
    """Subtract the score of `theirs` from that of `ours`, with the interval that they allow.

    Args:
        metric: one of COMPARED.
        block: number of origins over which errors may be correlated, besides the horizon over which
            windows overlap.
        draws, seed: of the bootstrap, where there are many origins.
    """
    measure = MEASURES.index(COMPARED[metric])
    # our sums, our counts, their sums, their counts: (4, origins) and (4, series)
    by_origin, by_series = (
        np.concatenate([a[:, measure], b[:, measure]])
        for a, b in ((ours.by_origin, theirs.by_origin), (ours.by_series, theirs.by_series))
    )
    by_origin = by_origin[:, _used(by_origin[1] + by_origin[3])]
    horizon = ours.by_step.shape[2]
    root = metric == "rmsse"
    return bootstrap.difference(by_origin, by_series, horizon, block, draws, seed, root=root)
