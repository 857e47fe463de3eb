"""Which formats read all of some time stamps that are not ISO 8601."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from retain.kinds.forecast.data import time_formats

NUMBERS = r"\d+(\.\d*)?([eE]\+?\d+)?"
# the median of numbers, from and to; what they look like; their format
LOOKS_LIKE = (
    (1e17, 1e19, "nanoseconds since 1970", "epoch_ns"),
    (1e14, 1e16, "microseconds since 1970", "epoch_us"),
    (1e11, 1e13, "milliseconds since 1970", "epoch_ms"),
    (1e8, 1e10, "seconds since 1970", "epoch_s"),
    (19000101, 21001231, "dates without dashes", "%Y%m%d"),
    (190001, 210012, "years and months without a dash", "%Y%m"),
    (20_000, 80_000, "days of Excel", "excel"),
    (1800, 2200, "years", "%Y"),
)
DIGITS = {10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}  # by how many there are
CLOCKS = (
    *("", "{} %H:%M", "{} %H:%M:%S", "{} %H:%M:%S.%f", "{} %I:%M %p", "{} %I:%M:%S %p"),
    *("{} %I:%M%p", "{} %I:%M:%S%p", "{} %I %p", "{} %I%p"),
)
# Formats of one line may read the same stamp. {0} is the sign between the parts.
DATED = (
    ("%d{0}%m{0}%Y", "%m{0}%d{0}%Y"),
    ("%d{0}%m{0}%y", "%m{0}%d{0}%y"),
    ("%Y{0}%m{0}%d",),
)
MONTHLY = (("%m{0}%Y",), ("%Y{0}%m",))
NAMED = tuple(
    (form.replace("%b", month),)
    for month in ("%b", "%B")
    for form in (
        *("%b{0}%Y", "%b{0}%y", "%d{0}%b{0}%Y", "%d{0}%b{0}%y", "%Y{0}%b", "%Y{0}%b{0}%d"),
        *("%b %d, %Y", "%b{0}%d{0}%Y", "%a, %d{0}%b{0}%Y", "%d. %b %Y", "%b. %Y"),
    )
)
WEEKLY = tuple(
    (form,)
    for form in (
        *("%G-W%V", "%GW%V", "%G W%V", "%G-W%V-%u", "%GW%V%u", "W%V %G", "W%V-%G", "W%V/%G"),
        *("%G/W%V", "%G-W%V %u"),
    )
)
QUARTERLY = tuple(
    (form,)
    for form in (
        *("%YQ%q", "%Y-Q%q", "%Y Q%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y", "Q%q%Y", "%qQ%Y", "%qQ%y"),
        *("Q%q %y", "Q%q-%y", "%Y/Q%q", "%Y.Q%q", "Q%q '%y", "%qQ %Y"),
    )
)
MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
NAMES = {"%b": MONTHS, "%B": MONTHS, "%a": "mon|tue|wed|thu|fri|sat|sun", "%p": "am|pm"}
NEARLY = 0.9  # of the stamps, that one format must read
SLACK = 0.1  # by which the first stamps may be read less often than all
FEW = 50  # stamps, of which a format must read each before it is tried on all


def digits(text: "pd.Series[Any]") -> list[str]:
    """Return the formats of stamps that are numbers."""
    lengths = text.str.len()
    dated = DIGITS.get(int(lengths.iloc[0])) if (lengths == lengths.iloc[0]).all() else None
    if (
        dated is not None
        and text.str.fullmatch(r"(19|20)\d+").all()
        and share(text, dated, 1.0) == 1
    ):
        return [dated]
    middle = float(text.astype(float).median())
    forms = [form for low, high, _, form in LOOKS_LIKE if low <= middle <= high]
    return forms[:1]


def formats(text: "pd.Series[Any]") -> list[str]:
    """Return the formats that read every one of the stamps; more than one if they differ.

    Where none does, as with a line of sums below a table, those that read the most, if nearly all.

    Args:
        text: stamps, stripped; neither ISO 8601 nor numbers.
    """
    shape = text.str.replace(r"\d+", "9", regex=True).str.replace(r"[A-Za-z]+", "a", regex=True)
    usual = str(text[shape == shape.mode()[0]].iloc[0])
    letters = " ".join(text.head(FEW)).lower()
    readable: list[str] = []
    for alternatives in _candidates(usual):
        likely = [form for form in alternatives if _may_read(form, letters)]
        shares = {form: share(text, form, NEARLY) for form in likely}
        best = max(shares.values(), default=0.0)
        if best == 1 or (best >= NEARLY and not readable):
            readable = [form for form, found in shares.items() if found == best]
        if best == 1:
            break
    if readable and readable[0].startswith("%m") and "%d" not in readable[0]:
        months = text[text.str.match(r"\d")]
        if _are_quarters(months):
            readable.append(readable[0].replace("%m", "%q"))
    return readable


def _candidates(first: str) -> Iterator[list[str]]:
    """Yield formats that may read a stamp such as `first`, those that read the same together."""
    clock = "T" if re.search(r"\dT\d", first) else " "
    clocks = [form.format("").replace(" ", clock, 1) for form in CLOCKS]
    if found := re.match(r"\d+([/. -])\d+\1\d+", first):
        for alternatives in DATED:
            yield [form.format(found[1]) + clock for form in alternatives for clock in clocks]
    elif found := re.fullmatch(r"\d+([/. -])\d+", first):
        yield from ([form.format(found[1]) for form in forms] for forms in MONTHLY)
    elif re.search(r"[A-Za-z]{3}", first):
        sign = re.search(r"[A-Za-z]([ /.-])\d|\d([ /.-])[A-Za-z]", first)
        between = (sign[1] or sign[2]) if sign else ""
        for (form,) in NAMED:
            yield [form.format(between) + clock for clock in clocks]
    elif re.search(r"[WwQq]", first):
        yield from map(list, (*WEEKLY, *QUARTERLY))
    elif re.fullmatch(r"\d{8}[T ]\d{4,6}Z?", first):
        yield [f"%Y%m%d{clock}{time}" for time in ("%H%M", "%H%M%S", "%H%M%S%z")]


def _may_read(form: str, letters: str) -> bool:
    """Return whether stamps of these letters have the signs and names that a format asks for.

    Most formats are ruled out so, which is quicker than to read with them.
    """
    if not set(re.sub(r"%.|\s", "", form).lower()) <= set(letters):
        return False
    return all(re.search(names, letters) for key, names in NAMES.items() if key in form)


def share(text: "pd.Series[Any]", form: str, least: float) -> float:
    """Return the share of the stamps that a format reads; 0 if it is too small in the first."""
    few = float(np.mean(np.asarray(time_formats.read(text.head(FEW), form).notna())))
    if few < least - SLACK or len(text) <= FEW:
        return few
    return float(np.mean(np.asarray(time_formats.read(text, form).notna())))


def _are_quarters(text: "pd.Series[Any]") -> bool:
    """Return whether months may be quarters: 1 to 4, as it would be by chance with few alone."""
    numbers = text.str.extract(r"^(\d+)")[0].astype(int)
    return len(text) > 4 and set(numbers) == {1, 2, 3, 4}
