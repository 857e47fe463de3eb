"""What is known of each series before there is a grid: its span, its values, whether it will do.

One row a series, however long it is, so that a table too large for memory can be judged whole.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.config.durations import span
from retain.errors import DataError, setting
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import time_formats, timestamps
from retain.kinds.forecast.data.alignment import PHASE
from retain.kinds.forecast.split import Boundary, horizons
from retain.words import listed

STATIC = "static."  # what the columns of static covariates begin with, here and in a panel's index


def summarize(frame: pd.DataFrame, data: Data) -> pd.DataFrame:
    """Summarize the series of a checked table, or of a chunk of it, in its order.

    Returns:
        A row a series: unique_id; rows, how many it has; first and last stamp; first_seen and
        last_seen, the stamps of values, NaT where there is none; spread and level, the deviation
        and the largest magnitude of the target; `phase`, if it has its own; its static covariates.
    """
    codes, names = pd.factorize(frame["unique_id"])
    by_series, y = frame["ds"].groupby(codes), frame["y"]
    seen = y.notna().to_numpy()
    stamps = frame["ds"][seen].groupby(codes[seen])
    summary = {
        "rows": by_series.size(),
        "first": by_series.first(),
        "last": by_series.last(),
        "first_seen": stamps.first(),
        "last_seen": stamps.last(),
        "spread": y.groupby(codes).std(ddof=0),
        "level": y.abs().groupby(codes).max(),
    }
    if PHASE in frame:
        summary["phase"] = frame[PHASE].groupby(codes).first()
    for name in data.static_covariates:
        summary[STATIC + name] = frame[name].groupby(codes).head(1).reset_index(drop=True)
    summarized = pd.DataFrame(summary)
    summarized.insert(0, "unique_id", names)
    return summarized


def select(
    series: pd.DataFrame, frequency: str, data: Data
) -> tuple[NDArray[np.bool_], list[dict[str, str]]]:
    """Return which series can be learned from, and the others by name with the reason.

    Raises:
        DataError: none can.
    """
    reasons = _reasons(series, frequency, data)
    usable = ~series["unique_id"].isin(list(reasons)).to_numpy()
    if not usable.any():
        lines = [f"{name}: {reason}" for name, reason in sorted(reasons.items())]
        context, horizon = setting("data.context_length"), setting("data.horizon")
        raise DataError(
            f"{data.path}: no series can be learned from; shorten {context} or {horizon}, or bring "
            f"more rows:\n{listed(lines)}"
        )
    return usable, [{"unique_id": name, "reason": reasons[name]} for name in sorted(reasons)]


def _reasons(series: pd.DataFrame, frequency: str, data: Data) -> dict[str, str]:
    """Return why some of the series cannot be learned from, by name.

    A series may begin after the training part: it is scored, and is learned from by later models.
    """
    grid = grid_of(series, frequency)
    needed = data.context_length + data.horizon
    names = series["unique_id"].to_numpy(dtype=object)
    first, last = (
        grid.get_indexer(pd.DatetimeIndex(series[name])) for name in ("first_seen", "last_seen")
    )
    lengths = last - first + 1
    empty = series["first_seen"].isna().to_numpy()
    short = ~empty & (lengths < needed)
    reasons = dict.fromkeys(names[empty], "it has no values")
    for name, length in zip(names[short], lengths[short], strict=True):
        reasons[name] = f"{length} steps are fewer than context_length + horizon = {needed}"
    return reasons


def grid_of(series: pd.DataFrame, frequency: str) -> pd.DatetimeIndex:
    """Return all steps from the first stamp of the series to the last value.

    Rows behind the last value of all series are their future.
    """
    first, last = series["first"].min(), series["last_seen"].max()
    return pd.date_range(first, series["last"].max() if pd.isna(last) else last, freq=frequency)


def split(grid: pd.DatetimeIndex, data: Data) -> tuple[int, int]:
    """Return the grid steps at which validation and test begin.

    Raises:
        DataError: a part has no room for the horizon.
    """

    def step(boundary: Boundary) -> int:
        if (count := horizons(boundary)) is not None:
            return max(len(grid) - count * data.horizon, 0)
        if isinstance(boundary, float):
            return int(len(grid) * boundary)
        if isinstance(boundary, str):
            return int(grid.searchsorted(grid[-1] - span(boundary), side="right"))
        stamp = pd.Timestamp(boundary)
        if data.zone is not None:  # the grid is in UTC
            stamp = time_formats.to_utc(stamp, data.zone)
        return int(grid.searchsorted(stamp))

    validation, test = step(data.split.validation), step(data.split.test)
    span_in_words = " to ".join(timestamps.text(stamp, data) for stamp in (grid[0], grid[-1]))
    count = horizons(data.split.validation)
    if count is not None and validation == 0:
        needed = (count + 1) * data.horizon + data.context_length
        boundary, context = setting("data.split.validation"), setting("data.context_length")
        raise DataError(
            f"{data.path} has {len(grid):,} steps ({span_in_words}); {boundary} "
            f'"{data.split.validation}", of {data.horizon} steps each, needs at least {needed:,}, '
            f"with {context} and one horizon before it: give fewer horizons, or bring more rows"
        )
    for name, begin, end in (("validation", validation, test), ("test", test, len(grid))):
        if begin == 0 or end - begin < data.horizon:
            boundary = setting(f"data.split.{name}")
            raise DataError(
                f"{data.path}: {boundary} leaves {max(end - begin, 0):,} of {len(grid):,} steps "
                f"({span_in_words}) for {name}; it needs at least the horizon of "
                f"{data.horizon}, with values before it to learn from"
            )
    return validation, test


def check_training(
    index: pd.DataFrame, grid: pd.DatetimeIndex, validation_step: int, data: Data
) -> None:
    """Raise DataError where no series has the steps of one window before validation begins."""
    needed = data.context_length + data.horizon
    steps = np.minimum(index["first_step"] + index["length"], validation_step) - index["first_step"]
    longest = max(int(steps.max()), 0)
    if longest < needed:
        begins = timestamps.text(grid[validation_step], data)
        raise DataError(
            f"{data.path}: no series has more than {longest:,} steps before validation begins, at "
            f"{begins}; one needs context_length + horizon = {needed:,} there to be "
            f"learned from: bring {needed - longest:,} rows more of a series, shorten "
            f"{setting('data.context_length')}, or let {setting('data.split.validation')} begin "
            f"later"
        )


def check_precision(series: pd.DataFrame, data: Data) -> None:
    """Raise DataError for values that float32, of which arrays are, cannot hold or tell apart."""
    spread, level = series["spread"].to_numpy(), series["level"].to_numpy()
    with np.errstate(over="ignore"):
        spacing: NDArray[Any] = np.spacing(level.astype(np.float32)).astype(np.float64)
    bad = ~np.isfinite(spacing) | ((spread > 0) & (spread < 100 * spacing))
    if bad.any():
        names = series["unique_id"][bad]
        raise DataError(
            f"{data.path}: values too large for what they vary by (32-bit numbers hold seven "
            f"digits); subtract a constant from the column, or change its unit, in "
            f"{len(names)} series:\n{listed([str(name) for name in names])}"
        )
