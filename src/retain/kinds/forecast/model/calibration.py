"""Calibrated forecasts: increasing quantiles and a mean, from a network's or a baseline's values.

`conformal` fits the calibration on the validation windows.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from retain.kinds.forecast.model.transform import IDENTITY, Transform, elementwise


class Forecast(NamedTuple):
    """A forecast before calibration: base + scale · values is that of the transformed target."""

    values: Tensor  # (batch, horizon, outputs): increasing quantiles, or one point forecast
    base: Tensor  # (batch, horizon)
    scale: Tensor  # (batch, 1 or horizon)
    mean: Tensor | None = None  # (batch, horizon), in data units, if the mean is a separate output


@dataclass(frozen=True)
class Target:
    """The target of a forecast.

    Attributes:
        levels: of the quantiles.
        low: lower bound of the data; None if there is none.
        transform: of the data, inverted in the forecast.
        whole: whether quantiles are whole numbers, such as those of counts.
    """

    levels: tuple[float, ...]
    low: float | None
    transform: Transform = IDENTITY
    whole: bool = False


class Calibration(NamedTuple):
    """Corrections of a forecast, in the units of its values."""

    widths: Tensor  # (series + 1,) factors of the intervals of each series; 0 is a new series
    offsets: Tensor  # (horizon, levels)
    mean_offsets: Tensor  # (horizon,), added to the logarithm of a separate mean

    @classmethod
    def none(cls, series: int, horizon: int, levels: int) -> "Calibration":
        """Return the calibration that changes no quantile."""
        return cls(torch.ones(series + 1), torch.zeros(horizon, levels), torch.zeros(horizon))


def apply(forecast: Forecast, calibration: Calibration, series: Tensor, target: Target) -> Tensor:
    """Return calibrated quantiles and the mean in data units: (batch, horizon, levels + 1).

    The mean is the integral of the quantile function over the levels, with trapezoids between them
    and the outermost quantiles beyond them, plus an offset for the tails. If the network has a
    separate output for the mean, it is that output.

    Args:
        series: (batch,) numbers, from 1; 0 is a new series.
    """
    values, base, scale, own = forecast
    levels, low, transform = target.levels, target.low, target.transform
    width = calibration.widths[series].unsqueeze(1)  # (batch, 1)
    quantiles = calibrated(values, width, calibration.offsets, levels)
    quantiles = transform.inverse(base.unsqueeze(-1) + scale.unsqueeze(-1) * quantiles)
    if low is not None:
        quantiles = quantiles.clamp(min=low)
    if own is not None:
        mean = own * elementwise(calibration.mean_offsets, np.exp, torch.exp)
    else:
        mean = transform.forward(mean_of(quantiles, levels))
        mean = transform.inverse(mean + scale * width * calibration.mean_offsets)
    if low is not None:
        mean = mean.clamp(min=low)
    if target.whole:
        quantiles = quantiles.round()
    return torch.cat([quantiles, mean.unsqueeze(-1)], dim=-1)


def calibrated(values: Tensor, width: Tensor, offsets: Tensor, levels: tuple[float, ...]) -> Tensor:
    """Return calibrated quantiles that increase, in the units of `values`.

    Offsets may make quantiles cross. Then they are sorted, which brings a quantile function nearer
    to the true one (Chernozhukov, Fernández-Val & Galichon 2010) and, unlike a running maximum,
    makes no two of them equal.

    Args:
        values: as in `Forecast`.
        width: (batch, 1), the distance from the point forecast is multiplied by it.
    """
    point = point_of(values, levels)
    distances = (values - point + offsets).sort(dim=-1).values
    return torch.as_tensor(point + width.unsqueeze(-1) * distances)


def mean_of(quantiles: Tensor, levels: tuple[float, ...]) -> Tensor:
    """Return the mean of a quantile function, as in `apply`: (batch, horizon)."""
    mean = torch.zeros_like(quantiles[..., 0])
    for number, weight in enumerate(mean_weights(levels)):  # in a fixed order, for the same bits
        mean = mean + weight * quantiles[..., number]
    return mean


def mean_weights(levels: tuple[float, ...]) -> list[float]:
    """Return the weight of each quantile in the mean; they sum to 1.

    >>> mean_weights((0.25, 0.5, 0.75))
    [0.375, 0.25, 0.375]
    """
    middles = (np.array(levels[1:]) + np.array(levels[:-1])) / 2
    weights: list[float] = np.diff(np.r_[0.0, middles, 1.0]).tolist()
    return weights


def point_of(values: Any, levels: tuple[float, ...]) -> Any:
    """Return the point forecast of an array or tensor, (..., 1): the median if there is one."""
    return values[..., [levels.index(0.5)]] if values.shape[-1] > 1 else values
