"""The target of some series of a panel, left-aligned: each from its first value on."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.data import scaling
from retain.kinds.forecast.data.panel import Panel


class Block(NamedTuple):
    """Series, one after another, without the rows before their first values.

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


def among(panel: Panel, series: NDArray[np.int64]) -> Panel:
    """Return a panel of some of its series, in order, for `spans`; the values stay those of all."""
    return replace(panel, index=panel.index.iloc[series])


def drawn(panel: Panel, most: int) -> Panel:
    """Return a panel of at most so many of its series, evenly drawn."""
    count = len(panel.index)
    if count <= most:
        return panel
    return among(panel, np.unique(np.linspace(0, count - 1, most).astype(np.int64)))


def longest(panel: Panel, until: int) -> int:
    """Return the steps of the longest series before a grid step."""
    ends = np.minimum(panel.index["first_step"] + panel.index["length"], until)
    return int((ends - panel.index["first_step"]).max())


def spans(panel: Panel) -> Iterator[slice]:
    """Yield slices of the index, of series of about `scaling.BLOCK` rows together."""
    end = panel.index["length"].to_numpy().cumsum()
    first, before = 0, 0
    while first < len(end):
        last = max(int(np.searchsorted(end, before + scaling.BLOCK, side="right")), first + 1)
        yield slice(first, last)
        first, before = last, int(end[last - 1])


def read(panel: Panel, series: slice, until: int | None = None) -> Block:
    """Return the series of one of `spans`, with their values before a grid step."""
    index = panel.index[series]
    start, first_step = index["start"].to_numpy(), index["first_step"].to_numpy()
    length = index["length"].to_numpy()
    steps = scaling.steps_of(index)
    owner = np.repeat(np.arange(len(length)), length)
    offset = np.cumsum(length) - length  # of each series in the values
    rows: slice | NDArray[np.int64] = slice(int(start[0]), int(start[-1] + length[-1]))
    if start[-1] - start[0] != offset[-1]:  # some series in between are not in this panel
        rows = np.arange(len(owner)) + np.repeat(start - offset, length)
    values = np.asarray(panel.values[rows, 0])
    seen = np.isfinite(values)
    if until is not None:
        seen &= steps < until
    found = np.flatnonzero(seen)
    lead = length.copy()  # rows before the first value
    np.minimum.at(lead, owner[found], found - offset[owner[found]])
    begins = first_step + lead
    ends = first_step + length if until is None else np.minimum(first_step + length, until)
    lengths = np.maximum(ends - begins, 0)
    y = np.full((max(int(lengths.max()), 1), len(length)), np.nan)
    y[steps[found] - begins[owner[found]], owner[found]] = values[found]
    return Block(series.start, y, start + lead, begins, lengths)
