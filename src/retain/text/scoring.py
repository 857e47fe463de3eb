"""How well a text was foretold, unit by unit, and how far two models are apart."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FEWEST_BLOCKS = 5


@dataclass(frozen=True)
class Interval:
    """A difference and its 95 % interval."""

    value: float
    low: float
    high: float


def scores(bits: Floats) -> dict[str, float]:
    """Figures of metrics.json from the bits that each unit took, −log2 of its probability."""
    mean = float(bits.mean())
    with np.errstate(over="ignore"):
        perplexity = float(np.float64(2) ** mean)
    return {
        "bits": mean,
        "perplexity": perplexity,
        "not_finite": int((~np.isfinite(bits)).sum()),
    }


def difference(ours: Floats, theirs: Floats, block: int, draws: int, seed: int) -> Interval:
    """Mean bits of `ours` minus those of `theirs`, by a moving-block bootstrap.

    Blocks of `block` consecutive units are drawn with replacement (Künsch 1989), the same for both,
    since neighbours share a subject and a style. Fewer units than FEWEST_BLOCKS blocks say nothing
    of the spread: the interval then has no bounds.
    """
    change = ours - theirs
    value, count = float(change.mean()), len(change)
    if not np.isfinite(value):
        return Interval(value, np.nan, np.nan)
    if count < FEWEST_BLOCKS * block:
        return Interval(value, -np.inf, np.inf)
    sums = np.cumsum(np.concatenate([[0.0], change]))
    means = (sums[block:] - sums[:-block]) / block  # of each block, by where it begins
    generator = np.random.Generator(np.random.Philox(seed))
    drawn = [  # one at a time: all at once would take memory that grows with the text
        means[generator.integers(0, len(means), -(-count // block))].mean() for _ in range(draws)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(value, float(low), float(high))
