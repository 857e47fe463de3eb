"""The mean of intermittent data: a network's factor on the mean of the past.

If most values are zero, the median is zero, and a mean of quantiles depends on a few of them. Then
the network has one more output, the logarithm of the ratio of the mean to that of the past. Its
loss is the deviance of Tweedie distributions (Tweedie 1984; Jørgensen 1987) with the power 1.5:
compound Poisson distributions, which are 0 with some probability and positive otherwise.
"""

import numpy as np
import torch
from torch import Tensor

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.data.windows import Batch

PRIOR = 28  # weight, in observed steps, of the series' mean to which a window's mean is shrunk
LEAST = 1e-3  # deviations of a series, for the mean of a series that is always zero
FARTHEST = 4.0  # of the logarithm of the factor


def past_mean(batch: Batch, context: int, horizon: int) -> Tensor:
    """Return the mean of each window's context, shrunk to that of its series: (batch, 1)."""
    end = batch.window.shape[-1] - horizon
    recent = batch.window[:, 0, end - context : end]
    mean, deviation = batch.scales[:, :1], batch.scales[:, 1:]
    count = recent.isfinite().sum(1, keepdim=True)
    drawn = (recent.nansum(1, keepdim=True) + PRIOR * mean) / (count + PRIOR)
    return torch.maximum(drawn, LEAST * deviation)


def factor(logarithm: Tensor) -> Tensor:
    """Return the exponential of a network's output, within FARTHEST."""
    near = logarithm.clamp(-FARTHEST, FARTHEST)
    return near.sigmoid() / (-near).sigmoid()  # not torch's exp, which is MKL's


def deviance(truth: Tensor, mean: Tensor) -> Tensor:
    """Return a quarter of the Tweedie deviance, without terms that do not depend on the mean.

    For the power 1.5 the deviance is 4 (√μ − √y)² / √μ.

    Args:
        truth: at least 0, as `mean` in deviations of the series.
        mean: above 0.
    """
    inverse = mean.rsqrt()  # not torch's sqrt, which is MKL's
    return inverse.reciprocal() + truth * inverse


def fit_factors(truth: Floats, mean: Floats, deviation: Floats, prior: float) -> Floats:
    """Fit the logarithms of factors of the mean, (horizon,), so that errors sum to zero.

    Those of a step have the weight n / (n + prior) against those of all steps together, where n is
    the number of its truths.

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
    # Weight of the factor of all steps, in truths.
    typical = said.sum() / max(count.sum(), 1)
    factors: Floats = np.log((sold + prior * typical * together) / (said + prior * typical))
    return factors
