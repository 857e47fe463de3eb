"""From a table of history to a table of mean and quantiles, whatever runs the network.

The same code is used by `retain forecast`, `retain serve`, `mlflow models serve` and the re-scoring
of a champion. Nothing here imports torch: a server with onnxruntime needs none.
"""

from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.errors import ModelError
from retain.kinds.forecast.config import Data, Model, level_column
from retain.kinds.forecast.data import alignment, keys, slots, tables, time_formats, timestamps
from retain.kinds.forecast.data.panel import Schema, steps_between
from retain.kinds.forecast.model.pool.newest import newest
from retain.kinds.forecast.model.pool.pool import Pool
from retain.kinds.forecast.predict.example import newest_window
from retain.kinds.forecast.predict.inputs import Inputs
from retain.kinds.forecast.predict.last_window import LastWindows, refuse
from retain.kinds.forecast.predict.request import HISTORY, Request, RequestReader
from retain.model_files import check_same

NOTE = "note"  # the column of a forecast that says why a row is empty, and more
CLOSED = "never had a value at this time"


class TablePredictor(ABC):
    """A loaded model folder, with the content of its config.json."""

    schema: Schema
    data: Data
    config: dict[str, Any]

    @abstractmethod
    def predict_batch(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return quantiles and mean in data units, (series, horizon, levels + 1).

        Best for at most `CHUNK` series.
        """

    @property
    @abstractmethod
    def pool(self) -> Pool | None:
        """The classical base, if there is one."""

    @property
    def horizon(self) -> int:
        """How many steps are forecast."""
        return self.data.horizon

    @cached_property
    def levels(self) -> tuple[float, ...]:
        """The levels of the quantiles."""
        return Model.model_validate(self.config["model"]).quantiles

    def check_fits(self, schema: Schema, where: str) -> None:
        """Raise ModelError, naming the difference, unless the model can read data of `schema`."""
        same = ("horizon", "context_length", "season_length", "y", "value_columns", "holidays")
        for key in (*same, "timezone"):
            ours, theirs = self.schema.data[key], schema.data[key]
            if ours != theirs:
                raise ModelError(f"{where} was trained with {key} {ours}; the data has {theirs}")
        check_same(self.schema, schema, ("frequency", "columns", "static"), where)

    def trained_until(self) -> pd.Timestamp:
        """Return the time stamp at which the validation part of its data began."""
        return self._stamp(self.schema.validation_step)

    def validated_until(self) -> pd.Timestamp:
        """Return the time stamp at which the test part of its data began."""
        return self._stamp(self.schema.test_step)

    def _stamp(self, step: int) -> pd.Timestamp:
        schema = self.schema
        return pd.date_range(schema.origin, periods=step + 1, freq=schema.frequency)[-1]

    def evaluated_until(self) -> str:
        """Return until when the model was trained that was scored on test data, in its place."""
        found = self.config.get("refit", {}).get("evaluated_until", self.trained_until())
        return timestamps.text(pd.Timestamp(found), self.data)

    def trained_on(self) -> str:
        """Return the first and the last time stamp of the data that it was trained on."""
        stamps = pd.Timestamp(self.schema.origin), self.trained_until()
        local = timestamps.local(stamps, self.data)
        first, last = (
            timestamps.undated(stamp, self.data) or f"{at:%Y-%m-%d} {time_formats.clock(at)}"
            for stamp, at in zip(stamps, local, strict=True)
        )
        return f"{'step ' * self.data.ds_is_step}{first} to {last}"

    def match_series(
        self, names: NDArray[np.object_], scales: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the number and the scale of each series in this model.

        Args:
            names: unique_id of each, (series,).
            scales: mean and deviation for new series, (series, 2).

        Returns:
            Numbers (series,), from 1, 0 for a new series; mean and deviation (series, 2).
        """
        numbers, own_scales = self._numbers(names), self._known_series[1]
        known = (numbers > 0)[:, None]
        return numbers, np.where(known, own_scales[numbers - 1], scales.astype(np.float32))

    def based(
        self, windows: LastWindows, numbers: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return `experts` and `ahead` of a batch of newest windows, as in `Inputs`."""
        pool, count = self.pool, len(windows.names)
        if pool is None:
            return np.empty((count, 0, self.horizon), np.float32), np.empty((count, 0), np.float32)
        first = steps_between(self.schema, windows.ahead[:, 0]) - windows.past.shape[1]
        begins = first + np.isfinite(windows.past).argmax(1)
        return newest(pool, windows.past, begins, numbers, self.data.context_length)

    def _numbers(self, names: NDArray[np.object_]) -> NDArray[np.int64]:
        """Return the number of each series in this model, from 1; 0 for a new one."""
        numbers_of, _ = self._known_series
        return np.array([numbers_of.get(name, -1) for name in names], dtype=np.int64) + 1

    @cached_property
    def _known_series(self) -> tuple[dict[str, int], NDArray[np.float32]]:
        series = self.config["series"]
        numbers = {name: number for number, name in enumerate(series["unique_id"])}
        return numbers, np.array([series["mean"], series["std"]], dtype=np.float32).T

    @cached_property
    def requests(self) -> RequestReader:
        """The reader of requests to this model."""
        return RequestReader(self.read_as(HISTORY), self.schema, self.match_series, self.based)

    def read_as(self, path: str) -> Data:
        """Return the settings to read a table like the training table."""
        return self.data.model_copy(update={"frequency": self.schema.frequency, "path": path})

    def input_columns(self) -> list[str]:
        """Return the columns that a table of history must have, in order."""
        return tables.used_columns(self.data)

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        """Forecast every series of a request's table, which has the model's columns and no others.

        Raises:
            DataError: as `forecast`, or a column is unknown.
        """
        return self._predict(self.requests.read_frame(table))

    def forecast(self, table: tables.Table, where: str) -> pd.DataFrame:
        """Forecast every series of a table of history.

        Rows after a series' last target value are its future, if the model has known covariates,
        which the table must then contain.

        Args:
            table: validated by `tables`.
            where: its name in messages.

        Returns:
            The columns of `tabulate`, `horizon` rows for each series.

        Raises:
            DataError: a series is too short, or has no value in the context.
        """
        return self._predict(self.requests.read_table(table, where))

    def _predict(self, request: Request) -> pd.DataFrame:
        forecasts = np.concatenate([self.predict_batch(batch) for batch in request.batches()])
        return pd.DataFrame(self.tabulate(request, forecasts))

    def tabulate(self, request: Request, forecasts: NDArray[np.float32]) -> dict[str, Any]:
        """Return a forecast by column.

        Series and time stamp under the names that the training table has for them (`unique_id`
        where it has no column of series, `ds` where several columns hold the time), `mean`,
        `median`, and each quantile under its level, the median once more as `0.5`; NOTE. At times
        when its series never had a value a row is empty, and its note says so.

        Args:
            request: the request of the batch.
            forecasts: the result of `predict_batch`.

        Raises:
            DataError: a forecast is not finite.
        """
        refuse(
            ~np.isfinite(forecasts).all(axis=(1, 2)),
            request.names,
            f"{request.where}: the values are too far from what the model was trained on for a "
            f"finite forecast of",
        )
        rows = forecasts.reshape(-1, forecasts.shape[-1])
        # (levels + 1, series * horizon), in the one type that orjson reads; a copy
        by_column = rows.T.astype(np.float64, order="C")
        shut = self.closed(request.names, request.ahead).reshape(-1)
        by_column[:, shut] = np.nan
        *quantiles, mean = by_column
        return {
            **keys.split(np.repeat(request.names, self.horizon), self.data),
            self.data.time_column: self._stamps(request),
            "mean": mean,
            "median": quantiles[self.levels.index(0.5)],
            **dict(zip(map(level_column, self.levels), quantiles, strict=True)),
            NOTE: np.where(shut, CLOSED, request.note).astype(object),
        }

    def closed(
        self, names: NDArray[np.object_], ahead: NDArray[np.datetime64]
    ) -> NDArray[np.bool_]:
        """Return which stamps are at times when their series never has a value.

        Args:
            names: of the series, (series,).
            ahead: stamps of the grid, (series, horizon).
        """
        found = self.config.get("slots")
        if not found:
            return np.zeros(ahead.shape, dtype=bool)
        return slots.is_closed(found, self._numbers(names), ahead, self.data.zone)

    def _stamps(self, request: Request) -> Any:
        """Return the time stamps of a forecast, in the table's format if it has no dates."""
        ahead = request.ahead.astype("datetime64[us]")
        if request.phase is not None:
            steps = ahead.astype(np.int64)
            phase = np.broadcast_to(request.phase[:, None], steps.shape)
            ahead = alignment.add(steps, phase, self.schema.frequency).astype("datetime64[us]")
        stamps = ahead.reshape(-1)
        as_text = self.data.ds_is_step or (self.data.time_format and isinstance(self.data.ds, str))
        if not as_text and self.data.zone is None:
            return stamps
        ds = pd.DatetimeIndex(stamps)
        if as_text:
            return timestamps.written(ds, self.data).to_numpy()
        return ds.tz_localize("UTC").tz_convert(self.data.zone)

    def example(self, prepared: Path) -> pd.DataFrame:
        """Return a valid request: the newest window of the longest series of a panel."""
        table = newest_window(prepared, self.data)
        return table if self.data.dates_across else table[self.input_columns()]
