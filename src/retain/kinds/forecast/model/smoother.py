"""Exponential smoothing with given parameters, run along the rows of a series."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Smoother:
    """Exponential smoothing with a damped trend, a drift and a season.

    Attributes:
        alpha, beta, phi: of level, trend and damping.
        level, slope: the states before the first row.
        drift: additional rise of a forecast per step: half the slope of the theta method's line.
        index: the season to remove first, from the first row on: (period,).
        multiplied: whether the season is divided by, not subtracted.
    """

    alpha: float
    level: float
    beta: float = 0.0
    phi: float = 1.0
    slope: float = 0.0
    drift: float = 0.0
    index: tuple[float, ...] = (0.0,)
    multiplied: bool = False


@dataclass(frozen=True)
class Run:
    """A smoother's states before each row of (rows,) values, and after the last."""

    smoother: Smoother
    level: Floats  # (rows + 1,)
    slope: Floats  # (rows + 1,)

    def forecast(self, origins: Rows, steps: int) -> Floats:
        """Forecast the rows from each of `origins` on: (origins, steps)."""
        of, ahead = self.smoother, np.arange(steps)
        rows = origins[:, None] + ahead
        damped = np.cumsum(of.phi ** (ahead + 1.0))
        mean = self.level[origins, None] + self.slope[origins, None] * damped
        if of.drift:
            faded = 1 - (1 - of.alpha) ** origins[:, None]
            mean = mean + of.drift * (ahead + (faded / of.alpha if of.alpha else origins[:, None]))
        index = np.array(of.index)[rows % len(of.index)]
        found: Floats = mean * index if of.multiplied else mean + index
        return found


def run(smoother: Smoother, y: Floats) -> Run:
    """Run a smoother along values; a missing one, NaN, is replaced by its forecast."""
    index = np.resize(np.array(smoother.index), len(y))
    alpha, beta, phi = smoother.alpha, smoother.beta, smoother.phi
    level, slope = smoother.level, smoother.slope
    levels, slopes = [level], [slope]
    for value in (y / index if smoother.multiplied else y - index).tolist():
        damped = phi * slope
        before, level = level, level + damped
        if value == value:  # noqa: PLR0124 - not NaN, and faster than a call
            level += alpha * (value - level)
        slope = beta * (level - before) + (1 - beta) * damped
        levels.append(level)
        slopes.append(slope)
    return Run(smoother, np.array(levels), np.array(slopes))
