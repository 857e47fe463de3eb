"""Numbers that stand for a missing value, such as -999, in the columns of an unknown table."""

from typing import Any

import numpy as np
import pandas as pd

from retain.errors import DataError
from retain.kinds.forecast.data.columns import missing_codes
from retain.kinds.forecast.data.formats import Origin

CODES = np.array(
    [
        *(-1, -9, -99, -999, -9999, -99999, -999999, -99.9, -999.9, -9999.9, -999.99, -9999.99),
        *(99999, 999999, 9999999, 9999, 999, 9999.9, 999.9, 9999.99, 999.99, 99999.9, -32768),
        *(32767, 65535, -2147483648, 2147483647, 1e20, -1e20, 1e30, -1e30, 9.96921e36),
    ]
)
FAR = 3.0  # times what 98 % of the other values span, that such a number lies away from them
FEWEST = 4  # other values that there are
OFTEN = 3  # times that a number which is no known code stands there


def check(
    frame: pd.DataFrame,
    columns: list[str],
    given: dict[str, Any],
    origin: Origin,
    sentences: list[str],
) -> None:
    """Raise DataError where the least or the largest value of a column may mean missing.

    Args:
        frame: with numbers in `columns`.
        given: `na_values` and `keep_values`, what the user said of such values.
    """
    answered = {*missing_codes(map(str, given.get("na_values", ()))), *given.get("keep_values", ())}
    for name in columns:
        values = frame[name].to_numpy(dtype=float)
        values = values[np.isfinite(values) & ~np.isin(values, list(answered))]
        number = find(values)
        if number is None:
            _say_zeros(name, values, sentences)
            continue
        rest = values[values != number]
        times = int((values == number).sum())
        raise DataError(
            f"{origin.where}: column `{name}`: {number:g} stands {times:,} time{'s' * (times != 1)}, "
            f"and the other values lie between {rest.min():g} and {rest.max():g}: if it means "
            f"missing, say so with --na-value {number:g}, and if it is a value, with "
            f"--keep-value {number:g}"
        )


def find(values: Any) -> float | None:
    """Return the number that may mean missing, far outside the rest; None where there is none."""
    if len(values) < 5:
        return None
    for number in (float(values.min()), float(values.max())):
        rest = values[values != number]
        if not len(rest):
            continue
        times = len(values) - len(rest)
        span = float(np.subtract(*np.quantile(rest, [0.99, 0.01])))
        distance = float(np.abs(rest - number).min())
        known = bool(np.isin(number, CODES))
        if len(np.unique(rest[:10_000])) < FEWEST:  # a flag, or a rank
            continue
        if number == -1:
            if rest.min() >= 0:
                return number
        elif known and number < 0 <= rest.min() and distance > 0.1 * span:
            return number
        elif (known or times >= OFTEN) and distance > FAR * span and number != 0:
            return number
    return None


def _say_zeros(name: str, values: Any, sentences: list[str]) -> None:
    """Say that zeros stand far below all other values, if they do."""
    rest = values[values != 0]
    count = len(values) - len(rest)
    if count and len(rest) > 1 and rest.min() > 0:
        span = float(np.subtract(*np.quantile(rest, [0.99, 0.01])))
        if span > 0 and rest.min() > FAR * span:
            sentences.append(
                f"column `{name}`: {count:,} values are 0, and the others {rest.min():g} at least; "
                "--na-value 0 if that means missing"
            )
