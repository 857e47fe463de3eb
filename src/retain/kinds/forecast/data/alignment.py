"""Time stamps that are no steps of a frequency, taken to its grid and back.

The grid of a fixed step has one of its stamps at 1970-01-01 00:00. A step of the calendar holds the
days up to its stamp where that ends it (W, ME, BME, QE, YE, as in pandas), and from its stamp on
otherwise.
"""

from typing import Any

import numpy as np
import pandas as pd

from retain.errors import setting
from retain.kinds.forecast.data import timestamps
from retain.kinds.forecast.data.columns import fault
from retain.kinds.forecast.data.formats import Origin
from retain.kinds.forecast.data.frequency import DAY, Micros, length_of, micros
from retain.kinds.forecast.time_axis import TimeAxis

ENDS = ("W", "ME", "BME", "QE", "YE")  # frequencies whose stamp is the last day of a step
PHASE = "\0phase"  # the column of checked rows with the distance of their series from the grid
MARGIN = 800  # days of the grid before and after the stamps: more than two years


def to_grid(long: pd.DataFrame, data: TimeAxis, origin: Origin) -> pd.DataFrame:
    """Return rows by series and time with `ds` on the grid, and PHASE if each series has one.

    Raises:
        DataError: the distance from the grid changes within a series.
    """
    moved = long.assign(ds=aligned(long["ds"], data))
    if data.align != "series":
        return moved
    stamps, slots, frequency = micros(long["ds"]), micros(moved["ds"]), str(data.frequency)
    codes, _ = pd.factorize(long["unique_id"])
    phase = of_series(stamps, slots, codes, frequency)[codes]
    other = stamps != add(slots, phase, frequency)
    if other.any():
        first = long.loc[other, ["ds", "unique_id"]].sort_index(kind="stable").head(10)
        rows = [
            (int(str(place)), f"{timestamps.text(ds, data)} of series {name!r}")
            for place, ds, name in first.itertuples()
        ]
        raise fault(
            origin,
            data.time_name,
            f"at another distance from the steps of {frequency} than the others of their series",
            rows,
            f"Correct the stamps, or set {setting('align')} to nearest or period.",
            int(other.sum()),
        )
    return moved.assign(**{PHASE: phase})


def aligned(ds: "pd.Series[Any]", data: TimeAxis) -> "pd.Series[Any]":
    """Return the step of the grid that each stamp is taken to by `data.align`."""
    step = nearest if data.align == "nearest" else period
    slots = step(micros(ds), str(data.frequency))
    return pd.Series(slots.astype("datetime64[us]"), index=ds.index)


def period(stamps: Micros, frequency: str) -> Micros:
    """Return the step that each stamp lies in."""
    length = length_of(frequency)
    if length is not None:
        return np.asarray(stamps - stamps % length)
    days = stamps // DAY
    grid = _days(days, frequency)
    if frequency.partition("-")[0] in ENDS:
        found = grid[np.searchsorted(grid, days, side="left")]
    else:
        found = grid[np.searchsorted(grid, days, side="right") - 1]
    return np.asarray(found * DAY)


def nearest(stamps: Micros, frequency: str) -> Micros:
    """Return the stamp of the grid nearest to each stamp."""
    length = length_of(frequency)
    if length is not None:
        moved = stamps + length // 2
        return np.asarray(moved - moved % length)
    grid = _days(stamps // DAY, frequency) * DAY
    right = np.searchsorted(grid, stamps)
    left = right - 1
    nearer = np.where(stamps - grid[left] <= grid[right] - stamps, left, right)
    return np.asarray(grid[nearer])


def limits(slots: Micros, frequency: str) -> tuple[Micros, Micros]:
    """Return when each step begins, and when the next does."""
    length = length_of(frequency)
    if length is not None:
        return slots, np.asarray(slots + length)
    days = slots // DAY
    grid = _days(days, frequency)
    place = np.searchsorted(grid, days)
    if frequency.partition("-")[0] in ENDS:
        return np.asarray((grid[place - 1] + 1) * DAY), np.asarray((grid[place] + 1) * DAY)
    return slots, np.asarray(grid[place + 1] * DAY)


def of_series(stamps: Micros, slots: Micros, codes: Micros, frequency: str) -> Micros:
    """Return the distance from the grid that most stamps of each series have, (series,).

    Args:
        codes: the series of each stamp, from 0 to the last without a gap.
    """
    own = phases(stamps, slots, frequency)
    count = int(codes.max()) + 1
    kinds, kind = np.unique(own, return_inverse=True)
    pairs, sizes = np.unique(codes * len(kinds) + kind, return_counts=True)
    order = np.lexsort((-pairs, sizes))  # of as many the earliest last, which is what stays
    usual = np.empty(count, dtype=np.int64)
    usual[pairs[order] // len(kinds)] = kinds[pairs[order] % len(kinds)]
    if not _of_months(frequency):
        return usual
    largest = np.full(count, own.min())  # a day 31 is less in a shorter month
    np.maximum.at(largest, codes, own)
    bad = [
        np.bincount(codes, stamps != add(slots, phase[codes], frequency), count)
        for phase in (usual, largest)
    ]
    return np.where(bad[1] <= bad[0], largest, usual)


def phases(stamps: Micros, slots: Micros, frequency: str) -> Micros:
    """Return the distance of each stamp from its step as one number, which `add` adds.

    Microseconds; of a step of months it is months, days of the month and time of the day.
    """
    if not _of_months(frequency):
        return np.asarray(stamps - slots)
    days, months, day = _calendar(stamps)
    _, first, _ = _calendar(slots)
    return np.asarray(((months - first) * 32 + day - 1) * DAY + stamps - days * DAY)


def add(slots: Micros, phase: Micros, frequency: str) -> Micros:
    """Return the stamps at a distance from their steps, a day 31 at the end of a shorter month."""
    if not _of_months(frequency):
        return np.asarray(slots + phase)
    whole, clock = phase // DAY, phase % DAY
    _, months, _ = _calendar(slots)
    month = (months + whole // 32).astype("datetime64[M]")
    begin = month.astype("datetime64[D]").astype(np.int64)
    end = (month + 1).astype("datetime64[D]").astype(np.int64) - 1
    return np.asarray(np.minimum(begin + whole % 32, end) * DAY + clock)


def own(slots: Any, phase: Any, frequency: str) -> pd.DatetimeIndex:
    """Return the stamps that steps have in their table.

    Args:
        phase: of their series, one or one a step; None where they are those of the grid.
    """
    ds = pd.DatetimeIndex(slots)
    if phase is None:
        return ds
    numbers = ds.to_numpy(dtype="datetime64[us]").astype(np.int64)
    moved = add(numbers, np.broadcast_to(phase, numbers.shape).astype(np.int64), frequency)
    return pd.DatetimeIndex(moved.astype("datetime64[us]"))


def _of_months(frequency: str) -> bool:
    return frequency.partition("-")[0] in ("MS", "QS", "YS")


def _calendar(stamps: Micros) -> tuple[Micros, Micros, Micros]:
    """Return day since 1970, month since 1970 and day of the month, from 1."""
    days = stamps // DAY
    months = days.astype("datetime64[D]").astype("datetime64[M]")
    of_month = days - months.astype("datetime64[D]").astype(np.int64) + 1
    return days, months.astype(np.int64), of_month


def _days(days: Micros, frequency: str) -> Micros:
    """Return the grid around some days, in days since 1970."""
    around = np.array([days.min() - MARGIN, days.max() + MARGIN]).astype("datetime64[D]")
    grid: Any = pd.date_range(around[0], around[1], freq=frequency).to_numpy("datetime64[D]")
    return np.asarray(grid.astype(np.int64))
