"""Numbers that stand for a missing value, such as -999, in the columns of an unknown table."""

from typing import Any

import numpy as np
import pandas as pd

from retain.errors import AmbiguousError, Choice
from retain.kinds.forecast.data import extremes
from retain.kinds.forecast.data.columns import missing_codes
from retain.kinds.forecast.data.formats import Origin


def check(
    frame: pd.DataFrame,
    columns: list[str],
    given: dict[str, Any],
    origin: Origin,
    sentences: list[str],
) -> None:
    """Raise AmbiguousError where the least or the largest value of a column may mean missing.

    Args:
        frame: with numbers in `columns`.
        given: `na_values` and `keep_values`, what the user said of such values.
    """
    answered = {*missing_codes(map(str, given.get("na_values", ()))), *given.get("keep_values", ())}
    for name in columns:
        values = frame[name].to_numpy(dtype=float)
        values = values[np.isfinite(values) & ~np.isin(values, list(answered))]
        number = extremes.find(values)
        if number is None or not (number.is_integer() or number in extremes.CODES):
            # 55805.51 is a peak: nobody writes a number with cents for what is missing.
            _describe_zeros(name, values, sentences)
            continue
        rest = values[values != number]
        times = int((values == number).sum())
        often = f"{times:,} times" if times > 1 else "once"
        raise AmbiguousError(
            f"{origin.where}: column `{name}`: {number:.15g} stands there {often}, and the other "
            f"values lie between {rest.min():g} and {rest.max():g}",
            [
                Choice("it means missing", {"na_values": [f"{number:.15g}"]}),
                Choice("it is a value", {"keep_values": [number]}),
            ],
            proposal=0,
        )


def _describe_zeros(name: str, values: Any, sentences: list[str]) -> None:
    """Say that zeros stand far below all other values, if they do."""
    rest = values[values != 0]
    count = len(values) - len(rest)
    if count and len(rest) > 1 and rest.min() > 0:
        span = float(np.subtract(*np.quantile(rest, [0.99, 0.01])))
        if span > 0 and rest.min() > extremes.FAR * span:
            sentences.append(
                f"column `{name}`: {count:,} values are 0, and the others {rest.min():g} at least; "
                "--na-value 0 if that means missing"
            )
