"""One column of a raw table as numbers or as text, or a DataError.

A value is converted where it can mean one thing alone; what pandas would accept in silence
(infinities, decimal commas, integers beyond 2^53) is refused, with the rows and the remedy.
"""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from retain.errors import DataError, setting
from retain.evaluation.arrays import Floats
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import numerals
from retain.kinds.forecast.data.formats import Origin
from retain.words import clipped, listed

Mask = npt.NDArray[np.bool_]

LARGEST = float(np.finfo(np.float32).max)
EXACT = 2.0**53  # the integers float64 holds without a gap end here


def fault(
    origin: Origin,
    column: str,
    rule: str,
    rows: Iterable[tuple[int, object]],
    remedy: str,
    count: int | None = None,
) -> DataError:
    """Return the error of some rows of a column: ten of them with their values, and the remedy.

    Args:
        rows: place and value of each row, or of the first of `count`.
    """
    items = [f"{origin.row(place)}: {clipped(value, 300)}" for place, value in rows]
    count = len(items) if count is None else count
    number = f"{count:,} row{'s' * (count != 1)}"
    if origin.end is not None:  # what is behind it has not been read
        number += f" up to {origin.row(origin.end)}"
    return DataError(
        f"{origin.where}: column `{column}`: {rule} ({number}):\n"
        f"{listed(items, count=count)}\n{remedy}"
    )


def shown(column: "pd.Series[Any]", mask: Mask) -> list[tuple[int, object]]:
    """Return the places and values of the rows under `mask`, texts in quotes."""
    rows = column[mask].items()
    return [
        (int(str(place)), repr(clipped(v, 200)) if isinstance(v, str) else v) for place, v in rows
    ]


def texts(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return the column as text: `007` and `NA` stay what they are, only empty is missing."""
    text = column if column.dtype == "str" else column.astype("str")
    return text.mask(text == "")


def outside(values: Any, limits: tuple[float | None, float | None]) -> Any:
    """Return which values lie below the one limit or above the other, where there is one."""
    low, high = limits
    return (values < (-np.inf if low is None else low)) | (
        values > (np.inf if high is None else high)
    )


def bounded(values: "pd.Series[Any]", name: str, data: Data, origin: Origin) -> "pd.Series[Any]":
    """Return a column; raise DataError where the target has values below `data.minimum`."""
    if data.minimum is None or name not in (data.value_columns or (data.y,)):
        return values
    below = (values < data.minimum).to_numpy()
    if below.any():
        rule = f"below `minimum`, which is {data.minimum:g}"
        remedy = (
            "Correct the values, make them missing with `valid_range`, or lower `minimum` or leave "
            "it out."
        )
        raise fault(origin, name, rule, shown(values, below), remedy)
    return values


def numbers(column: "pd.Series[Any]", data: Data, origin: Origin) -> Floats:
    """Return the column as float64, NaN where missing; raises DataError for what is no number."""
    name = str(column.name)
    if pd.api.types.is_datetime64_any_dtype(column):
        raise DataError(f"{origin.where}: column `{name}` holds dates, not numbers")
    text = column
    if pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        large = (np.abs(values) >= EXACT) & bool(pd.api.types.is_integer_dtype(column))
    else:
        values, large, text = _parse_numbers(column.astype("str"), data, origin)
    if large.any():
        exact = [int(number) for number in text[large]]
        large[large] = [number != int(float(number)) for number in exact]
    if large.any():
        rule = "a whole number beyond 2^53 cannot be held exactly as a float64"
        remedy = "Divide the column by a power of ten, or use it as an identifier."
        raise fault(origin, name, rule, shown(column, large), remedy)
    infinite = np.abs(values) > LARGEST
    if infinite.any():
        rule = "not a finite number, or too large for one of 32 bits"
        remedy = "Correct the values; what is not known is left empty."
        raise fault(origin, name, rule, shown(column, infinite), remedy)
    codes = missing_codes(data.na_values)
    if len(codes):
        values = np.where(np.isin(values, codes), np.nan, values)
    return values


def missing_codes(na_values: Iterable[str]) -> Floats:
    """Return the numbers among the texts that mean missing, such as -999.

    >>> missing_codes(["NA", "-999"])
    array([-999.])
    """
    numbers = [text for text in na_values if re.fullmatch(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", text)]
    return np.array(numbers, dtype=np.float64)


def _parse_numbers(
    column: "pd.Series[Any]", data: Data, origin: Origin
) -> tuple[Floats, Mask, "pd.Series[Any]"]:
    """Return text as float64, where it is a whole number too large to be certainly exact, and it
    as a plain number.
    """
    parsed = numerals.parse(column, data.decimal, data.thousands, data.na_values)
    name = str(column.name)
    if parsed.bad.any():
        rows = shown(column, parsed.bad)
        other = "," if data.decimal == "." else "."
        swapped = rf"[+-]?\d*{re.escape(other)}\d+([eE][+-]?\d+)?"
        if all(re.fullmatch(swapped, value.strip()) for value in column[parsed.bad]):
            rule = f"the decimal sign is {other!r} where {data.decimal!r} is expected"
            remedy = (
                f"Set {setting('decimal', other)}, or {setting('thousands', other)} if it is no "
                "decimal sign."
            )
            raise fault(origin, name, rule, rows, remedy)
        remedy = (
            f"Correct the values, or name the texts that mean missing in {setting('na_values')}."
        )
        raise fault(origin, name, "not a number", rows, remedy)
    values = parsed.text.cast(pa.float64()).to_numpy(zero_copy_only=False)
    if parsed.units is not None:
        _check_units(parsed, values, column, origin)
    large = (np.abs(values) >= EXACT) & np.isfinite(values)
    plain = column
    if large.any():
        plain = pd.Series(parsed.text.to_pandas(), dtype="str").set_axis(column.index)
        large[large] = [re.fullmatch(r"[+-]?\d+", value) is not None for value in plain[large]]
    return values, large, plain


def _check_units(
    parsed: numerals.Parsed, values: Floats, column: "pd.Series[Any]", origin: Origin
) -> None:
    """Raise DataError where values are of several currencies, or some are of per cent."""
    assert parsed.units is not None
    assert parsed.places is not None
    counted = values[parsed.places] != 0  # zero is zero in any unit
    units, places = parsed.units[counted], parsed.places[counted]
    kinds, counts = np.unique(units.astype(str), return_counts=True)
    if len(kinds) > 1 and ("%" in kinds or len(set(kinds) - {""}) > 1):
        other = np.zeros(len(column), dtype=bool)
        other[places] = units != kinds[counts.argmax()]
        names = ", ".join(kind or "no sign" for kind in kinds)
        rule = f"values of different units: {names}"
        raise fault(origin, str(column.name), rule, shown(column, other), "Write all in one unit.")
