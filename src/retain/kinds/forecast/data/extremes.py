"""The least, the largest and the commonest value of each column, and what may mean missing."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.kinds.forecast.data.scaling import blocks

CODES = np.array(
    [
        *(-1, -9, -99, -999, -9999, -99999, -999999, -99.9, -999.9, -9999.9, -999.99, -9999.99),
        *(99999, 999999, 9999999, 9999, 999, 9999.9, 999.9, 9999.99, 999.99, 99999.9, -32768),
        *(32767, 65535, -2147483648, 2147483647, 1e20, -1e20, 1e30, -1e30, 9.96921e36),
    ]
)
LOOKED_AT = 1_000_000  # values, evenly spaced, in which the commonest is counted
FAR = 3.0  # times what 98 % of the other values span, that such a number lies away from them,
NEAR = 0.1  # and where it is the only negative one
FEWEST = 4  # other values that there are
OFTEN = 3  # times that a number which is no known code stands there


def describe(
    values: NDArray[np.float32], index: pd.DataFrame, columns: Sequence[tuple[int, str]]
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Return what each column of a panel holds, by name, and warnings of what may mean missing.

    Args:
        columns: number and name of each.
    """
    found: dict[str, dict[str, float]] = {}
    warnings = []
    every = -(-len(values) // LOOKED_AT)
    for number, name in columns:
        least, largest, zeros, count = np.inf, -np.inf, 0, 0
        for _, rows in blocks(index):
            block = values[rows, number]
            block = block[~np.isnan(block)]
            if len(block):
                least, largest = min(least, block.min()), max(largest, block.max())
                zeros += int((block == 0).sum())
                count += len(block)
        if not count:
            continue
        sample = values[::every, number]
        sample = sample[~np.isnan(sample)]
        distinct, counts = np.unique(sample, return_counts=True)
        commonest = int(counts.argmax()) if len(counts) else 0
        found[name] = {
            "minimum": _rounded(least),
            "maximum": _rounded(largest),
            "zeros": _rounded(zeros / count),
            "commonest": _rounded(distinct[commonest]) if len(counts) else _rounded(least),
            "commonest_share": _rounded(counts[commonest] / len(sample)) if len(counts) else 0.0,
        }
        if (odd := find(sample.astype(np.float64))) is not None:
            warnings.append(
                f"column `{name}`: {_rounded(odd):.15g} lies far from all other values; if it "
                "means missing, add it to na_values"
            )
    return found, warnings


def lines(columns: dict[str, dict[str, float]]) -> list[str]:
    """Return what `describe` found for people, a line a column."""
    return [
        f"values of `{name}`: {of['minimum']:g} to {of['maximum']:g}; {100 * of['zeros']:.1f} % "
        f"are zero; the commonest, {of['commonest']:g}, is {100 * of['commonest_share']:.1f} %"
        for name, of in columns.items()
    ]


def _rounded(value: float) -> float:
    """Return a number of 32 bits as it was written."""
    return float(f"{value:.7g}")


def find(values: Any) -> float | None:
    """Return the number that may mean missing, far outside the rest; None where there is none."""
    if len(values) < 5:
        return None
    for number in (float(values.min()), float(values.max())):
        rest = values[values != number]
        if not len(rest):
            continue
        times = len(values) - len(rest)
        core = rest[~np.isin(rest, CODES)]
        if len(np.unique(core[:10_000])) < FEWEST:  # a flag, or a rank
            continue
        span = float(np.subtract(*np.quantile(core, [0.99, 0.01])))
        distance = float(np.abs(core - number).min())
        known = bool(np.isin(number, CODES))
        below_zero = known and number < 0 <= core.min()
        if below_zero and (number == -1 or distance > NEAR * span):
            return number
        if number != 0 and (known or times >= OFTEN) and distance > FAR * span:
            return number
    return None
