"""Requests as programs write them, read without pandas, which takes longer than the forecast.

Plain is a table whose rows are in order, one for each step, with stamps of ISO 8601 and numbers.
Whatever is not plain, wrong or merely unusual, is left to `source` and `history`: they alone say
what an error is, and what is read here is what they would have made of it.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import calendars
from retain.kinds.forecast.data.columns import EXACT, LARGEST
from retain.kinds.forecast.data.frequency import width
from retain.kinds.forecast.data.panel import Schema
from retain.kinds.forecast.data.tables import ONE_SERIES
from retain.kinds.forecast.predict.last_window import LastWindows, scales_of

Stamps = NDArray[np.int64]  # microseconds since 1970

BLOCK = 4096  # steps of the calendar that are made at once
FORMS = {len(form): form for form in ("0000-00-00", "0000-00-00 00:00", "0000-00-00 00:00:00")}
EARLIEST, LATEST = (
    np.datetime64(day, "us").astype(np.int64) for day in ("1900-01-01", "2200-01-01")
)


class Reader:
    """Reads plain tables for a model.

    Args:
        data: the section `data` of the model.
        schema: what the model knows of its table.
    """

    def __init__(self, data: Data, schema: Schema):
        self._data = data
        self._ids = [] if data.unique_id is None else [data.unique_id]
        self._columns = {*self._ids, data.ds, data.y, *data.covariates}
        self._step = width(pd.tseries.frequencies.to_offset(schema.frequency)) or 0
        # Steps of no fixed length, text, wide tables and stamps with a zone or a format of their
        # own are not plain.
        self._reads = self._step > 0 and not (
            schema.categories or data.value_columns or data.timezone or data.time_format
        )
        self._calendar = _calendar(data, schema.frequency, self._step)

    def read(self, table: Mapping[str, list[Any]]) -> LastWindows | None:
        """The newest window of every series, as `history.last_windows` has it.

        Args:
            table: values by column.

        Returns:
            None where the table is not plain.
        """
        data = self._data
        size = len(table.get(data.ds, ()))
        if not self._reads or not size or table.keys() != self._columns:
            return None
        if any(len(values) != size for values in table.values()):
            return None
        first = _runs(table[self._ids[0]], size) if self._ids else np.zeros(1, np.int64)
        columns = {name: _numbers(table[name]) for name in (data.y, *data.covariates)}
        if first is None or any(found is None for found in columns.values()):
            return None
        texts = table[data.ds]
        end = int(first[1]) if len(first) > 1 else size
        same = texts == texts[:end] * len(first)  # as in most panels
        ds = _stamps(texts[:end] if same else texts)
        if ds is None:
            return None
        ds = np.tile(ds, len(first)) if same else ds
        numbers: dict[str, Any] = columns
        if not self._is_regular(ds, first):
            return None
        for name, (low, high) in data.valid_range.items():
            values = numbers[name]
            with np.errstate(invalid="ignore"):
                outside = (values < (-np.inf if low is None else low)) | (
                    values > (np.inf if high is None else high)
                )
            values[outside] = np.nan
        ids = table[self._ids[0]] if self._ids else [ONE_SERIES]
        names = np.array([ids[row] for row in first], dtype=object)
        return self._windows(names, first, np.append(first[1:], size), ds, numbers)

    def _is_regular(self, ds: Stamps, first: NDArray[np.int64]) -> bool:
        """Whether each series has a row for each step, and all are on one grid."""
        if ds.min() < EARLIEST or ds.max() > LATEST:
            return False
        apart = np.diff(ds)
        apart[first[1:] - 1] = self._step  # from one series to the next
        phase = ds[first] % self._step
        return bool((apart == self._step).all() and (phase == phase[0]).all())

    def _windows(
        self,
        names: NDArray[np.object_],
        first: NDArray[np.int64],
        end: NDArray[np.int64],
        ds: Stamps,
        columns: dict[str, NDArray[np.float64]],
    ) -> LastWindows | None:
        data, reach, horizon = self._data, self._data.reach, self._data.horizon
        y = columns[data.y]
        seen = np.isfinite(y)
        origin = end - (horizon if data.known_covariates else 0)  # the first row to forecast
        if (origin - first < data.context_length).any():
            return None
        rows = origin[:, None] + np.arange(-reach, horizon)  # (series, steps)
        inside = (rows >= first[:, None]) & (rows < end[:, None])
        rows = np.clip(rows, 0, len(y) - 1)
        if not (seen[rows] & inside)[:, data.season_length : reach].any(axis=1).all():
            return None
        if data.known_covariates:
            known = np.array([columns[name] for name in data.known_covariates])
            ahead = rows[:, reach:]
            if seen[ahead].any() or not seen[origin - 1].all() or np.isnan(known[:, ahead]).any():
                return None
        static = np.array([columns[name] for name in data.static_covariates])
        static = static.reshape(-1, len(y))
        if not (static == np.repeat(static[:, first], end - first, axis=1)).all():
            return None

        given = np.array(
            [y, *(columns[name] for name in (*data.past_covariates, *data.known_covariates))]
        )
        values = np.where(inside, given[:, rows], np.nan).transpose(1, 0, 2)
        starts = ds[first] + (origin - first - reach) * self._step
        features = self._features(starts, reach + horizon)
        window = np.concatenate([values, features.transpose(0, 2, 1)], axis=1, dtype=np.float32)
        ahead = (starts + reach * self._step)[:, None] + np.arange(horizon) * self._step
        return LastWindows(
            names,
            scales_of(y, first, end),
            window,
            static[:, first].T.astype(np.float32),
            ahead.astype("datetime64[us]"),
        )

    def _features(self, starts: Stamps, steps: int) -> NDArray[np.float32]:
        """Calendar features from each start on: (series, steps, features)."""
        phase = int(starts[0]) % self._step
        number = (starts - phase) // self._step  # on the grid
        distinct, which = np.unique(number, return_inverse=True)
        made = []
        for begin in distinct.tolist():
            blocks = range(begin // BLOCK, (begin + steps - 1) // BLOCK + 1)
            joined = np.concatenate([self._calendar(phase, block) for block in blocks])
            at = begin - blocks[0] * BLOCK
            made.append(joined[at : at + steps])
        return np.stack(made)[which]


def _calendar(data: Data, frequency: str, step: int) -> Callable[[int, int], NDArray[np.float32]]:
    @lru_cache(maxsize=64)
    def block(phase: int, number: int) -> NDArray[np.float32]:
        stamps = phase + (number * BLOCK + np.arange(BLOCK)) * step
        ds = pd.DatetimeIndex(stamps.astype("datetime64[us]"))
        return calendars.features(ds, frequency, data.calendar, data.holidays)

    return block


def _runs(ids: list[Any], size: int) -> NDArray[np.int64] | None:
    """The first row of each series, where the rows of each stand together."""
    if set(map(type, ids)) != {str} or "" in ids:
        return None
    names = np.array(ids, dtype=object)
    first = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
    return first if len(set(names[first])) == len(first) else None


def _numbers(values: list[Any]) -> NDArray[np.float64] | None:
    kinds = set(map(type, values))
    if not kinds <= {float, int, type(None)}:  # a bool is an int, but no number
        return None
    try:
        numbers = np.array(values, dtype=np.float64)  # NaN for None
    except OverflowError:
        return None
    if (np.abs(numbers) > LARGEST).any() or (int in kinds and (np.abs(numbers) >= EXACT).any()):
        return None
    return numbers


def _stamps(texts: list[Any]) -> Stamps | None:
    """Stamps of ISO 8601 without an offset, all written in one form."""
    form = FORMS.get(len(texts[0])) if isinstance(texts[0], str) else None
    if form is None or set(map(type, texts)) != {str} or len(set(map(len, texts))) > 1:
        return None
    if texts[0][10:11] == "T":
        form = form.replace(" ", "T")
    signs = np.array(texts).view(np.uint32).reshape(len(texts), -1)
    low = np.array([form]).view(np.uint32)
    high = np.where(low == ord("0"), ord("9"), low)
    if (signs < low).any() or (signs > high).any():
        return None
    try:
        return np.array(texts, dtype="datetime64[us]").astype(np.int64)
    except ValueError:  # no such day
        return None
