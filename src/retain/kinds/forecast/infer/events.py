"""Events at random times: rows that no steps are made of unless they are added up."""

import numpy as np

from retain.errors import AmbiguousError, Choice
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data.frequency import DAY, SECOND, Micros

FEW = 0.05  # of the stamps may be off the grid by a fault in each


def check(steps: Micros, off: float, draft: Data, where: str) -> None:
    """Raise AmbiguousError for stamps of which most are at no step.

    Args:
        steps: between the stamps of each series, in microseconds.
        off: the share of the stamps that are at no step.
        where: what messages call the table.
    """
    if off < FEW:
        return
    low, middle, high = (size(int(q)) for q in np.quantile(steps, (0.1, 0.5, 0.9)))
    if draft.frequency is not None:
        raise AmbiguousError(
            f"{where}: column `{draft.time_name}`: most time stamps are at no step of "
            f"{draft.frequency}; they lie {middle} apart in the middle",
            _aggregates(draft.frequency, "each step"),
        )
    raise AmbiguousError(
        f"{where}: column `{draft.time_name}`: the time stamps follow no steps: they lie {low} to "
        f"{high} apart, {middle} in the middle, like events at random times; --frequency takes "
        "other steps than a day",
        _aggregates("D", "each day"),
    )


def _aggregates(name: str, step: str) -> list[Choice]:
    return [
        Choice(f"{what} in {step}", {"aggregate": how, "frequency": name})
        for how, what in (
            ("sum", "the sum of the values"),
            ("mean", "the mean of the values"),
            ("count", "the number of rows"),
        )
    ]


def size(length: int) -> str:
    """Return a length of time in words."""
    for unit, micros in (("days", DAY), ("hours", 3600 * SECOND), ("minutes", 60 * SECOND)):
        if length >= 2 * micros:
            return f"{length / micros:.3g} {unit}"
    return f"{length / SECOND:.3g} seconds"
