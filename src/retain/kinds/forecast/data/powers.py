"""The power of the transform of the target, fitted to the training part."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.errors import DataError
from retain.evaluation.arrays import Floats
from retain.kinds.forecast.data import scaling

MOSTLY_ZERO = 0.2  # of the values, from which logarithms tell little
# Tried for `box_cox`; with a negative one the quantiles above burst when they are transformed back.
POWERS = tuple(number / 10 for number in range(11))


def check(values: NDArray[np.float32], index: pd.DataFrame, data: dict[str, Any]) -> None:
    """Check that the transform which `data.transform` names takes every value of a table.

    Later models learn from its last rows, too.

    Raises:
        DataError: a value is negative.
    """
    transform = data.get("transform", "none")
    if transform == "none":
        return
    steps = int((index["first_step"] + index["length"]).max())
    least = scaling.smallest(values, index, steps)
    if least is not None and least < 0:
        raise DataError(
            f"{data['path']}: data.transform is {transform}, which takes no negative value, and "
            f"the table has {least:.6g}: take `transform: none`"
        )


def fit(
    values: NDArray[np.float32], index: pd.DataFrame, data: dict[str, Any], validation_step: int
) -> float | None:
    """Return the power λ of the transform ((1 + y)^λ − 1) / λ that `data.transform` names.

    None stands for no transform, 0 for log1p. With `box_cox` it is that of the largest likelihood
    (Box & Cox 1964) of the values of all series, each with a mean and a variance of its own.

    Args:
        data: the section `data`.
    """
    transform = data.get("transform", "none")
    if transform == "none":
        return None
    if transform == "log1p":
        return 0.0
    likelihoods = np.zeros(len(POWERS))
    for series, rows in scaling.blocks(index):
        length = index["length"].to_numpy()[series]
        owner = np.repeat(np.arange(len(length)), length)
        y = values[rows, 0].astype(np.float64)
        y[scaling.steps_of(index[series]) >= validation_step] = np.nan
        # What never changes says nothing, and its logarithms would vary by how they are rounded.
        _, deviation = scaling.by_series(y, owner, len(length))
        y[(deviation == 0)[owner]] = np.nan
        logs = np.log1p(y)
        for number, power in enumerate(POWERS):
            likelihoods[number] += _likelihood(logs, owner, len(length), power)
    return POWERS[int(likelihoods.argmax())]


def _likelihood(logs: Floats, owner: NDArray[np.int64], count: int, power: float) -> float:
    """Sum the profile log-likelihoods of series that vary.

    Args:
        logs: log(1 + y) of all values, NaN where missing.
        owner: the series of each.
    """
    transformed = np.expm1(power * logs) / power if power else logs
    _, deviation = scaling.by_series(transformed, owner, count)
    seen = np.isfinite(logs)
    sizes = np.bincount(owner[seen], minlength=count)
    sums = np.bincount(owner[seen], weights=logs[seen], minlength=count)
    varies = (sizes > 1) & (np.nan_to_num(deviation) > 0)
    fit = -sizes[varies] * np.log(deviation[varies]) + (power - 1) * sums[varies]
    return float(fit.sum())


def takes_logarithms(
    values: NDArray[np.float32], index: pd.DataFrame, validation_step: int
) -> bool:
    """Whether logarithms suit a target: no value in training is negative, and few are zero."""
    least = scaling.smallest(values, index, validation_step)
    if least is None or least < 0:
        return False
    return share_of_zeros(values, index, validation_step) < MOSTLY_ZERO


def share_of_zeros(values: NDArray[np.float32], index: pd.DataFrame, validation_step: int) -> float:
    """Return the share of zeros among the values of the target in the training part."""
    zeros, seen = 0, 0
    for series, rows in scaling.blocks(index):
        y = values[rows, 0][scaling.steps_of(index[series]) < validation_step]
        zeros, seen = zeros + int((y == 0).sum()), seen + int(np.isfinite(y).sum())
    return zeros / max(seen, 1)
