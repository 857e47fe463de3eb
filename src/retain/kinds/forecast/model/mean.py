"""The mean of what is intermittent: a factor that a network says, on the mean of the past.

Where most values are zero the median is, and a mean made of quantiles hangs on a few of them. The
network has one more output then, the logarithm of the mean's ratio to that of the past. It learns
it by the deviance of Tweedie's distributions (Tweedie 1984; Jørgensen 1987) with the power 1.5:
compound Poisson ones, which are 0 with some probability and else positive.
"""

import numpy as np
import torch
from torch import Tensor

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.data.windows import Batch

PRIOR = 28  # observed steps' worth of its series' mean that a window's mean is drawn to
LEAST = 1e-3  # deviations of a series, for the mean of one that was always zero
FARTHEST = 4.0  # of the logarithm of the factor


def past_mean(batch: Batch, context: int, horizon: int) -> Tensor:
    """Return the mean of each window's context, drawn to that of its series: (batch, 1)."""
    end = batch.window.shape[-1] - horizon
    recent = batch.window[:, 0, end - context : end]
    mean, deviation = batch.scales[:, :1], batch.scales[:, 1:]
    count = recent.isfinite().sum(1, keepdim=True)
    drawn = (recent.nansum(1, keepdim=True) + PRIOR * mean) / (count + PRIOR)
    return torch.maximum(drawn, LEAST * deviation)


def factor(logarithm: Tensor) -> Tensor:
    """Return the exponential of what a network says, within FARTHEST."""
    near = logarithm.clamp(-FARTHEST, FARTHEST)
    return near.sigmoid() / (-near).sigmoid()  # not torch's exp, which is MKL's


def deviance(truth: Tensor, mean: Tensor) -> Tensor:
    """Return a quarter of the Tweedie deviance, up to what does not depend on the mean.

    Of the power 1.5 it is 4 (√μ − √y)² / √μ.

    Args:
        truth: at least 0, as `mean` in deviations of the series.
        mean: above 0.
    """
    inverse = mean.rsqrt()  # not torch's sqrt, which is MKL's
    return inverse.reciprocal() + truth * inverse


def fit_factors(truth: Floats, mean: Floats, deviation: Floats, prior: float) -> Floats:
    """Fit the logarithms of factors of the mean, (horizon,), so that errors sum to zero.

    Those of a step weigh n / (n + prior) beside those of all steps together, n being its truths.

    Args:
        truth: (windows, horizon), NaN where missing, in data units.
        mean: the same of forecasts.
        deviation: (windows,) of the series.
    """
    seen = np.isfinite(truth)
    sold, said = (
        np.where(seen, values / deviation[:, None], 0.0).sum(0) for values in (truth, mean)
    )
    if not sold.sum() > 0:
        return np.zeros(truth.shape[1])
    together = sold.sum() / said.sum()
    count = seen.sum(0)
    # As so many truths of the factor of all steps.
    typical = said.sum() / max(count.sum(), 1)
    factors: Floats = np.log((sold + prior * typical * together) / (said + prior * typical))
    return factors
