"""The decimal and the thousands sign of an unknown table, by what its values can mean.

A sign that may mean two things is asked for: 1.101 is a thousand in one country and one in another.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from retain.errors import AmbiguousError, Choice, DataError
from retain.kinds.forecast.data import numerals

LOOKED_AT = 10_000  # values at first
OTHER = {".": ",", ",": "."}


@dataclass(frozen=True)
class Evidence:
    """What the values of a column say of a sign, `.` or `,`.

    Attributes:
        decimal: a value in which it can be the decimal sign alone, or empty.
        thousands: one in which it can be the thousands sign alone.
        either: one in which it may be both.
        mixed: whether whole numbers below 1,000 stand beside those, as where it means thousands.
    """

    decimal: str
    thousands: str
    either: str
    mixed: bool


def find(
    texts: "dict[str, pd.Series[Any]]", known: dict[str, Any], path: str, sentences: list[str]
) -> dict[str, Any]:
    """Return the decimal and the thousands sign, as given or as the values say."""
    given = {key: known[key] for key in ("decimal", "thousands") if known.get(key)}
    if given.get("thousands") in OTHER:
        given.setdefault("decimal", OTHER[given["thousands"]])
    evidence_of = {
        name: {sign: _evidence(text, sign) for sign in OTHER} for name, text in texts.items()
    }
    decimal = given.get("decimal") or _decimal(evidence_of, path)
    signs: dict[str, Any] = dict(given)
    if decimal is None:
        decimal = "."
    elif "decimal" not in given:
        if decimal == ",":
            sentences.append(f"decimal: ',', as in {_example(evidence_of, decimal)}")
        signs["decimal"] = decimal
    if "thousands" in given:
        return signs
    grouping = OTHER[decimal]
    used = {
        name: evidence[grouping].thousands or evidence[grouping].either
        for name, evidence in evidence_of.items()
    }
    if not any(used.values()):
        unread = {name: text[_bad(text, decimal)] for name, text in texts.items()}
        for sign in (" ", "'"):
            pattern = rf"\d{numerals.ALIKE[sign]}\d{{3}}(?!\d)"
            of_sign = {n: text[text.str.contains(pattern)] for n, text in unread.items()}
            if any(map(len, of_sign.values())):
                grouping = sign
                used = {name: next(iter(text), "") for name, text in of_sign.items()}
                break
    name, example = next(((name, value) for name, value in used.items() if value), ("", ""))
    if example:
        sentences.append(f"thousands: {grouping!r}, as in {example!r} of column `{name}`")
        signs |= {"decimal": decimal, "thousands": grouping}
    return signs


def _bad(text: "pd.Series[Any]", decimal: str) -> Any:
    return numerals.parse(text, decimal, None, ()).bad


def _decimal(found: dict[str, dict[str, Evidence]], path: str) -> str | None:
    """Return the decimal sign that the columns say; None where they have no sign at all.

    Raises:
        DataError: they say two, or nothing certain.
    """
    votes: dict[str, str] = {}
    for name, evidence in found.items():
        for sign, other in OTHER.items():
            value = evidence[sign].decimal or evidence[other].thousands
            if value:
                votes.setdefault(sign, f"{value!r} in column `{name}`")
    if len(votes) > 1:
        raise DataError(
            f"{path}: numbers are written in two ways: {' and '.join(votes.values())}; write them "
            "alike, or say which sign is the decimal one with --decimal . or --decimal , and leave "
            "the other column out with --drop"
        )
    decimal = next(iter(votes), None)
    for name, evidence in found.items():
        for sign, of_sign in evidence.items():
            certain = of_sign.decimal or of_sign.thousands
            doubtful = of_sign.either and not certain
            if doubtful and (decimal is None or (decimal == sign and of_sign.mixed)):
                value = of_sign.either
                whole, part = value.replace(sign, ""), value.replace(sign, ".")
                raise AmbiguousError(
                    f"{path}: column `{name}`: {value!r} may be {whole} or {part}, for three "
                    f"digits stand behind every {sign!r}",
                    [
                        Choice(f"it is {whole}", {"thousands": sign}),
                        Choice(f"it is {part}", {"decimal": sign}),
                    ],
                )
    return decimal


def _example(found: dict[str, dict[str, Evidence]], decimal: str) -> str:
    for name, evidence in found.items():
        value = evidence[decimal].decimal or evidence[OTHER[decimal]].thousands
        if value:
            return f"{value!r} of column `{name}`"
    return ""


def _evidence(text: "pd.Series[Any]", sign: str) -> Evidence:
    """Return what the values of a column say of a sign: the first ones, where that is certain."""
    has = text.str.contains(sign, regex=False)
    if not has.any():
        return Evidence("", "", "", False)
    first = _look(text[has].head(LOOKED_AT), sign)
    if first.decimal or first.thousands:
        return first
    return _look(text[has | text.str.fullmatch(r"[+-]?\d{1,3}")], sign)


def _look(text: "pd.Series[Any]", sign: str) -> Evidence:
    point, other = re.escape(sign), re.escape(OTHER[sign])
    array = pa.array(text.astype("str"), pa.large_string())
    digits = pc.replace_substring_regex(array, r"[A-Za-z]{2,}|[^\d.,eE+-]", "")
    digits = pc.replace_substring_regex(digits, r"^[+-]+", "")
    has = np.asarray(pc.match_substring(digits, sign))
    twice = np.asarray(pc.match_substring_regex(digits, rf"{point}\d*{point}"))
    before = np.asarray(pc.match_substring_regex(digits, rf"{point}\d*{other}"))
    three = np.asarray(pc.match_substring_regex(digits, rf"^[1-9]\d{{0,2}}{point}\d{{3}}$"))
    thousands = twice | before
    decimal = has & ~thousands & ~three
    either = has & three & ~thousands
    small = np.asarray(pc.match_substring_regex(digits, r"^\d{1,3}$"))

    def first(mask: Any) -> str:
        return str(text.iloc[int(np.argmax(mask))]) if mask.any() else ""

    return Evidence(first(decimal), first(thousands), first(either), bool(small.any()))
