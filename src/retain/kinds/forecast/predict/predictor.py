"""A trained forecaster at work: a table of history in, a table of quantiles out.

The same code answers `retain forecast`, `retain serve`, `mlflow models serve` and the re-scoring of
a champion. A model folder is read as safetensors and JSON alone; nothing that could run code is
ever loaded.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from retain.errors import DataError, ModelError
from retain.kinds.forecast.config import Data, Model
from retain.kinds.forecast.data import panel, reader, tables
from retain.kinds.forecast.data.formats import Csv
from retain.kinds.forecast.data.panel import Schema
from retain.kinds.forecast.data.timestamps import written
from retain.kinds.forecast.data.windows import Batch
from retain.kinds.forecast.model.forecaster import Forecaster
from retain.kinds.forecast.predict import last_window
from retain.kinds.forecast.predict.fast_reader import FastReader
from retain.model_files import check_same, reading

CHUNK = 64  # series a batch; larger ones fall out of the CPU's cache
ALIGNED = 8  # batches of a multiple of 8 rows give each row the same bits whatever its neighbours


@dataclass(frozen=True)
class Request:
    """What a model is asked: the newest window of each series, ready for the network."""

    names: NDArray[np.object_]  # (series,)
    ahead: NDArray[np.datetime64]  # (series, horizon) the time stamps to forecast
    batch: Batch
    where: str  # what messages call the table
    ignored: tuple[str, ...] = ()  # columns of a file that the model does not read

    def __len__(self) -> int:
        """How many series."""
        return len(self.names)


@dataclass(frozen=True)
class Predictor:
    """A model folder, read: the network, and config.json as it stands."""

    network: Forecaster
    schema: Schema
    data: Data
    config: dict[str, Any]

    def check_fits(self, schema: Schema, where: str) -> None:
        """Raise ModelError, naming what differs, unless data of `schema` can be put in."""
        same = ("horizon", "context_length", "season_length", "y", "value_columns", "holidays")
        for key in (*same, "timezone"):
            ours, theirs = self.schema.data[key], schema.data[key]
            if ours != theirs:
                raise ModelError(f"{where} was trained with {key} {ours}; the data has {theirs}")
        check_same(self.schema, schema, ("frequency", "columns", "static"), where)

    def trained_until(self) -> pd.Timestamp:
        """The time stamp at which the validation part of its data began."""
        schema = self.schema
        grid = pd.date_range(
            schema.origin, periods=schema.validation_step + 1, freq=schema.frequency
        )
        return grid[-1]

    def span(self) -> str:
        """The first and the last time stamp of the data that it was trained on."""
        origin = pd.Timestamp(self.schema.origin)
        return f"{origin:%Y-%m-%d %H:%M} to {self.trained_until():%Y-%m-%d %H:%M}"

    def known_series(
        self, names: NDArray[np.object_], scales: NDArray[np.float64]
    ) -> tuple[Tensor, Tensor]:
        """Number and scale that each series has in this model.

        Args:
            names: unique_id of each, (series,).
            scales: mean and deviation for those that the model has never seen, (series, 2).

        Returns:
            Numbers (series,), from 1, 0 for a series never seen; mean and deviation (series, 2).
        """
        numbers, own_scales = self._known
        found = np.array([numbers.get(name, -1) for name in names])
        own = np.where(found[:, None] >= 0, own_scales[found], scales.astype(np.float32))
        return torch.from_numpy(found + 1), torch.from_numpy(own)

    @cached_property
    def _known(self) -> tuple[dict[str, int], NDArray[np.float32]]:
        series = self.config["series"]
        numbers = {name: number for number, name in enumerate(series["unique_id"])}
        return numbers, np.array([series["mean"], series["std"]], dtype=np.float32).T

    @cached_property
    def _fast_reader(self) -> FastReader:
        return FastReader(self.data, self.schema)

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        """Forecast every series of a request's table, which has the model's columns and no others.

        Raises:
            DataError: as `forecast`, or a column is unknown.
        """
        return self._answer(self._requested(table))

    def quick_request(self, columns: Mapping[str, list[Any]]) -> Request | None:
        """Read a request where that takes less than a millisecond; otherwise None."""
        last = self._fast_reader.read(columns)
        return None if last is None else self._request(last, "history")

    def request(self, columns: Mapping[str, list[Any]]) -> Request:
        """Read a request: values by column, None where one is missing.

        Raises:
            DataError: as `predict`, or the columns differ in length.
        """
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"`{name}` has {length:,}" for name, length in lengths.items())
            raise DataError(f"history: the columns differ in length: {said}")
        table = pd.DataFrame({name: _column(values) for name, values in columns.items()})
        return self._requested(table)

    def csv_request(self, content: bytes) -> Request:
        """Read a CSV file, written as the training table; other columns are passed over.

        Raises:
            DataError: as `predict_file`.
        """
        raw = reader.load(Csv("history", content, self.data.separator))
        checked = tables.check(raw, self.read_as("history"))
        request = self._of_table(checked, "history")
        return dataclasses.replace(request, ignored=checked.findings.unused)

    def _requested(self, table: pd.DataFrame) -> Request:
        known = self.columns()
        unknown = [str(column) for column in table.columns if column not in known]
        if unknown:
            raise DataError(
                f"history: the model does not know the column {unknown[0]!r}; leave it out, the "
                f"model reads {', '.join(known)}"
            )
        checked = tables.clean(table, self.read_as("history"), "history", first_row=1)
        return self._of_table(checked, "history")

    def _of_table(self, table: tables.Table, where: str) -> Request:
        last = last_window.last_windows(table.frame, self.data, self.schema, where)
        return self._request(last, where)

    def _request(self, last: last_window.LastWindows, where: str) -> Request:
        numbers, scales = self.known_series(last.names, last.scales)
        window, static = torch.from_numpy(last.window), torch.from_numpy(last.static)
        return Request(last.names, last.ahead, Batch(window, numbers, static, scales), where)

    def predict_file(self, path: str | None, root: Path) -> pd.DataFrame:
        """Forecast every series of a file; columns that the model does not read are passed over.

        Without a path it is the table that the model was trained on, in the project at `root`.
        """
        if path is None:
            return self.forecast(tables.read(self.read_as(self.data.path), root), self.data.path)
        return self.forecast(tables.read(self.read_as(path), Path()), path)

    def read_as(self, path: str) -> Data:
        """How to read a table as the training table was read."""
        return self.data.model_copy(update={"frequency": self.schema.frequency, "path": path})

    def forecast(self, table: tables.Table, where: str) -> pd.DataFrame:
        """Forecast every series of a table of history.

        Rows after a series' last target value are its future, where the model has known covariates
        that the table must bring.

        Args:
            table: what `source` made of it.
            where: what messages call it.

        Returns:
            `unique_id`, `ds` and one column a quantile, `horizon` rows for each series.

        Raises:
            DataError: a series is too short, or has no value in the context.
        """
        return self._answer(self._of_table(table, where))

    def _answer(self, request: Request) -> pd.DataFrame:
        parts = [
            self.predict_batch(Batch(*(column[begin : begin + CHUNK] for column in request.batch)))
            for begin in range(0, len(request), CHUNK)
        ]
        return pd.DataFrame(self.written(request, np.concatenate(parts)))

    def predict_batch(self, batch: Batch) -> NDArray[np.float32]:
        """Quantiles in data units, (series, horizon, levels); a row's do not depend on the others.

        Best for at most `CHUNK` series.
        """
        size = len(batch.series)
        missing = -size % ALIGNED
        padded = Batch(
            *(torch.cat([part, part[:1].repeat_interleave(missing, 0)]) for part in batch)
        )
        with torch.inference_mode():
            return self.network.predict(padded)[:size].numpy()

    def written(self, request: Request, quantiles: NDArray[np.float32]) -> dict[str, Any]:
        """The answer to a request, by column: `unique_id`, `ds` and one a quantile.

        Args:
            quantiles: what `predict_batch` said of the request's batch.

        Raises:
            DataError: a forecast is not finite.
        """
        last_window.refuse(
            ~np.isfinite(quantiles).all(axis=(1, 2)),
            request.names,
            f"{request.where}: the values are too far from what the model was trained on for a "
            f"finite forecast of",
        )
        ds: Any = request.ahead.reshape(-1)
        if self.data.timezone is not None:
            ds = pd.DatetimeIndex(ds).tz_localize("UTC").tz_convert(self.data.timezone)
        levels = np.moveaxis(quantiles.astype(np.float64), -1, 0)
        return {
            "unique_id": np.repeat(request.names, self.network.horizon),
            "ds": ds,
            **{
                f"{level:g}": values.reshape(-1)
                for level, values in zip(self.network.levels, levels.copy(), strict=True)
            },
        }

    def example(self, prepared: Path) -> pd.DataFrame:
        """A table that the model can answer: the newest window of the longest series of a panel."""
        made = panel.load(prepared)
        data, first = self.data, made.index.iloc[int(made.index["length"].to_numpy().argmax())]
        rows = slice(first["start"], first["start"] + first["length"])
        steps = slice(first["first_step"], first["first_step"] + first["length"])
        values = pd.DataFrame(
            np.asarray(made.values[rows], dtype=float), columns=made.schema.columns
        )
        table = pd.DataFrame({data.ds: written(made.grid[steps], data)})
        for column in data.value_columns:
            table[column] = values["y"]
        if not data.value_columns:
            table[data.y] = values["y"]
        if data.unique_id is not None:
            table[data.unique_id] = first["unique_id"]
        for name in self.schema.static:
            values[name] = first[f"static.{name}"]
        for column in data.covariates:
            known = self.schema.categories.get(column)
            if known is None:
                table[column] = values[column]
            elif known:
                codes = values[[f"{column}={category}" for category in known]].to_numpy().argmax(1)
                table[column] = np.array(known)[codes]
            else:
                table[column] = ""
        # It ends with a value, and with the future behind it where that must be known.
        ahead = data.horizon if data.known_covariates else 0
        last = int(np.flatnonzero(values["y"].notna()[: len(table) - ahead])[-1])
        table = table.iloc[: last + 1 + ahead].copy()
        if ahead:
            table.loc[last + 1 :, data.y] = np.nan
            known_columns = list(data.known_covariates)
            table[known_columns] = table[known_columns].ffill().bfill()
        newest = data.context_length + data.season_length + data.horizon
        return table[self.columns()].tail(newest).reset_index(drop=True)

    def csv(self, table: pd.DataFrame) -> str:
        """A table of history as `csv_request` reads it."""
        data = self.data
        return table.to_csv(
            index=False, sep=data.separator, decimal=data.decimal, float_format="%.9g"
        )

    def described(self) -> dict[str, Any]:
        """What a request must bring, and what its answer has."""
        data = self.data
        return {
            "columns": self.columns(),
            "unique_id": data.unique_id,
            "ds": data.ds,
            "y": list(data.value_columns or (data.y,)),
            "known_covariates": list(data.known_covariates),
            "frequency": self.schema.frequency,
            "timezone": data.timezone,
            "time_format": data.time_format,
            "separator": data.separator,
            "decimal": data.decimal,
            "context_length": data.context_length,
            "horizon": data.horizon,
            "quantiles": list(self.network.levels),
            "trained_until": str(self.trained_until()),
        }

    def columns(self) -> list[str]:
        """The columns that a table of history must have, in order."""
        return tables.used_columns(self.data)


def _column(values: list[Any]) -> "pd.Series[Any]":
    """A column as `source` reads it: numbers where all are, otherwise text."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= {float, int}:
        try:
            return pd.Series(values, dtype="Int64" if kinds == {int} else "float64")
        except (OverflowError, TypeError):  # a whole number of more than 64 bits
            pass
    texts = [None if value is None else str(value) for value in values]
    return pd.Series(texts, dtype="str")


def load(folder: Path) -> Predictor:
    """Read a model folder.

    Raises:
        ModelError: a file is missing or damaged, or the weights do not fit the config.
    """
    with reading(folder) as (config, weights):
        schema = Schema.from_json(config["schema"])
        network = Forecaster(
            config["cell"],
            config["hidden_size"],
            Model.model_validate(config["model"]),
            schema,
            len(config["series"]["unique_id"]),
        )
        network.load_state_dict(weights)
    return Predictor(network.eval(), schema, Data.model_validate(schema.data), config)


def forecast_file(folder: Path, history: str | None, root: Path) -> pd.DataFrame:
    """Forecast every series of a file with the model in a folder; see `Predictor.predict_file`."""
    return load(folder).predict_file(history, root)
