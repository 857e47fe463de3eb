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

from retain.errors import DataError, ModelError, listed
from retain.forecast import calendars, panel, source
from retain.forecast.network import Forecaster
from retain.forecast.panel import Schema, encode
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
        for key in ("horizon", "context_length", "season_length"):
            ours, theirs = self.schema.data[key], schema.data[key]
            if ours != theirs:
                raise ModelError(f"{where} was trained with {key} {ours}; the data has {theirs}")
        for key in ("frequency", "columns", "static"):
            ours, theirs = getattr(self.schema, key), getattr(schema, key)
            if ours != theirs:
                raise ModelError(f"{where} was trained with {key} {ours}; the data has {theirs}")

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

    def answer(self, history: pd.DataFrame) -> pd.DataFrame:
        """Forecast every series of a request's table, which has the model's columns and no others.

        Raises:
            DataError: as `forecast`, or a column is unknown.
        """
        unknown = [str(column) for column in history.columns if column not in self.columns()]
        if unknown:
            raise DataError(
                f"history: the model does not know the column {unknown[0]!r}; leave it out, the "
                f"model reads {', '.join(self.columns())}"
            )
        return self.forecast(
            source.clean(history, self._data("history"), "history", first_row=1), "history"
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
        batch, names, stamps = self._windows(table.frame, where)
        parts = []
        for begin in range(0, len(names), CHUNK):
            part = Batch(*(column[begin : begin + CHUNK] for column in batch))
            parts.append(self._predict(part))
        quantiles = np.concatenate(parts)  # (series, horizon, levels)
        refuse(
            ~np.isfinite(quantiles).all(axis=(1, 2)),
            names,
            f"{where}: the values are too far from what the model was trained on for a finite "
            f"forecast of",
        )
        ds = pd.DatetimeIndex(stamps.reshape(-1))
        if self.data.timezone is not None:
            ds = ds.tz_localize("UTC").tz_convert(self.data.timezone)
        answer = pd.DataFrame({"unique_id": np.repeat(names, self.network.horizon), "ds": ds})
        for number, level in enumerate(self.network.levels):
            answer[f"{level:g}"] = quantiles[:, :, number].reshape(-1)
        return answer

    def example(self, prepared: Path) -> pd.DataFrame:
        """A table that the model can answer: the newest window of the first series of a panel."""
        made = panel.load(prepared)
        data, first = self.data, made.index.iloc[0]
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
            else:
                codes = values[[f"{column}={category}" for category in known]].to_numpy().argmax(1)
                table[column] = np.array(known)[codes]
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

    def _windows(
        self, frame: pd.DataFrame, where: str
    ) -> tuple[Batch, NDArray[np.object_], NDArray[np.datetime64]]:
        """The last window of every series, the series' names, and the forecast's time stamps."""
        data, schema = self.data, self.schema
        reach, horizon = data.context_length + data.season_length, data.horizon
        codes, found = pd.factorize(frame["unique_id"])
        names = found.to_numpy(dtype=object)
        seen = frame["y"].notna().to_numpy()
        unseen = np.bincount(codes, weights=seen, minlength=len(names)) == 0
        refuse(unseen, names, f"{where}: no value of the target at all in")
        first_stamp = frame["ds"].min()
        grid = pd.date_range(first_stamp, frame["ds"].max(), freq=schema.frequency)
        step = grid.get_indexer(pd.DatetimeIndex(frame["ds"]))
        self._check_step(np.diff(step)[np.diff(codes) == 0], where)
        # Rows without a target at a series' end are its future if the table brings known
        # covariates; otherwise they are missing values like any other.
        counted = seen if data.known_covariates else np.ones(len(frame), dtype=bool)
        begin = np.full(len(names), len(grid))
        np.minimum.at(begin, codes, step)
        origin = np.zeros(len(names), dtype=np.int64)
        np.maximum.at(origin, codes[counted], step[counted] + 1)
        refuse(
            origin - begin < data.context_length,
            names,
            f"{where}: the model needs a history of {data.context_length} steps of "
            f"{schema.frequency}; too short are",
            [f"{count} steps" for count in origin - begin],
        )
        place = step - origin[codes] + reach  # within the series' window
        inside = (place >= 0) & (place < reach + horizon)
        past, _ = encode(frame, data.past_covariates, schema.categories)
        known, _ = encode(frame, data.known_covariates, schema.categories)
        given = np.column_stack([frame["y"], past, known])
        window = np.full((len(names), len(schema.columns), reach + horizon), np.nan, np.float32)
        window[codes[inside], : given.shape[1], place[inside]] = given[inside]
        context = window[:, 0, data.season_length : reach]
        refuse(
            ~np.isfinite(context).any(axis=1),
            names,
            f"{where}: every value of the target is missing in the last {data.context_length} "
            f"steps of",
        )
        if data.known_covariates:
            self._check_future(frame, codes, names, place - reach, where)

        # The calendar of all windows, from the earliest step to the latest.
        low = int(origin.min()) - reach
        stamps = _stamps(first_stamp, schema.frequency, low, int(origin.max()) + horizon)
        calendar = calendars.features(
            stamps, schema.frequency, data.calendar, data.holidays, data.timezone
        )
        at = (origin - low)[:, None] + np.arange(-reach, horizon)  # (series, steps)
        window[:, given.shape[1] :] = calendar[at].transpose(0, 2, 1)

        rows = np.flatnonzero(np.r_[True, np.diff(codes) != 0])
        static, _ = encode(frame.iloc[rows], data.static_covariates, schema.categories)
        groups = frame.groupby(codes)["y"]
        deviation = groups.std(ddof=0).to_numpy()
        scales = {"mean": groups.mean().to_numpy(), "std": np.where(deviation > 0, deviation, 1.0)}
        numbers, own_scales = self.known_series(pd.DataFrame({"unique_id": names, **scales}))
        batch = Batch(
            torch.from_numpy(window),
            numbers,
            torch.from_numpy(static.astype(np.float32)),
            own_scales,
        )
        return batch, names, stamps.to_numpy()[at[:, reach:]]

    def _check_step(self, apart: NDArray[np.int64], where: str) -> None:
        """A table of every second hour lies on an hourly grid, but it is not what was learned."""
        usual = int(np.bincount(apart).argmax()) if len(apart) else 1
        if usual != 1:
            raise DataError(
                f"{where}: its rows are mostly {usual} steps of {self.schema.frequency} apart; the "
                f"model reads one row for each step of {self.schema.frequency}"
            )

    def _check_future(
        self,
        frame: pd.DataFrame,
        codes: NDArray[np.int64],
        names: NDArray[np.object_],
        ahead: NDArray[np.int64],
        where: str,
    ) -> None:
        """Known covariates must be known for the whole horizon of every series."""
        data = self.data
        known = frame[list(data.known_covariates)].notna().all(axis=1).to_numpy()
        future = (ahead >= 0) & (ahead < data.horizon) & known
        counts = np.bincount(codes[future], minlength=len(names))
        refuse(
            counts < data.horizon,
            names,
            f"{where}: add a row for each of the {data.horizon} steps to forecast, with "
            f"{', '.join(data.known_covariates)} filled in and {data.y} left empty; missing in",
            [f"{count} of {data.horizon} rows" for count in counts],
        )


def refuse(
    bad: Any,
    names: NDArray[np.object_],
    reason: str,
    details: list[str] | None = None,
) -> None:
    """Raise DataError with the reason and the names of the bad series, if there are any."""
    numbers = np.flatnonzero(bad)
    if len(numbers):
        rows = [f"{names[n]}: {details[n]}" if details else str(names[n]) for n in numbers]
        raise DataError(f"{reason} {len(rows):,} series:\n{listed(rows)}")


def _stamps(first: pd.Timestamp, frequency: str, low: int, high: int) -> pd.DatetimeIndex:
    """The time stamps of steps `low` to `high` (not included), where step 0 is at `first`."""
    before = pd.date_range(end=first, periods=max(-low, 0) + 1, freq=frequency)
    after = pd.date_range(first, periods=max(high, 1), freq=frequency)
    stamps = pd.DatetimeIndex(before[:-1].append(after))  # from step min(low, 0)
    return stamps[low - min(low, 0) : high - min(low, 0)]


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
