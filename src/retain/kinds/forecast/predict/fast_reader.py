"""Read plain requests without pandas, which would take longer than the forecast.

A table is plain if its rows are in order, one for each step, with stamps of ISO 8601 and numbers.
Every other table, wrong or only unusual, is left to `tables` and `last_window`: they report errors,
and this module reads plain tables with the same result.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import calendars, columns
from retain.kinds.forecast.data.frequency import width
from retain.kinds.forecast.data.keys import ONE_SERIES
from retain.kinds.forecast.data.panel import Schema
from retain.kinds.forecast.predict.last_window import LastWindows, lay_out
from retain.kinds.forecast.predict.spans import Steps

Stamps = NDArray[np.int64]  # microseconds since 1970

BLOCK = 4096  # steps of the calendar that are computed together
FORMS = {len(form): form for form in ("0000-00-00", "0000-00-00 00:00", "0000-00-00 00:00:00")}
EARLIEST, LATEST = (
    np.datetime64(day, "us").astype(np.int64) for day in ("1900-01-01", "2200-01-01")
)


class FastReader:
    """Reads plain tables for a model.

    Args:
        data: the section `data` of the model.
        schema: what the model knows of its table.
    """

    def __init__(self, data: Data, schema: Schema):
        self._data = data
        self._ids = list(data.id_columns)
        self._columns = {*self._ids, data.time_column, data.y, *data.covariates}
        self._step = width(pd.tseries.frequencies.to_offset(schema.frequency)) or 0
        # Steps without a fixed length, text, ids of several columns, wide tables and stamps with a
        # zone or another format are not plain.
        self._reads = self._step > 0 and not (
            schema.categories
            or data.value_columns
            or not data.plain_time
            or len(self._ids) > 1
            or data.dates_across
        )
        self._missing = columns.missing_codes(data.na_values)
        self._calendar = _calendar(data, schema.frequency, self._step)

    def read(self, table: Mapping[str, list[Any]]) -> LastWindows | None:
        """Return the newest window of every series, as `last_window.last_windows` has it.

        Args:
            table: values by column.

        Returns:
            None if the table is not plain.
        """
        data = self._data
        size = len(table.get(data.time_column, ()))
        complete = table.keys() == self._columns and set(map(len, table.values())) == {size}
        if not self._reads or not size or not complete:
            return None
        first = _first_rows(table[self._ids[0]], size) if self._ids else np.zeros(1, np.int64)
        numbers = {name: _numbers(table[name]) for name in (data.y, *data.covariates)}
        if first is None or any(values is None for values in numbers.values()):
            return None
        texts = table[data.time_column]
        end = int(first[1]) if len(first) > 1 else size
        same = texts == texts[:end] * len(first)  # as in most panels
        ds = _stamps(texts[:end] if same else texts)
        if ds is None:
            return None
        ds = np.tile(ds, len(first)) if same else ds
        by_column: dict[str, Any] = numbers
        for values in by_column.values() if len(self._missing) else ():
            values[np.isin(values, self._missing)] = np.nan
        for name, limits in data.valid_range.items():
            by_column[name][columns.outside(by_column[name], limits)] = np.nan
        static = np.array([by_column[name] for name in data.static_covariates]).reshape(-1, size)
        of_series = np.repeat(static[:, first], np.diff(first, append=size), axis=1)
        below = data.minimum is not None and (by_column[data.y] < data.minimum).any()
        if below or not self._is_regular(ds, first) or not (static == of_series).all():
            return None
        moving = [data.y, *data.past_covariates, *data.known_covariates]
        given = np.column_stack([by_column[name] for name in moving])
        known = np.isfinite(given[:, 1 + len(data.past_covariates) :]).all(axis=1)
        ids = table[self._ids[0]] if self._ids else [ONE_SERIES]
        origin = int(ds.min())

        def clock(begin: Steps) -> tuple[NDArray[np.float32], NDArray[np.datetime64]]:
            starts = origin + begin * self._step
            ahead = starts[:, None] + np.arange(data.reach, data.reach + data.horizon) * self._step
            features = self._features(starts, data.reach + data.horizon)
            return features, ahead.astype("datetime64[us]")

        try:
            return lay_out(
                np.array([ids[row] for row in first], dtype=object),
                first,
                (ds - origin) // self._step,
                given,
                known,
                static[:, first].T,
                clock,
                data,
                unit="steps",
                where="history",
            )
        except DataError:  # the error is reported when the table is read again
            return None

    def _is_regular(self, ds: Stamps, first: Steps) -> bool:
        """Return whether each series has a row for each step, and all are on one grid."""
        if ds.min() < EARLIEST or ds.max() > LATEST:
            return False
        apart = np.diff(ds)
        apart[first[1:] - 1] = self._step  # from one series to the next
        phase = ds[first] % self._step
        return bool((apart == self._step).all() and (phase == phase[0]).all())

    def _features(self, starts: Stamps, steps: int) -> NDArray[np.float32]:
        """Return calendar features from each start on, (series, steps, features)."""
        phase = int(starts[0]) % self._step
        numbers, of_series = np.unique((starts - phase) // self._step, return_inverse=True)
        features = []
        for begin in numbers.tolist():  # on the grid
            blocks = range(begin // BLOCK, (begin + steps - 1) // BLOCK + 1)
            joined = np.concatenate([self._calendar(phase, block) for block in blocks])
            features.append(joined[begin - blocks[0] * BLOCK :][:steps])
        return np.stack(features)[of_series]


def _calendar(data: Data, frequency: str, step: int) -> Callable[[int, int], NDArray[np.float32]]:
    @lru_cache(maxsize=64)
    def block(phase: int, number: int) -> NDArray[np.float32]:
        stamps = phase + (number * BLOCK + np.arange(BLOCK)) * step
        ds = pd.DatetimeIndex(stamps.astype("datetime64[us]"))
        return calendars.features(ds, frequency, data.calendar, data.holidays)

    return block


def _first_rows(ids: list[Any], size: int) -> Steps | None:
    """Return the first row of each series, if they are in order, as the answer will be."""
    if set(map(type, ids)) != {str} or "" in ids:
        return None
    if ids.count(ids[0]) == size:
        return np.zeros(1, np.int64)
    names = np.array(ids, dtype=object)
    first = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
    return first if (names[first][:-1] < names[first][1:]).all() else None


def _numbers(values: list[Any]) -> NDArray[np.float64] | None:
    types = set(map(type, values))
    if not types <= {float, int, type(None)}:  # a bool is an int, but no number
        return None
    try:
        numbers = np.array(values, dtype=np.float64)  # NaN for None
    except OverflowError:
        return None
    size = np.abs(numbers)
    if (size > columns.LARGEST).any() or (int in types and (size >= columns.EXACT).any()):
        return None
    return numbers


def _stamps(texts: list[Any]) -> Stamps | None:
    """Return stamps of ISO 8601 without an offset, all in the same format."""
    form = FORMS.get(len(texts[0])) if isinstance(texts[0], str) else None
    if form is None or set(map(type, texts)) != {str} or len(set(map(len, texts))) > 1:
        return None
    if texts[0][10:11] == "T":
        form = form.replace(" ", "T")
    try:
        raw = "".join(texts).encode("ascii")
    except UnicodeEncodeError:
        return None
    signs = np.frombuffer(raw, np.uint8).reshape(len(texts), -1)
    low = np.frombuffer(form.encode(), np.uint8)
    high = np.where(low == ord("0"), ord("9"), low)
    if (signs < low).any() or (signs > high).any():
        return None
    try:
        return np.frombuffer(raw, f"S{len(form)}").astype("datetime64[us]").astype(np.int64)
    except ValueError:  # no such day
        return None
