"""How well a text was foretold, unit by unit, and how far two models are apart."""

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.bootstrap import Interval, moving_block

Floats = NDArray[np.float64]


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

    Blocks of `block` consecutive units are drawn, the same for both: neighbours share a subject and
    a style.
    """
    change = ours - theirs
    both = np.stack([change, np.ones_like(change)])
    return moving_block(both, lambda sums: sums[0] / sums[1], block, draws, seed)
