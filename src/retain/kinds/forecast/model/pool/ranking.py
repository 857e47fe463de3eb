"""Compare candidates by their past errors: as ratios, so that series of any size count evenly."""

from math import gcd

import numpy as np

from retain.evaluation.arrays import Floats

WORST = 10.0  # times the smallest error; larger errors are clipped


def spacing(least: int, season: int) -> int:
    """Return the smallest spacing of origins, from `least` on, that covers all of a season."""
    stride = max(1, least)
    while season and gcd(stride, season) > 1:
        stride += 1
    return stride


def ratios(errors: Floats) -> Floats:
    """Return errors divided by the smallest of each row; 1 if both are 0."""
    least = np.maximum(errors.min(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return np.where(errors > WORST * least, WORST, np.maximum(errors / least, 1.0))


def common(errors: Floats, horizons: Floats) -> Floats:
    """Return the mean ratio of every candidate over series that have been scored."""
    scored = errors[horizons > 0]
    if not len(scored):
        return np.ones(errors.shape[1])
    mean: Floats = np.cumsum(ratios(scored), axis=0)[-1] / len(scored)
    return mean
