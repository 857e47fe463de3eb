"""The newest window of every series of a table: what a model is asked to forecast from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.errors import DataError, listed
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import calendars
from retain.kinds.forecast.data.features import encode
from retain.kinds.forecast.data.panel import Schema


@dataclass(frozen=True)
class LastWindows:
    """One window a series, laid out as in training (see `windows.Batch`)."""

    names: NDArray[np.object_]  # (series,)
    scales: NDArray[np.float64]  # (series, 2) mean and deviation of the target in the table
    window: NDArray[np.float32]  # (series, columns, season + context + horizon)
    static: NDArray[np.float32]  # (series, static features)
    ahead: NDArray[np.datetime64]  # (series, horizon) the time stamps to forecast


def last_windows(frame: pd.DataFrame, data: Data, schema: Schema, where: str) -> LastWindows:
    """The newest window of every series of a validated table.

    Rows without a target at a series' end are its future if the table brings known covariates;
    otherwise they are missing values like any other.

    Args:
        frame: what `source` made of the table, sorted by series and time.
        where: what messages call the table.

    Raises:
        DataError: a series is too short, has no value in the context, or its known covariates are
            not known for the whole horizon.
    """
    reach, horizon = data.reach, data.horizon
    codes, found = pd.factorize(frame["unique_id"])
    names = found.to_numpy(dtype=object)
    seen = frame["y"].notna().to_numpy()
    unseen = np.bincount(codes, weights=seen, minlength=len(names)) == 0
    refuse(unseen, names, f"{where}: no value of the target at all in")
    first_stamp = frame["ds"].min()
    grid = pd.date_range(first_stamp, frame["ds"].max(), freq=schema.frequency)
    step = grid.get_indexer(pd.DatetimeIndex(frame["ds"]))
    _check_step(np.diff(step)[np.diff(codes) == 0], schema.frequency, where)
    counted = seen if data.known_covariates else np.ones(len(frame), dtype=bool)
    begin = np.full(len(names), len(grid))
    np.minimum.at(begin, codes, step)
    origin = np.zeros(len(names), dtype=np.int64)  # the first step to forecast
    np.maximum.at(origin, codes[counted], step[counted] + 1)
    refuse(
        origin - begin < data.context_length,
        names,
        f"{where}: the model needs a history of {data.context_length} steps of "
        f"{schema.frequency}; too short are",
        [f"{count} steps" for count in origin - begin],
    )

    place = step - origin[codes] + reach  # within the series' window
    inside = (place >= 0) & (place < reach + horizon)
    covariates = encode(frame, [*data.past_covariates, *data.known_covariates], schema.categories)
    given = np.column_stack([frame["y"], covariates])
    window = np.full((len(names), len(schema.columns), reach + horizon), np.nan, np.float32)
    window[codes[inside], : given.shape[1], place[inside]] = given[inside]
    refuse(
        ~np.isfinite(window[:, 0, data.season_length : reach]).any(axis=1),
        names,
        f"{where}: every value of the target is missing in the last {data.context_length} steps of",
    )
    if data.known_covariates:
        _check_future(frame, codes, names, place - reach, data, where)

    low = int(origin.min()) - reach
    stamps = _stamps(first_stamp, schema.frequency, low, int(origin.max()) + horizon)
    calendar = calendars.features(
        stamps, schema.frequency, data.calendar, data.holidays, data.timezone
    )
    at = (origin - low)[:, None] + np.arange(-reach, horizon)  # (series, steps)
    window[:, given.shape[1] :] = calendar[at].transpose(0, 2, 1)

    rows = np.flatnonzero(np.r_[True, np.diff(codes) != 0])
    static = encode(frame.iloc[rows], data.static_covariates, schema.categories)
    scales = scales_of(frame["y"].to_numpy(), rows, np.append(rows[1:], len(frame)))
    ahead = stamps.to_numpy()[at[:, reach:]]
    return LastWindows(names, scales, window, static.astype(np.float32), ahead)


def scales_of(
    y: NDArray[np.float64], first: NDArray[np.int64], end: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean and deviation of what series show, one after the other in `y`: (series, 2)."""
    seen = np.isfinite(y)
    count = np.add.reduceat(seen, first, dtype=np.int64)
    mean = np.add.reduceat(np.where(seen, y, 0.0), first) / count
    change = np.where(seen, y - np.repeat(mean, end - first), 0.0)
    deviation = np.sqrt(np.add.reduceat(change * change, first) / count)
    return np.column_stack([mean, np.where(deviation > 0, deviation, 1.0)])


def refuse(
    bad: Any,
    names: NDArray[np.object_],
    reason: str,
    details: list[str] | None = None,
) -> None:
    """Raise DataError with the reason and the names of the bad series, if there are any."""
    numbers = np.flatnonzero(bad)
    if len(numbers):
        rows = [f"{names[n]}: {details[n]}" if details else str(names[n]) for n in numbers]
        raise DataError(f"{reason} {len(rows):,} series:\n{listed(rows)}")


def _check_step(apart: NDArray[np.int64], frequency: str, where: str) -> None:
    """A table of every second hour lies on an hourly grid, but it is not what was learned."""
    usual = int(np.bincount(apart).argmax()) if len(apart) else 1
    if usual != 1:
        raise DataError(
            f"{where}: its rows are mostly {usual} steps of {frequency} apart; the model reads one "
            f"row for each step of {frequency}"
        )


def _check_future(
    frame: pd.DataFrame,
    codes: NDArray[np.int64],
    names: NDArray[np.object_],
    ahead: NDArray[np.int64],
    data: Data,
    where: str,
) -> None:
    """Known covariates must be known for the whole horizon of every series."""
    known = frame[list(data.known_covariates)].notna().all(axis=1).to_numpy()
    future = (ahead >= 0) & (ahead < data.horizon) & known
    counts = np.bincount(codes[future], minlength=len(names))
    refuse(
        counts < data.horizon,
        names,
        f"{where}: add a row for each of the {data.horizon} steps to forecast, with "
        f"{', '.join(data.known_covariates)} filled in and {data.y} left empty; missing in",
        [f"{count} of {data.horizon} rows" for count in counts],
    )


def _stamps(first: pd.Timestamp, frequency: str, low: int, high: int) -> pd.DatetimeIndex:
    """The time stamps of steps `low` to `high` (not included), where step 0 is at `first`."""
    before = pd.date_range(end=first, periods=max(-low, 0) + 1, freq=frequency)
    after = pd.date_range(first, periods=max(high, 1), freq=frequency)
    stamps = pd.DatetimeIndex(before[:-1].append(after))  # from step min(low, 0)
    return stamps[low - min(low, 0) : high - min(low, 0)]
