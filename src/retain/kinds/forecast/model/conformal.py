"""Fit the calibration of quantiles and mean on the validation windows.

A width for each series, an offset for each step and level, and an offset of the mean for each step,
for networks and baselines. Everything is in normalised units and float64.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from torch import Tensor, nn

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.data.windows import Batch, Windows
from retain.kinds.forecast.model import mean
from retain.kinds.forecast.model.calibration import (
    Calibration,
    Forecast,
    Target,
    calibrated,
    mean_of,
    point_of,
)
from retain.kinds.forecast.model.transform import Transform
from retain.kinds.forecast.model.trust import Trust, distances

if TYPE_CHECKING:
    from retain.kinds.forecast.model.forecaster import Forecaster

# A step's residuals have the weight n / (n + 50) against those of all steps: with fewer, a decile
# of a step is mostly noise, since its share among n truths has a deviation of about 0.5 / √n.
STEP_PRIOR = 50
# A series' residuals have the weight n / (n + 10), where n is the number of observed steps in its
# windows; steps that neighbouring windows share are counted once.
SERIES_PRIOR = 10
WIDEST = 100.0  # limit of how many times a series' interval is wider, or narrower, than the others'
ROUNDS = 12  # rounds of fitting offsets, sorting, and fitting again; three are usually enough
CLOSE = 0.002  # shares of truths below a quantile that are this near to its level are good enough
TRUSTED = Trust()  # residuals of a long time
LARGEST = 1 << 24  # most residuals by window, step and level; long horizons are thinned


class Residuals(NamedTuple):
    """Forecasts of windows before calibration, and the truth, in normalised units."""

    values: Floats  # (windows, horizon, outputs): increasing quantiles, or one point forecast
    truth: Floats  # (windows, horizon), NaN where missing
    base: Floats  # (windows, horizon) and
    scale: Floats  # (windows, 1 or horizon), as in `Forecast`
    deviation: Floats  # (windows,) of its series, in data units
    series: NDArray[np.int64]  # (windows,) from 1
    origin: NDArray[np.int64]  # (windows,) first step of the horizon, increasing in each series
    mean: Floats | None = None  # (windows, horizon) in data units, if the mean is a separate output


def calibrate(network: "Forecaster", windows: Windows) -> None:
    """Calibrate a trained network on the validation windows."""
    network.eval()
    target = network.target
    fitted = fit(collect(network, windows, target.transform), target, len(network.widths) - 1)
    set_calibration(network, fitted)


def set_calibration(module: nn.Module, fitted: Calibration) -> None:
    """Write a calibration into the buffers of a forecaster or of its base."""
    for name, values in fitted._asdict().items():
        module.get_buffer(name).copy_(values)


def collect(
    model: Callable[[Batch], Forecast], windows: Windows, transform: Transform
) -> Residuals:
    """Forecast all windows of a part."""
    parts: list[tuple[Tensor, ...]] = []
    means: list[Tensor] = []
    for batch in windows.chunks():
        with torch.inference_mode():
            values, base, scale, said = model(batch)
        truth = transform.forward(batch.window[:, 0, -windows.horizon :])
        parts.append((values, (truth - base) / scale, base, scale, batch.scales[:, 1]))
        if said is not None:
            means.append(said)
    series, origin = windows.places(np.arange(len(windows)))
    arrays = (torch.cat(part).double().numpy() for part in zip(*parts, strict=True))
    own = torch.cat(means).double().numpy() if means else None
    return Residuals._make((*arrays, series + 1, origin, own))


def joined(parts: Sequence[Residuals]) -> Residuals:
    """Join the residuals of several forecasts of the same series, in order of series and time."""
    every = Residuals._make(
        None if found[0] is None else np.concatenate(found) for found in zip(*parts, strict=True)
    )
    return _rows(every, np.lexsort((every.origin, every.series)))


def _rows(residuals: Residuals, chosen: Any) -> Residuals:
    return Residuals._make(None if part is None else part[chosen] for part in residuals)


def fit(residuals: Residuals, target: Target, series: int, trust: Trust = TRUSTED) -> Calibration:
    """Fit the calibration of a forecast to its residuals.

    Args:
        series: number of series; a series without a window has the width 1, like a new one.
        trust: in the residuals.
    """
    levels = target.levels
    thin = -(-residuals.values.shape[0] * residuals.values.shape[1] * len(levels) // LARGEST)
    if thin > 1:
        residuals = _rows(residuals, slice(None, None, thin))
    widths: Floats = np.ones(series + 1)
    offsets = _fit_offsets(residuals, widths, levels)
    if series > 1:
        widths = _fit_widths(residuals, offsets, levels, series)
        offsets = _fit_offsets(residuals, widths, levels)
    offsets, widths = trust.settled(offsets, widths, residuals, levels)
    mean_offsets = trust.centre * _fit_mean(residuals, widths, offsets, target)
    return Calibration._make(map(torch.from_numpy, (widths, offsets, mean_offsets)))


def _fit_offsets(residuals: Residuals, widths: Floats, levels: tuple[float, ...]) -> Floats:
    """Fit (horizon, levels) offsets, so that each quantile has its share of the truths below it.

    Split conformal prediction (Vovk et al. 2005; Romano et al. 2019), one-sided and at every level,
    including the median. The offset is the weighted mean of the step's offset and that of all steps
    together, which is scaled by the spread of the step: a table with few validation windows has too
    few residuals of a step for its deciles. Sorting changes which truths are below a quantile, so
    shares are measured after it and offsets are fitted again.
    """
    width = widths[residuals.series][:, None]
    point = point_of(residuals.values, levels)
    spread = residuals.values - point  # (windows, horizon, outputs)
    truth = (residuals.truth - point[..., 0]) / width
    unit = step_spreads(truth)[:, None]  # (horizon, 1)

    def settle(offsets: Floats, each_step: bool) -> Floats:
        best, least = offsets, np.full((1, 1), np.inf)
        for _ in range(ROUNDS):
            errors = truth[..., None] - np.sort(spread + offsets, axis=-1)
            shares, seen = (errors <= 0).sum(0), np.isfinite(errors).sum(0)  # (horizon, levels)
            if not each_step:
                shares, seen = shares.sum(0, keepdims=True), seen.sum(0, keepdims=True)
            missed = np.where(seen > 0, np.abs(shares / np.maximum(seen, 1) - levels), 0.0)
            missed = missed.max(axis=1, keepdims=True)  # (horizon or 1, 1)
            best = np.where(missed < least, offsets, best)
            least = np.minimum(missed, least)
            if least.max() < CLOSE:
                break
            if each_step:
                offsets = offsets + _quantiles(errors, levels)
            else:
                pooled = (errors / unit).reshape(-1, 1, len(levels))
                offsets = offsets + unit * _quantiles(pooled, levels)
        return best

    pooled = settle(np.zeros((truth.shape[1], len(levels))), each_step=False)
    count = np.isfinite(truth).sum(0)[:, None]
    weight = count / (count + STEP_PRIOR)
    return settle(weight * settle(pooled, each_step=True) + (1 - weight) * pooled, each_step=False)


def _fit_widths(
    residuals: Residuals, offsets: Floats, levels: tuple[float, ...], series: int
) -> Floats:
    """Fit the factors by which each series' intervals are wider than those of all: (series + 1,).

    The ratio of mean absolute residual to mean 80 % interval, divided by the same ratio of all
    series. If a network has already narrow intervals for a steady series, the factor is 1. With few
    observations it is shrunk towards 1, in logarithms, since widths are factors. A series that
    never changed has an arbitrary scale (1): without a width its interval would be that of the
    others.
    """
    point, quantiles = point_of(residuals.values, levels), distances(offsets, residuals, levels)
    middle = quantiles[..., levels.index(0.5)]
    seen = np.isfinite(residuals.truth)
    errors = np.abs(np.where(seen, residuals.truth - point[..., 0] - middle, 0.0)).sum(1)
    interval = quantiles[..., levels.index(0.9)] - quantiles[..., levels.index(0.1)]
    interval = np.where(seen, interval, 0.0).sum(1)

    def by_series(values: Floats) -> Floats:
        return np.bincount(residuals.series, weights=values, minlength=series + 1).astype(float)

    horizon = residuals.truth.shape[1]
    gap = np.diff(residuals.origin, append=residuals.origin[-1:])
    same = np.diff(residuals.series, append=-1) == 0
    steps = by_series(np.where(same, np.clip(gap, 0, horizon), horizon) * seen.mean(1))
    sums, intervals = by_series(errors), by_series(interval)
    if not sums.sum() > 0 or not intervals.sum() > 0:
        return np.ones(series + 1)
    ratio = sums * intervals.sum() / np.maximum(intervals * sums.sum(), np.finfo(float).tiny)
    ratio = np.where(intervals > 0, np.clip(ratio, 1 / WIDEST, WIDEST), 1.0)
    widths: Floats = ratio ** (steps / (steps + SERIES_PRIOR))
    return widths


def _fit_mean(residuals: Residuals, widths: Floats, offsets: Floats, target: Target) -> Floats:
    """Fit the offsets of the mean at each step, (horizon,), so that its errors sum to zero.

    The errors are in data units, divided by the deviation of the series: in units of the window, a
    nearly flat window, as in an intermittent series, would count a hundred times as much as
    another. The offsets of steps are shrunk towards that of all steps, as for quantiles.
    """
    levels, transform = target.levels, target.transform
    if residuals.mean is not None:
        truth = residuals.base + residuals.scale * residuals.truth
        truth = transform.inverse(torch.from_numpy(truth)).numpy()
        return mean.fit_factors(truth, residuals.mean, residuals.deviation, STEP_PRIOR)
    low = -torch.inf if target.low is None else target.low
    width = widths[residuals.series][:, None]
    values, widened, added, base, scale = map(
        torch.from_numpy, (residuals.values, width, offsets, residuals.base, residuals.scale)
    )
    quantiles = base.unsqueeze(-1) + scale.unsqueeze(-1) * calibrated(
        values, widened, added, levels
    )
    integral = mean_of(transform.inverse(quantiles).clamp(min=low), levels)
    raw = ((transform.forward(integral) - base) / scale).numpy()
    seen = np.isfinite(residuals.truth)
    unit = step_spreads(np.where(seen, residuals.truth - raw, np.nan))
    truth = transform.inverse(base + scale * torch.from_numpy(residuals.truth)).numpy()
    deviation = residuals.deviation[:, None]

    def settle(shift: Floats, pool: Callable[[Floats], Floats]) -> Floats:
        for _ in range(ROUNDS):
            shifted = base + scale * torch.from_numpy(raw + width * shift)
            moved = transform.inverse(shifted).clamp(min=low)
            errors = np.where(seen, (truth - moved.numpy()) / deviation, 0.0).sum(0)
            weight = (scale / transform.slope(moved)).numpy() / deviation
            reach = np.where(seen, weight * width * unit, 0.0).sum(0)
            shift = shift + unit * pool(errors) / np.maximum(pool(reach), np.finfo(float).tiny)
        return shift

    def together(sums: Floats) -> Floats:
        return np.full_like(sums, sums.sum())

    pooled = settle(np.zeros(len(unit)), together)
    count = seen.sum(0)
    share = count / (count + STEP_PRIOR)
    return settle(share * settle(pooled, lambda sums: sums) + (1 - share) * pooled, together)


def step_spreads(errors: Floats) -> Floats:
    """Return the mean absolute error at each step, (horizon,), made non-decreasing.

    A forecast does not get better further ahead; in few windows it may seem so by chance. Steps
    that were never observed have the error of the next observed one.
    """
    size = np.abs(errors)
    seen = np.isfinite(size)
    count = seen.sum(0)
    known = np.flatnonzero(count)
    if not len(known):
        return np.ones(errors.shape[1])
    mean = np.where(seen, size, 0.0).sum(0)[known] / count[known]
    filled: Floats = np.interp(np.arange(errors.shape[1]), known, _increasing(mean, count[known]))
    return np.maximum(filled, filled.max() * 1e-6) if filled.max() > 0 else np.ones_like(filled)


def _increasing(values: Floats, weights: Floats) -> Floats:
    """Return the nearest values that do not decrease, by isotonic regression.

    They are the means of blocks of neighbours (Robertson, Wright & Dykstra 1988, 1.2).
    """
    sums, counts = np.r_[0.0, np.cumsum(values * weights)], np.r_[0.0, np.cumsum(weights)]
    blocks = isotonic_regression(values, weights=weights).blocks
    increasing: Floats = np.repeat(np.diff(sums[blocks]) / np.diff(counts[blocks]), np.diff(blocks))
    return increasing


def _quantiles(errors: Floats, levels: tuple[float, ...]) -> Floats:
    """Return the quantile of each column at its level, (horizon, levels); 0 where none is seen.

    At rank (n + 1) · level, between two neighbours if need be, so that the next error lies
    below it with the probability of the level.

    Args:
        errors: (windows, horizon, levels), NaN where missing.
    """
    ordered = np.sort(errors, axis=0)  # NaN last
    count = np.isfinite(errors).sum(0)  # (horizon, levels)
    rank = np.clip((count + 1) * np.array(levels), 1, np.maximum(count, 1)) - 1
    below = np.floor(rank).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(count - 1, 0))
    low, high = (np.take_along_axis(ordered, at[None], axis=0)[0] for at in (below, above))
    quantiles: Floats = np.where(count > 0, low + (rank - below) * (high - low), 0.0)
    return quantiles
