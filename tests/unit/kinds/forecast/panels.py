"""Panels of series that a test writes as arrays."""

from typing import Any

import pandas as pd
from numpy.typing import NDArray

from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import panel, tables
from retain.kinds.forecast.data.panel import Panel


def panel_of(
    *series: NDArray[Any], begin: str, frequency: str, first: tuple[int, ...] = (), **keys: Any
) -> Panel:
    """Build a panel of the series s000, s001, …

    Args:
        begin: the first stamp.
        first: of each series, the step that it begins at; by default they all begin at the first.
        keys: of the section `data`.
    """
    first = first or (0,) * len(series)
    steps = max(step + len(y) for step, y in zip(first, series, strict=True))
    grid = pd.date_range(begin, periods=steps, freq=frequency)
    frames = [
        pd.DataFrame({"id": f"s{number:03}", "ds": grid[step : step + len(y)], "y": y})
        for number, (step, y) in enumerate(zip(first, series, strict=True))
    ]
    data = Data(path="t.csv", unique_id="id", calendar=False, **keys)
    return panel.build(tables.clean(pd.concat(frames), data, "t.csv"), data)
