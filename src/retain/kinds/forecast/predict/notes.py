"""Notes about a forecast: the series ended, or is far from its training part."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.kinds.forecast.data import alignment
from retain.kinds.forecast.data.timestamps import in_words
from retain.kinds.forecast.predict.inputs import Inputs
from retain.kinds.forecast.predict.predictor import Predictor

OUTSIDE = "history far outside the training range"
DEVIATIONS = 4.0  # from the mean of the training part, besides what growth explains
GROWTH = 2.0  # times as fast as a straight line through the training part
NARROWEST = 0.05  # of the mean: the least deviation that is believed
SMALL = 0.01  # of the mean: below it is another unit, where values never came near zero

Mask = NDArray[np.bool_]


def ended(frame: pd.DataFrame, model: Predictor) -> dict[str, str]:
    """Return the series that ended more than a season before the table's last value, and when."""
    seen = frame[frame["y"].notna().to_numpy()]
    if seen.empty:
        return {}
    newest = seen.drop_duplicates("unique_id", keep="last").set_index("unique_id")
    last = newest["ds"]
    grid = pd.date_range(last.min(), last.max(), freq=model.schema.frequency)
    early = grid[-1 - model.data.season_length] if len(grid) > model.data.season_length else None
    if early is None:
        return {}
    ended = newest[(last < early).to_numpy()]
    own = alignment.own(ended["ds"], ended.get(alignment.PHASE), model.schema.frequency)
    return {
        str(name): f"ended {in_words(stamp, model.data)}"
        for name, stamp in zip(ended.index, own, strict=True)
    }


def outside(
    batch: Inputs,
    ahead: NDArray[np.datetime64],
    begins: NDArray[np.datetime64],
    model: Predictor,
) -> Mask:
    """Return which series are far outside their training range, (series,).

    The median of the context is compared with mean and deviation of the training part. A straight
    line through the training part is √12 (k − ½) deviations from its mean at k times its length:
    growth of twice that is allowed, plus four deviations. New series are never marked.

    Args:
        ahead: time stamps to forecast, (series, horizon).
        begins: the first stamp of each series in its history, (series,).
    """
    data, schema = model.data, model.schema
    context = batch.window[:, 0, data.season_length : data.reach].astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        median = np.nanmedian(context, axis=1)
    mean, deviation = batch.scales.astype(np.float64).T
    until, origin = _micros(model.trained_until()), _micros(schema.origin)
    start = np.maximum(_micros(begins), origin)
    start = np.where(start < until, start, origin)
    length = (_micros(ahead[:, 0]) - start) / (until - start)
    believed = np.maximum(deviation, NARROWEST * np.abs(mean))
    growth = np.sqrt(12) * (np.maximum(length, 1.0) - 0.5)
    far = np.abs(median - mean) > (DEVIATIONS + GROWTH * growth) * believed
    small = (np.abs(median) < SMALL * np.abs(mean)) & (np.abs(mean) > 3 * deviation)
    known = batch.series > 0
    return np.asarray(known & (far | small))


def _micros(stamps: Any) -> Any:
    return np.asarray(stamps, dtype="datetime64[us]").astype(np.int64)
