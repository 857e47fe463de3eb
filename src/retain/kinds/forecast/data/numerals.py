"""Numbers as tables write them: thousands signs, decimal commas, signs of per cent and currency.

What is not a plain number is read where it can mean one number alone.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]

# RE2 knows \p{Sc}, the signs of currencies.
CODES = "EUR|USD|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK|HUF|AUD|CAD|NZD|BRL|MXN|ZAR"
UNIT = rf"(?:\p{{Sc}}|{CODES})"
SPACE = "[ \u00a0\u202f]"  # also those that do not break
ALIKE = {" ": SPACE, "\u00a0": SPACE, "\u202f": SPACE, "'": "['’]", "’": "['’]"}


@dataclass(frozen=True)
class Parsed:
    """Values as plain numbers.

    Attributes:
        text: with a decimal point and nothing else, null where missing or not a number.
        bad: which are neither missing nor a number.
        units: sign of per cent or of a currency, empty where there is none, of the values that
            `places` names; None where no value has one.
    """

    text: Any
    bad: Mask
    units: "npt.NDArray[np.object_] | None" = None
    places: "npt.NDArray[np.int64] | None" = None


def number_pattern(decimal: str, thousands: str | None = None) -> str:
    """Return the regular expression of a finite number without a sign."""
    point = re.escape(decimal)
    grouped = ""
    if thousands is not None:
        grouped = rf"\d{{1,3}}(?:{ALIKE.get(thousands, re.escape(thousands))}\d{{3}})+{point}?\d*|"
    return rf"(?:{grouped}\d+(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?"


@lru_cache(maxsize=64)
def _dressed(decimal: str, thousands: str | None) -> str:
    """Return the regular expression of a number with all that may stand around it."""
    number = number_pattern(decimal, thousands)
    sign, space = "[+\\-−]?", f"{SPACE}*"
    before = rf"(?P<sign>{sign}){space}(?P<unit>{UNIT})?{space}(?P<inner>{sign})"
    behind = rf"(?P<behind>[\-−]?){space}(?P<after>%|{UNIT})?"
    return rf"^(?P<open>\(?){before}{space}(?P<number>{number}){behind}\)?$"


def parse(column: Any, decimal: str, thousands: str | None, na_values: tuple[str, ...]) -> Parsed:
    """Parse an array of text.

    Args:
        column: text, as a pandas column or an Arrow array.
        na_values: texts that mean missing, beside the empty one.
    """
    text = pc.utf8_trim_whitespace(pa.array(column, pa.large_string()))
    missing = pc.or_kleene(
        pc.is_null(text), pc.is_in(text, pa.array(["", *na_values], pa.large_string()))
    )
    plain = rf"^([+-]?{number_pattern(decimal)}|[+-]?(?i:inf|infinity))$"
    is_number = pc.fill_null(pc.match_substring_regex(text, plain), False)
    other = np.asarray(pc.invert(pc.or_(is_number, missing)))
    parsed = pc.if_else(missing, None, text)
    if decimal != ".":
        parsed = pc.replace_substring(parsed, decimal, ".")
    if not other.any():
        return Parsed(parsed, other)
    places = np.flatnonzero(other)
    undressed, units = _undress(_whole(text.take(pa.array(places))), decimal, thousands)
    bad = other.copy()
    bad[places] = np.asarray(pc.is_null(undressed))
    parsed = pc.replace_with_mask(_whole(parsed), pa.array(other), undressed)
    if not units.astype(bool).any():
        return Parsed(parsed, bad)
    of_rows = np.full(len(other), "", dtype=object)
    of_rows[places] = units
    known = np.flatnonzero(~np.asarray(missing) & ~bad)
    return Parsed(parsed, bad, of_rows[known], known)


def _whole(array: Any) -> Any:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _undress(text: Any, decimal: str, thousands: str | None) -> tuple[Any, Any]:
    """Return the plain numbers, null where there is none, and the signs that stood beside them."""
    found = pc.extract_regex(text, _dressed(decimal, thousands))
    names = ("sign", "unit", "inner", "behind", "after")
    part = {name: pc.struct_field(found, name) for name in names}
    number, opened = pc.struct_field(found, "number"), pc.struct_field(found, "open")
    if thousands is not None:
        sign = ALIKE.get(thousands, re.escape(thousands))
        number = pc.replace_substring_regex(number, sign, "")
    if decimal != ".":
        number = pc.replace_substring(number, decimal, ".")
    nothing = pa.scalar("", pa.large_string())
    signs = pc.binary_join_element_wise(part["sign"], part["inner"], part["behind"], nothing)
    closed = pc.equal(pc.ends_with(text, ")"), pc.equal(opened, "("))
    units = pc.binary_join_element_wise(part["unit"], part["after"], nothing)
    # two signs, or one bracket alone, mean nothing
    fits = pc.and_(closed, pc.less_equal(pc.utf8_length(signs), 1))
    in_brackets = pc.equal(opened, "(")
    fits = pc.and_(fits, pc.invert(pc.and_(in_brackets, pc.not_equal(signs, ""))))
    negative = pc.or_(in_brackets, pc.is_in(signs, pa.array(["-", "−"], pa.large_string())))
    minus = pa.scalar("-", pa.large_string())
    number = pc.binary_join_element_wise(pc.if_else(negative, minus, nothing), number, nothing)
    number = pc.if_else(pc.fill_null(fits, False), number, None)
    return number.cast(pa.large_string()), np.asarray(pc.fill_null(units, ""), dtype=object)
