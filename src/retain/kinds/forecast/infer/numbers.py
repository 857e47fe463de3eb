"""How an unknown table writes its numbers: decimal and thousands sign, marks of missing values.

A sign that may mean two things is asked for: 1.101 is a thousand in one country and one in another.
"""

import re
import shlex
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from retain.errors import AmbiguousError, Choice, DataError, listed
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import numerals
from retain.kinds.forecast.data.formats import Origin

DEFAULT_MARKS: tuple[str, ...] = Data.model_fields["na_values"].default
# what spreadsheets and programs write where there is no value, and nobody as a number
MARKS = (
    *("#N/A", "#N/A N/A", "#NA", "#NV", "N/A", "n/a", "NULL", "None", "none", "NAN", "NaT", "<NA>"),
    *(
        "-",
        "--",
        "---",
        "–",
        "—",
        "?",
        ".",
        "..",
        "...",
        "…",
        "*",
        "x",
        "na",
        "n.a.",
        "N.A.",
        "nil",
    ),
    *("k.A.", "k. A.", "missing", "Missing", "unknown", "Unknown", "-nan", "-NaN", "#VALUE!"),
    *("#DIV/0!", "#REF!", "#NUM!", "#NAME?", "#NULL!", "#WERT!", "#BEZUG!", "#ZAHL!", "void"),
)
SIGNS: tuple[tuple[str, str | None], ...] = (
    *((".", None), (".", ","), (",", None), (",", ".")),
    *((".", " "), (",", " "), (".", "'")),
)
LOOKED_AT = 10_000  # values at first
MOSTLY = 0.9  # of the values of a column of numbers are some
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


def is_numeric(column: "pd.Series[Any]", known: dict[str, Any]) -> bool:
    """Return whether a column is meant to hold numbers: nine of ten of its values are one."""
    if pd.api.types.is_numeric_dtype(column):
        return True
    if pd.api.types.is_datetime64_any_dtype(column):
        return False
    text = _filled(column, known)
    if not len(text):
        return False
    signs = [_pair(known)] if known.get("decimal") or known.get("thousands") else SIGNS
    share = max(1 - numerals.parse(text, point, comma, ()).bad.mean() for point, comma in signs)
    return bool(share > MOSTLY)


def check_signs(frame: pd.DataFrame, columns: list[str], known: dict[str, Any], path: str) -> None:
    """Raise DataError where columns hold numbers, but not with the signs that the user gave."""
    given = {key: known[key] for key in ("decimal", "thousands") if known.get(key)}
    others = {key: value for key, value in known.items() if key not in given}
    for name in columns if given else ():
        if is_numeric(frame[name], others) and not is_numeric(frame[name], known):
            text = _filled(frame[name], known)
            bad = numerals.parse(text, *_pair(known), ()).bad
            options = " ".join(f"--{key} {sign}" for key, sign in given.items())
            raise DataError(
                f"{path}: column `{name}`: {text[bad].iloc[0]!r} is no number with {options}; give "
                f"other signs, or leave the column out with --drop {shlex.quote(name)}"
            )


def _pair(known: dict[str, Any]) -> tuple[str, str | None]:
    """Return the decimal and the thousands sign; where one of `.` and `,` is the latter, both."""
    thousands = known.get("thousands")
    return known.get("decimal") or OTHER.get(thousands or "", "."), thousands


def find(
    frame: pd.DataFrame, columns: list[str], known: dict[str, Any], path: str, sentences: list[str]
) -> dict[str, Any]:
    """Return the keys of `data` that say how numbers are written, with a sentence for each.

    Args:
        columns: that hold numbers.
        known: keys of `data` that the user gave.

    Raises:
        DataError: a sign may mean two things.
    """
    texts = {
        name: _filled(frame[name], known)
        for name in columns
        if not pd.api.types.is_numeric_dtype(frame[name])
    }
    signs = _signs(texts, known, path, sentences)
    pair = signs.get("decimal", "."), signs.get("thousands")
    marks: dict[str, int] = {}
    for name, text in texts.items():
        parsed = numerals.parse(text, *pair, ())
        for value in text[parsed.bad]:
            if value in MARKS:
                marks[value] = marks.get(value, 0) + 1
        if parsed.units is not None:
            units = sorted(set(parsed.units) - {""})
            stays = "; the numbers stay per cent" if "%" in units else ""
            sentences.append(f"column `{name}`: the sign {', '.join(units)} is left out{stays}")
    more = [mark for mark in (*known.get("na_values", ()), *marks) if mark not in DEFAULT_MARKS]
    if more:
        signs["na_values"] = [*DEFAULT_MARKS, *dict.fromkeys(more)]
    if marks:
        counts = ", ".join(f"{mark!r} ({count:,} times)" for mark, count in marks.items())
        sentences.append(f"na_values: {counts} mean missing; --na-value names others")
    return signs


def check_readable(
    frame: pd.DataFrame, columns: list[str], known: dict[str, Any], origin: Origin
) -> None:
    """Raise DataError where a column of numbers holds texts of which nobody knows the meaning."""
    marks = set(known.get("na_values", DEFAULT_MARKS))
    for name in columns:
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column):
            continue
        if pd.api.types.is_datetime64_any_dtype(column):
            continue  # the reader has the words
        pair = _pair(known)
        bad = numerals.parse(column.astype("str"), *pair, tuple(marks)).bad
        if not bad.any():
            continue
        found = column[bad].astype("str").str.strip()
        rows = [f"{origin.row(int(str(place)))}: {value!r}" for place, value in found.items()]
        common = found.value_counts().index[:3]
        remedy = " ".join(f"--na-value {shlex.quote(str(text))}" for text in common)
        raise DataError(
            f"{origin.where}: column `{name}`: not a number ({len(rows):,} rows):\n{listed(rows)}\n"
            f"Correct the values, or say that they mean missing with {remedy}"
        )


def convert(frame: pd.DataFrame, columns: list[str], known: dict[str, Any]) -> pd.DataFrame:
    """Return a table whose columns of numbers are numbers, NaN where there is none."""
    converted = {}
    pair = _pair(known)
    marks = tuple(known.get("na_values", DEFAULT_MARKS))
    for name in columns:
        column = frame[name]
        if not pd.api.types.is_numeric_dtype(column):
            parsed = numerals.parse(column.astype("str"), *pair, marks)
            text = pc.if_else(pa.array(parsed.bad), None, parsed.text)
            values = text.cast(pa.float64()).to_numpy(zero_copy_only=False)
            column = pd.Series(values, index=frame.index)
        numbers = column.astype("float64")
        converted[name] = numbers.where(np.isfinite(numbers))
    return frame.assign(**converted)


def _filled(column: "pd.Series[Any]", known: dict[str, Any]) -> "pd.Series[Any]":
    """Return the values of a column of text that are not missing."""
    text = column.astype("str").str.strip()
    missing = {"", *DEFAULT_MARKS, *known.get("na_values", ())}
    return text[text.notna() & ~text.isin(missing)]


def _signs(
    texts: "dict[str, pd.Series[Any]]", known: dict[str, Any], path: str, sentences: list[str]
) -> dict[str, Any]:
    """Return the decimal and the thousands sign, as given or as the values say."""
    given = {key: known[key] for key in ("decimal", "thousands") if known.get(key)}
    if given.get("thousands") in OTHER:
        given.setdefault("decimal", OTHER[given["thousands"]])
    found = {name: {sign: _evidence(text, sign) for sign in OTHER} for name, text in texts.items()}
    decimal = given.get("decimal") or _decimal(found, path)
    signs: dict[str, Any] = dict(given)
    if decimal is None:
        decimal = "."
    elif "decimal" not in given:
        if decimal == ",":
            sentences.append(f"decimal: ',', as in {_example(found, decimal)}")
        signs["decimal"] = decimal
    if "thousands" in given:
        return signs
    grouping = OTHER[decimal]
    used = {
        name: evidence[grouping].thousands or evidence[grouping].either
        for name, evidence in found.items()
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
