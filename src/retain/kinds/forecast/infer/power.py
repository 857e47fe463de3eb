"""How small a difference the test part of a table can tell, from naive forecasts before it."""

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.data.panel import Panel

FEWEST = 5  # windows, from which a spread is measured
WANTED = 8  # of them
MOST = 200  # series that are looked at, evenly taken


def spread(source: Panel, season: int) -> float | None:
    """Return how much the difference of two naive forecasts varies from window to window.

    The standard deviation between windows, none of which overlaps another, of the difference of
    their mean absolute errors, each as a share of its mean. One forecast repeats the last season,
    the other is the mean of the last two. The windows are those of the validation part, or WANTED
    that end with it. None where fewer than FEWEST have a forecast, or there is no error.
    """
    schema, horizon = source.schema, int(source.schema.data["horizon"])
    measured = max(schema.test_step - schema.validation_step, WANTED * horizon)
    begin = max(schema.test_step - measured, 0)
    starts = np.arange(schema.test_step - horizon, begin - 1, -horizon)
    ahead = np.arange(horizon)
    steps = starts[:, None] + ahead  # (windows, horizon)
    back = season * (ahead // season + 1)
    sums, counts = np.zeros((2, len(starts))), np.zeros(len(starts))
    index = source.index
    chosen = np.unique(np.linspace(0, len(index) - 1, min(len(index), MOST)).astype(np.int64))
    places = index[["start", "length", "first_step"]].to_numpy(dtype=np.int64)[chosen]
    scales = index["mase_scale"].to_numpy(dtype=np.float64)[chosen]
    for (start, length, first), scale in zip(places, scales, strict=True):
        y = source.values[start : start + length, 0]
        truth, last, before = (_at(y, steps - first - lag) for lag in (0, back, back + season))
        errors = np.abs(np.stack([truth - last, truth - (last + before) / 2])) / scale
        known = np.isfinite(errors).all(axis=0)
        sums += np.where(known, errors, 0).sum(axis=2)
        counts += known.sum(axis=1)
    used = counts > 0
    if used.sum() < FEWEST or not (sums.sum(axis=1) > 0).all():
        return None
    means = sums[:, used] / counts[used]
    shares = means / means.mean(axis=1, keepdims=True)
    return float(np.std(shares[0] - shares[1], ddof=1))


def _at(y: NDArray[np.float32], rows: NDArray[np.int64]) -> Floats:
    inside = (rows >= 0) & (rows < len(y))
    return np.where(inside, y[np.clip(rows, 0, len(y) - 1)].astype(np.float64), np.nan)
