"""Which columns of an unknown table hold numbers, how they are written, and what means missing."""

import shlex
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import numerals
from retain.kinds.forecast.data.formats import Origin
from retain.kinds.forecast.infer import signs
from retain.words import listed

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
MOSTLY = 0.9  # of the values of a column of numbers are some


def is_numeric(column: "pd.Series[Any]", known: dict[str, Any]) -> bool:
    """Return whether a column is meant to hold numbers: nine of ten of its values are one."""
    if pd.api.types.is_numeric_dtype(column):
        return True
    if pd.api.types.is_datetime64_any_dtype(column):
        return False
    text = _filled(column, known)
    if not len(text):
        return False
    pairs = [_pair(known)] if known.get("decimal") or known.get("thousands") else SIGNS
    share = max(1 - numerals.parse(text, point, comma, ()).bad.mean() for point, comma in pairs)
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
    return known.get("decimal") or signs.OTHER.get(thousands or "", "."), thousands


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
    signs_found = signs.find(texts, known, path, sentences)
    pair = signs_found.get("decimal", "."), signs_found.get("thousands")
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
        signs_found["na_values"] = [*DEFAULT_MARKS, *dict.fromkeys(more)]
    if marks:
        counts = ", ".join(f"{mark!r} ({count:,} times)" for mark, count in marks.items())
        sentences.append(f"na_values: {counts} mean missing; --na-value names others")
    return signs_found


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
        values = column[bad].astype("str").str.strip()
        rows = [f"{origin.row(int(str(place)))}: {value!r}" for place, value in values.items()]
        common = values.value_counts().index[:3]
        marks_of = " ".join(f"--na-value {shlex.quote(str(text))}" for text in common)
        remedy = f"Correct the values, or say that they mean missing with {marks_of}"
        if bad.mean() > 0.5:
            remedy = "Write numbers alone, such as 12.5; words and units belong in the header."
        raise DataError(
            f"{origin.where}: column `{name}`: not a number ({len(rows):,} rows):\n{listed(rows)}\n"
            f"{remedy}"
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
