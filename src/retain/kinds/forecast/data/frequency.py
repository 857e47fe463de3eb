"""The frequency of a table: inferred from its time stamps, and checked against all of them.

A frequency is a pandas alias in one spelling (`h`, never `60min`). It is inferred from the most
common step, which gaps and duplicates do not move; a stamp that lies off the grid
origin + k * step is for the caller to report.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.tseries.offsets import BMonthBegin, BMonthEnd

from retain.errors import DataError, setting

Micros = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

SECOND = 1_000_000
DAY = 86_400 * SECOND
UNITS = {"D": DAY, "h": 3600 * SECOND, "min": 60 * SECOND, "s": SECOND, "ms": 1000, "us": 1}
WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
# steps of the calendar, which differ in length: the shortest and longest in days, by class
CALENDAR = {-1: (28, 31), -2: (89, 92), -3: (365, 366)}
MOST_STEPS = 1_000_000_000  # of a table's grid, which memory must hold
CALENDAR_ALIASES = {"W", "MS", "ME", "BMS", "BME", "QS", "QE", "YS", "YE"}
CLASS_NAMES = {-1: "one month", -2: "one quarter", -3: "one year"}


def in_steps(frequency: str) -> str:
    """Return a frequency for people: that of steps without dates, which count, as a number.

    >>> in_steps("h"), in_steps("us"), in_steps("10us")
    ('h', '1', '10')
    """
    count = re.fullmatch(r"(\d*)us", frequency)
    return frequency if count is None else count[1] or "1"


def units(frequency: str) -> str:
    """Return what steps of a frequency are called.

    >>> units("15min"), units("us"), units("10us")
    ('steps of 15min', 'steps', 'steps of 10')
    """
    return "steps" if frequency == "us" else f"steps of {in_steps(frequency)}"


class Times(NamedTuple):
    """The distinct time stamps of a table and steps within its series, and how often each occurs.

    Ascending; all that a frequency is inferred from, and small however large the table.
    """

    stamps: Micros
    stamp_counts: Micros
    steps: Micros
    step_counts: Micros


def count_times(series: Micros, ds: "pd.Series[Any]") -> Times:
    """Return the times of stamps `ds`, ascending in each of the `series`, which have numbers."""
    return Times(*_counted(micros(ds)), *_counted(_steps(series, ds)[1]))


def merge_times(chunks: Sequence[Times]) -> Times:
    """Return the times of several chunks of a table, none of which has a series of another."""
    stamps, stamp_counts, steps, step_counts = map(np.concatenate, zip(*chunks, strict=True))
    return Times(*_counted(stamps, stamp_counts), *_counted(steps, step_counts))


def infer(times: Times) -> str:
    """Return the frequency of the times of a table.

    >>> days = pd.Series(pd.to_datetime(["2024-01-05", "2024-01-08", "2024-01-09", "2024-01-10"]))
    >>> infer(count_times(np.zeros(4, int), days))
    'B'

    Raises:
        DataError: no series has two different time stamps.
    """
    steps = times.steps
    if not len(steps):
        raise DataError("no series has two time stamps to find the frequency from")
    classes = classify(steps)
    common = _mode(classes, times.step_counts)
    days = times.stamps // DAY
    if common < 0:
        name = _calendar_alias(int(common), days, times.stamp_counts)
        inside = classes == common
        return name or _tick_alias(_mode(steps[inside], times.step_counts[inside]))
    weekday = (days + 3) % 7  # 1 January 1970 was a Thursday
    if common == 7 * DAY:
        return f"W-{WEEKDAYS[_mode(weekday, times.stamp_counts)]}"
    if common == DAY and (weekday < 5).all() and (steps == 3 * DAY).any():
        return "B"
    return _tick_alias(int(common))


def canonical(frequency: str) -> str:
    """Return the one spelling of a pandas alias; DataError where no grid can be made of it."""
    try:
        offset = pd.tseries.frequencies.to_offset(frequency)
    except ValueError as error:
        near = re.search(r"Did you mean (\w+)", str(error))
        hint = f"; did you mean `{near[1]}`?" if near else ", such as 15min, h, D, W-MON or MS"
        raise DataError(f"`frequency: {frequency}` is no alias of pandas{hint}") from None
    step = width(offset)
    if step is not None and step > 0:
        return _tick_alias(step)
    name = str(offset.freqstr) if offset is not None else ""
    if name == "B" or name.partition("-")[0] in CALENDAR_ALIASES:
        return name
    raise DataError(
        f"`frequency: {frequency}` is not supported; use multiples of s, min, h or D, "
        "or one of B, W, MS, ME, BMS, BME, QS, QE, YS, YE"
    )


def length_of(frequency: str) -> int | None:
    """Return the length of a step as `width`, of any spelling; DataError as `canonical`."""
    return width(pd.tseries.frequencies.to_offset(canonical(frequency)))


def check_steps(first: int, last: int, frequency: str, where: str) -> None:
    """Raise DataError where there are more steps between two stamps than a grid can have."""
    length = length_of(frequency)
    if length is not None and (steps := (last - first) // length + 1) > MOST_STEPS:
        raise DataError(
            f"{where}: from the first to the last time stamp there are {steps:,} "
            f"{units(frequency)}, and a table may have {MOST_STEPS:,}: set a longer "
            f"{setting('frequency')}, or correct the stamps"
        )


def of_days(frequency: str) -> bool:
    """Return whether steps begin at the begin of a day; DataError as `canonical`.

    >>> of_days("h"), of_days("24h"), of_days("W-MON"), of_days("MS")
    (False, True, True, True)
    """
    length = length_of(frequency)
    return length is None or length % DAY == 0


def off_grid(stamps: Micros, counts: Micros, frequency: str) -> Mask:
    """Return which of distinct stamps do not lie on the grid of `frequency`.

    The grid's origin is where most stamps lie, so one bad stamp does not condemn the others.
    """
    length = width(pd.tseries.frequencies.to_offset(frequency))
    if length is not None:
        phase = stamps % length
        return np.asarray(phase != _mode(phase, counts))
    days, clock = stamps // DAY, stamps % DAY
    dates = days.astype("datetime64[D]")
    grid = pd.date_range(dates.min(), dates.max(), freq=frequency).to_numpy("datetime64[D]")
    return np.asarray(~np.isin(dates, grid) | (clock != _mode(clock, counts)))


def other_frequencies(series: Micros, ds: "pd.Series[Any]", times: Times) -> dict[int, str]:
    """Return the series whose frequency is not that of the table, with their most common step.

    A series is judged from three steps on, and where nine of ten of them are alike.

    Args:
        series: the number of the series of each stamp.
        ds: time stamps of all or of some series of the table, ascending in each.
        times: of the whole table.
    """
    owner, steps = _steps(series, ds)
    if not len(steps):
        return {}
    of_step = classify(times.steps)
    kinds, kind_of_step = np.unique(of_step, return_inverse=True)
    pairs, counts = _counted(owner * len(kinds) + kind_of_step[np.searchsorted(times.steps, steps)])
    owner, kind = pairs // len(kinds), kinds[pairs % len(kinds)]
    numbers, totals = _counted(owner, counts)
    total = totals[np.searchsorted(numbers, owner)]
    other = (kind != _mode(of_step, times.step_counts)) & (total >= 3) & (counts >= 0.9 * total)
    return {
        owner: CLASS_NAMES[step] if step < 0 else _tick_alias(step)
        for owner, step in zip(owner[other].tolist(), kind[other].tolist(), strict=True)
    }


def _steps(series: Micros, ds: "pd.Series[Any]") -> tuple[Micros, Micros]:
    """Return the series of each step between the stamps of one, and the step in microseconds."""
    steps = np.diff(micros(ds))
    inside = (np.diff(series) == 0) & (steps > 0)
    return series[1:][inside], steps[inside]


def classify(steps: Micros) -> Micros:
    """Return steps with one class for those of a month, one of a quarter and one of a year."""
    classes = steps.copy()
    for name, (shortest, longest) in CALENDAR.items():
        inside = (steps >= shortest * DAY) & (steps <= longest * DAY) & (steps % DAY == 0)
        # four weeks may be a month in February, but not where nearly all steps are four weeks
        if len(np.unique(steps[inside])) > 1 or shortest > 28:
            classes[inside] = name
    return classes


def _calendar_alias(kind: int, days: Micros, counts: Micros) -> str | None:
    """Return the alias of a month, quarter or year; None where stamps are at no end of it."""
    dates = pd.DatetimeIndex(days.astype("datetime64[D]"))
    if kind == -1 and not (dates.is_month_start.all() or dates.is_month_end.all()):
        for alias, business in (("BME", BMonthEnd()), ("BMS", BMonthBegin())):
            if all(map(business.is_on_offset, dates)):  # some months end on no business day
                return alias
    at_start, at_end = counts[dates.is_month_start].sum(), counts[dates.is_month_end].sum()
    if max(at_start, at_end) <= 0.5 * counts.sum():
        return None
    letter, chosen = "S", dates.is_month_start
    if at_start < at_end:
        letter, chosen = "E", dates.is_month_end
    if kind == -1:
        return f"M{letter}"
    month = _mode(dates.month.to_numpy(dtype=np.int64)[chosen] - 1, counts[chosen])
    if kind == -3:
        return f"Y{letter}-{MONTHS[month]}"
    # of the four months that name the same quarters, the one of pandas' own spelling
    return f"Q{letter}-{MONTHS[month % 3 + (0 if letter == 'S' else 9)]}"


def _tick_alias(micros: int) -> str:
    unit, length = next((unit, n) for unit, n in UNITS.items() if micros % n == 0)
    return unit if micros == length else f"{micros // length}{unit}"


def width(offset: Any) -> int | None:
    """Return the length of a fixed step in microseconds; None for steps of the calendar."""
    if isinstance(offset, pd.offsets.Day):
        return int(offset.n) * DAY
    if isinstance(offset, pd.offsets.Tick):
        return int(pd.Timedelta(offset) / pd.Timedelta(1, "us"))
    return None


def micros(ds: "pd.Series[Any]") -> Micros:
    """Return time stamps as microseconds since 1970."""
    return ds.to_numpy(dtype="datetime64[us]").astype(np.int64)


def _counted(values: Micros, weights: Micros | None = None) -> tuple[Micros, Micros]:
    """Return the distinct values, ascending, and the sum of the weights (or number) of each."""
    codes, distinct = pd.factorize(values)  # sorts what is distinct alone
    order = np.argsort(distinct)
    return distinct[order], np.bincount(codes, weights, len(distinct)).astype(np.int64)[order]


def _mode(values: Micros, counts: Micros) -> int:
    """Return the value that occurs most often, the smallest of several."""
    distinct, total = _counted(values, counts)
    return int(distinct[total.argmax()])
