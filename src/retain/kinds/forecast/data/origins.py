"""The origins of windows: the rows of a panel at which a horizon may begin."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.kinds.forecast.data.scaling import blocks

Rows = NDArray[np.int64]


def find(
    values: NDArray[np.float32], index: pd.DataFrame, data: Mapping[str, Any], begin: int, end: int
) -> Iterator[tuple[Rows, int]]:
    """Yield by block of series the rows of origins, and how many more lack a value.

    An origin has a whole context before it, and its horizon lies between two steps of the grid. A
    value of the target is in its context and in its horizon.

    Args:
        values, index: of the panel.
        data: the section `data`.
    """
    context, horizon = data["context_length"], data["horizon"]
    for series, rows in blocks(index):
        origins = _within(index[series], context, horizon, begin, end)
        observed = np.r_[0, np.cumsum(np.isfinite(values[rows, 0]))]
        in_context = observed[origins] - observed[origins - context]
        in_horizon = observed[origins + horizon] - observed[origins]
        kept = origins[(in_context > 0) & (in_horizon > 0)]
        yield kept + rows.start, len(origins) - len(kept)


def _within(index: pd.DataFrame, context: int, horizon: int, begin: int, end: int) -> Rows:
    """Return origins from step `begin` on whose horizon ends before `end`, as rows of these."""
    first_step, length = index["first_step"].to_numpy(), index["length"].to_numpy()
    first = np.maximum(context, begin - first_step)
    last = np.minimum(length, end - first_step) - horizon
    counts = np.maximum(last - first + 1, 0)
    offset = np.cumsum(length) - length + first - (np.cumsum(counts) - counts)
    origins: Rows = np.arange(counts.sum()) + np.repeat(offset, counts)
    return origins
