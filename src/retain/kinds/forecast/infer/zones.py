"""The time zone of stamps with an offset from UTC, and of an hour that came twice."""

import zoneinfo
from typing import Any

import numpy as np
import pandas as pd

from retain.kinds.forecast.data import time_formats

# Those that a zone is looked for among first, by how many people may mean them.
LIKELY = (
    *("Europe/Berlin", "America/New_York", "Europe/London", "America/Chicago", "America/Denver"),
    *("America/Los_Angeles", "Australia/Sydney", "Asia/Kolkata", "Asia/Shanghai", "Asia/Tokyo"),
    *("America/Sao_Paulo", "Europe/Athens", "America/Phoenix", "Asia/Dubai", "America/Halifax"),
)
SAMPLE = 400  # stamps that must have the offset of a zone

Roles = dict[str, Any]


def of_offsets(column: "pd.Series[Any]", form: str | None, sentences: list[str]) -> Roles:
    """Return the keys of `data` for stamps with an offset; none where they have none.

    Args:
        form: their `time_format`, None for ISO 8601.
    """
    if pd.api.types.is_datetime64_any_dtype(column):
        return _of_type(getattr(column.dtype, "tz", None), sentences)
    text = column.dropna().astype("str").str.strip()
    text = text[text != ""].drop_duplicates()
    if form is None:
        aware = len(text) and bool(text.str.contains(time_formats.OFFSET).any())
    else:
        aware = "%z" in form
    if not aware:
        return {}
    utc = time_formats.read(text, form or "ISO8601")
    offsets = text.str.extract(r"([Zz]|[+-]\d{2}:?\d{0,2})$")[0].replace(
        {"Z": "+00:00", "z": "+00:00"}
    )
    known = offsets.str.replace(r"^([+-]\d{2}):?(\d{2})?$", _colon, regex=True)
    both = np.asarray(utc.notna()) & np.asarray(known.notna())
    utc, known = utc[both], known[both]
    if known.empty:
        return {}
    distinct = sorted(set(known))
    if distinct == ["+00:00"]:
        sentences.append("timezone: UTC, for the stamps are; --timezone takes that of a place")
        return {"timezone": "UTC"}
    local = pd.DatetimeIndex(
        [
            stamp.tz_localize(None) + pd.Timedelta(f"{offset}:00")
            for stamp, offset in zip(utc[:SAMPLE], known.iloc[:SAMPLE], strict=False)
        ]
    )
    zone = _find(utc[:SAMPLE], local)
    named = " and ".join(distinct[:3])
    by_day = len(set(local.time)) == 1 and len(local) > 1 and local.is_unique
    if by_day and zone is not None:
        sentences.append(
            f"timezone: {zone}, whose offsets the stamps have ({named}); local_dates: the stamps "
            "are its dates, and the offset is left out; --timezone takes another place"
        )
        return {"timezone": zone, "local_dates": True}
    hint = (
        f"; the offsets ({named}) are those of {zone}: --timezone {zone} follows its days"
        if (zone)
        else f"; the offsets are {named}: --timezone follows the days of a place"
    )
    sentences.append(f"timezone: UTC, to which the stamps are taken{hint}")
    return {"timezone": "UTC"}


def _of_type(zone: Any, sentences: list[str]) -> Roles:
    if zone is None:
        return {}
    if str(zone) in zoneinfo.available_timezones():
        sentences.append(f"timezone: {zone}, as the column says; --timezone takes another")
        return {"timezone": str(zone)}
    sentences.append(
        f"timezone: UTC, to which the stamps are taken; the offset of the column is {zone}: "
        "--timezone follows the days of a place"
    )
    return {"timezone": "UTC"}


def ambiguous_in(stamps: "pd.Series[Any]") -> str | None:
    """Return a zone in which each of some local stamps came twice; None if there is none."""
    distinct = pd.DatetimeIndex(stamps.unique())
    for zone in LIKELY:
        local = distinct.tz_localize(zone, ambiguous="NaT", nonexistent="shift_forward")
        if local.isna().all():
            return zone
    return None


def _colon(found: Any) -> str:
    return f"{found[1]}:{found[2] or '00'}"


def _find(utc: pd.DatetimeIndex, local: pd.DatetimeIndex) -> str | None:
    """Return the zone in which stamps have these local times."""
    others = sorted(zoneinfo.available_timezones() - set(LIKELY))
    for zone in (*LIKELY, *others):
        if zone.startswith(("Etc/", "posix", "right")) or "/" not in zone:
            continue
        if (utc.tz_convert(zone).tz_localize(None) == local).all():
            return zone
    return None
