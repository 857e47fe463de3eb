"""The times at which the made series have values, by name."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

Random = np.random.Generator


@dataclass(frozen=True)
class Grid:
    """A kind of time axis.

    Attributes:
        stamps: returns the times of so many periods.
        periods: of a series, enough for the rules of `retain add`.
        unit: what one period is: time, date, week, month, quarter, year, step.
        days: what one step lasts, for the frequency that is found; None where it is no grid.
    """

    stamps: Callable[[Random, int], pd.DatetimeIndex]
    periods: int
    unit: str
    days: float | None


def _start(random: Random) -> pd.Timestamp:
    return pd.Timestamp("2019-01-01") + pd.Timedelta(int(random.integers(0, 700)), "D")


def _regular(frequency: str) -> Callable[[Random, int], pd.DatetimeIndex]:
    return lambda random, periods: pd.date_range(_start(random), periods=periods, freq=frequency)


def _long_ago(frequency: str) -> Callable[[Random, int], pd.DatetimeIndex]:
    """Return years or quarters, which end before today."""
    return lambda random, periods: pd.date_range(
        f"{int(random.integers(1970, 1990))}-01-01", periods=periods, freq=frequency
    )


def _six_days(random: Random, periods: int) -> pd.DatetimeIndex:
    days = pd.date_range(_start(random), periods=2 * periods)
    return days[days.day_of_week < 6][:periods]


def _opening_hours(random: Random, periods: int) -> pd.DatetimeIndex:
    hours = pd.date_range(_start(random), periods=8 * periods, freq="h")
    return hours[(hours.day_of_week < 5) & (hours.hour >= 8) & (hours.hour < 18)][:periods]


def _fifteenth(random: Random, periods: int) -> pd.DatetimeIndex:
    return pd.date_range(_start(random), periods=periods, freq="MS") + pd.Timedelta(14, "D")


def _fiscal(random: Random, periods: int) -> pd.DatetimeIndex:
    """Ends of fiscal months of 4, 4 and 5 weeks."""
    weeks = np.resize([4, 4, 5], periods).cumsum()
    saturday = pd.date_range(_start(random), periods=1, freq="W-SAT")[0]
    return pd.DatetimeIndex(saturday + pd.to_timedelta(7 * weeks, "D"))


def _events(random: Random, periods: int) -> pd.DatetimeIndex:
    seconds = np.sort(random.choice(40 * 86_400, periods, replace=False))
    return pd.DatetimeIndex(_start(random) + pd.to_timedelta(seconds, "s"))


def _steps(random: Random, periods: int) -> pd.DatetimeIndex:
    """Steps without dates: the n-th stands n days behind the day that is called 0."""
    return pd.date_range("1970-01-01", periods=periods) + pd.Timedelta(
        int(random.integers(0, 3)), "D"
    )


GRIDS = {
    "days": Grid(_regular("D"), 80, "date", 1),
    "hours": Grid(_regular("h"), 150, "time", 1 / 24),
    "quarter hours": Grid(_regular("15min"), 200, "time", 1 / 96),
    "business days": Grid(_regular("B"), 70, "date", 1),
    "six-day weeks": Grid(_six_days, 80, "date", 1),
    "opening hours": Grid(_opening_hours, 160, "time", 1 / 24),
    "weeks from Monday": Grid(_regular("W-MON"), 60, "week", 7),
    "weeks to Sunday": Grid(_regular("W-SUN"), 60, "week", 7),
    "weeks, Thursdays": Grid(_regular("W-THU"), 60, "week", 7),
    "month starts": Grid(_regular("MS"), 48, "month", 30.5),
    "month ends": Grid(_regular("ME"), 48, "month", 30.5),
    "fifteenths": Grid(_fifteenth, 48, "month", 30.5),
    "last business days": Grid(_regular("BME"), 48, "month", 30.5),
    "quarter starts": Grid(_long_ago("QS"), 40, "quarter", 91.5),
    "quarter ends": Grid(_long_ago("QE"), 40, "quarter", 91.5),
    "years": Grid(_long_ago("YS"), 30, "year", 365.25),
    "4-4-5 weeks": Grid(_fiscal, 48, "date", None),
    "events": Grid(_events, 400, "time", None),
    "steps": Grid(_steps, 80, "step", None),
}
