"""Read the tables in a request: as columns of JSON, as CSV or as a data frame."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import reader, tables, unseen
from retain.kinds.forecast.data.formats import Csv
from retain.kinds.forecast.data.panel import Schema
from retain.kinds.forecast.predict import future
from retain.kinds.forecast.predict.fast_reader import FastReader
from retain.kinds.forecast.predict.inputs import Inputs
from retain.kinds.forecast.predict.last_window import LastWindows, last_windows
from retain.kinds.forecast.predict.spans import unseen_categories

MatchSeries = Callable[
    [NDArray[np.object_], NDArray[np.float64]], tuple[NDArray[np.int64], NDArray[np.float32]]
]
Based = Callable[[LastWindows, NDArray[np.int64]], tuple[NDArray[np.float32], NDArray[np.float32]]]
HISTORY, FUTURE = "history", "future"  # the names of a request's tables in messages
CHUNK = 64  # series per batch; larger batches do not fit into the CPU's cache


@dataclass(frozen=True)
class Request:
    """The newest window of each series, ready for the network."""

    names: NDArray[np.object_]  # (series,)
    ahead: NDArray[np.datetime64]  # (series, horizon) the time stamps to forecast
    batch: Inputs
    where: str  # the table's name in messages
    ignored: tuple[str, ...]  # columns of a file that the model does not read
    phase: NDArray[np.int64] | None = None  # (series,) from the grid, see `alignment.phases`
    note: str = ""  # of every row of the answer

    def __len__(self) -> int:
        """The number of series."""
        return len(self.names)

    def batches(self) -> Iterator[Inputs]:
        """Split the batch into batches of at most `CHUNK` series."""
        for begin in range(0, len(self), CHUNK):
            columns: Iterator[Any] = (column[begin : begin + CHUNK] for column in self.batch)
            yield Inputs(*columns)


class RequestReader:
    """Reads requests for one model.

    Args:
        data: settings to read its tables, `Predictor.read_as`.
        schema: of the model's training table.
        match_series: `TablePredictor.match_series`.
        based: `TablePredictor.based`.
    """

    def __init__(self, data: Data, schema: Schema, match_series: MatchSeries, based: Based):
        self._data, self._schema = data, schema
        self._match_series, self._based = match_series, based
        self.fast_reader = FastReader(data, schema)

    def read_plain(self, columns: Mapping[str, list[Any]]) -> Request | None:
        """Read values by column in less than a millisecond, or return None."""
        windows = self.fast_reader.read(columns)
        return None if windows is None else self._request(windows)

    def read_columns(
        self, columns: Mapping[str, list[Any]], coming: Mapping[str, list[Any]] | None = None
    ) -> Request:
        """Read values by column, None where one is missing.

        Args:
            columns: of the history.
            coming: known covariates of the horizon, if they are in a separate table.

        Raises:
            DataError: as `read_frame`, or the columns differ in length.
        """
        known = None if coming is None else frame_of(coming, FUTURE)
        return self.read_frame(frame_of(columns, HISTORY), known)

    def read_frame(self, frame: pd.DataFrame, coming: pd.DataFrame | None = None) -> Request:
        """Read tables that have the model's columns and no others.

        Args:
            frame: the history.
            coming: known covariates of the horizon, if they are in a separate table.

        Raises:
            DataError: as `read_table`, a column is unknown, a value cannot be read, or the tables
                do not fit together.
        """
        table = tables.clean(frame, self._data, HISTORY, first_row=1)
        reads = tables.used_columns(self._data)
        _check_known(table.findings.unused, HISTORY, reads)
        if coming is not None:
            known = future.of_frame(coming, self._data, FUTURE, first_row=1)
            _check_known(known.unknown, FUTURE, future.needed_columns(self._data))
            future.check_series(set(table.frame["unique_id"]), known, HISTORY)
            joined = future.join(table.frame, known, self._data, self._schema.frequency)
            table = dataclasses.replace(table, frame=joined)
        return self.read_table(table, HISTORY)

    def read_csv(self, content: bytes) -> Request:
        """Read a CSV file in the format of the training table; other columns are ignored.

        Raises:
            DataError: as `read_table`, or a value cannot be read.
        """
        dialect = reader.dialect(self._data)
        with contextlib.suppress(UnicodeDecodeError):
            # The encoding that most programs send, whatever the table's; UTF-16 is full of zeros.
            if b"\0" in content:
                raise UnicodeDecodeError("utf-8", content, 0, 1, "holds zeros")
            content.decode()
            dialect = dataclasses.replace(dialect, encoding="utf-8")
        raw = reader.load(Csv(HISTORY, content, dialect))
        return self.read_table(tables.check(raw, self._data), HISTORY)

    def read_table(self, table: tables.Table, where: str) -> Request:
        """Cut the newest windows of a validated table.

        Raises:
            DataError: a series is too short, or has no value in the context; a category is
                unseen, and data.unseen is `refuse`.
        """
        if self._data.unseen == "refuse":
            counts = unseen_categories(table.frame, self._data, self._schema, where)
            unseen.refuse(counts, self._schema.categories, where)
        windows = last_windows(table.frame, self._data, self._schema, where)
        return self._request(windows, where, table.findings.unused)

    def _request(
        self, windows: LastWindows, where: str = HISTORY, ignored: tuple[str, ...] = ()
    ) -> Request:
        numbers, scales = self._match_series(windows.names, windows.scales)
        experts, ahead = self._based(windows, numbers)
        window, past = windows.window, windows.past.astype(np.float32)
        batch = Inputs(window, numbers, windows.static, scales, experts, ahead, past)
        return Request(windows.names, windows.ahead, batch, where, ignored, windows.phase)


def _check_known(unknown: tuple[str, ...], where: str, reads: list[str]) -> None:
    if unknown:
        raise DataError(
            f"{where}: the model does not know the column {unknown[0]!r}; leave it out, the "
            f"model reads {', '.join(reads)}"
        )


def frame_of(columns: Mapping[str, list[Any]], where: str) -> pd.DataFrame:
    """Return values by column as a frame; DataError if the columns differ in length."""
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"`{name}` has {length:,}" for name, length in lengths.items())
        raise DataError(f"{where}: the columns differ in length: {counts}")
    return pd.DataFrame({name: _column(values) for name, values in columns.items()})


def _column(values: list[Any]) -> "pd.Series[Any]":
    """Return a column as in `tables`: numbers if all values are, otherwise text."""
    types = set(map(type, values)) - {type(None)}
    if types <= {float, int}:
        try:
            return pd.Series(values, dtype="Int64" if types == {int} else "float64")
        except (OverflowError, TypeError):  # a whole number of more than 64 bits
            pass
    texts = [None if value is None else str(value) for value in values]
    return pd.Series(texts, dtype="str")
