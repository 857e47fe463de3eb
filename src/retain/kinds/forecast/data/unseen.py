"""Categories that the training part does not have: they are named, counted, and refused or not.

A network knows the categories of its training part alone; any other is 0 in all of their columns
(`features.encode`), which a slip of the pen is as well as a new kind of promotion.
"""

from collections.abc import Iterable

import pandas as pd

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data.chunks import Chunks
from retain.kinds.forecast.data.panel import Panel
from retain.words import listed, nearest

Categories = dict[str, list[str]]


def count(frame: pd.DataFrame, columns: Iterable[str], categories: Categories) -> dict[str, int]:
    """Return the rows of each category that is not known, by a sentence that names it.

    Args:
        columns: of the frame, of which those that are categorical are looked at.
        categories: those that are known, by column.
    """
    counts: dict[str, int] = {}
    for column in columns:
        known = categories.get(column)
        if known is not None:
            values = frame[column].dropna()
            rows = values[~values.isin(known)].value_counts()
            counts |= {_named(column, str(value), known): int(n) for value, n in rows.items()}
    return counts


def _named(column: str, value: str, known: list[str]) -> str:
    near = nearest(value, known)
    return f"column `{column}`: {value!r}" + (f" (did you mean {near!r}?)" if near else "")


def lines(counts: dict[str, int]) -> list[str]:
    """Return a line for each category that `count` counted."""
    return [f"{named}: {rows:,} row{'s' * (rows != 1)}" for named, rows in counts.items()]


def refuse(counts: dict[str, int], categories: Categories, where: str) -> None:
    """Raise DataError where `count` counted a category."""
    if counts:
        known = "; ".join(f"`{name}`: {', '.join(words)}" for name, words in categories.items())
        raise DataError(
            f"{where}: categories that the model was not trained on:\n{listed(lines(counts))}\n"
            f"It knows {known}.\nCorrect the rows, or train it with rows that have them; "
            f"`data.unseen: unknown`, or `retain forecast --unseen unknown`, takes them as unknown"
        )


def after_training(table: Chunks, built: Panel, data: Data) -> list[str]:
    """Return warnings of categories that only the validation and the test part have."""
    moving = [name for name in data.categorical if name not in data.static_covariates]
    if not moving:
        return []
    begins = built.grid[built.schema.validation_step]
    counts: dict[str, int] = {}
    for frame in table.frames():
        later = frame[(frame["ds"] >= begins).to_numpy()]
        for named, rows in count(later, moving, built.schema.categories).items():
            counts[named] = counts.get(named, 0) + rows
    return [
        f"not in the training part, and so unknown to a model: {line}" for line in lines(counts)
    ]
