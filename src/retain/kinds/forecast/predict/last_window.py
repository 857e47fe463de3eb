"""The newest window of every series of a table, from which a model forecasts."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import calendars
from retain.kinds.forecast.data.alignment import PHASE
from retain.kinds.forecast.data.features import encode
from retain.kinds.forecast.data.frequency import units
from retain.kinds.forecast.data.panel import Schema
from retain.kinds.forecast.predict.spans import Steps, find_faults, known_rows, locate, spans_of
from retain.words import listed

# Calendar features (series, steps, features) and the time stamps to forecast (series, horizon), for
# windows that begin at given steps, (series,).
Clock = Callable[[Steps], tuple[NDArray[np.float32], NDArray[np.datetime64]]]


@dataclass(frozen=True)
class LastWindows:
    """One window for each series, with the layout of training (see `windows.Batch`)."""

    names: NDArray[np.object_]  # (series,)
    scales: NDArray[np.float64]  # (series, 2) mean and deviation of the target in the table
    window: NDArray[np.float32]  # (series, columns, season + context + horizon)
    static: NDArray[np.float32]  # (series, static features)
    ahead: NDArray[np.datetime64]  # (series, horizon) the time stamps to forecast
    past: NDArray[np.float64]  # (series, steps) all values of the target before them, newest last
    phase: NDArray[np.int64] | None = None  # (series,) see `alignment.phases`; None without


def last_windows(frame: pd.DataFrame, data: Data, schema: Schema, where: str) -> LastWindows:
    """Return the newest window of every series of a checked table, like `lay_out`.

    Args:
        frame: the frame of `tables.Table`.
        where: what messages call the table.

    Raises:
        DataError: as `lay_out`, or most rows are not one step apart.
    """
    names, first, step = locate(frame, schema, where)
    origin = frame["ds"].min()
    length = data.reach + data.horizon

    def clock(begin: Steps) -> tuple[NDArray[np.float32], NDArray[np.datetime64]]:
        low, high = min(int(begin.min()), 0), int(begin.max()) + length
        before = pd.date_range(end=origin, periods=1 - low, freq=schema.frequency)
        after = pd.date_range(origin, periods=max(high, 1), freq=schema.frequency)
        stamps = pd.DatetimeIndex(before[:-1].append(after))[int(begin.min()) - low : high - low]
        steps = (begin - begin.min())[:, None] + np.arange(length)
        calendar = calendars.features(
            stamps, schema.frequency, data.calendar, data.holidays, data.zone
        )
        return calendar[steps], stamps.to_numpy()[steps[:, data.reach :]]

    phase = frame[PHASE].to_numpy()[first].astype(np.int64) if PHASE in frame else None
    covariates = encode(frame, [*data.past_covariates, *data.known_covariates], schema.categories)
    windows = lay_out(
        names,
        first,
        step,
        np.column_stack([frame["y"], covariates]),
        known_rows(frame, data),
        encode(frame.iloc[first], data.static_covariates, schema.categories),
        clock,
        data,
        units(schema.frequency),
        where,
    )
    return replace(windows, phase=phase)


def lay_out(
    names: NDArray[np.object_],
    first: Steps,
    step: Steps,
    given: NDArray[np.float64],
    known: NDArray[np.bool_],
    static: NDArray[np.float64],
    clock: Clock,
    data: Data,
    unit: str,
    where: str,
) -> LastWindows:
    """Return the newest window of every series, with the layout of training.

    Rows without a target at a series' end are its future if the table has known covariates;
    otherwise they are missing values like any other.

    Args:
        names: of the series, (series,).
        first: the first row of each; rows are by series and time, (series,).
        step: of each row, on a grid that all series have in common, (rows,).
        given: target, past-only and known covariates, (rows, columns).
        known: whether a row has all known covariates, (rows,).
        static: features, (series, features).
        unit: what messages call the steps.
        where: what messages call the table.

    Raises:
        DataError: a series is too short, has no value in the context, or its known covariates are
            not known for the whole horizon.
    """
    reach, horizon = data.reach, data.horizon
    spans = spans_of(first, step, given[:, 0], data)
    for fault in find_faults(spans, first, known, data, unit, where):
        refuse(fault.bad, names, fault.reason, fault.detail)
    codes, seen, place = spans.codes, spans.seen, spans.place
    inside = (place >= 0) & (place < reach + horizon)
    calendar, ahead = clock(spans.origin - reach)
    width = given.shape[1]
    shape = len(names), width + calendar.shape[2], reach + horizon
    window = np.full(shape, np.nan, dtype=np.float32)
    window[codes[inside], :width, place[inside]] = given[inside]
    window[:, width:] = calendar.transpose(0, 2, 1)
    values = np.add.reduceat(seen, first, dtype=np.int64)
    mean = np.add.reduceat(np.where(seen, given[:, 0], 0.0), first) / values
    change = np.where(seen, given[:, 0] - mean[codes], 0.0)
    deviation = np.sqrt(np.add.reduceat(change * change, first) / values)
    scales = np.column_stack([mean, np.where(deviation > 0, deviation, 1.0)])
    before = place < reach
    oldest = min(int(place[before].min()), 0)
    past = np.full((len(names), reach - oldest), np.nan)
    past[codes[before], place[before] - oldest] = given[before, 0]
    return LastWindows(names, scales, window, static.astype(np.float32), ahead, past)


def refuse(
    bad: Any, names: NDArray[np.object_], reason: str, detail: Callable[[int], str] | None = None
) -> None:
    """Raise DataError with the reason and the names of the bad series, if there are any.

    Args:
        detail: returns the text after the name of a series.
    """
    numbers = np.flatnonzero(bad).tolist()
    if numbers:
        rows = [f"{names[number]}{detail(number) if detail else ''}" for number in numbers]
        raise DataError(f"{reason} {len(rows):,} series:\n{listed(rows)}")
