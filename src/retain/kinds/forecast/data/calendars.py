"""Calendar features: known for any date, past or future, so a forecast never has to be given them.

Cycles are a sine and a cosine each, which makes 23:00 the neighbour of midnight; holidays come from
the `holidays` package, which knows them offline for any year. A step longer than a day has the
number of holidays in it: stamps of W, ME, QE and YE end their step, as in pandas (that of W-SUN is
the seven days up to and including the Sunday); those of MS, QS, YS and of several days begin it.
"""

import holidays as holidays_package
import numpy as np
import pandas as pd
from numpy.typing import NDArray

DAY = pd.Timedelta(days=1)


def step_of(frequency: str) -> pd.Timedelta:
    """Return the length of one step; of a step that varies (a month), its shortest length."""
    stamps = pd.date_range("2001-01-01", periods=14, freq=frequency)
    return pd.Timedelta(min(np.diff(stamps.to_numpy())))


def feature_names(frequency: str, calendar: bool, holidays: str | None) -> list[str]:
    """Return the names of the columns of `features`."""
    step = step_of(frequency)
    cycles = []
    if calendar:
        if step < DAY:
            cycles.append("hour_of_day")
        if step <= DAY:
            cycles.append("day_of_week")
        cycles.append("day_of_year")
    names = [f"{cycle}_{part}" for cycle in cycles for part in ("sin", "cos")]
    return names + (["holiday"] if holidays is not None else [])


def features(
    ds: pd.DatetimeIndex,
    frequency: str,
    calendar: bool,
    holidays: str | None,
    timezone: str | None = None,
) -> NDArray[np.float32]:
    """Return calendar features of time stamps in the local time of `timezone`: (steps, features).

    The time stamps are naive: UTC where `timezone` is given, wall-clock time otherwise.
    """
    local = ds if timezone is None else ds.tz_localize("UTC").tz_convert(timezone).tz_localize(None)
    day_part = (local - local.normalize()) / DAY
    turns = {
        "hour_of_day": day_part,
        "day_of_week": (local.day_of_week + day_part) / 7,
        "day_of_year": (local.day_of_year - 1) / 365.25,
    }
    names = feature_names(frequency, calendar, holidays)
    columns = np.zeros((len(ds), len(names)), dtype=np.float32)
    for number, name in enumerate(names):
        if name == "holiday":
            columns[:, number] = _count_holidays(local, frequency, str(holidays))
        else:
            cycle, part = name.rsplit("_", 1)
            angle = 2 * np.pi * turns[cycle].to_numpy(dtype=np.float64)
            columns[:, number] = np.sin(angle) if part == "sin" else np.cos(angle)
    return columns


def _count_holidays(local: pd.DatetimeIndex, frequency: str, region: str) -> NDArray[np.int64]:
    """Return how many holidays of a region are in the step of each stamp; of its day at least."""
    first = last = local.normalize()
    if step_of(frequency) > DAY and len(local):
        offset = pd.tseries.frequencies.to_offset(frequency)
        if frequency.startswith(("W", "ME", "BME", "QE", "YE")):
            first = pd.DatetimeIndex(last - offset) + DAY
        else:
            last = pd.DatetimeIndex(first + offset) - DAY
    country, _, subdivision = region.partition("-")
    years = range(first.min().year, last.max().year + 1) if len(local) else range(0)
    calendar = holidays_package.country_holidays(country, subdiv=subdivision or None, years=years)
    days = pd.DatetimeIndex(sorted(calendar)).as_unit("us")
    before, until = days.searchsorted(first), days.searchsorted(last, side="right")
    counts: NDArray[np.int64] = until - before
    return counts
