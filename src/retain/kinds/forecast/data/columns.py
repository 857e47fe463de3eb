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
import pyarrow.compute as pc

from retain.errors import DataError, listed
from retain.evaluation.arrays import Floats
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data.formats import Origin

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
    items = [f"{origin.row(place)}: {value}" for place, value in rows]
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
    return [(int(str(place)), repr(v) if isinstance(v, str) else v) for place, v in rows]


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


def number_pattern(decimal: str) -> str:
    """Return the regular expression of a finite number."""
    point = re.escape(decimal)
    return rf"[+-]?(\d+({point}\d*)?|{point}\d+)([eE][+-]?\d+)?"


def numbers(column: "pd.Series[Any]", data: Data, origin: Origin) -> Floats:
    """Return the column as float64, NaN where missing; raises DataError for what is no number."""
    name = str(column.name)
    if pd.api.types.is_datetime64_any_dtype(column):
        raise DataError(f"{origin.where}: column `{name}` holds dates, not numbers")
    if pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        large = (np.abs(values) >= EXACT) & bool(pd.api.types.is_integer_dtype(column))
    else:
        values, large = _parse_numbers(column.astype("str"), data, origin)
    if large.any():
        exact = [int(text) for text in column[large]]
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
    return values


def _parse_numbers(column: "pd.Series[Any]", data: Data, origin: Origin) -> tuple[Floats, Mask]:
    """Return text as float64, and where it is a whole number too large to be certainly exact."""
    text = pc.utf8_trim_whitespace(pa.array(column, pa.large_string()))
    missing = pc.or_kleene(
        pc.is_null(text), pc.is_in(text, pa.array(["", *data.na_values], pa.large_string()))
    )
    pattern = rf"^({number_pattern(data.decimal)}|[+-]?(?i:inf|infinity))$"
    is_number = pc.fill_null(pc.match_substring_regex(text, pattern), False)
    bad = np.asarray(pc.invert(pc.or_(is_number, missing)))
    if bad.any():
        rows = shown(column, bad)
        other = "," if data.decimal == "." else "."
        swapped = rf"[+-]?\d*{re.escape(other)}\d+([eE][+-]?\d+)?"
        if all(re.fullmatch(swapped, value.strip()) for value in column[bad]):
            rule = f"the decimal sign is {other!r} where {data.decimal!r} is expected"
            raise fault(origin, str(column.name), rule, rows, f'Set `decimal: "{other}"`.')
        remedy = "Correct the values, or name the texts that mean missing in `na_values`."
        raise fault(origin, str(column.name), "not a number", rows, remedy)
    parsed = pc.if_else(missing, None, text)
    if data.decimal != ".":
        parsed = pc.replace_substring(parsed, data.decimal, ".")
    values = parsed.cast(pa.float64()).to_numpy(zero_copy_only=False)
    large = (np.abs(values) >= EXACT) & np.isfinite(values)
    large[large] = [re.fullmatch(r"\s*[+-]?\d+\s*", value) is not None for value in column[large]]
    return values, large
