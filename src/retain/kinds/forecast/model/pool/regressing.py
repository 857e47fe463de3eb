"""Estimate the weights of an autoregression: ridge regressions, chosen by later errors.

One step ahead, of the values of all series, each in units of its mean change. The weights are
estimated several times, each time from the steps before a given one, and used at the origins from
this step on: so the errors by which an expert is chosen and weighted are those of weights that do
not know what they forecast, as they will be later. Ridge regression (Hoerl & Kennard 1970) draws
them to the last value, or to the value a season before. Sums are in a fixed order, and the normal
equations are solved without a library, for the same bits on every processor.
"""

import math
from itertools import product

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.model.pool import lagging, ranking
from retain.kinds.forecast.model.pool.lagging import NEAR, Counts
from retain.kinds.forecast.model.pool.pool import BEST, REFITS, TAPS, Expert
from retain.kinds.forecast.model.pool.smoothing import fill

ORDERS = (1, 3, NEAR)  # values before the last one that have a weight
RIDGES = (1.0, 10.0, 100.0)  # in steps: of so many is the variance that is added
ROWS = 250_000  # steps, at most, from which weights are estimated
SCORED = 100_000  # steps ahead, at most, of which candidates are scored
CELLS = 1_000_000  # values of the series from which they are estimated, at most


def fit(expert: Expert, x: Floats, lengths: Counts, horizon: int) -> Floats:
    """Return the weights of each refit: (REFITS, 1 + TAPS), as in `lagging.Lagged`.

    Args:
        x: (steps, series), left-aligned, NaN where missing.
        lengths: (series,).
    """
    length = int(lengths.max())
    filled = fill(x, max(expert.reach, 1))
    unit = _unit(filled, lengths)
    spacing = np.linspace(0, 1, REFITS) ** 2  # denser where there are few steps
    refits = np.floor(expert.start + max(length - expert.start, 0) * spacing)
    before = np.repeat(filled[:1], expert.memory, axis=0)
    values = np.concatenate([before, filled]).astype(np.float32) / unit
    candidates = _candidates(expert, values, x / unit, lengths, refits)
    order = _ranked(expert, values, x / unit, lengths, refits, candidates, horizon)
    best = candidates[:, order[:BEST]]
    weights = np.zeros((REFITS, 1 + TAPS))
    weights[:, 0] = refits
    weights[:, 1:] = np.cumsum(best, axis=1)[:, -1] / best.shape[1]
    return weights


def _unit(filled: Floats, lengths: Counts) -> Floats:
    """Return the mean change of each series, 1 if it does not vary."""
    change = np.abs(np.diff(filled, axis=0, prepend=filled[:1]))
    known = np.isfinite(change) & (np.arange(len(filled))[:, None] < lengths)
    total = np.cumsum(np.where(known, change, 0), axis=0)[-1]
    unit: Floats = total / np.maximum(lengths - 1, 1)
    return np.where(unit > 0, unit, 1.0)


def _candidates(
    expert: Expert, values: Floats, x: Floats, lengths: Counts, refits: Floats
) -> Floats:
    """Return the weights of all candidates, (REFITS, candidates, TAPS)."""
    count = NEAR + (3 if expert.reach else 1)  # of the weights that are used
    first = (expert.reach or 1) + 1
    stride = ranking.spacing(-(-(len(x) - first) * x.shape[1] // ROWS), expert.reach)
    steps = np.arange(first, len(x), stride)
    gram, right, seen = np.zeros((count, count)), np.zeros(count), 0
    rows = list(product(ORDERS, RIDGES, (False, True) if expert.reach else (False,)))
    found = np.zeros((REFITS, len(rows), TAPS))
    for number, (begin, end) in enumerate(zip((0, *refits), refits, strict=False)):
        some = steps[(steps >= begin) & (steps < end)]
        at, series = _before_end(some, lengths)
        known = np.isfinite(x[at, series])
        at, series = at[known], series[known]
        if len(at):
            past = values[at[:, None] + np.arange(expert.memory), series[:, None]]
            mean = lagging.sums(expert, past) / expert.cycle
            parts = lagging.differences(expert, past, mean)
            target = x[at, series] - past[:, -1]
            for i in range(count):
                right[i] += np.cumsum(parts[i] * target)[-1]
                for j in range(i + 1):
                    gram[i, j] += np.cumsum(parts[i] * parts[j])[-1]
            seen += len(at)
        for place, row in enumerate(rows):
            found[number, place, :count] = _ridge(gram, right, max(seen, 1), *row)
    return found


def _before_end(steps: Counts, lengths: Counts) -> tuple[Counts, Counts]:
    """Return (n,) steps that precede the end of a series, and (n,) this series, by step."""
    at, series = (part.ravel() for part in np.meshgrid(steps, range(len(lengths)), indexing="ij"))
    own = at < lengths[series]
    return at[own], series[own]


def _ridge(
    gram: Floats, right: Floats, seen: int, order: int, ridge: float, seasonal: bool
) -> Floats:
    """Return the weights (count,), of which those behind `order` are 0.

    Args:
        gram: (count, count), of which the lower triangle is read.
        seasonal: whether they are drawn to the value a season before, instead of to the last.
    """
    used = [i for i in range(len(right)) if i < order or i >= NEAR]
    added = ridge * np.diag(gram) / seen + 1e-9
    wanted = right.copy()
    if seasonal:
        wanted[NEAR] += added[NEAR]
    found = np.zeros(len(right))
    found[used] = _solve((gram + np.diag(added))[np.ix_(used, used)], wanted[used])
    return found


def _solve(matrix: Floats, right: Floats) -> Floats:
    """Solve a positive definite system of a few equations by Cholesky's method, in a fixed order.

    Args:
        matrix: of which the lower triangle is read.
    """
    a, b = matrix.tolist(), right.tolist()
    count = len(b)
    for i in range(count):
        for j in range(i + 1):
            rest = a[i][j]
            for k in range(j):
                rest -= a[i][k] * a[j][k]
            a[i][j] = math.sqrt(max(rest, 1e-12)) if i == j else rest / a[j][j]
        for k in range(i):
            b[i] -= a[i][k] * b[k]
        b[i] /= a[i][i]
    for i in reversed(range(count)):
        for k in range(i + 1, count):
            b[i] -= a[k][i] * b[k]
        b[i] /= a[i][i]
    return np.array(b)


def _ranked(
    expert: Expert,
    values: Floats,
    x: Floats,
    lengths: Counts,
    refits: Floats,
    candidates: Floats,
    horizon: int,
) -> NDArray[np.int64]:
    """Return the candidates in the order of their errors at the horizon, over all series."""
    count, memory = candidates.shape[1], expert.memory
    origins = max(len(x) - expert.start, 0)
    stride = ranking.spacing(-(-origins * x.shape[1] * horizon // SCORED), expert.reach)
    errors, seen = np.zeros((x.shape[1], count)), np.zeros(x.shape[1])
    low, high = np.fmin.accumulate(x, axis=0), np.fmax.accumulate(x, axis=0)
    for number in range(REFITS):
        end = refits[number + 1] if number + 1 < REFITS else len(x)
        steps = np.arange(expert.start, len(x), stride)
        steps = steps[(steps >= refits[number]) & (steps < end)]
        at, series = _before_end(steps, lengths)
        if not len(at):
            continue
        ahead = at[:, None] + np.arange(horizon)
        truth = x[np.minimum(ahead, len(x) - 1), series[:, None]]
        known = np.isfinite(truth) & (ahead < lengths[series][:, None])
        seen += np.bincount(series, known.sum(axis=1), x.shape[1])
        past = values[at[:, None] + np.arange(memory), series[:, None]]
        reach = 3 * (high - low)[at - 1, series]
        bounds = low[at - 1, series] - reach, high[at - 1, series] + reach
        for place in range(count):
            weights = np.broadcast_to(candidates[number, place], (len(at), TAPS))
            miss = np.abs(truth - lagging.continued(expert, past, weights, horizon, bounds))
            total = np.cumsum(np.where(known, miss, 0), axis=1)[:, -1]
            errors[:, place] += np.bincount(series, total, x.shape[1])
    return np.argsort(ranking.common(errors / np.maximum(seen, 1)[:, None], seen), kind="stable")
