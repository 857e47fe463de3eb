"""Windows with which an exported model is compared with its model, and which are its example.

They are drawn from the means and deviations that the model holds, so that an export needs no table
and holds no row of one.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retain.kinds.forecast.model.pool.newest import newest
from retain.kinds.forecast.predict.inputs import Inputs
from retain.kinds.forecast.predict.table_predictor import TablePredictor

Arrays = dict[str, NDArray[Any]]
MISSING = 0.1  # share of the values that are missing
OLDER = 24  # steps of the histories before the windows


def draw(model: TablePredictor, count: int, seed: int = 1) -> Arrays:
    """Draw inputs of the graph for series of a model and for new ones, with missing values.

    With a classical base `step` is there too: the number on the grid of each first step to
    forecast, of which the base's forecasts depend.
    """
    random = np.random.Generator(np.random.Philox(seed))
    schema, data = model.schema, model.data
    context, horizon = data.context_length, data.horizon
    scales = _scales(model)
    series = np.arange(count, dtype=np.int64) % len(scales)
    steps = np.arange(data.reach + OLDER)
    wave = np.sin(2 * np.pi * steps / max(data.season_length, 4))
    noise = random.normal(0, 0.5, (count, len(steps)))
    y = scales[series, :1] + scales[series, 1:] * (wave + noise)
    if schema.low is not None:
        y = np.maximum(y, schema.low)
    if schema.whole:
        y = y.round()
    y[random.random(y.shape) < MISSING] = np.nan
    y[::3, : len(steps) - context] = np.nan  # a history that is as long as the context
    y[:, -1] = np.where(np.isfinite(y[:, -1]), y[:, -1], scales[series, 0])
    inputs: Arrays = {"y": y.astype(np.float32), "series": series}

    def columns(first: int, last: int, length: int) -> NDArray[np.float32]:
        means, deviations = schema.means[first:last], schema.deviations[first:last]
        values = random.normal(means, deviations, (count, length, last - first))
        values[random.random(values.shape) < MISSING] = np.nan
        return values.astype(np.float32)

    moving = 1 + schema.past
    if schema.past:
        inputs["past"] = columns(1, moving, context)
    if schema.known:
        inputs["known"] = columns(moving, len(schema.columns), context + horizon)
    if schema.static:
        static = random.normal(
            schema.static_means, schema.static_deviations, (count, len(schema.static))
        )
        inputs["static"] = static.astype(np.float32)
    if (pool := model.pool) is not None:
        # Some histories go on from the states of the base, some end before them.
        ends = np.maximum(pool.ends[series], len(steps))
        inputs["step"] = np.where(np.arange(count) % 4 == 3, ends // 2, ends + 2)
        inputs |= based(model, inputs)
    return inputs


def based(model: TablePredictor, inputs: Arrays) -> Arrays:
    """Return the forecasts of the classical base for histories `y` before the steps `step`."""
    pool = model.pool
    assert pool is not None
    y = inputs["y"].astype(np.float64)
    begins = inputs["step"] - y.shape[1] + np.isfinite(y).argmax(axis=1)
    found = newest(pool, y, begins, inputs["series"], model.data.context_length)
    return {"experts": found.experts, "ahead": found.ahead}


def predict(model: TablePredictor, inputs: Arrays) -> NDArray[np.float32]:
    """Forecast inputs of the graph with a model: quantiles and mean last, as `predict_batch`."""
    data, y, series = model.data, inputs["y"], inputs["series"]
    count, season, horizon = len(y), data.season_length, data.horizon
    width = len(model.schema.columns)
    window = np.full((count, width, data.reach + horizon), np.nan, dtype=np.float32)
    window[:, 0, : data.reach] = y[:, -data.reach :]
    moving = 1 + model.schema.past
    if "past" in inputs:
        window[:, 1:moving, season : data.reach] = inputs["past"].transpose(0, 2, 1)
    if "known" in inputs:
        window[:, moving:, season:] = inputs["known"].transpose(0, 2, 1)
    values = y.astype(np.float64)
    deviation = np.nanstd(values, axis=1)
    own = np.column_stack([np.nanmean(values, axis=1), np.where(deviation > 0, deviation, 1.0)])
    scales = np.where((series > 0)[:, None], _scales(model)[series], own).astype(np.float32)
    empty = np.empty((count, 0), dtype=np.float32)
    return model.predict_batch(
        Inputs(
            window=window,
            series=series,
            static=inputs.get("static", empty),
            scales=scales,
            experts=inputs.get("experts", np.empty((count, 0, horizon), dtype=np.float32)),
            ahead=inputs.get("ahead", empty),
            past=y,
        )
    )


def units(model: TablePredictor, series: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the deviation of each series, of a new one the median of those known: (series,)."""
    deviations: NDArray[np.float64] = _scales(model)[series, 1]
    return deviations


def _scales(model: TablePredictor) -> NDArray[np.float64]:
    """Return mean and deviation of each series of a model, in row 0 their medians."""
    known = model.config["series"]
    rows = np.column_stack([known["mean"], known["std"]]).astype(np.float64)
    return np.concatenate([np.median(rows, axis=0, keepdims=True), rows])
