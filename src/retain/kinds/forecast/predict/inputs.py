"""The newest windows of series as arrays, which torch or onnxruntime forecasts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Inputs(NamedTuple):
    """The newest windows, with the layout of `windows.Batch`."""

    window: NDArray[np.float32]  # (series, columns, season + context + horizon)
    series: NDArray[np.int64]  # (series,) number of the series, from 1; 0 is a series never seen
    static: NDArray[np.float32]  # (series, static features)
    scales: NDArray[np.float32]  # (series, 2) mean and deviation of the series
    experts: NDArray[np.float32]  # (series, experts, horizon) their forecasts, in data units
    ahead: NDArray[np.float32]  # (series, context or 0) the base's forecasts, each one step ahead
    past: NDArray[np.float32]  # (series, steps) all values of the target, newest last


def join(parts: Sequence[Inputs]) -> Inputs:
    """Return the windows of several requests as one; shorter pasts are missing in front."""
    if len(parts) == 1:
        return parts[0]
    sizes = [part.past.shape for part in parts]
    past = np.full((sum(n for n, _ in sizes), max(steps for _, steps in sizes)), np.nan, np.float32)
    end = 0
    for part, (size, steps) in zip(parts, sizes, strict=True):
        end += size
        past[end - size : end, past.shape[1] - steps :] = part.past
    others: list[Any] = list(zip(*(part[:-1] for part in parts), strict=True))
    return Inputs._make([*(np.concatenate(arrays) for arrays in others), past])
