"""Which column of an unknown table holds the time stamps, and how they are written."""

import re
from typing import Any

import pandas as pd

from retain.errors import DataError
from retain.kinds.forecast.data.timestamps import ISO_8601, LOOKS_LIKE
from retain.kinds.forecast.infer.hints import NO_HINT, by_hint, names, rank

TIME_NAMES = (
    *("ds", "timestamp", "datetime", "date_time", "date", "time", "period", "day", "month"),
    *("week", "hour", "year"),
)
# formats worth trying where stamps are not ISO 8601; those of one line may read the same stamp
FORMATS = (
    ("%d{0}%m{0}%Y", "%m{0}%d{0}%Y"),
    ("%d{0}%m{0}%y", "%m{0}%d{0}%y"),
    ("%Y{0}%m{0}%d",),
)
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
ISO = "ISO8601"


def time_column(sample: pd.DataFrame, known: dict[str, Any], path: str) -> tuple[str, str | None]:
    """Return the column of time stamps, and its `time_format` where it is not ISO 8601."""
    given = known.get("ds")
    for name in by_hint(list(sample.columns), TIME_NAMES) if given is None else [given]:
        hinted = given is not None or rank(name, TIME_NAMES) < NO_HINT
        if "time_format" in known and hinted:
            return str(name), str(known["time_format"])
        formats = formats_of(sample[name], numbers_too=hinted)
        if len(formats) > 1:
            raise DataError(
                f"{path}: column `{name}`: {sample[name].iloc[0]!r} may be two days; say which "
                "with " + " or ".join(f'--time-format "{form}"' for form in formats)
            )
        if formats:
            return str(name), None if formats == [ISO] else formats[0]
    if given is not None:
        return str(given), None  # reading it will say what is wrong
    raise DataError(
        f"{path}: no column looks like time stamps; name it with --ds, and how it is written "
        f"with --time-format. The columns are: {names(sample.columns)}"
    )


def looks_like_time(frame: pd.DataFrame) -> bool:
    """Return whether a column is named like time stamps, and holds some."""
    hinted = [name for name in map(str, frame.columns) if rank(name, TIME_NAMES) < NO_HINT]
    return any(formats_of(frame[name], numbers_too=True) for name in hinted)


def formats_of(column: "pd.Series[Any]", numbers_too: bool) -> list[str]:
    """Return the formats that read every stamp of a column, `ISO8601` alone if that is one."""
    text = column.astype("str").str.strip()
    text = text[text.notna() & (text != "")].drop_duplicates()
    is_time = pd.api.types.is_datetime64_any_dtype(column)
    if is_time or (len(text) and text.str.fullmatch(ISO_8601).all()):
        return [ISO]
    if len(text) and text.str.fullmatch(r"\d+(\.\d*)?").all():
        middle = float(text.astype(float).median())
        likely = [form.strip('"') for low, high, _, form in LOOKS_LIKE if low <= middle <= high]
        return likely[:1] if numbers_too else []
    dated = re.match(r"\d+([/.-])\d+\1\d+", text.iloc[0]) if len(text) else None
    if dated is None:
        return []
    for alternatives in FORMATS:
        forms = [form.format(dated[1]) + clock for form in alternatives for clock in CLOCKS]
        readable = [
            form
            for form in forms
            if pd.to_datetime(text, format=form, errors="coerce").notna().all()
        ]
        if readable:
            return readable
    return []
