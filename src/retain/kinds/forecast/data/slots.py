"""Slots of the week at which a series never has a value: a shop that is closed on Sunday.

A slot is a weekday and a time of day, or a weekday where a step is a day, in local time. It counts
as closed where the training part lacks its value each of `LEAST` times or more, and chance hardly
does that: a series that lacks values everywhere has no closed slots.
"""

from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import scaling
from retain.kinds.forecast.data.frequency import DAY, width
from retain.kinds.forecast.data.panel import Panel

LEAST = 4  # times that a slot must have come
CHANCE = 1e-3  # of lacking the value each time, if it is lacked as often as in other slots
MINUTE = 60_000_000  # in microseconds
WEEK = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]


def per_day(frequency: str) -> int:
    """Return how many slots a day has; 0 where steps do not divide it."""
    step = width(pd.tseries.frequencies.to_offset(frequency))
    return DAY // step if step is not None and step >= MINUTE and DAY % step == 0 else 0


def slots_of(stamps: Any, slots_a_day: int, timezone: str | None) -> Numbers:
    """Return the slot of each time stamp, naive, in UTC where there is a time zone."""
    ds = pd.DatetimeIndex(np.asarray(stamps, dtype="datetime64[us]").reshape(-1))
    if timezone is not None:
        ds = ds.tz_localize("UTC").tz_convert(timezone).tz_localize(None)
    micros = ds.to_numpy(dtype="datetime64[us]").astype(np.int64)
    weekday = (micros // DAY + 3) % 7  # 1 January 1970 was a Thursday
    slots: Numbers = weekday * slots_a_day + micros % DAY * slots_a_day // DAY
    return slots


def measure(source: Panel) -> dict[str, Any] | None:
    """Return the slots at which the series of a panel have no value in its training part.

    Returns:
        `per_day`; `closed`, lists of slots; `of_series`, which of the lists each series has;
        `others`, which one a series has that the panel does not have. None if all are empty.
    """
    schema = source.schema
    a_day = per_day(schema.frequency)
    if not a_day:
        return None
    week = 7 * a_day
    slot_of_step = slots_of(source.grid, a_day, Data.model_validate(schema.data).zone)
    count = len(source.index)
    closed: dict[int, bytes] = {}
    for series, rows in scaling.blocks(source.index):
        length = source.index["length"].to_numpy()[series]
        steps = np.minimum(scaling.steps_of(source.index[series]), schema.steps - 1)
        owner = np.repeat(np.arange(len(length)), length)
        seen = np.isfinite(source.values[rows, 0]) & (steps < schema.validation_step)
        first, last = _ends(seen, owner, steps, len(length))
        long = np.flatnonzero(last - first + 1 >= LEAST * week)
        number = np.full(len(length), -1)
        number[long] = np.arange(len(long))
        alive = (number[owner] >= 0) & (steps >= first[owner]) & (steps <= last[owner])
        code = number[owner] * week + slot_of_step[steps]
        shape = len(long), week
        came = np.bincount(code[alive], minlength=shape[0] * week).reshape(shape)
        valued = np.bincount(code[alive & seen], minlength=shape[0] * week).reshape(shape)
        lacking = 1 - valued.sum(1) / np.maximum((came * (valued > 0)).sum(1), 1)
        shut = (valued == 0) & (came >= LEAST) & (lacking[:, None] ** came < CHANCE)
        closed |= {series.start + n: row.tobytes() for n, row in zip(long, shut, strict=True)}
    masks = [np.frombuffer(row, dtype=bool) for row in closed.values()]
    others = np.logical_and.reduce(masks) if masks else np.zeros(week, dtype=bool)
    numbers: dict[bytes, int] = {}
    of_series = [
        numbers.setdefault(closed.get(number, others.tobytes()), len(numbers))
        for number in range(count)
    ]
    of_others = numbers.setdefault(others.tobytes(), len(numbers))
    lists = [np.flatnonzero(np.frombuffer(row, dtype=bool)).tolist() for row in numbers]
    if not any(lists):
        return None
    return {"per_day": a_day, "closed": lists, "of_series": of_series, "others": of_others}


def _ends(seen: Mask, owner: Numbers, steps: Numbers, count: int) -> tuple[Numbers, Numbers]:
    """Return the first and the last step at which each series has a value, 0 and -1 if never."""
    first, last = np.zeros(count, dtype=np.int64), np.full(count, -1)
    last[owner[seen]] = steps[seen]
    first[owner[seen][::-1]] = steps[seen][::-1]
    return first, last


def is_closed(
    found: dict[str, Any], numbers: Numbers, ahead: NDArray[np.datetime64], timezone: str | None
) -> Mask:
    """Return which of the stamps of some series are at a closed slot, (series, horizon).

    Args:
        found: as `measure` returns it.
        numbers: of the series, from 1; 0 is one that the panel does not have.
        ahead: time stamps, (series, horizon).
    """
    closed = np.zeros((len(found["closed"]), 7 * found["per_day"]), dtype=bool)
    for number, slots in enumerate(found["closed"]):
        closed[number, slots] = True
    which = np.array([found["others"], *found["of_series"]])[numbers]
    mask: Mask = closed[
        which[:, None], slots_of(ahead, found["per_day"], timezone).reshape(ahead.shape)
    ]
    return mask


def warnings(found: dict[str, Any] | None) -> list[str]:
    """Return a sentence for each list of slots that `measure` found."""
    sentences = []
    for number, closed in enumerate(found["closed"] if found else ()):
        assert found is not None
        count = found["of_series"].count(number)
        if closed and count:
            sentences.append(
                f"{count:,} of {len(found['of_series']):,} series never have a value at: "
                f"{describe(closed, found['per_day'])}"
            )
    return sentences


def describe(closed: list[int], slots_a_day: int) -> str:
    """Return slots in words.

    >>> describe([1, 2, 4, 5, 7, 8, 10, 11, 13, 14, *range(15, 21)], slots_a_day=3)
    'Saturday and Sunday; 08:00 to 23:59'
    >>> describe([0, 2], slots_a_day=1)
    'Monday and Wednesday'
    """
    of_day = [
        frozenset(s - day * slots_a_day for s in closed if s // slots_a_day == day)
        for day in range(7)
    ]
    whole = [day for day, slots in enumerate(of_day) if len(slots) == slots_a_day]
    rest = [day for day in range(7) if day not in whole]
    parts = [_days(whole)] if whole else []
    for slots in sorted({of_day[day] for day in rest if of_day[day]}, key=sorted):
        days = [day for day in rest if of_day[day] == slots]
        which = "" if days == rest else f"{_days(days)} "
        parts.append(which + " and ".join(_times(slots, slots_a_day)))
    return "; ".join(parts)


def _days(days: list[int]) -> str:
    """Return days of the week in words, three and more in a row as a range."""
    if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        return f"{WEEK[days[0]]} to {WEEK[days[-1]]}"
    names = [WEEK[day] for day in days]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _times(slots: frozenset[int], slots_a_day: int) -> list[str]:
    """Return times of the day in words; what goes on over midnight is one range."""
    ordered = sorted(slots)
    runs = [
        [slot for _, slot in run]
        for _, run in groupby(enumerate(ordered), key=lambda pair: pair[1] - pair[0])
    ]
    if len(runs) > 1 and runs[0][0] == 0 and runs[-1][-1] == slots_a_day - 1:
        runs = [*runs[1:-1], runs[-1] + runs[0]]
    minutes = 24 * 60 // slots_a_day
    return [f"{_clock(run[0] * minutes)} to {_clock((run[-1] + 1) * minutes - 1)}" for run in runs]


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
