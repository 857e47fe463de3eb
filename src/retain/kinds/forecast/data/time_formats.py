"""How time stamps may be written: values of `time_format`, read and written.

Those of strptime, in English whatever the locale; besides, `%q` is a quarter, 1 to 4, and `%K` an
hour from 1 to 24, of which the first ends at 01:00; `%G` and `%V` need no day of the week, and are
the week that ends on its Sunday. `epoch_s`, `epoch_ms`, `epoch_us` and `epoch_ns` count from 1970
in UTC, `excel` days as Excel does.
"""

import re
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from retain.errors import DataError

BETWEEN = " | "  # the texts of several columns that hold one stamp, and their formats
EPOCH = pd.Timestamp(1970, 1, 1)
# Origin and microseconds of a unit. Excel's origin is a day early, for it counts a 29 February
# 1900.
NUMBER_FORMATS: dict[str, tuple[pd.Timestamp, float]] = {
    "epoch_s": (EPOCH, 1_000_000),
    "epoch_ms": (EPOCH, 1_000),
    "epoch_us": (EPOCH, 1),
    "epoch_ns": (EPOCH, 1e-3),
    "excel": (pd.Timestamp(1899, 12, 30), 86_400_000_000),
}
IN_UTC = ("epoch_s", "epoch_ms", "epoch_us", "epoch_ns")  # by definition
PATTERNS = {"%Y": r"\d{4}", "%y": r"\d{2}", "%q": "([1-4])", "%K": r"(0?[1-9]|1\d|2[0-4])"}
OWN = re.compile("%[qK]")
OFFSET = r"(?:[Zz]|:\d{2}(?:\.\d+)?[+-]\d{2}:?(?:\d{2})?)$"
Texts: TypeAlias = "pd.Series[Any]"


def read(text: Texts, form: str) -> pd.DatetimeIndex:
    """Return stamps written as `form`, or `ISO8601`, NaT where one is not; aware of an offset.

    Raises:
        DataError: there is no such format.
    """
    aware = "%z" in form or (form == "ISO8601" and bool(text.str.contains(OFFSET).any()))
    text, strptime = _translate(text, form)
    try:
        return pd.DatetimeIndex(pd.to_datetime(text, format=strptime, errors="coerce", utc=aware))
    except KeyError:  # pandas matches them with s, k and i, and finds no month of that name
        return read(text.mask(text.str.contains("[ſKıİ]")), form)
    except ValueError as error:
        raise DataError(f"`time_format: {form}` is no format of time stamps: {error}") from None


def clock(stamp: pd.Timestamp) -> str:
    """Return the time of day, with seconds only if there are any."""
    form = "%H:%M:%S.%f" if stamp.microsecond else "%H:%M:%S" if stamp.second else "%H:%M"
    return stamp.strftime(form)


def to_utc(stamp: pd.Timestamp, zone: str) -> pd.Timestamp:
    """Return a stamp in UTC, without a zone; one without an offset is on the clock of a zone.

    Of an hour that came twice it is the first, and for one that never came the next that did.
    """
    if stamp.tz is None:
        stamp = stamp.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
    return stamp.tz_convert("UTC").tz_localize(None)


def write(ds: pd.DatetimeIndex, form: str) -> "pd.Index[Any]":
    """Return stamps as `read` reads them, and numbers where `form` is one of NUMBER_FORMATS."""
    if form in NUMBER_FORMATS:
        start, unit = NUMBER_FORMATS[form]
        micros = (ds - start) // pd.Timedelta(1, "us")
        if form == "excel":
            return micros / unit
        whole = micros * 1000 // round(unit * 1000)
        exact = bool((whole * round(unit * 1000) == micros * 1000).all())
        return whole if exact else micros / unit
    own = OWN.search(form)
    if own is None:
        return ds.strftime(form)
    numbers = ds.quarter.astype(str) if own[0] == "%q" else (ds.hour + 1).astype(str).str.zfill(2)
    pieces = [ds.strftime(piece) if piece else "" for piece in form.split(own[0], 1)]
    return pieces[0] + numbers + pieces[1]


def _translate(text: Texts, form: str) -> tuple[Texts, str]:
    """Return stamps and their format in the words of strptime."""
    if "%V" in form and not re.search("%[uwaA]", form):
        return text + " 7", f"{form} %u"
    own = OWN.search(form)
    if own is None:
        return text, form
    pieces = re.split("(%[A-Za-z%])", form)
    pattern = "".join(
        PATTERNS.get(piece, ".+?") if n % 2 else re.escape(piece) for n, piece in enumerate(pieces)
    )
    least, factor, other = (1, 3, "%m") if own[0] == "%q" else (0, 1, "%H")

    def in_words(found: "re.Match[str]") -> str:
        number = factor * (int(found[1]) - 1) + least
        begin, end = (place - found.start() for place in found.span(1))
        return f"{found[0][:begin]}{number:02d}{found[0][end:]}"

    fits = text.str.fullmatch(pattern, flags=re.IGNORECASE).to_numpy(dtype=bool)
    replaced = text.str.replace(f"^{pattern}$", in_words, regex=True, flags=re.IGNORECASE)
    return replaced.where(fits), form.replace(own[0], other)


def from_numbers(numbers: Any, form: str) -> tuple[pd.DatetimeIndex, Any]:
    """Return stamps of numbers, and which of them cannot be one (and are another)."""
    start, unit = NUMBER_FORMATS[form]
    micros = np.asarray(numbers, dtype=np.float64) * unit
    if form == "excel":  # a fraction of a day is exact to the second at best
        micros = np.round(micros / 1e6) * 1e6
    bad = ~(np.abs(micros) < 2.0**62)
    since = np.round(np.where(bad, 0, micros)).astype(np.int64).astype("timedelta64[us]")
    return pd.DatetimeIndex(start.to_datetime64() + since), bad
