"""The column of time stamps: naive datetime64[us], in UTC where the problem has a time zone.

A stamp is read where it can mean one time alone. Without a format that is ISO 8601 and nothing
else, for 01/02/2020 may be two days and 1577836800 a number of seconds, of sales or of steps.
"""

import re
import zoneinfo
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from retain.errors import DataError, nearest
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data.columns import Mask, fault, shown
from retain.kinds.forecast.data.formats import Origin

Refuse = Callable[[str, Mask, str], DataError]  # of a rule, the distinct stamps, the remedy

ISO_8601 = r"^\d{4}-\d{2}(-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?([Zz]|[+-]\d{2}(:?\d{2})?)?)?)?$"
EPOCH = pd.Timestamp(1970, 1, 1)
# Values of `time_format` beside those of strptime: origin and microseconds of a unit. Excel's
# origin is a day early, for it counts a 29 February 1900.
NUMBER_FORMATS = {
    "epoch_s": (EPOCH, 1_000_000),
    "epoch_ms": (EPOCH, 1_000),
    "excel": (pd.Timestamp(1899, 12, 30), 86_400_000_000),
}
LOOKS_LIKE = (
    (1e11, 1e13, "milliseconds since 1970", "epoch_ms"),
    (1e8, 1e10, "seconds since 1970", "epoch_s"),
    (19000101, 21001231, "dates without dashes", '"%Y%m%d"'),
    (20_000, 80_000, "days of Excel", "excel"),
    (1800, 2200, "years", '"%Y"'),
)
CORRECT = "Correct the stamps or `time_format`."
SET_FORMAT = "Correct the stamps, or set `time_format` to how they are written."


def parse(
    column: "pd.Series[Any]", data: Data, origin: Origin, like: object = None
) -> "pd.Series[Any]":
    """Return the column as time stamps, under the same index.

    Args:
        like: a stamp as it is written in an earlier chunk of the table.

    Raises:
        DataError: a stamp is missing, cannot be read, is ambiguous, or is written unlike others.
    """
    if column.dtype == object:  # dates and times of Python
        column = column.astype("str")
    missing = column.isna() | (column.astype("str").str.strip() == "")
    if missing.any():
        rows = [(int(place), "no time stamp") for place in column.index[missing]]
        raise fault(origin, str(column.name), "missing", rows, "Every row needs a time stamp.")
    codes, values = pd.factorize(column)  # a panel repeats its stamps: each is parsed once

    def refuse(rule: str, mask: Mask, remedy: str) -> DataError:
        return fault(origin, str(column.name), rule, shown(column, mask[codes]), remedy)

    distinct = pd.Series(values, name=column.name)
    if data.time_format in NUMBER_FORMATS:
        parsed = _from_numbers(distinct, str(data.time_format), refuse)
    else:
        parsed = _from_text(distinct, data, refuse, like)
    if data.time_format not in ("epoch_s", "epoch_ms"):  # which are UTC by definition
        parsed = _to_utc(parsed, data, refuse)
    return pd.Series(parsed.to_numpy(dtype="datetime64[us]")[codes], index=column.index)


def written(ds: pd.DatetimeIndex, data: Data) -> "pd.Index[Any]":
    """Time stamps as `parse` gives them, written so that it reads them again."""
    if data.timezone is not None and data.time_format not in ("epoch_s", "epoch_ms"):
        local = ds.tz_localize("UTC").tz_convert(data.timezone)
        if data.time_format is None:
            return local.strftime("%Y-%m-%dT%H:%M:%S%z")
        ds = local if "%z" in data.time_format else local.tz_localize(None)
    if data.time_format in NUMBER_FORMATS:
        start, unit = NUMBER_FORMATS[data.time_format]
        return (ds - start) / pd.Timedelta(unit, "us")
    return ds.astype(str) if data.time_format is None else ds.strftime(data.time_format)


def _from_numbers(distinct: "pd.Series[Any]", form: str, refuse: Refuse) -> pd.DatetimeIndex:
    start, unit = NUMBER_FORMATS[form]
    number = pd.to_numeric(distinct, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    micros = number * unit
    if form == "excel":  # a fraction of a day is exact to the second at best
        micros = np.round(micros / 1e6) * 1e6
    bad = ~(np.abs(micros) < 2.0**62)
    if bad.any():
        raise refuse(f"not written as `time_format: {form}` says", bad, CORRECT)
    since = np.round(micros).astype(np.int64).astype("timedelta64[us]")
    return pd.DatetimeIndex(start.to_datetime64() + since)


def _from_text(
    distinct: "pd.Series[Any]", data: Data, refuse: Refuse, like: object
) -> pd.DatetimeIndex:
    if pd.api.types.is_datetime64_any_dtype(distinct):
        return pd.DatetimeIndex(distinct)
    text = distinct.astype("str").str.strip()
    if data.time_format is not None:
        parsed = _to_datetime(text, data.time_format)
        unread = np.asarray(parsed.isna())
        if unread.any():
            raise refuse(f"not written as `time_format: {data.time_format}` says", unread, CORRECT)
        return parsed
    unread = ~np.asarray(text.str.fullmatch(ISO_8601), dtype=bool)
    if unread.any():
        rule, remedy = _why_unread(text[unread])
        raise refuse(rule, unread, remedy)
    form = _forms(text)
    usual = form.mode()[0] if like is None else _forms(pd.Series([str(like).strip()]))[0]
    other = np.asarray(form != usual)
    if other.any():
        example = distinct[~other].iloc[0] if like is None else like
        rule = f"written unlike the other time stamps, such as {example!r}"
        raise refuse(rule, other, "Write all time stamps in one form.")
    parsed = _to_datetime(text, "ISO8601")
    unread = np.asarray(parsed.isna())
    if unread.any():
        raise refuse("no such day or time", unread, "Correct the time stamps.")
    return parsed


def _forms(text: "pd.Series[Any]") -> "pd.Series[Any]":
    """Stamps with 9 for every digit, without what may differ from row to row.

    That are fractions of a second and the offset; all else is one form.
    """
    form = text.str.replace(r"\.\d+", "", regex=True)
    form = form.str.replace(r"([Zz]|(:\d{2})[+-]\d{2}:?\d{0,2})$", r"\2Z", regex=True)
    return form.str.replace(r"\d", "9", regex=True)


def _to_datetime(text: "pd.Series[Any]", form: str) -> pd.DatetimeIndex:
    offset = r"(?:[Zz]|:\d{2}(?:\.\d+)?[+-]\d{2}:?(?:\d{2})?)$"
    aware = "%z" in form or (form == "ISO8601" and bool(text.str.contains(offset).any()))
    try:
        return pd.DatetimeIndex(pd.to_datetime(text, format=form, errors="coerce", utc=aware))
    except ValueError as error:
        raise DataError(f"`time_format: {form}` is no format of time stamps: {error}") from None


def _why_unread(text: "pd.Series[Any]") -> tuple[str, str]:
    """The rule that the stamps `text`, which are not ISO 8601, break, and the remedy."""
    if text.str.fullmatch(r"\d+(\.\d*)?").all():
        middle = float(text.astype(float).median())
        for low, high, meaning, form in LOOKS_LIKE:
            if low <= middle <= high:
                return f"numbers that look like {meaning}", f"Set `time_format: {form}`."
        return "numbers that are no time stamps", SET_FORMAT
    if text.str.match(r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}\b").all():
        sign = text.iloc[0].lstrip("0123456789")[0]
        year = "%Y" if re.search(r"\d{4}", text.iloc[0]) else "%y"
        forms = f"`%d{sign}%m{sign}{year}` (day first) or `%m{sign}%d{sign}{year}` (month first)"
        return "day and month cannot be told apart", f"Set `time_format`, for instance {forms}."
    return "not a time stamp of ISO 8601 (2020-01-31 or 2020-01-31 23:59:00)", SET_FORMAT


def _to_utc(parsed: pd.DatetimeIndex, data: Data, refuse: Refuse) -> pd.DatetimeIndex:
    """Naive time stamps: as they are without a time zone, in UTC with one."""
    if data.timezone is None:
        if parsed.tz is None:
            return parsed
        remedy = "Set `timezone` to the place whose days and hours the data follow, such as `UTC`."
        raise refuse("time stamps with an offset from UTC", np.ones(len(parsed), bool), remedy)
    try:
        zoneinfo.ZoneInfo(data.timezone)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        near = nearest(data.timezone, sorted(zoneinfo.available_timezones()))
        hint = f"; did you mean `{near}`?" if near else ""
        raise DataError(f"`timezone: {data.timezone}` is no time zone{hint}") from None
    if parsed.tz is not None:
        return parsed.tz_convert("UTC").tz_localize(None)
    remedy = "Write the stamps with their offset from UTC, such as 2020-10-25T02:30:00+01:00."
    local = parsed.tz_localize(data.timezone, ambiguous="NaT", nonexistent="shift_forward")
    if local.hasnans:
        rule = f"this hour came twice in {data.timezone}, when the clocks were set back"
        raise refuse(rule, np.asarray(local.isna()), remedy)
    local = parsed.tz_localize(data.timezone, nonexistent="NaT")
    if local.hasnans:
        rule = f"there was no such time in {data.timezone}, when the clocks were set forward"
        raise refuse(rule, np.asarray(local.isna()), remedy)
    return local.tz_convert("UTC").tz_localize(None)
