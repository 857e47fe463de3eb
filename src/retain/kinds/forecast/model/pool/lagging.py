"""Autoregressions along series: the next value from the last ones and those a season before.

The forecast of a step is the last value plus a weighted sum of differences to it: of six values
before it, of the value a season before the step and of the one before that, and of the mean of the
last cycle. Steps further ahead continue from forecasts. So a forecast moves with the level of a
series, and one vector of weights, estimated in `regressing`, is that of all series. Series are
left-aligned, as in `smoothing`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.model.pool.pool import BEST, TAPS, Expert
from retain.kinds.forecast.model.pool.smoothing import fill

Counts = NDArray[np.int64]
NEAR = TAPS - 3  # values before the last one
CHUNK = 1 << 12  # origins whose past values are copied at once


@dataclass(frozen=True)
class Lagged:
    """The values that one autoregression reads along some series.

    Attributes:
        expert: whose values they are, in its space.
        values: float32 (memory + steps, series), without missing values; row r is step r - memory.
        steps: (series,), how many steps precede the first one.
        known: (series,), how many steps precede the origin from which on the newest weights are
            used: that to which the pool was fitted.
        weights: (REFITS, 1 + TAPS): the step after which they are used, then the weights.
    """

    expert: Expert
    values: NDArray[np.float32]
    steps: Counts
    known: Counts
    weights: Floats

    @property
    def nbytes(self) -> int:
        """The number of bytes that grow with the series."""
        return self.values.nbytes + self.steps.nbytes + self.known.nbytes

    def state(self, end: int, series: Counts) -> NDArray[np.float32]:
        """Return the state of series after `end` steps: (series, BEST, numbers).

        The last values, shared among candidates.
        """
        # A series without a value has a state, too; nothing reads it.
        last = np.nan_to_num(self.values[end : end + self.expert.memory, series].T)
        padded = np.pad(last, ((0, 0), (0, BEST * self.expert.size - last.shape[1])))
        return padded.reshape(len(series), BEST, -1)

    def forecast(
        self, at: Counts, series: Counts, horizon: int, bounds: tuple[Floats, Floats]
    ) -> Floats:
        """Return forecasts (n, horizon) from origins on; NaN where there are too few values.

        Args:
            bounds: (n,) each, that no forecast goes beyond.
        """
        ahead = np.empty((len(at), horizon))
        for begin in range(0, len(at), CHUNK):
            some = slice(begin, begin + CHUNK)
            low, high = (bound[some] for bound in bounds)
            ahead[some] = self._forecast(at[some], series[some], horizon, (low, high))
        return ahead

    def next_rows(self, at: Counts, bounds: tuple[Floats, Floats]) -> Floats:
        """Return forecasts one step ahead of origins `at` of all series: (origins, series).

        Args:
            bounds: (origins, series) each, that no forecast goes beyond.
        """
        shape = len(at), self.values.shape[1]
        rows, series = (part.ravel() for part in np.indices(shape))
        low, high = (bound.ravel() for bound in bounds)
        return self.forecast(at[rows], series, 1, (low, high)).reshape(shape)

    def _forecast(
        self, at: Counts, series: Counts, horizon: int, bounds: tuple[Floats, Floats]
    ) -> Floats:
        step = at + self.steps[series]
        number = np.searchsorted(self.weights[:, 0], step, side="right") - 1
        newest = step >= self.known[series]
        weights = self.weights[np.where(newest, len(self.weights) - 1, np.maximum(number, 0)), 1:]
        past = self.values[at[:, None] + np.arange(self.expert.memory), series[:, None]]
        ahead = continued(self.expert, past.astype(np.float64), weights, horizon, bounds)
        ahead[step < self.expert.start] = np.nan
        return ahead


def follow(
    expert: Expert,
    x: Floats,
    saved: Floats | None,
    steps: Counts,
    known: Counts,
    weights: Floats,
) -> Lagged:
    """Prepare an autoregression along series.

    Args:
        x: (steps, series), NaN where missing.
        saved: (series, BEST, size), states to continue from.
        steps: (series,), the number of steps before the first row.
        known: (series,), as in `Lagged`.
        weights: (REFITS, 1 + TAPS).
    """
    season, memory = max(expert.reach, 1), expert.memory
    if saved is None:
        filled = fill(x, season)
        before = np.repeat(filled[:1], memory, axis=0)
    else:
        before = np.ascontiguousarray(saved.reshape(len(saved), -1)[:, :memory].T)
        filled = fill(x, season, before[-season:])
    values = np.concatenate([before, filled]).astype(np.float32)
    return Lagged(expert, values, steps, known, weights)


def differences(expert: Expert, past: Floats, mean: Floats) -> list[Floats]:
    """Return what the weights are multiplied by: TAPS arrays (n,); without a season, fewer.

    Args:
        past: (n, memory or more), the newest value last.
        mean: (n,), that of the last cycle.
    """
    last, season = past[:, -1], expert.reach
    lags = [2 + number for number in range(NEAR)] + ([season, season + 1] if season else [])
    return [*(past[:, -lag] - last for lag in lags), mean - last]


def sums(expert: Expert, past: Floats) -> Floats:
    """Return the sum (n,) of the last cycle."""
    total: Floats = np.cumsum(past[:, -expert.cycle :], axis=1)[:, -1]
    return total


def continued(
    expert: Expert,
    past: Floats,
    weights: Floats,
    horizon: int,
    bounds: tuple[Floats, Floats],
) -> Floats:
    """Return forecasts (n, horizon) after past values (n, memory), by weights (n, TAPS)."""
    count, memory = past.shape
    low, high = bounds
    path = np.empty((count, memory + horizon))
    path[:, :memory] = past
    total = sums(expert, past)
    for end in range(memory, memory + horizon):
        until = path[:, :end]
        ahead = path[:, end - 1].copy()
        for number, part in enumerate(differences(expert, until, total / expert.cycle)):
            ahead += weights[:, number] * part  # in a fixed order, for the same bits
        path[:, end] = np.clip(ahead, low, high)
        total = total + path[:, end] - path[:, end - expert.cycle]
    return path[:, memory:]
