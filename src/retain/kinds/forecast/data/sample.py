"""A part of a panel that is small enough to try settings on, and has nothing of the test part."""

from dataclasses import replace

import numpy as np

from retain.kinds.forecast.data.panel import Panel

ROWS = 30_000  # of all series, at most
STEPS = 10_000  # of a series, at most: the last ones


def draw(source: Panel, reach: int, rows: int = ROWS, steps: int = STEPS) -> Panel:
    """Copy series that have a value before the test part, evenly spaced, without this part.

    Args:
        reach: steps that a window may reach back, in every setting that is tried.
    """
    until = source.schema.test_step
    first = source.index["first_step"].to_numpy()
    ends = np.minimum(first + source.index["length"].to_numpy(), until)
    begins = np.maximum(first, ends - steps)
    lengths = np.maximum(ends - begins, 0)
    starts = source.index["start"].to_numpy() + begins - first
    parts = zip(starts.tolist(), lengths.tolist(), strict=True)
    used = np.flatnonzero([np.isfinite(source.values[b : b + n, 0]).any() for b, n in parts])
    most = max(1, int(rows // lengths[used].mean()))
    if len(used) > most:
        used = used[np.unique(np.linspace(0, len(used) - 1, most).astype(np.int64))]
    values = np.full(
        (reach + int(lengths[used].sum()), source.values.shape[1]), np.nan, dtype=np.float32
    )
    places = reach + np.cumsum(lengths[used]) - lengths[used]
    for number, place in zip(used, places, strict=True):
        length = lengths[number]
        values[place : place + length] = source.values[starts[number] : starts[number] + length]
    index = source.index.iloc[used].reset_index(drop=True)
    index = index.assign(first_step=begins[used], start=places, length=lengths[used])
    return replace(source, values=values, index=index, schema=replace(source.schema, steps=until))
