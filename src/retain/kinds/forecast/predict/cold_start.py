"""Forecast series without any history, from static, calendar and known covariates.

The table has `horizon` rows for each series: its name, the time stamps to forecast, known and
static covariates, and no target. `model.cold` says how such a series is scaled.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from retain.config.forecasts import Forecasts
from retain.errors import DataError, ModelError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import calendars, reader, tables, timestamps, unseen
from retain.kinds.forecast.data.features import encode
from retain.kinds.forecast.data.reader import Raw
from retain.kinds.forecast.predict.inputs import Inputs
from retain.kinds.forecast.predict.predictor import Predictor
from retain.kinds.forecast.predict.request import Request
from retain.words import listed

NOTED = "no history: from static, calendar and known values alone"


def forecast_file(model: Predictor, path: str, taken: str | None) -> Forecasts:
    """Forecast the new series of a file; other columns are ignored.

    Args:
        taken: how unseen categories are handled, `refuse` or `unknown`; None as the model has it.

    Raises:
        ModelError: the model was not taught to forecast series without history.
        DataError: the table cannot be used.
    """
    _check_taught(model)  # before a file is read
    return _forecast(model, reader.load(reader.open_for(model.data, Path(), path)), taken)


def forecast_frame(model: Predictor, frame: pd.DataFrame, where: str) -> Forecasts:
    """Forecast the new series of a table that is in memory; raises as `forecast_file` does."""
    return _forecast(model, reader.of_frame(frame, where, 0), None)


def _check_taught(model: Predictor) -> None:
    if model.network.cold is None:
        raise ModelError(
            "this model forecasts no series without history: set training.mask_contexts, to 0.1 "
            "for example, and train it again"
        )
    data = model.data
    if data.value_columns or data.dates_across or data.aggregate or data.align:
        raise ModelError(
            "series without history are forecast where the table has a row for each series and "
            "step, without value_columns, dates_across, aggregate and align"
        )


def read(model: Predictor, raw: Raw, taken: str | None = None) -> tuple[Request, dict[str, int]]:
    """Read new series; return a request, and the rows of each category that the model lacks.

    Raises:
        ModelError, DataError: as `forecast_file`.
    """
    _check_taught(model)
    data, where = model.data, raw.origin.where
    frame = _rows(raw, data)
    names = frame["unique_id"].unique().astype(object)
    _check_new(names, model, where)
    ahead = _stamps(frame, model, where)
    columns = [*data.known_covariates, *data.static_covariates]
    unknown = unseen.count(frame, columns, model.schema.categories)
    if (taken or data.unseen) == "refuse":
        unseen.refuse(unknown, model.schema.categories, where)
    return Request(names, ahead, _batch(frame, ahead, model), where, (), note=NOTED), unknown


def _forecast(model: Predictor, raw: Raw, taken: str | None) -> Forecasts:
    request, unknown = read(model, raw, taken)
    values = np.concatenate([model.predict_batch(batch) for batch in request.batches()])
    answer = pd.DataFrame(model.tabulate(request, values))
    ds = timestamps.axis(pd.DatetimeIndex(request.ahead.reshape(-1)), model.data)
    rows = pd.DataFrame({"unique_id": np.repeat(request.names, model.data.horizon), "ds": ds})
    return Forecasts(answer, {}, unknown, [], rows, rows.iloc[:0].assign(y=np.nan))


def _rows(raw: Raw, data: Data) -> pd.DataFrame:
    """Return the checked rows, by series and time."""
    where = raw.origin.where
    kept = (*data.known_covariates, *data.static_covariates)
    data = data.model_copy(
        update={
            "path": where,
            "past_covariates": (),
            "categorical": tuple(name for name in data.categorical if name in kept),
            "valid_range": {key: r for key, r in data.valid_range.items() if key in kept},
        }
    )
    needed = [name for name in tables.used_columns(data) if name != data.y]
    tables.check_names(where, list(map(str, raw.frame.columns)), needed)
    if raw.frame.empty:
        raise DataError(f"{where} has no rows")
    frame = raw.frame.assign(**{data.y: np.nan})  # what is not known
    long, _ = tables.to_long(Raw(frame, raw.origin), data)
    long = long.reset_index(drop=True)
    missing = long[long[list(data.known_covariates)].isna().any(axis=1).to_numpy()]
    if len(missing):
        shown = missing[["unique_id", "ds"]].head(10).itertuples(index=False)
        lines = [f"{name}: {timestamps.text(ds, data)}" for name, ds in shown]
        raise DataError(
            f"{where}: {', '.join(data.known_covariates)} must be filled in for every step; "
            f"missing in {len(missing):,} rows:\n{listed(lines, count=len(missing))}"
        )
    return long


def _check_new(names: NDArray[np.object_], model: Predictor, where: str) -> None:
    learned = set(model.config["series"]["unique_id"])
    known = [name for name in names if name in learned]
    if known:
        raise DataError(
            f"{where}: {len(known):,} series have a history, which the model has learned; forecast "
            f"them with `--history`, without `--cold-start`:\n{listed(list(map(str, known)))}"
        )


def _stamps(frame: pd.DataFrame, model: Predictor, where: str) -> NDArray[np.datetime64]:
    """Return the time stamps to forecast, (series, horizon).

    Raises:
        DataError: those of a series are not `horizon` steps, one after another.
    """
    horizon, frequency, found, faults = model.data.horizon, model.schema.frequency, [], []
    for name, ds in frame.groupby("unique_id", sort=False)["ds"]:
        wanted = pd.date_range(ds.iloc[0], periods=horizon, freq=frequency)
        if len(ds) != horizon or (ds.to_numpy() != wanted.to_numpy()).any():
            first, last = (timestamps.text(ds.iloc[place], model.data) for place in (0, -1))
            faults.append(f"{name}: {len(ds)} rows, {first} to {last}")
        found.append(wanted.to_numpy())
    if faults:
        raise DataError(
            f"{where}: a series needs {horizon} rows, one for each step of {frequency} to "
            f"forecast; not so:\n{listed(faults)}"
        )
    return np.stack(found)


def _batch(frame: pd.DataFrame, ahead: NDArray[np.datetime64], model: Predictor) -> Inputs:
    data, schema, network = model.data, model.schema, model.network
    count, horizon = ahead.shape
    assert network.cold is not None
    known = encode(frame, data.known_covariates, schema.categories)
    calendar = calendars.features(
        pd.DatetimeIndex(ahead.reshape(-1)),
        schema.frequency,
        data.calendar,
        data.holidays,
        data.zone,
    )
    future = np.column_stack([known, calendar]).reshape(count, horizon, -1)
    window = np.full((count, len(schema.columns), data.reach + horizon), np.nan, dtype=np.float32)
    window[:, len(schema.columns) - future.shape[2] :, data.reach :] = future.transpose(0, 2, 1)
    first = frame.iloc[np.arange(count) * horizon]
    static = encode(first, data.static_covariates, schema.categories).astype(np.float32)
    with torch.inference_mode():
        scales = network.cold.scales_of(network.described(torch.from_numpy(static))).numpy()
    number = np.zeros(count, dtype=np.int64)
    experts = np.empty((count, 0, horizon), dtype=np.float32)  # there is no base to run
    nothing = np.empty((count, 0), dtype=np.float32)
    return Inputs(window, number, static, scales, experts, nothing, nothing)
