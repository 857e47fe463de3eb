"""Durations, dates and numbers as a report writes them for people."""

import math
import re

import pandas as pd

from retain.kinds.forecast.data import time_formats, timestamps
from retain.kinds.forecast.data.frequency import units
from retain.kinds.forecast.time_axis import TimeAxis

NAMES = {
    "s": "second",
    "min": "minute",
    "h": "hour",
    "D": "day",
    "B": "business day",
    "W": "week",
    "MS": "month",
    "ME": "month",
    "QS": "quarter",
    "QE": "quarter",
    "YS": "year",
    "YE": "year",
}
LARGER = {"second": (60, "minute"), "minute": (60, "hour")}  # 96 steps of 15 minutes are 24 hours
SEASONS = {  # the forecast of a seasonal naive model, by what lies between
    "yesterday's value": ((24, "hour"), (1, "day")),
    "last week's value": ((168, "hour"), (7, "day"), (5, "business day"), (1, "week")),
    "last year's value": ((12, "month"), (4, "quarter"), (52, "week"), (365, "day"), (1, "year")),
}


def _counted(count: int, frequency: str) -> tuple[int, str] | None:
    """Return how many of which unit some steps are; None where the unit has no name."""
    found = re.fullmatch(r"(\d*)([A-Za-z]+)(-\w+)?", frequency)
    if found is None or found[2] not in NAMES:
        return None
    count, name = count * int(found[1] or 1), NAMES[found[2]]
    while name in LARGER and count % LARGER[name][0] == 0:
        count, name = count // LARGER[name][0], LARGER[name][1]
    return count, name


def steps(count: int, frequency: str) -> str:
    """Write a number of steps of a frequency of pandas as a duration.

    >>> steps(24, "h"), steps(1, "MS"), steps(96, "15min"), steps(3, "4h"), steps(5, "W-SUN")
    ('24 hours', '1 month', '24 hours', '12 hours', '5 weeks')
    """
    found = _counted(count, frequency)
    if found is None:
        name = units(frequency)
        return f"{count:,} {name if count != 1 else name.replace('steps', 'step', 1)}"
    return f"{found[0]:,} {found[1]}{'s' * (found[0] != 1)}"


def every(frequency: str) -> str:
    """Say how often there is a value.

    >>> every("h"), every("15min")
    ('every hour', 'every 15 minutes')
    """
    return f"every {steps(1, frequency).removeprefix('1 ')}"


def step_unit(frequency: str) -> str:
    """Return what one step of a frequency is called on an axis, in the plural."""
    found = re.fullmatch(r"([A-Za-z]+)(-\w+)?", frequency)
    return f"{NAMES[found[1]]}s" if found and found[1] in NAMES else units(frequency)


def season_before(season: int, frequency: str) -> str:
    """Name the value that lies one season before: the forecast of the seasonal naive model.

    >>> season_before(168, "h"), season_before(12, "MS"), season_before(6, "h")
    ("last week's value", "last year's value", 'the value 6 hours before')
    """
    if season == 1:
        return "the last value"
    found = _counted(season, frequency)
    names = (name for name, spans in SEASONS.items() if found in spans)
    return next(names, f"the value {steps(season, frequency)} before")


def stamp(when: pd.Timestamp, data: TimeAxis, frequency: str = "") -> str:
    """Write a stamp of the grid: a date with its year, and the time of day unless it is midnight.

    Of a frequency of months, quarters or years no day is written. A step, a quarter or a week is
    written as the table does.

    >>> stamp(pd.Timestamp("2018-10-01 23:00"), TimeAxis())
    '1 Oct 2018 23:00'
    >>> stamp(pd.Timestamp("2018-10-31"), TimeAxis(), "ME")
    'Oct 2018'
    >>> stamp(pd.Timestamp("2018-10-01"), TimeAxis(time_format="%Y-Q%q"), "QS")
    '2018-Q4'
    """
    if name := timestamps.undated(when, data):
        return f"step {name}" if data.ds_is_step else name
    when = timestamps.local([when], data)[0]
    if re.match(r"\d*[MQY][SE]", frequency):
        return f"{when:%Y}" if re.match(r"\d*Y", frequency) else f"{when:%b %Y}"
    time = "" if when == when.normalize() else f" {time_formats.clock(when)}"
    return f"{when.day} {when:%b %Y}{time}"


def on_the_clock(data: TimeAxis) -> TimeAxis:
    """Return the axis of stamps that are on the clock of their place already."""
    return data.model_copy(update={"timezone": None, "local_dates": False})


def span(first: pd.Timestamp, last: pd.Timestamp, data: TimeAxis, frequency: str = "") -> str:
    """Write two stamps of the grid; both have the time of day if one needs it."""
    if first == last:
        return stamp(first, data, frequency)
    one, other = stamp(first, data, frequency), stamp(last, data, frequency)
    if data.ds_is_step:
        return f"{one} to {other.removeprefix('step ')}"
    if (":" in one) != (":" in other):
        one, other = (text if ":" in text else f"{text} 00:00" for text in (one, other))
    return f"{one} to {other}"


def number(value: float) -> str:
    """Write a number with three digits or, where it is large, all before the point.

    >>> number(195.218), number(0.01234), number(12345.6), number(4.0)
    ('195', '0.0123', '12,346', '4')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(2 - math.floor(math.log10(abs(value))), 0)
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
