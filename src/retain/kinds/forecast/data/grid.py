"""The steps of a whole table: its frequency, and rows that repeat a step."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from retain.errors import DataError, setting
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import frequency, timestamps
from retain.kinds.forecast.data.columns import fault
from retain.kinds.forecast.data.formats import Origin
from retain.kinds.forecast.data.frequency import Times


def check_grid(
    frames: Callable[[], Iterable[pd.DataFrame]],
    names: "pd.Index[Any]",
    times: Times,
    data: Data,
    origin: Origin,
) -> str:
    """Return the frequency, given or inferred, of a table all of whose stamps lie on its grid.

    Args:
        frames: returns its chunks, indexed by the place of each row: `ds`, and `series`, a number.
        names: of the series.

    Raises:
        DataError: there is no such frequency.
    """
    rows: list[tuple[Any, object]] = []
    if data.frequency is not None:
        name = frequency.canonical(data.frequency)
    else:
        try:
            name = frequency.infer(times)
        except DataError as error:
            raise DataError(
                f"{origin.where}: column `{data.time_name}`: {error}; set {setting('frequency')}"
            ) from None
        for frame in frames():
            steps = frequency.other_frequencies(frame["series"].to_numpy(), frame["ds"], times)
            for place, series in frame["series"][~frame["series"].duplicated()].items():
                if series in steps:
                    rows.append((place, f"series {names[series]!r} steps by {steps[series]}"))
        if rows:
            raise fault(
                origin,
                data.time_name,
                f"most series step by {name}, some do not",
                sorted(rows),
                "One problem has one frequency: make a problem of its own for the others.",
            )
    frequency.check_steps(int(times.stamps[0]), int(times.stamps[-1]), name, origin.where)
    off = frequency.off_grid(times.stamps, times.stamp_counts, name)
    if off.any():
        given, align = setting("frequency"), setting("align")
        remedy = f"Correct the stamps, or set {given}, and {align} to take them to its steps."
        if data.frequency is not None:
            remedy = f"Correct the stamps or {given}, or set {align} to take them to its steps."
            if len(times.steps) and (usual := frequency.infer(times)) != name:
                remedy = f"Correct the stamps or {given}; their most common step is {usual}."
        elif data.timezone is not None and not name.endswith(("h", "min", "s")):
            remedy = (
                f"For data by the day leave {setting('timezone')} out: the local date is the time "
                "stamp."
            )
        count = 0
        for frame in frames():
            bad = frame[np.isin(frequency.micros(frame["ds"]), times.stamps[off])]
            shown, more = shown_rows(bad.assign(unique_id=names[bad["series"]]), data)
            rows += shown
            count += more
        rule = f"off the grid of frequency {name}"
        raise fault(origin, data.time_name, rule, rows, remedy, count)
    return name


def shown_rows(rows: pd.DataFrame, data: Data) -> tuple[list[tuple[int, object]], int]:
    """Return place, time stamp and series of the first ten rows of the file, and how many are."""
    rows = rows[["unique_id", "ds"]].sort_index(kind="stable")
    if data.value_columns:  # a row of the file is one row for each of its series
        rows = rows[~rows.index.duplicated()]
    shown: list[tuple[int, object]] = []
    for place, name, ds in rows.head(10).itertuples():
        of = f" of series {name!r}" if data.id_columns else ""
        shown.append((int(place), f"{timestamps.text(ds, data)}{of}"))
    return shown, len(rows)


def without_duplicates(long: pd.DataFrame, data: Data, origin: Origin) -> tuple[pd.DataFrame, int]:
    """Return one row a series and time stamp, by the problem's rule, and how many are dropped."""
    key = ["unique_id", "ds"]
    repeated = long.duplicated(key).to_numpy()
    if not repeated.any():
        return long, 0
    if data.duplicates == "error":
        rows, count = shown_rows(long[long.duplicated(key, keep=False)], data)
        raise fault(
            origin,
            data.time_name,
            "more than one row for a time stamp" + (" of a series" if data.id_columns else ""),
            rows,
            f"Set {setting('duplicates')} to first, last or mean, or correct the file.",
            count,
        )
    if data.duplicates == "mean":
        texts = [name for name in data.categorical if name in long]
        how: dict[Any, str] = {name: "first" if name in [*key, *texts] else "mean" for name in long}
        merged = long.groupby(np.cumsum(~repeated)).agg(how)
        merged.index = long.index[~repeated]
        return merged[long.columns], int(repeated.sum())
    return long.drop_duplicates(key, keep=data.duplicates), int(repeated.sum())
