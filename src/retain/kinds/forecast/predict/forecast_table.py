"""Forecast a table of history; series that cannot be forecast are listed, left out or filled.

A server refuses a request with one bad series; a user who forecasts a thousand wants the others.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.config.forecasts import ForecastOptions, Forecasts
from retain.errors import DataError
from retain.evaluation.arrays import Floats
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import alignment, slots, tables, timestamps
from retain.kinds.forecast.data.tables import Table
from retain.kinds.forecast.predict import cold_start, floors, future, notes, predictor, spans
from retain.kinds.forecast.predict.future import Future
from retain.kinds.forecast.predict.inputs import Inputs
from retain.kinds.forecast.predict.predictor import Predictor
from retain.kinds.forecast.predict.request import Request, RequestReader
from retain.kinds.forecast.predict.table_predictor import CLOSED, NOTE
from retain.words import listed

NOT_FINITE = "its values are too far from what the model was trained on for a finite forecast"

Stamps = NDArray[np.datetime64]
# Of a series: time stamps (horizon,); quantiles and mean (horizon, levels + 1).
Forecast = tuple[Stamps, Floats]


def forecast_file(
    folder: Path, history: str | None, root: Path, options: ForecastOptions
) -> Forecasts:
    """Forecast the series of a file; columns that the model does not read are ignored.

    Without a file it is the training table of the model, in the project at `root`.

    Raises:
        DataError: a table cannot be read; no series can be forecast; or, if strict, not all can be.
    """
    model = predictor.load(folder)
    if options.cold_start is not None:
        return cold_start.forecast_file(model, options.cold_start, options.unseen)
    data = model.read_as(history or model.data.path)
    table = tables.read(data, Path() if history else root)
    coming = None if options.future is None else future.read(options.future, data)
    if coming is not None:
        future.check_series(set(table.frame["unique_id"]), coming, data.path)
    answer = forecast_table(model, table, data.path, options, coming)
    if answer.table.empty:
        raise none_left(answer.left_out, data.path)
    return answer


def none_left(left_out: dict[str, str], where: str) -> DataError:
    """Return the error for a table without a series that can be forecast."""
    lines = listed([f"{name}: {reason}" for name, reason in left_out.items()])
    return DataError(f"{where}: no series can be forecast:\n{lines}")


def forecast_table(
    model: Predictor, table: Table, where: str, options: ForecastOptions, coming: Future | None
) -> Forecasts:
    """Forecast the series of a checked table that can be forecast.

    The forecast is that of `Predictor.forecast`, with a column `note`.

    Args:
        where: what messages call the table.
        coming: known covariates of its future, if they are in a separate table.

    Raises:
        DataError: a series cannot be forecast or a category is unseen, if that is an error; the two
            tables do not fit together.
    """
    data = model.read_as(where)
    data = data.model_copy(update={"unseen": options.unseen or data.unseen})
    frame = table.frame
    if coming is not None:
        frame = future.join(frame, coming, data, model.schema.frequency)
    ended = notes.ended(frame, model)
    rows, left_out = spans.set_apart(frame, data, model.schema, where)
    predicted = _Predicted({}, [], [], {})
    if rows.any():
        predicted = _predict(model, replace(table, frame=frame[rows]), data, where)
    forecasts, outside = predicted.forecasts, predicted.outside
    left_out |= dict.fromkeys(predicted.not_finite, NOT_FINITE)
    filled = {}
    if options.fill_with is not None and left_out:
        filled = _fill(frame, model, options.fill_with, left_out, forecasts)
    for name in left_out.keys() & ended.keys():
        left_out[name] += f"; it {ended.pop(name)}"
    if options.strict and left_out:
        lines = listed([f"{name}: {reason}" for name, reason in left_out.items()])
        raise DataError(f"{where}: {len(left_out):,} series cannot be forecast:\n{lines}")

    names = [name for name in map(str, frame["unique_id"].unique()) if name in forecasts]
    of_series: dict[str, list[str]] = {name: [] for name in names}
    for marks in (filled, ended, dict.fromkeys(outside, notes.OUTSIDE)):
        for name, mark in marks.items():
            of_series[name].append(mark)
    phases = _phases(frame)
    answer, ahead, empty = _tabulate(model, forecasts, names, of_series, where, phases)
    messages = _messages(filled, ended, outside)
    if empty:
        times = slots.warnings(model.config["slots"])
        messages.append(f"{empty:,} rows are left empty: {'; '.join(times)}")
    history = frame[["unique_id", "ds", "y"]].assign(
        ds=_on_an_axis(frame["ds"], frame.get(alignment.PHASE), model)
    )
    phase = np.repeat([phases[name] for name in names], data.horizon) if phases else None
    ds = _on_an_axis(ahead.reshape(-1), phase, model)
    rows_ahead = pd.DataFrame({"unique_id": np.repeat(names, data.horizon), "ds": ds})
    return Forecasts(answer, left_out, predicted.unknown, messages, rows_ahead, history)


class _Predicted(NamedTuple):
    """The model's forecasts by series, and the series and categories to warn of."""

    forecasts: dict[str, Forecast]
    not_finite: list[str]
    outside: list[str]  # series of which a value is far from those of the training part
    unknown: dict[str, int]


def _predict(model: Predictor, table: Table, data: Data, where: str) -> _Predicted:
    """Forecast the series of a table, all of which the model can read."""
    reader = RequestReader(data, model.schema, model.match_series, model.based)
    request = reader.read_table(table, where)
    unknown = spans.unseen_categories(table.frame, data, model.schema, where)
    values = np.concatenate([model.predict_batch(batch) for batch in request.batches()])
    finite = np.isfinite(values).all(axis=(1, 2))
    begins = table.frame.groupby("unique_id", sort=False)["ds"].min().to_numpy()
    far = finite & notes.outside(request.batch, request.ahead, begins, model)
    forecasts = {
        request.names[number]: (request.ahead[number], values[number])
        for number in np.flatnonzero(finite).tolist()
    }
    names = request.names
    return _Predicted(forecasts, names[~finite].tolist(), names[far].tolist(), unknown)


def _phases(frame: pd.DataFrame) -> dict[str, int]:
    """Return how far each series is from the grid; empty where all are on it."""
    if alignment.PHASE not in frame:
        return {}
    first = frame[~frame["unique_id"].duplicated()]
    return dict(zip(first["unique_id"], first[alignment.PHASE].astype(np.int64), strict=True))


def _on_an_axis(slots: Any, phase: Any, model: Predictor) -> Any:
    """Return steps for an axis, at the times of their series."""
    own = alignment.own(slots, phase, model.schema.frequency)
    return timestamps.axis(own, model.data)


def _tabulate(
    model: Predictor,
    forecasts: dict[str, Forecast],
    names: list[str],
    of_series: dict[str, list[str]],
    where: str,
    phases: dict[str, int],
) -> tuple[pd.DataFrame, Stamps, int]:
    """Return the forecasts of series as one table, the step of each row, and how many are empty."""
    horizon = model.network.horizon
    columns = len(model.network.levels) + 1  # and the mean
    ahead = np.array([forecasts[name][0] for name in names], dtype="datetime64[us]")
    values = np.array([forecasts[name][1] for name in names], dtype=np.float32)
    ahead, values = ahead.reshape(-1, horizon), values.reshape(-1, horizon, columns)
    nothing: Any = [np.empty(0)] * len(Inputs._fields)
    phase = np.array([phases[name] for name in names], dtype=np.int64) if phases else None
    request = Request(np.array(names, dtype=object), ahead, Inputs(*nothing), where, (), phase)
    answer = pd.DataFrame(model.tabulate(request, values))
    if not names:  # an empty part must have the types of the others
        answer = answer.astype(dict.fromkeys(model.data.names_columns, "str"))
    closed = model.closed(request.names, ahead)
    answer[NOTE] = pd.Series(
        [
            "; ".join([*of_series[name], *[CLOSED] * bool(shut)])
            for name, row in zip(names, closed, strict=True)
            for shut in row
        ],
        dtype="str",
    )
    return answer, ahead, int(closed.sum())


def _fill(
    frame: pd.DataFrame,
    model: Predictor,
    method: str,
    left_out: dict[str, str],
    forecasts: dict[str, Forecast],
) -> dict[str, str]:
    """Forecast series that are left out by another method, and return by which, for each."""
    filled = {}
    for name, series in _of(frame, left_out):
        floor = _floor(series, model, method)
        if floor is not None:
            *forecasts[name], used = floor  # type: ignore[assignment]
            filled[name] = f"filled by {used}"
            del left_out[name]
    return filled


def _of(frame: pd.DataFrame, names: Iterable[str]) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of some series, each by name."""
    rows = frame[frame["unique_id"].isin(list(names)).to_numpy()]
    return [(str(name), series) for name, series in rows.groupby("unique_id", sort=False)]


def _floor(
    series: pd.DataFrame, model: Predictor, method: str
) -> tuple[Stamps, Floats, str] | None:
    """Forecast one series by a method that needs only its values.

    Returns:
        Time stamps, quantiles, and the method that was used; None if it has too few values.
    """
    data, frequency = model.data, model.schema.frequency
    seen = series[series["y"].notna().to_numpy()]
    if seen.empty:
        return None
    last = (seen if data.known_covariates else series)["ds"].max()
    past = seen.set_index("ds")["y"]
    past = past.reindex(pd.date_range(past.index[0], past.index[-1], freq=frequency))
    gap = len(pd.date_range(past.index[-1], last, freq=frequency)) - 1
    steps = gap + data.horizon
    levels = model.network.levels
    found = floors.fill(past.to_numpy(), steps, data.season_length, levels, method)
    if found is None:
        return None
    ahead = pd.date_range(last, periods=data.horizon + 1, freq=frequency)[1:]
    low = model.schema.low
    quantiles = np.maximum(found[0][gap:], -np.inf if low is None else low)
    mean = quantiles[:, levels.index(0.5)]  # of these methods it is the median
    return ahead.to_numpy(), np.column_stack([quantiles, mean]), found[1]


def _messages(filled: dict[str, str], ended: dict[str, str], outside: list[str]) -> list[str]:
    """Return the messages about the series of a forecast."""
    messages = []
    for count, what, lines in (
        (len(filled), "filled", [f"{name}: {mark}" for name, mark in filled.items()]),
        (
            len(ended),
            "forecast from their own end, more than a season before that of the table",
            [f"{name}: {mark}" for name, mark in ended.items()],
        ),
        (len(outside), f"marked, {notes.OUTSIDE} (are the units the same?)", outside),
    ):
        if count:
            messages.append(f"{count:,} series are {what}:\n{listed(lines)}")
    return messages
