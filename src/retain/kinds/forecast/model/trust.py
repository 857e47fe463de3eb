"""The weight of the errors of a short time in the calibration of a network or its base."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy import stats

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.model.calibration import point_of

if TYPE_CHECKING:
    from retain.kinds.forecast.model.conformal import Residuals

CENTRED = 20  # horizons of rehearsal errors for which half of the median's offset is applied
CENTRED_ON_BASE = 40  # the same of a network on a base, which is less often biased
# On a base, whose errors in training have the mean size 1, half of an 80 % interval before any
# rehearsal: of normal errors it is 1.6, as of Laplace's, and errors after training are larger.
HALF_WIDTH = 1.7
WIDENED = 16  # horizons of rehearsal errors that count as much as that


@dataclass(frozen=True)
class Trust:
    """The weight of residuals of a short time.

    Attributes:
        centre: the share of their median that is applied: they may all have the same sign by
            chance.
        spread: factor of the intervals of a network without a base, as by Student's t for the mean
            of few values.
        own: of a network on a base, the share of the intervals' own width and shape; the rest is
            the width of the base's errors in training, which are many, and Laplace's shape. A
            rehearsal soon after a series' begin may err five times as much as those after it, or a
            quiet one half as much; and the deciles of two horizons are mostly chance.
    """

    centre: float = 1.0
    spread: float = 1.0
    own: float = 1.0

    @classmethod
    def of(cls, horizons: float, series: int, on_base: bool) -> Self:
        """Return the trust in residuals, from the numbers of horizons and series.

        Errors of series are correlated: n series count as √n.
        """
        count = horizons * math.sqrt(series)
        if on_base:
            return cls(count / (count + CENTRED_ON_BASE), own=count / (count + WIDENED))
        spread = stats.t.ppf(0.9, max(count - 1, 2)) / stats.norm.ppf(0.9)
        return cls(horizons / (horizons + CENTRED), float(spread))

    def settled(
        self, offsets: Floats, widths: Floats, residuals: "Residuals", levels: tuple[float, ...]
    ) -> tuple[Floats, Floats]:
        """Return the offsets and widths to apply, of those fitted to residuals alone."""
        middle = [levels.index(0.5)]
        offsets = offsets - (1 - self.centre) * offsets[:, middle]
        half = half_width(offsets, widths, residuals, levels) if self.own < 1 else 0.0
        if not half > 0:
            return offsets, widths * self.spread
        mean = distances(offsets, residuals, levels).mean(0)  # (horizon, levels)
        shape = mean[:, middle] + half * laplace(levels)
        offsets = offsets + (1 - self.own) * (shape - mean)
        return offsets, widths * (HALF_WIDTH / half) ** (1 - self.own)


def distances(offsets: Floats, residuals: "Residuals", levels: tuple[float, ...]) -> Floats:
    """Return the quantiles' distances from the point forecast: (windows, horizon, levels)."""
    point = point_of(residuals.values, levels)
    found: Floats = np.sort(residuals.values - point + offsets, axis=-1)
    return found


def half_width(
    offsets: Floats, widths: Floats, residuals: "Residuals", levels: tuple[float, ...]
) -> float:
    """Return half the mean 80 % interval of the windows of residuals, in their units."""
    quantiles, seen = distances(offsets, residuals, levels), np.isfinite(residuals.truth)
    reach = quantiles[..., levels.index(0.9)] - quantiles[..., levels.index(0.1)]
    reach = widths[residuals.series][:, None] * reach
    return float(reach[seen].mean() / 2) if seen.any() else 0.0


def laplace(levels: tuple[float, ...]) -> Floats:
    """Return the quantiles of Laplace's distribution whose 80 % interval is −1 to 1.

    >>> laplace((0.1, 0.5, 0.8)).round(3).tolist()
    [-1.0, 0.0, 0.569]
    """
    quantiles: Floats = stats.laplace.ppf(levels) / stats.laplace.ppf(0.9)
    return quantiles
