"""Durations as params.yaml writes them, such as 30d."""

import datetime as dt
import re
from typing import Annotated

from pydantic import AfterValidator

DURATION = re.compile(r"([1-9]\d*)(w|d|h|min)")
LONGEST = dt.timedelta(days=36_525)
UNITS = {"w": "weeks", "d": "days", "h": "hours", "min": "minutes"}


def span(text: str) -> dt.timedelta:
    """Parse a duration such as 30d; raises ValueError with a message for the user."""
    found = DURATION.fullmatch(text)
    if found is None:
        raise ValueError("give a duration such as 4w, 30d, 12h or 15min")
    count, unit = int(found[1]), dt.timedelta(**{UNITS[found[2]]: 1})
    if count > LONGEST / unit:
        raise ValueError("a duration of more than 100 years; give a shorter one")
    return count * unit


def _duration(text: str) -> str:
    span(text)
    return text


Duration = Annotated[str, AfterValidator(_duration)]
