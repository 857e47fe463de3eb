"""The column of time stamps: naive datetime64[us], in UTC where the problem has a time zone.

A stamp is read where it can mean one time alone. Without a format that is ISO 8601 and nothing
else, for 01/02/2020 may be two days and 1577836800 a number of seconds, of sales or of steps.
Steps without dates are microseconds since 1970, so that one of them is one.
"""

import re
import zoneinfo
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from retain.errors import DataError, setting
from retain.kinds.forecast.data import time_formats, time_guess
from retain.kinds.forecast.data.columns import Mask, fault, shown
from retain.kinds.forecast.data.formats import Origin
from retain.kinds.forecast.data.time_formats import BETWEEN, IN_UTC, NUMBER_FORMATS
from retain.kinds.forecast.data.time_guess import LOOKS_LIKE
from retain.kinds.forecast.time_axis import TimeAxis
from retain.words import nearest

PERIODS = re.compile("%[qV]")  # of a format: quarters and weeks of ISO 8601
Refuse = Callable[[str, Mask, str], DataError]  # of a rule, the distinct stamps, the remedy
Texts: TypeAlias = "pd.Series[Any]"

ISO_8601 = r"^\d{4}-\d{2}(-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?([Zz]|[+-]\d{2}(:?\d{2})?)?)?)?$"


def column(frame: pd.DataFrame, axis: TimeAxis) -> Texts:
    """Return the time stamps of a raw table as they are written, of several columns joined."""
    first, *others = axis.time_columns
    if not others:
        return frame[first]
    joined = frame[first].astype("str").str.strip()
    for name in others:
        joined = joined + BETWEEN + frame[name].astype("str").str.strip()
    return joined.rename(axis.time_name)


def parse(
    column: Texts,
    data: TimeAxis,
    origin: Origin,
    like: object = None,
    names: "pd.Series[Any] | None" = None,
) -> "pd.Series[Any]":
    """Return the column as time stamps, under the same index.

    Args:
        like: a stamp as it is written in an earlier chunk of the table.
        names: the series of each row, which `ambiguous: order` asks for.

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
    if data.ds_is_step:
        parsed = _from_steps(distinct, refuse)
    elif data.time_format in NUMBER_FORMATS:
        parsed = _from_numbers(distinct, str(data.time_format), refuse)
    else:
        parsed = _from_text(distinct, data, refuse, like)
    if data.time_format not in IN_UTC and not data.ds_is_step:
        if data.ambiguous == "order" and parsed.tz is None and not data.local_dates:
            later = _second_hour(parsed, codes, names, data, refuse)
            first, second = (_to_utc(parsed, data, refuse, summer) for summer in (True, False))
            stamps = np.where(later, second.to_numpy()[codes], first.to_numpy()[codes])
            return pd.Series(stamps.astype("datetime64[us]"), index=column.index)
        parsed = _to_utc(parsed, data, refuse)
    return pd.Series(parsed.to_numpy(dtype="datetime64[us]")[codes], index=column.index)


def written(ds: pd.DatetimeIndex, data: TimeAxis) -> "pd.Index[Any]":
    """Time stamps as `parse` gives them, written so that it reads them again."""
    if data.ds_is_step:
        return pd.Index(ds.to_numpy(dtype="datetime64[us]").astype(np.int64))
    if data.zone is not None and data.time_format not in IN_UTC:
        local = ds.tz_localize("UTC").tz_convert(data.zone)
        if data.time_format is None:
            parts = ".%f" if (local.microsecond != 0).any() else ""
            return local.strftime(f"%Y-%m-%dT%H:%M:%S{parts}%z")
        ds = local if "%z" in data.time_format else local.tz_localize(None)
    elif data.local_dates and "%z" in (data.time_format or ""):
        ds = ds.tz_localize(data.timezone, ambiguous=True, nonexistent="shift_forward")
    if data.time_format is None:
        return ds.astype(str)
    return time_formats.write(ds, data.time_format)


def local(ds: Any, data: TimeAxis) -> pd.DatetimeIndex:
    """Return stamps of a checked table as the clock of their place had them, without a zone."""
    stamps = pd.DatetimeIndex(ds)
    if data.zone is None:
        return stamps
    return stamps.tz_localize("UTC").tz_convert(data.zone).tz_localize(None)


def axis(ds: pd.DatetimeIndex, data: TimeAxis) -> Any:
    """Return stamps of a checked table for an axis: numbers of steps, or local times."""
    return written(ds, data).to_numpy() if data.ds_is_step else local(ds, data).to_numpy()


def undated(stamp: pd.Timestamp, data: TimeAxis) -> str | None:
    """Return a stamp as the table writes it, where that is a step, a quarter or a week."""
    if data.ds_is_step or (isinstance(data.ds, str) and PERIODS.search(data.time_format or "")):
        return str(written(pd.DatetimeIndex([stamp]), data)[0])
    return None


def text(stamp: pd.Timestamp, data: TimeAxis) -> str:
    """Return a stamp of a checked table for a file: as `undated`, or local date and time."""
    return undated(stamp, data) or str(local([stamp], data)[0])


def in_words(stamp: pd.Timestamp, data: TimeAxis) -> str:
    """Return a stamp of a checked table for a message: as `text`, without a time at midnight."""
    if name := undated(stamp, data):
        return name
    stamp = local([stamp], data)[0]
    time = "" if stamp == stamp.normalize() else f" {time_formats.clock(stamp)}"
    return f"{stamp:%Y-%m-%d}{time}"


def _from_steps(distinct: Texts, refuse: Refuse) -> pd.DatetimeIndex:
    number = pd.to_numeric(distinct, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~((np.abs(number) < 2.0**53) & (number == np.round(number)))
    if bad.any():
        raise refuse(
            "no whole number", bad, f"Correct the steps, or leave {setting('ds_is_step')} out."
        )
    return pd.DatetimeIndex(number.astype(np.int64).astype("datetime64[us]"))


def _from_numbers(distinct: Texts, form: str, refuse: Refuse) -> pd.DatetimeIndex:
    number = pd.to_numeric(distinct, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    parsed, bad = time_formats.from_numbers(number, form)
    if bad.any():
        raise refuse(f"not written as `time_format: {form}` says", bad, _correct())
    return parsed


def _from_text(distinct: Texts, data: TimeAxis, refuse: Refuse, like: object) -> pd.DatetimeIndex:
    if pd.api.types.is_datetime64_any_dtype(distinct):
        return pd.DatetimeIndex(distinct)
    text = distinct.astype("str").str.strip()
    if data.time_format is not None:
        parsed = time_formats.read(text, data.time_format)
        unread = np.asarray(parsed.isna())
        if unread.any():
            raise refuse(
                f"not written as `time_format: {data.time_format}` says", unread, _correct()
            )
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
    parsed = time_formats.read(text, "ISO8601")
    unread = np.asarray(parsed.isna())
    if unread.any():
        raise refuse("no such day or time", unread, "Correct the time stamps.")
    return parsed


def _forms(text: Texts) -> Texts:
    """Stamps with 9 for every digit, without fractions of a second and offsets, which may vary."""
    form = text.str.replace(r"\.\d+", "", regex=True)
    form = form.str.replace(r"([Zz]|(:\d{2})[+-]\d{2}:?\d{0,2})$", r"\2Z", regex=True)
    return form.str.replace(r"\d", "9", regex=True)


def _why_unread(text: Texts) -> tuple[str, str]:
    """The rule that the stamps `text`, which are not ISO 8601, break, and the remedy."""
    if text.str.fullmatch(time_guess.NUMBERS).all():
        middle = float(text.astype(float).median())
        for low, high, meaning, form in LOOKS_LIKE:
            if low <= middle <= high:
                remedy = f"Set {setting('time_format', form)}."
                return f"numbers that look like {meaning}", remedy
        return "numbers that are no time stamps", _set_format()
    if text.str.match(r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}\b").all():
        sign = text.iloc[0].lstrip("0123456789")[0]
        year = "%Y" if re.search(r"\d{4}", text.iloc[0]) else "%y"
        days, months = f"%d{sign}%m{sign}{year}", f"%m{sign}%d{sign}{year}"
        return "day and month cannot be told apart", (
            f"Set {setting('time_format', days)} (day first) or {setting('time_format', months)} "
            "(month first)."
        )
    rule = "not a time stamp of ISO 8601 (2020-01-31 or 2020-01-31 23:59:00)"
    found = time_guess.formats(text.drop_duplicates())
    if len(found) == 1:
        return rule, f"Set {setting('time_format', found[0])}."
    return rule, _set_format()


def _correct() -> str:
    return f"Correct the stamps or {setting('time_format')}."


def _set_format() -> str:
    return f"Correct the stamps, or set {setting('time_format')} to how they are written."


def _to_utc(
    parsed: pd.DatetimeIndex, data: TimeAxis, refuse: Refuse, summer: bool | None = None
) -> pd.DatetimeIndex:
    """Naive time stamps: as they are without a time zone, in UTC with one.

    Args:
        summer: which of two hours a stamp is that came twice; None if that is an error.
    """
    if data.timezone is None:
        if parsed.tz is None:
            return parsed
        remedy = (
            f"Set {setting('timezone')} to the place whose days and hours the data follow, such as "
            "UTC."
        )
        raise refuse("time stamps with an offset from UTC", np.ones(len(parsed), bool), remedy)
    try:
        zoneinfo.ZoneInfo(data.timezone)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        near = nearest(data.timezone, sorted(zoneinfo.available_timezones()))
        hint = f"; did you mean `{near}`?" if near else ""
        raise DataError(f"`timezone: {data.timezone}` is no time zone{hint}") from None
    if data.local_dates:
        return parsed if parsed.tz is None else parsed.tz_convert(data.timezone).tz_localize(None)
    if parsed.tz is not None:
        return parsed.tz_convert("UTC").tz_localize(None)
    if summer is None:
        local = parsed.tz_localize(data.timezone, ambiguous="NaT", nonexistent="shift_forward")
        if local.hasnans:
            rule = f"this hour came twice in {data.timezone}, when the clocks were set back"
            remedy = (
                f"Set {setting('ambiguous', 'order')} if the rows of a series stand in order of "
                "time, so that the first row of a stamp is the first hour; or write the stamps "
                "with their offset from UTC, such as 2020-10-25T02:30:00+01:00."
            )
            raise refuse(rule, np.asarray(local.isna()), remedy)
    hour = np.full(len(parsed), bool(summer))
    local = parsed.tz_localize(data.timezone, ambiguous=hour, nonexistent="NaT")
    if local.hasnans:
        rule = f"there was no such time in {data.timezone}, when the clocks were set forward"
        remedy = (
            "Write the stamps with their offset from UTC, such as 2020-03-29T03:30:00+02:00; leave "
            f"{setting('timezone')} out if the clock of the data is never changed."
        )
        raise refuse(rule, np.asarray(local.isna()), remedy)
    return local.tz_convert("UTC").tz_localize(None)


def _second_hour(
    parsed: pd.DatetimeIndex,
    codes: Any,
    names: "pd.Series[Any] | None",
    data: TimeAxis,
    refuse: Refuse,
) -> Mask:
    """Return which rows are of the second of two hours that came, by their order in the file."""
    local = parsed.tz_localize(str(data.timezone), ambiguous="NaT", nonexistent="shift_forward")
    twice = np.asarray(local.isna())
    rows = np.flatnonzero(twice[codes])
    later = np.zeros(len(codes), dtype=bool)
    series = np.zeros(len(codes), np.int64) if names is None else pd.factorize(names)[0]
    same = pd.DataFrame({"series": series[rows], "stamp": codes[rows]}).groupby(
        ["series", "stamp"], sort=False
    )["stamp"]
    count = same.transform("size").to_numpy()
    if (count != 2).any():
        bad = np.zeros(len(parsed), dtype=bool)
        bad[codes[rows[count != 2]]] = True
        rule = f"an hour that came twice in {data.timezone} needs two rows of a series for a stamp"
        raise refuse(rule, bad, "Add the row that lacks, or write the stamps with their offset.")
    later[rows] = same.cumcount().to_numpy() == 1
    upward = np.diff(parsed.to_numpy()[codes].astype(np.int64))[np.diff(series) == 0]
    if (upward < 0).sum() > (upward > 0).sum():  # the newest row stands first
        later[rows] = ~later[rows]
    return later
