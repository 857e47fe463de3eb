"""A difference between two models, and how far it may be chance."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from retain.evaluation.arrays import Floats
from retain.evaluation.results import Difference

FEWEST_BLOCKS = 5
DRAWN_AT_ONCE = 1_000_000  # blocks, which bounds the memory


@dataclass(frozen=True)
class Interval:
    """A difference of two scores and its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def to_dict(self) -> Difference:
        """The difference as metrics.json has it."""
        return {"value": self.value, "low": self.low, "high": self.high}


def moving_block(
    series: Floats, statistic: Callable[[Floats], Floats], block: int, draws: int, seed: int
) -> Interval:
    """Compute a statistic of sums over time, with the interval of a moving-block bootstrap.

    Blocks of `block` consecutive columns are drawn with replacement (Künsch 1989), since neighbours
    have much in common; the interval is that of the 2.5 and 97.5 percentiles. Fewer columns than
    FEWEST_BLOCKS blocks say nothing of the spread: the interval then has no bounds.

    Args:
        series: (rows, columns), the columns in order of time.
        statistic: from sums over columns, (rows, …), to (…).
    """
    value = float(statistic(series.sum(1)))
    count = series.shape[1]
    if not np.isfinite(value):
        return Interval(value, np.nan, np.nan)
    if count < FEWEST_BLOCKS * block:
        return Interval(value, -np.inf, np.inf)
    sums = np.cumsum(np.pad(series, ((0, 0), (1, 0))), axis=1)
    blocks = sums[:, block:] - sums[:, :-block]  # (rows, where a block begins)
    generator = np.random.Generator(np.random.Philox(seed))
    per_draw = -(-count // block)
    statistics: list[Floats] = []
    for part in np.array_split(np.arange(draws), -(-draws * per_draw // DRAWN_AT_ONCE)):
        chosen = generator.integers(0, blocks.shape[1], (len(part), per_draw))
        statistics.append(statistic(blocks[:, chosen].sum(2)))
    low, high = np.nanquantile(np.concatenate(statistics), [0.025, 0.975])
    return Interval(value, float(low), float(high))


def describe_power(origins: int, series: int, block: int) -> str:
    """Describe how much a difference on a test part can prove, before anything is trained."""
    blocks = origins // block
    few = "" if blocks >= FEWEST_BLOCKS else ": too few to tell two models apart"
    return f"{origins:,} forecast origins of {series:,} series, {blocks:,} independent blocks{few}"
