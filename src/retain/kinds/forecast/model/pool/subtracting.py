"""The season that experts subtract from the data before smoothing, and add to forecasts.

The value of the season before, or seasonal figures by moving averages (classical decomposition, as
in Macaulay 1931 and Hyndman & Athanasopoulos 2021, Forecasting: Principles and Practice, 3.4), made
causal. Series are left-aligned, as in `smoothing`.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.model.pool.pool import BEST, Expert
from retain.kinds.forecast.model.pool.smoothing import fill

NEWEST = 0.15  # the smallest weight of the newest cycle in a figure, since seasons change
Steps = TypeVar("Steps", int, NDArray[np.int64])


def row_ahead(step: Steps, season: int, fresh: int) -> Steps:
    """Return the row offset, from that of an origin, of the figure for each step ahead.

    Args:
        fresh: number of steps from an origin on that have a separate row; later steps use the row
            one cycle before.
    """
    phase = step % season
    return phase - season * (phase >= fresh)


@dataclass(frozen=True)
class Subtracted:
    """The season that one expert subtracts along some series.

    Attributes:
        season: steps of a cycle.
        ahead: rows of `filled` before the first step, from saved states.
        filled: (ahead + steps, series), the data without missing values.
        values: (rows, series), the figures; row r is that of step r - ahead.
        fresh: as in `row_ahead`.
        blur: neighbours on each side with which figures are averaged.
        raw: figures before that, as `values`.
    """

    season: int
    ahead: int
    filled: Floats
    values: Floats
    fresh: int
    blur: int
    raw: Floats

    def rest(self, x: Floats) -> Floats:
        """Return x minus the season, from the first step on that has one."""
        shift = self.ahead + row_ahead(0, self.season, self.fresh)
        first = max(-shift, 0)
        rest: Floats = x[first:] - self.values[first + shift : max(len(x) + shift, 0)]
        return rest

    def state(self, end: int, series: NDArray[np.int64]) -> Floats:
        """Return the state of series after `end` steps: (series, BEST, numbers).

        The last values and, where they are decomposed, the newest figures, shared among candidates.
        """
        last = end + self.ahead
        values = self.filled[last - self.season : last, series]
        if not self.fresh:
            return np.repeat(values.T[:, None], BEST, axis=1)
        end = last + self.fresh + self.blur
        figures = self.raw[end - self.season - 2 * self.blur : end, series]
        both = np.concatenate([values, figures]).T
        padded = np.pad(both, ((0, 0), (0, -both.shape[1] % BEST)))
        return padded.reshape(len(series), BEST, -1)


def of(
    expert: Expert, x: Floats, saved: Floats | None = None, steps: NDArray[np.int64] | None = None
) -> Subtracted | None:
    """Compute the season that an expert subtracts; None if it subtracts none.

    Args:
        x: (steps, series), NaN where missing.
        saved: (series, BEST, size), states to continue from, and
        steps: (series,), the number of steps before them.
    """
    season = expert.subtracted
    if not season:
        return None
    ahead, filled = 0, x
    if saved is None:
        filled = fill(x, season)
        raw = _figures(filled, season) if expert.decomposed else filled
    else:
        ahead, both = season, saved[:, 0, 2:]
        if expert.decomposed:
            both = saved[:, :, 2:].reshape(len(saved), -1)[:, : 2 * (season + expert.blur)]
        both = np.ascontiguousarray(both.T)
        before, figures = both[:season], both[season:]
        filled = np.concatenate([before, fill(x, season, before)])
        raw = _figures(filled, season, figures, steps) if expert.decomposed else filled
    if not expert.decomposed:
        return Subtracted(season, ahead, filled, raw, 0, 0, raw)
    fresh = season - season // 2 - expert.blur  # the newest figures have no neighbours yet
    return Subtracted(season, ahead, filled, _blurred(raw, expert.blur), fresh, expert.blur, raw)


def _blurred(figures: Floats, width: int) -> Floats:
    """Return means of neighbouring figures, with weights that fall evenly to 0 on each side.

    One observation a year makes a figure of a week or a day mostly noise, which its neighbours
    share less than its season.
    """
    if not width:
        return figures
    padded = np.pad(figures, ((width, width), (0, 0)), mode="edge")
    total = np.zeros_like(figures)
    for offset in range(-width, width + 1):
        weight = (width + 1 - abs(offset)) / (width + 1) ** 2
        total += weight * padded[width + offset : width + offset + len(figures)]
    return total


def _figures(
    x: Floats, season: int, saved: Floats | None = None, steps: NDArray[np.int64] | None = None
) -> Floats:
    """Return figures by moving averages: (rows + season, series).

    The figure of a step is the mean difference from the centred moving average at its phase, up to
    a season before it: of all cycles evenly at first, then with exponentially falling weights. In
    the first two cycles it is the difference in their middle.

    Args:
        x: (rows, series); with `saved`, a season of them precedes the first step.
        saved: (season or more, series), the newest figures after
        steps: (series,) steps.
    """
    half, rows = season // 2, len(x)
    figures = np.zeros((rows + season, x.shape[1]))
    beside = x - _moving_average(x, season)
    first, before = half, np.zeros(x.shape[1], dtype=np.int64)
    if saved is not None and steps is not None:
        first, before = season - half, steps - season
        figures[first + season - len(saved) : first + season] = saved
    for row in range(first, rows - half):
        cycle = (row + before - half) // season
        weight = np.where(cycle > 0, np.maximum(1 / (cycle + 1), NEWEST), 1.0)
        figures[row + season] = figures[row] + weight * (beside[row] - figures[row])
        if saved is None and row < half + season:
            figures[row % season : row + season : season] = beside[row]
    return figures


def _moving_average(x: Floats, season: int) -> Floats:
    """Return the centred moving average of a season; an even one has half weights at its ends."""
    half, length = season // 2, len(x)
    # Relative to the first value, so that a constant series has no rounding error.
    sums = np.cumsum(np.concatenate([np.zeros((1, x.shape[1])), x - x[:1]]), axis=0)
    means = (sums[season:] - sums[:-season]) / season
    if season % 2 == 0:
        means = (means[1:] + means[:-1]) / 2
    out = np.full(x.shape, np.nan)
    out[half : length - half] = means + x[:1]
    return out
