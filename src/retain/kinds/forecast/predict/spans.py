"""Find the newest window of each series in a table, and the series without one.

A server refuses a table with a series that cannot be forecast; `retain forecast` leaves it out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import unseen
from retain.kinds.forecast.data.frequency import units
from retain.kinds.forecast.data.panel import Schema
from retain.kinds.forecast.data.timestamps import in_words
from retain.words import several

Steps = NDArray[np.int64]
HINT = ": add rows behind the history, or name their table with --future"


@dataclass(frozen=True)
class Spans:
    """The position of each series' rows in its newest window."""

    codes: Steps  # (rows,) the series of each row
    seen: NDArray[np.bool_]  # (rows,) whether it has a value of the target
    origin: Steps  # (series,) the first step to forecast
    history: Steps  # (series,) number of steps before it
    place: Steps  # (rows,) in the window, which begins at 0


@dataclass(frozen=True)
class Fault:
    """Series that cannot be forecast, all for the same reason.

    Attributes:
        bad: whether each series is one of them, (series,).
        reason: the beginning of a message about all of them.
        detail: returns the text after the name of one in that message.
        of_one: returns the reason for a message about one series.
    """

    bad: NDArray[np.bool_]
    reason: str
    detail: Callable[[int], str] | None
    of_one: Callable[[int], str]


def locate(
    frame: pd.DataFrame, schema: Schema, where: str
) -> tuple[NDArray[np.object_], Steps, Steps]:
    """Return the series of a checked table, the first row of each, and the step of each row.

    Raises:
        DataError: most rows are not one step apart.
    """
    names, first, step = _positions(frame, schema)
    if (usual := _usual(step, first)) != 1:
        raise DataError(f"{where}: its rows {_apart(usual, units(schema.frequency))}")
    return names, first, step


def _positions(frame: pd.DataFrame, schema: Schema) -> tuple[NDArray[np.object_], Steps, Steps]:
    codes, names = pd.factorize(frame["unique_id"])
    grid = pd.date_range(frame["ds"].min(), frame["ds"].max(), freq=schema.frequency)
    step = grid.get_indexer(pd.DatetimeIndex(frame["ds"]))
    first = np.flatnonzero(np.r_[True, np.diff(codes) != 0])
    return names.to_numpy(dtype=object), first, step


def _usual(step: Steps, first: Steps) -> int:
    """Return the most frequent distance of neighbouring rows of a series.

    Every second hour fits the grid, but training had every hour.
    """
    apart = np.delete(np.diff(step), first[1:] - 1)
    return int(np.bincount(apart).argmax()) if len(apart) else 1


def _apart(usual: int, unit: str) -> str:
    return f"are mostly {usual} {unit} apart; the model reads one row for each of the {unit}"


def spans_of(first: Steps, step: Steps, target: NDArray[np.float64], data: Data) -> Spans:
    """Return the positions of the rows of each series; arguments as for `lay_out`."""
    codes = np.repeat(np.arange(len(first)), np.diff(first, append=len(step)))
    seen = np.isfinite(target)
    past = np.where(seen, step + 1, 0) if data.known_covariates else step + 1
    origin = np.maximum.reduceat(past, first)
    return Spans(codes, seen, origin, origin - step[first], step - (origin - data.reach)[codes])


def find_faults(
    spans: Spans,
    first: Steps,
    known: NDArray[np.bool_],
    data: Data,
    unit: str,
    where: str,
    stamp_of: Callable[[int], str] = str,
) -> Iterator[Fault]:
    """Yield the series that cannot be forecast; arguments as for `lay_out`.

    Args:
        stamp_of: returns the time stamp of a step of the grid.
    """
    reach, horizon, context = data.reach, data.horizon, data.context_length
    place, history, count = spans.place, spans.history, len(first)
    yield Fault(
        ~np.logical_or.reduceat(spans.seen, first),
        f"{where}: no value of the target at all in",
        None,
        lambda number: "it has no value of the target at all",
    )
    yield Fault(
        history < context,
        f"{where}: the model needs a history of {context} {unit}; too short are",
        lambda number: f": {history[number]} steps",
        lambda number: f"a history of {history[number]} {unit}; the model needs {context}",
    )
    recent = spans.codes[spans.seen & (place >= data.season_length) & (place < reach)]
    yield Fault(
        np.bincount(recent, minlength=count) == 0,
        f"{where}: every value of the target is missing in the last {context} steps of",
        None,
        lambda number: f"every value of the target is missing in its last {context} steps",
    )
    if data.known_covariates:
        ahead = known & (place >= reach) & (place < reach + horizon)
        rows = np.bincount(spans.codes[ahead], minlength=count)
        columns = ", ".join(data.known_covariates)

        def lacking(number: int) -> str:
            there = set((place[ahead & (spans.codes == number)] - reach).tolist())
            steps = [step for step in range(horizon) if step not in there]
            stamps = [stamp_of(int(spans.origin[number]) + step) for step in steps]
            return f"{columns} not known for {several(stamps)}{HINT}"

        yield Fault(
            rows < horizon,
            f"{where}: add a row for each of the {horizon} steps to forecast, with {columns} "
            f"filled in and {data.y} left empty; missing in",
            lambda number: f": {rows[number]} of {horizon} rows",
            lacking,
        )


def set_apart(
    frame: pd.DataFrame, data: Data, schema: Schema, where: str
) -> tuple[NDArray[np.bool_], dict[str, str]]:
    """Return which rows are of series that can be forecast, and the reasons of the others by name.

    If most rows of all are not one step apart, no series of such rows can be.
    """
    names, first, step = _positions(frame, schema)
    spans = spans_of(first, step, frame["y"].to_numpy(), data)
    usable, reasons = np.ones(len(names), dtype=bool), dict[str, str]()
    unit = units(schema.frequency)
    if _usual(step, first) != 1:
        for number, rows in enumerate(np.split(step, first[1:])):
            if (usual := _usual(rows, np.zeros(1, np.int64))) != 1:
                reasons[str(names[number])] = f"its rows {_apart(usual, unit)}"
                usable[number] = False
    steps = int(spans.origin.max()) + data.horizon
    grid = pd.date_range(frame["ds"].min(), periods=steps, freq=schema.frequency)
    known = known_rows(frame, data)
    for fault in find_faults(
        spans,
        first,
        known,
        data,
        unit,
        where,
        lambda step: in_words(grid[step], data),
    ):
        for number in np.flatnonzero(fault.bad & usable).tolist():
            reasons[str(names[number])] = fault.of_one(number)
        usable &= ~fault.bad
    return usable[spans.codes], reasons


def unseen_categories(
    frame: pd.DataFrame, data: Data, schema: Schema, where: str
) -> dict[str, int]:
    """Return the rows of unseen categories, in the newest windows."""
    if not schema.categories:
        return {}
    _, first, step = locate(frame, schema, where)
    place = spans_of(first, step, frame["y"].to_numpy(), data).place
    inside = (place >= data.season_length) & (place < data.reach + data.horizon)
    moving = [*data.past_covariates, *data.known_covariates]
    return unseen.count(frame[inside], moving, schema.categories) | unseen.count(
        frame.iloc[first], data.static_covariates, schema.categories
    )


def known_rows(frame: pd.DataFrame, data: Data) -> NDArray[np.bool_]:
    """Return which rows have all known covariates."""
    return frame[list(data.known_covariates)].notna().all(axis=1).to_numpy()
