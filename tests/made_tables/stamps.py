"""How time stamps are written, by name: a column or several of text."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

Texts = dict[str, list[str]]  # by the name that such a column has

EVERY = ("date", "week", "month", "quarter", "year")  # units of a day or more


@dataclass(frozen=True)
class Stamps:
    """A way to write time stamps.

    Attributes:
        write: returns the columns, by what their names say: when, date, time, hour, year, month.
        units: of the grids that it can write.
        form: what a person would answer to `--time-format`; empty where nothing need be answered.
        holds: the period that is told, as pandas calls it; empty where it is the moment.
        zone: of the moments that are told; empty where it is the time on the wall.
    """

    write: Callable[[pd.DatetimeIndex], Texts]
    units: tuple[str, ...]
    form: str = ""
    holds: str = ""
    zone: str = ""


def _form(form: str, name: str = "when") -> Callable[[pd.DatetimeIndex], Texts]:
    return lambda ds: {name: list(ds.strftime(form))}


def _strptime(form: str, *units: str, holds: str = "") -> Stamps:
    return Stamps(_form(form), units, form, holds)


def _offset(zone: str) -> Callable[[pd.DatetimeIndex], Texts]:
    def write(ds: pd.DatetimeIndex) -> Texts:
        local = ds.tz_localize("UTC").tz_convert(zone)
        return {"when": [stamp.isoformat() for stamp in local]}

    return write


def _numbers(unit: str, text: str = "{:d}") -> Callable[[pd.DatetimeIndex], Texts]:
    def write(ds: pd.DatetimeIndex) -> Texts:
        since = (ds - pd.Timestamp(1970, 1, 1)) // pd.Timedelta(1, unit)
        return {"when": [text.format(int(number)) for number in since]}

    return write


def _excel(ds: pd.DatetimeIndex) -> Texts:
    days = (ds - pd.Timestamp(1899, 12, 30)) / pd.Timedelta(1, "D")
    return {"when": [f"{day:.10f}".rstrip("0").rstrip(".") for day in days]}


def _columns(**forms: str) -> Callable[[pd.DatetimeIndex], Texts]:
    return lambda ds: {name: list(ds.strftime(form)) for name, form in forms.items()}


def _plain(**parts: str) -> Callable[[pd.DatetimeIndex], Texts]:
    """Return a writer of years, months, days and hours as plain numbers."""
    return lambda ds: {name: [str(n) for n in getattr(ds, part)] for name, part in parts.items()}


def _date_and_hour(first: int) -> Callable[[pd.DatetimeIndex], Texts]:
    """Return a writer of hours from 0 to 23, or from 1 to 24."""
    return lambda ds: {
        "date": list(ds.strftime("%Y-%m-%d")),
        "hour": [str(hour + first) for hour in ds.hour],
    }


def _quarters(form: str) -> Callable[[pd.DatetimeIndex], Texts]:
    return lambda ds: {"quarter": [form.format(y=day.year, q=day.quarter) for day in ds]}


def _weeks(form: str) -> Callable[[pd.DatetimeIndex], Texts]:
    return lambda ds: {"week": list(ds.strftime(form))}


def _steps(ds: pd.DatetimeIndex) -> Texts:
    return {
        "step": [str(int(day)) for day in (ds - pd.Timestamp(1970, 1, 1)) // np.timedelta64(1, "D")]
    }


STAMPS = {
    "ISO date": Stamps(_form("%Y-%m-%d"), EVERY),
    "ISO date, midnight": Stamps(_form("%Y-%m-%d 00:00:00"), EVERY),
    "ISO with a blank": Stamps(_form("%Y-%m-%d %H:%M:%S"), ("time",)),
    "ISO with a T": Stamps(_form("%Y-%m-%dT%H:%M:%S"), ("time",)),
    "ISO with Z": Stamps(_form("%Y-%m-%dT%H:%M:%SZ"), ("time", "date"), zone="UTC"),
    "ISO with one offset": Stamps(_offset("Asia/Kolkata"), ("time",), zone="Asia/Kolkata"),
    "ISO with summer time": Stamps(_offset("Europe/Berlin"), ("time",), zone="Europe/Berlin"),
    "fractions of seconds": Stamps(_form("%Y-%m-%d %H:%M:%S.000"), ("time",)),
    "dd.mm.yyyy": _strptime("%d.%m.%Y", *EVERY),
    "dd.mm.yyyy HH:MM": _strptime("%d.%m.%Y %H:%M", "time"),
    "dd.mm.yy": _strptime("%d.%m.%y", "date", "week"),
    "dd/mm/yyyy": _strptime("%d/%m/%Y", *EVERY),
    "mm/dd/yyyy": _strptime("%m/%d/%Y", *EVERY),
    "mm/dd/yyyy, 12 hours": _strptime("%m/%d/%Y %I:%M:%S %p", "time"),
    "yyyy/mm/dd": _strptime("%Y/%m/%d", *EVERY),
    "yyyymmdd": _strptime("%Y%m%d", *EVERY),
    "15-Jan-2010": _strptime("%d-%b-%Y", "date", "week", "month"),
    "January 15, 2010": _strptime("%B %d, %Y", "date", "month"),
    "mm/yyyy": _strptime("%m/%Y", "month", holds="M"),
    "yyyy-mm": Stamps(_form("%Y-%m"), ("month",), "", "M"),
    "yyyy/mm": _strptime("%Y/%m", "month", holds="M"),
    "Jan 2010": _strptime("%b %Y", "month", holds="M"),
    "January 2010": _strptime("%B %Y", "month", holds="M"),
    "Jan-10": _strptime("%b-%y", "month", holds="M"),
    "1990Q1": Stamps(_quarters("{y}Q{q}"), ("quarter",), "", "Q"),
    "1990-Q1": Stamps(_quarters("{y}-Q{q}"), ("quarter",), "", "Q"),
    "Q1 1990": Stamps(_quarters("Q{q} {y}"), ("quarter",), "", "Q"),
    "2020-W05": Stamps(_weeks("%G-W%V"), ("week",), "", "W-SUN"),
    "2020W05": Stamps(_weeks("%GW%V"), ("week",), "", "W-SUN"),
    "yyyy": _strptime("%Y", "year", holds="Y"),
    "epoch seconds": Stamps(_numbers("s"), ("time", "date"), "epoch_s", zone="UTC"),
    "epoch seconds, floats": Stamps(_numbers("s", "{:d}.0"), ("time",), "epoch_s", zone="UTC"),
    "epoch milliseconds": Stamps(_numbers("ms"), ("time", "date"), "epoch_ms", zone="UTC"),
    "days of Excel": Stamps(_excel, ("time", "date", "month"), "excel"),
    "date and time": Stamps(_columns(date="%Y-%m-%d", time="%H:%M"), ("time",)),
    "dd.mm.yyyy and time": Stamps(
        _columns(date="%d.%m.%Y", time="%H:%M:%S"), ("time",), "%d.%m.%Y"
    ),
    "date and hour from 0": Stamps(_date_and_hour(0), ("time",), holds="hour"),
    "date and hour to 24": Stamps(_date_and_hour(1), ("time",), holds="hour"),
    "year and month": Stamps(_plain(year="year", month="month"), ("month",), "", "M"),
    "year, month, day": Stamps(_plain(year="year", month="month", day="day"), ("date",)),
    "numbers": Stamps(_steps, ("step",)),
}
