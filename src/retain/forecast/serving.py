"""A trained forecaster at work: a table of history in, a table of quantiles out.

The same code answers `retain forecast`, `mlflow models serve` and the re-scoring of a champion. A
model folder is read as safetensors and JSON alone; nothing that could run code is ever loaded.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from retain.errors import DataError, ModelError
from retain.forecast import history, panel, source
from retain.forecast.network import Forecaster
from retain.forecast.panel import Schema
from retain.forecast.params import Data, Model
from retain.forecast.stamps import written
from retain.forecast.windows import Batch

CHUNK = 64  # series a batch; larger ones fall out of the CPU's cache
ALIGNED = 8  # batches of a multiple of 8 rows give each row the same bits whatever its neighbours


@dataclass(frozen=True)
class Served:
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
        for key in ("frequency", "columns", "static"):
            ours, theirs = getattr(self.schema, key), getattr(schema, key)
            if ours != theirs:
                raise ModelError(f"{where} was trained with {key} {ours}; the data has {theirs}")

    def trained_until(self) -> pd.Timestamp:
        """The time stamp at which the validation part of its data began."""
        schema = self.schema
        grid = pd.date_range(
            schema.origin, periods=schema.validation_step + 1, freq=schema.frequency
        )
        return grid[-1]

    def known_series(self, index: pd.DataFrame) -> tuple[Tensor, Tensor]:
        """Number and scale that each series of `index` has in this model.

        Args:
            index: unique_id, and mean and std for those that the model has never seen.

        Returns:
            Numbers (series,), from 1, 0 for a series never seen; mean and deviation (series, 2).
        """
        known = pd.DataFrame(self.config["series"]).set_index("unique_id")
        found = known.index.get_indexer(pd.Index(index["unique_id"]))
        own = known.to_numpy(dtype=np.float32)[found]
        given = index[["mean", "std"]].to_numpy(dtype=np.float32)
        scales = np.where(found[:, None] >= 0, own, given)
        return torch.from_numpy(found + 1), torch.from_numpy(scales)

    def answer(self, table: pd.DataFrame) -> pd.DataFrame:
        """Forecast every series of a request's table, which has the model's columns and no others.

        Raises:
            DataError: as `forecast`, or a column is unknown.
        """
        unknown = [str(column) for column in table.columns if column not in self.columns()]
        if unknown:
            raise DataError(
                f"history: the model does not know the column {unknown[0]!r}; leave it out, the "
                f"model reads {', '.join(self.columns())}"
            )
        return self.forecast(
            source.clean(table, self._data("history"), "history", first_row=1), "history"
        )

    def answer_file(self, path: str | None, root: Path) -> pd.DataFrame:
        """Forecast every series of a file; columns that the model does not read are passed over.

        Without a path it is the table that the model was trained on, in the project at `root`.
        """
        if path is None:
            return self.forecast(source.read(self._data(self.data.path), root), self.data.path)
        return self.forecast(source.read(self._data(path), Path()), path)

    def _data(self, path: str) -> Data:
        """How to read a table as the training table was read."""
        return self.data.model_copy(update={"frequency": self.schema.frequency, "path": path})

    def forecast(self, table: source.Table, where: str) -> pd.DataFrame:
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
        last = history.last_windows(table.frame, self.data, self.schema, where)
        names = last.index["unique_id"].to_numpy(dtype=object)
        numbers, scales = self.known_series(last.index)
        batch = Batch(torch.from_numpy(last.window), numbers, torch.from_numpy(last.static), scales)
        parts = []
        for begin in range(0, len(names), CHUNK):
            part = Batch(*(column[begin : begin + CHUNK] for column in batch))
            parts.append(self._predict(part))
        quantiles = np.concatenate(parts)  # (series, horizon, levels)
        history.refuse(
            ~np.isfinite(quantiles).all(axis=(1, 2)),
            names,
            f"{where}: the values are too far from what the model was trained on for a finite "
            f"forecast of",
        )
        ds = pd.DatetimeIndex(last.ahead.reshape(-1))
        if self.data.timezone is not None:
            ds = ds.tz_localize("UTC").tz_convert(self.data.timezone)
        answer = pd.DataFrame({"unique_id": np.repeat(names, self.network.horizon), "ds": ds})
        for number, level in enumerate(self.network.levels):
            answer[f"{level:g}"] = quantiles[:, :, number].reshape(-1)
        return answer

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

    def columns(self) -> list[str]:
        """The columns that a table of history must have, in order."""
        data = self.data
        ids = [data.unique_id] if data.unique_id is not None else []
        return [*ids, data.ds, *(data.value_columns or (data.y,)), *data.covariates]

    def _predict(self, batch: Batch) -> NDArray[np.float64]:
        size = len(batch.series)
        missing = -size % ALIGNED
        padded = Batch(
            *(torch.cat([part, part[:1].repeat_interleave(missing, 0)]) for part in batch)
        )
        with torch.inference_mode():
            return self.network.predict(padded)[:size].double().numpy()


def load(folder: Path) -> Served:
    """Read a model folder.

    Raises:
        ModelError: a file is missing or damaged, or the weights do not fit the config.
    """
    for name in ("config.json", "weights.safetensors"):
        if not (folder / name).is_file():
            raise ModelError(
                f"{folder / name} does not exist: train the model, or fetch it with `dvc pull`"
            )
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        schema = Schema.from_json(config["schema"])
        network = Forecaster(
            config["cell"],
            config["hidden_size"],
            Model.model_validate(config["model"]),
            schema,
            len(config["series"]["unique_id"]),
        )
        network.load_state_dict(load_file(folder / "weights.safetensors"))
    except (SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"the model in {folder} is damaged or was made by another version of retain "
            f"({' '.join(str(error).split())[:200]}): train it again, or fetch it with `dvc pull`"
        ) from None
    return Served(network.eval(), schema, Data.model_validate(schema.data), config)
