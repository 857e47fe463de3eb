"""Exponential smoothing of many series by many candidates in one pass over time.

Level and damped trend (Holt 1957; Gardner & McKenzie 1985), with an additive season where there
is one (Winters 1960), in the error-correction form of Hyndman et al. (2008), Forecasting with
Exponential Smoothing, 2.5:

    p = l + φb,  e = x - p - s[t - m],  l = p + αe,  b = φb + αβe,  s[t] = s[t - m] + γ(1 - α)e

A missing value has e = 0: the state is updated with its own forecast. Series are left-aligned, each
from its first value, so that all of them start at the same row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats

ALPHAS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
GAMMAS = (0, 0.05, 0.1, 0.2, 0.4, 0.8)
STEADY = ((0, 0), (0.005, 1), (0.02, 1), (0.05, 0.98), (0.1, 0.9), (0.2, 0.9), (0.3, 0.8))  # β, φ
# For series with little noise whose growth rate persists and then changes, such as employment or
# active cases: a slope that follows each value needs a level that does so, too.
MOMENTUM = ((0.5, 0.8), (0.5, 0.9), (0.5, 0.98), (0.9, 0.8), (0.9, 0.95), (1, 1))  # β, φ
WITH_MOMENTUM = ALPHAS[-4:], (0, 0.1, 0.4)  # alpha and gamma, beside these
# For series that return to a mean, as temperatures do: damped trends against the error. A share of
# an error fades with φ, as in an autoregression about a mean, and the rest stays: with the level's
# gain of 1, an ARIMA(1, 1, 1) that no positive β is equal to.
LONGEST = 0.9  # φ; with larger ones the fading takes too many steps to be told from a trend
REVERTING = tuple(
    (-share * (1 - phi) / phi, phi) for phi in (0.5, 0.7, LONGEST) for share in (0.5, 0.8)
)
TRENDS = STEADY + MOMENTUM + REVERTING
GROWN = 400  # steps after which the gains of the start are below those of every candidate


@dataclass(frozen=True)
class Gains:
    """Parameters of candidates: arrays that broadcast to (series, candidates).

    Attributes:
        trends: which of TRENDS a candidate has.
        numbers: of the candidates in their grid.
        seasonal: whether they have a season.
    """

    alpha: Floats
    beta: Floats
    phi: Floats
    gamma: Floats
    trends: NDArray[np.int64]
    numbers: NDArray[np.int64]
    seasonal: bool

    def __getitem__(self, chosen: NDArray[np.int64]) -> "Gains":
        """Return the candidates with the given numbers, in the shape of `numbers`."""
        some = self.alpha[chosen], self.beta[chosen], self.phi[chosen], self.gamma[chosen]
        return Gains(*some, self.trends[chosen], self.numbers[chosen], self.seasonal)

    def growing(self, number: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Return α and αβ at the value of a number, from 1, of a series."""
        alpha, both = grown(self.seasonal)
        rows = np.minimum(number, GROWN)
        if not rows.ndim:  # of all series, which is faster
            return alpha[rows].take(self.numbers), both[rows].take(self.numbers)
        return alpha[rows, self.numbers], both[rows, self.numbers]


@cache
def grown(seasonal: bool) -> tuple[Floats, Floats]:
    """Return α and αβ of a grid's candidates at each of the first values: (GROWN + 1, candidates).

    The first values are weighted evenly, as least squares would: a mean has the gain 1/n, a
    line 2(2n - 1)/(n(n + 1)) and, of its slope, 3/(2n - 1) (growing into fading memory:
    Morrison 1969, Introduction to Sequential Smoothing and Prediction). Where series return to
    a mean, that of a number of values is the mean of these, too. If a cycle has started the level,
    this holds only for the slope.
    """
    gains = grid(seasonal)
    number = np.maximum(np.arange(GROWN + 1.0), 1)[:, None]  # there is no value of number 0
    line = gains.beta > 0
    least = np.where(line, 2 * (2 * number - 1) / (number * (number + 1)), 1 / number)
    alpha = np.maximum(gains.alpha, 0 if seasonal else least)
    beta = np.where(line, np.maximum(gains.beta, 3 / np.maximum(2 * number - 1, 3)), 0)
    # What stays of an error moves the mean, in which the first values weigh evenly, too.
    reverting, phi = gains.beta < 0, np.minimum(gains.phi, LONGEST)
    fading = np.minimum(-gains.beta * phi / (1 - phi), np.maximum(1 - 1 / (number * alpha), 0))
    beta = np.where(reverting, -fading * (1 - phi) / np.maximum(phi, 0.5), beta)
    alpha = np.broadcast_to(alpha, beta.shape)
    return alpha, alpha * beta


@cache
def grid(seasonal: bool) -> Gains:
    """Return the candidates with or without a season; fitted models name them by number."""
    alphas, gammas = WITH_MOMENTUM
    candidates = [  # in the order of their numbers: additions come last
        *product(ALPHAS, STEADY, GAMMAS if seasonal else (0,)),
        *product(alphas, MOMENTUM, gammas if seasonal else (0,)),
        *product(alphas, REVERTING, gammas if seasonal else (0,)),
    ]
    rows = [
        (alpha, *trend, gamma, TRENDS.index(trend))
        for alpha, trend, gamma in candidates
        if alpha < 1 or not gamma  # with alpha 1, the level gets the whole error
    ]
    alpha, beta, phi, gamma, trends = np.array(rows, dtype=np.float64).T
    numbers = np.arange(len(rows))
    return Gains(alpha, beta, phi, gamma, trends.astype(np.int64), numbers, seasonal)


@dataclass
class State:
    """States of candidates: level and trend (series, candidates), figures (season, series, …).

    `figures[n % season]` is the newest one for the phase of step n; `steps` is the number of steps
    before the start, one number or (series, 1).
    """

    level: Floats
    trend: Floats
    figures: Floats | None
    steps: Any


def advance(x: Floats, state: State, gains: Gains, begin: int, end: int) -> Iterator[int]:
    """Update a state over rows of x (steps, series), in place; yield the number of rows done."""
    level, trend, figures = state.level, state.trend, state.figures
    error, scratch = np.empty_like(level), np.empty_like(level)
    missing = np.isnan(x)
    gaps: NDArray[np.bool_] = np.logical_or.reduce(missing, axis=1)
    offset = state.steps - begin
    youngest = int(np.min(offset)) if end > begin else GROWN
    alpha: Floats = gains.alpha
    both: Floats = alpha * gains.beta
    slow = gains.gamma * (1 - alpha)
    for t in range(begin, end):
        if t + youngest < GROWN:
            alpha, both = gains.growing(np.asarray(t + offset + 1))
        np.multiply(trend, gains.phi, out=trend)
        np.add(level, trend, out=level)
        np.subtract(x[t][:, None], level, out=error)
        if figures is not None:
            figure = figures[t % len(figures)]
            np.subtract(error, figure, out=error)
        if gaps[t]:
            error[missing[t]] = 0
        np.multiply(error, alpha, out=scratch)
        np.add(level, scratch, out=level)
        np.multiply(error, both, out=scratch)
        np.add(trend, scratch, out=trend)
        if figures is not None:
            np.multiply(error, slow, out=scratch)
            np.add(figure, scratch, out=figure)
        yield t + 1


def follow(x: Floats, gains: Gains, season: int) -> Iterator[tuple[int, State]]:
    """Start at the first value of each series and run to the end, causally.

    Without a season from the first value on; with one from the end of the first cycle, whose mean
    and differences to it are the start. At the end of the second cycle it starts again, with the
    slope and the mean figures of both cycles, and is run over them.
    """
    shape = x.shape[1], gains.alpha.shape[-1]
    if not season:
        if len(x):
            state = State(_wide(np.nan_to_num(x[0]), shape), np.zeros(shape), None, 1)
            yield 1, state
            for t in advance(x, state, gains, 1, len(x)):
                yield t, state
        return
    for cycles in (1, 2):
        begin = cycles * season
        if len(x) < begin:
            return
        level, slope, figures = _cycles(x[:begin], season)
        trend = _wide(slope, shape) * (gains.beta > 0)
        state = State(_wide(level, shape), trend, _wide(figures, (season, *shape)), 0)
        if cycles == 1:
            state.steps = season  # its errors in the cycle are 0
        else:
            for _ in advance(x, state, gains, 0, begin):
                pass
            state.steps = begin
        yield begin, state
        again = cycles == 1 and len(x) >= 2 * season
        for t in advance(x, state, gains, begin, 2 * season - 1 if again else len(x)):
            yield t, state


def go_on(
    x: Floats, gains: Gains, saved: Floats, season: int, steps: NDArray[np.int64]
) -> Iterator[tuple[int, State]]:
    """Continue from saved states (series, candidates, size) after (series,) steps, like `follow`.

    If the level is NaN, since there were too few steps for a start, all results are NaN.
    """
    figures = np.ascontiguousarray(saved[:, :, 2:].transpose(2, 0, 1)) if season else None
    level, trend = saved[..., 0].copy(), saved[..., 1].copy()
    state = State(level, trend, figures, np.maximum(steps, 1)[:, None])
    yield 0, state
    for t in advance(x, state, gains, 0, len(x)):
        yield t, state


def _wide(values: Floats, shape: tuple[int, ...]) -> Floats:
    """Return a copy of values with an axis of candidates."""
    return np.broadcast_to(values[..., None], shape).copy()


def _cycles(x: Floats, season: int) -> tuple[Floats, Floats, Floats]:
    """Return level before the first step, slope and figures (season, series) of whole cycles."""
    cycles = x.reshape(-1, season, x.shape[1])
    means = _mean(cycles, axis=1)
    slope = np.zeros(x.shape[1])
    if len(cycles) > 1:
        slope = np.nan_to_num((means[-1] - means[0]) / (season * (len(cycles) - 1)))
    middle = (len(x) - 1) / 2
    level = np.nan_to_num(_mean(means, axis=0))
    line = level + slope * (np.arange(len(x)) - middle)[:, None]
    figures = np.nan_to_num(_mean((x - line).reshape(cycles.shape), axis=0))
    return level - slope * (middle + 1), slope, figures


def _mean(values: Floats, axis: int) -> Floats:
    """Return the mean along an axis without NaN; NaN where all are."""
    seen = np.isfinite(values)
    # Summed in order; `sum` adds pairwise if a block has only one series.
    sums = np.cumsum(np.where(seen, values, 0), axis=axis).take(-1, axis=axis)
    with np.errstate(invalid="ignore"):
        means: Floats = sums / seen.sum(axis=axis)
    return means


def fill(x: Floats, season: int, before: Floats | None = None) -> Floats:
    """Replace missing values by those one season before; in the first by the newest of all.

    Args:
        before: (season, series), the filled values that precede x.
    """
    filled = x.copy()
    missing = np.isnan(x)
    for t in np.flatnonzero(missing.any(axis=1)):
        if t >= season:
            older = filled[t - season]
        else:
            older = filled[t - 1] if before is None else before[t]
        filled[t] = np.where(missing[t], older, x[t])
    return filled


@cache
def multipliers(difference: int, horizon: int) -> tuple[Floats, Floats]:
    """Return the factors of level (horizon,) and trend (TRENDS, horizon) in a forecast.

    A forecast of differences more than a season ahead adds to another one.
    """
    phis = np.array([phi for _, phi in TRENDS], dtype=np.float64)
    powers = np.cumprod(np.repeat(phis[:, None], horizon, axis=1), axis=1)
    damped: Floats = np.cumsum(powers, axis=1)
    level: Floats = np.ones(horizon)
    for step in range(difference, horizon) if difference else ():
        level[step] += level[step - difference]
        damped[:, step] += damped[:, step - difference]
    return level, damped
