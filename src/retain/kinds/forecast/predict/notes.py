"""Notes about a forecast: the series ended, or is far from its training part."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.kinds.forecast.data import slots
from retain.kinds.forecast.data.windows import Batch
from retain.kinds.forecast.predict.predictor import Predictor

OUTSIDE = "history far outside the training range"
CLOSED = "never had a value at this time"
DEVIATIONS = 4.0  # deviations from the mean of the training part, besides growth
GROWTH = 2.0  # allowed growth, in multiples of a straight line through the training part
NARROWEST = 0.05  # share of the mean: the smallest deviation that is used
SMALL = 0.01  # share of the mean: lower values mean another unit, if values were never near zero

Mask = NDArray[np.bool_]


def ended(frame: pd.DataFrame, model: Predictor) -> dict[str, str]:
    """Return the series that ended more than a season before the table's last value, and when."""
    seen = frame[frame["y"].notna().to_numpy()]
    last = seen.groupby("unique_id", sort=False)["ds"].max()
    grid = pd.date_range(last.min(), last.max(), freq=model.schema.frequency)
    early = grid[-1 - model.data.season_length] if len(grid) > model.data.season_length else None
    if early is None:
        return {}
    timezone = model.data.zone
    return {
        str(name): f"ended {written(stamp, timezone)}" for name, stamp in last[last < early].items()
    }


def written(stamp: pd.Timestamp, timezone: str | None) -> str:
    """Return a stamp of a checked table in local time, without a time of day that is midnight."""
    if timezone is not None:
        stamp = stamp.tz_localize("UTC").tz_convert(timezone)
    return f"{stamp:%Y-%m-%d}" if stamp == stamp.normalize() else f"{stamp:%Y-%m-%d %H:%M}"


def outside(
    batch: Batch,
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
    context = batch.window[:, 0, data.season_length : data.reach].double().numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        median = np.nanmedian(context, axis=1)
    mean, deviation = batch.scales.double().numpy().T
    until, origin = _micros(model.trained_until()), _micros(schema.origin)
    start = np.maximum(_micros(begins), origin)
    start = np.where(start < until, start, origin)
    length = (_micros(ahead[:, 0]) - start) / (until - start)
    believed = np.maximum(deviation, NARROWEST * np.abs(mean))
    growth = np.sqrt(12) * (np.maximum(length, 1.0) - 0.5)
    far = np.abs(median - mean) > (DEVIATIONS + GROWTH * growth) * believed
    small = (np.abs(median) < SMALL * np.abs(mean)) & (np.abs(mean) > 3 * deviation)
    known = batch.series.numpy() > 0
    return np.asarray(known & (far | small))


def closed(names: NDArray[np.object_], ahead: NDArray[np.datetime64], model: Predictor) -> Mask:
    """Return which stamps are at times when their series never has a value, (series, horizon)."""
    found = model.config.get("slots")
    if not found:
        return np.zeros(ahead.shape, dtype=bool)
    numbers, _ = model.known_series(names, np.ones((len(names), 2)))
    return slots.is_closed(found, numbers.numpy(), ahead, model.data.zone)


def _micros(stamps: Any) -> Any:
    return np.asarray(stamps, dtype="datetime64[us]").astype(np.int64)
