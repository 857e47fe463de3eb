"""The difference between two models' errors, with a confidence interval.

Errors of neighbouring forecast origins have steps in common, and series have shocks in common. So
the length of time limits what can be known, and more series only average out their separate errors:
the sums over series by origin are one series of differences (Timmermann & Zhu 2019), tested as by
Diebold & Mariano (1995). The method depends on the number of origins:

* 40 blocks of two horizons and more: a moving-block bootstrap (Künsch 1989). With fewer blocks its
  interval is too narrow: with 3 to 6 blocks it calls one of two equal models better in 12 to 25 of
  100 cases.
* two horizons and more: the long-run variance as the mean of the squares of the K lowest cosines,
  and Student's t with K degrees of freedom (Müller 2004; Lazarus et al. 2018; for forecasts Coroneo
  & Iacone 2020). K is the number of whole horizons that fit into the origins, so that no cosine
  reaches the frequencies that the overlap of windows smooths. The bounds are computed for the ratio
  of the two errors, since hard and easy times have the same effect on both, and multiplied by the
  error of the second model.
* fewer, and 6 series or more: the prediction interval for the ratio of one more series, by
  Student's t between series. A bootstrap of series ignores the shocks that they share, and calls
  one of two equal models better in 17 to 47 of 100 cases; this interval is valid as long as the
  shared part of the variance of a difference is not larger than the part of one series.
* fewer still: undecided.

`python -m benchmarks verdict` simulates all methods, and also the correction of Harvey, Leybourne &
Newbold (1997) and a bootstrap of series and blocks together (Owen 2007), whose intervals are too
narrow here.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from retain.evaluation.arrays import Floats
from retain.evaluation.results import Interval

FEWEST_BLOCKS = 40  # of the bootstrap
WANTED_BLOCKS = 8  # of Student's t: blocks are shortened down to the overlap before they are fewer
FEWEST_HORIZONS = 2
FEWEST_SERIES = 6
NOISE, IN_COMMON = 0.6, 0.22  # of the simulation: noise of a step, and the share that series share
DRAWN_AT_ONCE = 1_000_000  # blocks, which bounds the memory
MOST_COSINES = 50  # of a share: more cosines add little, and take memory


def difference(
    sums: Floats,
    by_series: Floats,
    overlap: int,
    block: int,
    draws: int,
    seed: int,
    unit: str = "forecast origins",
    root: bool = False,
) -> Interval:
    """Subtract the error of the second model from that of the first, with a 95 % interval.

    Args:
        sums: sums and counts of the first model's errors, then of the second's, by origin in order
            of time: (4, origins).
        by_series: the same by series: (4, series).
        overlap: number of origins over which neighbours share steps: the horizon.
        block: number of origins over which errors may be correlated, if there are so many.
        draws, seed: of the bootstrap.
        root: whether an error is the square root of a mean; then the sums are sums of squares.
    """
    by_series = by_series[:, by_series[1] + by_series[3] > 0]
    judge = _choose(sums.shape[1], by_series.shape[1], overlap, block)
    ours, theirs = _errors(sums, root)
    value = float(ours - theirs)
    if judge is None:
        return Interval.undecided(value, sums.shape[1], FEWEST_HORIZONS * overlap, unit)
    if not math.isfinite(value):
        return Interval(value, math.nan, math.nan)
    if judge.block:
        low, high = _moving_block(sums, judge.block, draws, seed, root)
    elif judge.series:
        z = _influence(by_series, root)
        # As if the part of the variance that series share were as large as a series' own.
        error = float(np.std(z, ddof=1)) * math.sqrt(len(z) * (len(z) + 1))
        low, high = _bounds(ours, theirs, judge.quantile(0.975) * error)
    else:
        error = float(standard_errors(_influence(sums, root)[None], judge.freedom)[0])
        low, high = _bounds(ours, theirs, judge.quantile(0.975) * error)
    if judge.series:
        return Interval(value, low, high, judge.method, judge.series, "series")
    return Interval(value, low, high, judge.method, sums.shape[1], unit)


@dataclass(frozen=True)
class _Judge:
    """The method: a bootstrap with a block length, or Student's t over time or between series."""

    freedom: int
    block: int = 0
    series: int = 0

    @property
    def method(self) -> str:
        if self.block:
            return f"moving-block bootstrap (blocks of {self.block:,})"
        between = " between series" if self.series else ""
        return f"Student t{between} ({self.freedom} degrees of freedom)"

    def quantile(self, share: float) -> float:
        return float(special.stdtrit(self.freedom, share))


def _choose(count: int, series: int, overlap: int, block: int) -> _Judge | None:
    """Choose the method; None if there are too few data for any."""
    shortest = min(2 * overlap, max(block, overlap))  # the shortest block of a bootstrap
    drawn = max(shortest, min(block, count // FEWEST_BLOCKS))
    if count >= FEWEST_BLOCKS * drawn:
        return _Judge(count // drawn, block=drawn)
    if count >= FEWEST_HORIZONS * overlap:
        return _Judge(min(count // max(overlap, min(block, count // WANTED_BLOCKS)), count - 1))
    return _Judge(series - 1, series=series) if series >= FEWEST_SERIES else None


def _errors(sums: Floats, root: bool = False) -> Floats:
    """The two models' errors of (4, origins, …), or their roots: (2, …)."""
    totals = sums.sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors: Floats = totals[::2] / totals[1::2]
        return np.sqrt(errors) if root else errors


def _influence(sums: Floats, root: bool) -> Floats:
    """Compute the influence of each column on the log ratio of the two errors; the sum is zero.

    On their difference, if one of them is zero or less. That of a root is by the delta method, to
    the first order: half of that of the mean, in the logarithm.
    """
    errors, counts = _errors(sums), sums[1::2].sum(1)
    scales = errors * (2 if root else 1) if (errors > 0).all() else np.ones(2)
    if root and not (errors > 0).all():  # no error, no influence
        scales = np.where(errors > 0, 2 * np.sqrt(errors), 1.0)
    parts = (sums[::2] - errors[:, None] * sums[1::2]) / (counts * scales)[:, None]
    difference: Floats = parts[0] - parts[1]
    return difference


def _bounds(ours: float, theirs: float, half: float) -> tuple[float, float]:
    """Compute the bounds of the difference from half the width of the interval of `_influence`."""
    if min(ours, theirs) > 0:
        return float(ours * math.exp(-half) - theirs), float(ours * math.exp(half) - theirs)
    return float(ours - theirs - half), float(ours - theirs + half)


def standard_errors(influence: Floats, cosines: int) -> Floats:
    """Compute the standard error of each row's sum by its lowest cosines: (rows, time) to (rows,).

    As many degrees of freedom as cosines; the rows must sum to zero.
    """
    count = influence.shape[1]
    angles = np.pi * np.outer(np.arange(count) + 0.5, np.arange(1, cosines + 1)) / count
    errors: Floats = np.sqrt(2 * np.mean((influence @ np.cos(angles)) ** 2, axis=1))
    return errors


def share_by_chance(hits: Floats, counts: Floats, overlap: int, expected: Floats) -> Floats:
    """Compute the 95 % bound of the random deviation of a share of the test values: (shares,).

    By Student's t over time, but at most the bound for windows that do not overlap and whose values
    all fall on the same side; the latter alone if there are too few origins.

    Args:
        hits: of each share by origin: (shares, origins).
        counts: of test values by origin: (origins,).
        expected: the nominal shares: (shares,).
    """
    origins = len(counts)
    most = special.ndtri(0.975) * np.sqrt(expected * (1 - expected) / -(-origins // overlap))
    if origins < FEWEST_HORIZONS * overlap or not counts.sum():
        return np.asarray(most)
    share = hits.sum(1) / counts.sum()
    influence = (hits - share[:, None] * counts) / counts.sum()
    cosines = min(origins // overlap, origins - 1, MOST_COSINES)
    half = special.stdtrit(cosines, 0.975) * standard_errors(influence, cosines)
    least: Floats = np.minimum(half, most)
    return least


def smallest_difference(
    origins: int, series: int, block: int, spread: float | None = None
) -> float | None:
    """Compute the smallest improvement, a share of the error, that is detected with 80 % power.

    Without a spread, the noise is that of the simulation `python -m benchmarks verdict`, NOISE, a
    share of which series have in common: for other tables it is a guess. None if the verdict will
    be undecided.

    Args:
        origins: forecast origins in the test part.
        series: number of series with values there.
        block: number of origins over which windows overlap: the horizon.
        spread: the standard deviation of the difference of two errors between windows that do not
            overlap, as a share of the error, where it was measured.
    """
    judge = _choose(origins, series, block, 2 * block)
    if judge is None:
        return None
    common = math.sqrt(IN_COMMON + (1 - IN_COMMON) / series)
    noise = NOISE * block**-0.4 if spread is None else spread / common
    scale = noise / math.sqrt((origins + block - 1) / block)
    true = scale * common
    estimated = scale * math.sqrt((1 - IN_COMMON) * (1 + 1 / series)) if judge.series else true
    gap = judge.quantile(0.975) * estimated + judge.quantile(0.8) * true
    return 1 - math.exp(-gap)


def describe_power(origins: int, series: int, block: int, spread: float | None = None) -> str:
    """Describe a test part, and the smallest difference that it can detect.

    Args:
        origins, series, block, spread: as `smallest_difference` takes them.
    """
    windows = -(-origins // block)
    of = (
        f"{windows:,} test window{'s' * (windows != 1)} of {series:,} series "
        f"({origins:,} forecast origins)"
    )
    judge, smallest = (
        _choose(origins, series, block, 2 * block),
        smallest_difference(origins, series, block, spread),
    )
    if judge is None or smallest is None:
        needed = FEWEST_HORIZONS * block
        return f"{of}: too few for a verdict, which needs {needed:,} origins"
    return f"{of}: a difference of about {100 * smallest:.0f} % is detectable, by {judge.method}"


def _moving_block(
    sums: Floats, block: int, draws: int, seed: int, root: bool
) -> tuple[float, float]:
    """Draw blocks of consecutive origins with replacement: the 2.5 and 97.5 percentiles."""
    count = sums.shape[1]
    running = np.cumsum(np.pad(sums, ((0, 0), (1, 0))), axis=1)
    blocks = running[:, block:] - running[:, :-block]  # (4, where a block begins)
    generator = np.random.Generator(np.random.Philox(seed))
    per_draw = -(-count // block)
    drawn: list[Floats] = []
    for part in np.array_split(np.arange(draws), -(-draws * per_draw // DRAWN_AT_ONCE)):
        chosen = generator.integers(0, blocks.shape[1], (per_draw, len(part)))
        errors = _errors(blocks[:, chosen], root)
        drawn.append(errors[0] - errors[1])
    low, high = np.nanquantile(np.concatenate(drawn), [0.025, 0.975])
    return float(low), float(high)
