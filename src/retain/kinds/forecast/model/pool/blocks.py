"""The target of some series of a panel, left-aligned: each from its first value on."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.data import scaling
from retain.kinds.forecast.data.panel import Panel


class Block(NamedTuple):
    """Neighbouring series, without the rows before their first values.

    Attributes:
        first: number of the first series, from 0.
        y: (steps, series), float64, NaN where missing and after the end of a series.
        rows: (series,), row of `panel.values` of each first value.
        begins: (series,), its grid step.
        lengths: (series,), steps from there to the end of a series or `until`; 0 without values.
    """

    first: int
    y: Floats
    rows: NDArray[np.int64]
    begins: NDArray[np.int64]
    lengths: NDArray[np.int64]


def spans(panel: Panel) -> Iterator[tuple[slice, slice]]:
    """Yield slices of the index and of the values, of whole series."""
    yield from scaling.blocks(panel.index)


def read(panel: Panel, series: slice, rows: slice, until: int | None = None) -> Block:
    """Return the series of one of `spans`, with their values before a grid step."""
    index = panel.index[series]
    start, first_step = index["start"].to_numpy(), index["first_step"].to_numpy()
    length = index["length"].to_numpy()
    steps = scaling.steps_of(index)
    values = np.asarray(panel.values[rows, 0])
    seen = np.isfinite(values)
    if until is not None:
        seen &= steps < until
    owner = np.repeat(np.arange(len(length)), length)
    found = np.flatnonzero(seen)
    lead = length.copy()  # rows before the first value
    np.minimum.at(lead, owner[found], found - (start - rows.start)[owner[found]])
    begins = first_step + lead
    ends = first_step + length if until is None else np.minimum(first_step + length, until)
    lengths = np.maximum(ends - begins, 0)
    y = np.full((max(int(lengths.max()), 1), len(length)), np.nan)
    y[steps[found] - begins[owner[found]], owner[found]] = values[found]
    return Block(series.start, y, start + lead, begins, lengths)
