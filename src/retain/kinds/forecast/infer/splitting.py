"""How `retain add` splits a table, and into how many folds, by its length alone.

A long table has enough forecast origins in the last 15 % of its span. Of a short one more is
tested, up to half of it with the validation part, and in folds, so that the models of the later
pieces learn from what comes before them.
"""

from collections.abc import Sized
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.errors import DataError
from retain.evaluation.bootstrap import FEWEST_HORIZONS
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import alignment
from retain.kinds.forecast.data.cycles import natural
from retain.kinds.forecast.data.series import grid_of, select, split, summarize
from retain.kinds.forecast.data.tables import Table
from retain.kinds.forecast.data.timestamps import in_words, text
from retain.words import several

SHARE = 0.15  # of the span of a long table is tested, and as much validates
ENOUGH = 10  # tested horizons, from which one fold of a long table has enough origins
FEWEST = 4  # that are tested, where half of the table allows, even if two seasons are not left
QUICK = 2_000  # training rows, up to which a training takes seconds
SHOWN = 3  # series that a sentence names
FOLDS = {True: 5, False: 3}  # at most, by whether a training is quick


@dataclass(frozen=True)
class Extent:
    """How far a table reaches.

    Attributes:
        grid: all steps from the first stamp to the last.
        begins: the step at which each series begins, of those that are long enough.
        span: steps from where half of the series have begun to the end.
    """

    grid: pd.DatetimeIndex
    begins: NDArray[np.int64]
    span: int


def count_series(table: Table, data: Data) -> int:
    """Return how many series are long enough for the context and the horizon."""
    return int(select(summarize(table.frame, data), table.frequency, data)[0].sum())


def describe_series(table: Table, data: Data, sentences: list[str]) -> None:
    """Say which series are too short, and which ended long before the others."""
    series = summarize(table.frame, data)
    _, skipped = select(series, table.frequency, data)
    if skipped:
        lines = [f"{left['unique_id']} ({left['reason']})" for left in skipped]
        sentences.append(f"left out: {_count(skipped, series)}: {several(lines)}")
    grid = grid_of(series, table.frequency)
    if len(grid) > data.season_length:
        early = series["last_seen"] < grid[-1 - data.season_length]
        ended = series[
            early.to_numpy()
            & ~series["unique_id"].isin([left["unique_id"] for left in skipped]).to_numpy()
        ]
        if len(ended):
            some = ended.head(SHOWN)
            own = alignment.own(some["last_seen"], some.get("phase"), table.frequency)
            lines = [
                f"{name} ({in_words(last, data)})"
                for name, last in zip(some["unique_id"], own, strict=True)
            ]
            sentences.append(
                f"ended: {_count(ended, series)} more than a season before the table does: "
                f"{several(lines, count=len(ended))}; a forecast begins at a series' own end, with "
                "a note"
            )


def _count(some: Sized, series: pd.DataFrame) -> str:
    return f"{len(some):,} of {len(series):,} series"


def measure(table: Table, draft: Data) -> Extent:
    """Measure a table."""
    summary = summarize(table.frame, draft)
    try:
        usable, _ = select(summary, table.frequency, draft)
    except DataError:  # `choose` knows what it takes in all
        usable = np.ones(len(summary), dtype=bool)
    grid = grid_of(summary[usable], table.frequency)
    begins = grid.get_indexer(pd.DatetimeIndex(summary["first"][usable]))
    return Extent(grid, begins, len(grid) - int(np.median(begins)))


def choose(extent: Extent, draft: Data, frequency: str) -> tuple[int, int, int]:
    """Return how many horizons before the end validation and test begin, and how many folds.

    Args:
        draft: with the horizon, and the least context that a training window must have.

    Raises:
        DataError: the table is too short for any split.
    """
    horizon, context, length = draft.horizon, draft.context_length, len(extent.grid)
    needed = context + 3 * horizon
    if length < needed:
        most = (length - context) // 3
        first, last = (text(stamp, draft) for stamp in (extent.grid[0], extent.grid[-1]))
        advice = f", or forecast at most {most} with --horizon" if most > 0 else ""
        raise DataError(
            f"{draft.path} has {length:,} steps, from {first} to {last}; to "
            f"forecast {horizon} takes {needed:,}: training, validation and test need a horizon "
            f"each, and training a context before it: bring {needed - length:,} more rows of a "
            f"series{advice}"
        )
    # Series that began lately make a table no shorter than those allow that it cannot do without.
    span = max(extent.span, min(length, needed))
    room = (span - context - horizon) // horizon
    half = min(max(span // (2 * horizon), 2), room)
    wanted = round(SHARE * span / horizon)
    if wanted >= ENOUGH and 2 * wanted <= half:
        return 2 * wanted, wanted, 1
    validation = min(max(wanted, 1), half - 1)
    most = half - validation
    cycle = next(iter(natural(frequency)), 1)
    beside_seasons = (span - 2 * cycle) // horizon - validation
    test = min(ENOUGH, most, max(FEWEST, beside_seasons))
    rows = np.maximum(length - (validation + test) * horizon - extent.begins, 0).sum()
    quick = bool(rows < QUICK)
    folds = test if quick else round(test / max(wanted, 1))
    return validation + test, test, max(1, min(folds, test, FOLDS[quick]))


def lacking(extent: Extent, draft: Data, frequency: str) -> int | None:
    """Return how many more steps a table needs for a split whose test part gives a verdict.

    That is the first table of more whole horizons which `choose` splits so that forecasts begin
    at two horizons of steps; None where ten times the table is too little.
    """
    horizon, grid = draft.horizon, extent.grid
    for more in range(horizon, 10 * len(grid), horizon):
        steps = len(grid) + more
        longer = pd.date_range(grid[0], periods=steps, freq=frequency)
        _, test, _ = choose(Extent(longer, extent.begins, extent.span + more), draft, frequency)
        if (test - 1) * horizon + 1 >= FEWEST_HORIZONS * horizon:
            return more
    return None


def count_origins(extent: Extent, data: Data) -> int:
    """Return at how many steps a forecast of the test part begins, over all folds."""
    return len(extent.grid) - split(extent.grid, data)[1] - data.horizon + 1
