"""Folds of the test part: pieces of equal length, each scored by a model trained up to it.

A rolling origin with an expanding window (Tashman 2000, doi:10.1016/S0169-2070(00)00065-0): the
model of a piece learns from all that precedes its validation part, which is as long as that of the
split and ends where the piece begins. The first fold is the split itself.
"""

from dataclasses import dataclass
from itertools import pairwise

from retain.errors import DataError, setting
from retain.kinds.forecast.data.panel import Panel, Schema


@dataclass(frozen=True)
class Fold:
    """One fold, in steps of the grid.

    Attributes:
        number: from 1.
        validation_step: its validation part begins there, and its training part ends.
        test_step: its piece begins there, and its validation part ends.
        end: the next piece begins there, and no window of this one at or after it.
        reach: their horizons end there at the latest, in the next piece or at the table's end.
    """

    number: int
    validation_step: int
    test_step: int
    end: int
    reach: int


def find(schema: Schema, count: int) -> list[Fold]:
    """Return the folds that the test part of a panel is cut into.

    Raises:
        DataError: a piece would be shorter than the horizon.
    """
    steps, horizon = schema.steps - schema.test_step, schema.data["horizon"]
    if steps < count * horizon:
        folds, test = setting("evaluation.folds"), setting("data.split.test")
        raise DataError(
            f"{schema.data['path']}: {folds} is {count}, and the test part has {steps:,} steps; "
            f"each fold needs the horizon of {horizon}, {count * horizon:,} steps in all: let "
            f"{test} begin earlier, at least {count} horizons before the end, or take at most "
            f"{max(steps // horizon, 1)} folds"
        )
    length = schema.test_step - schema.validation_step
    bounds = [schema.test_step + steps * number // count for number in range(count + 1)]
    return [
        Fold(number, begin - length, begin, end, min(end - 1 + horizon, schema.steps))
        for number, (begin, end) in enumerate(pairwise(bounds), start=1)
    ]


def cut(source: Panel, fold: Fold) -> Panel:
    """Return the panel as the model of a fold learns from it; that of the first is the panel."""
    if fold.number == 1:
        return source
    return source.cut(fold.validation_step, fold.test_step, source.schema.steps)
