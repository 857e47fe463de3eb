"""The example of a model: a table that it can forecast, taken from the data it was trained on."""

from pathlib import Path

import numpy as np
import pandas as pd

from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import across, alignment, keys, panel
from retain.kinds.forecast.data.alignment import PHASE
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.time_formats import BETWEEN
from retain.kinds.forecast.data.timestamps import written


def series_frame(source: Panel, number: int, data: Data) -> pd.DataFrame:
    """Return a series of a panel as a checked table: unique_id, ds, y and the covariates.

    It has a row for each step of the grid from the first to the last of the series.
    """
    schema, series = source.schema, source.index.iloc[number]
    rows = slice(series["start"], series["start"] + series["length"])
    steps = slice(series["first_step"], series["first_step"] + series["length"])
    values = pd.DataFrame(np.asarray(source.values[rows], dtype=float), columns=schema.columns)
    table = pd.DataFrame({"unique_id": series["unique_id"], "ds": source.grid[steps]})
    if "phase" in series:
        table[PHASE] = series["phase"]
    table["y"] = values["y"]
    for name in schema.static:
        values[name] = series[f"static.{name}"]
    for column in data.covariates:
        categories = schema.categories.get(column)
        if categories is None:
            table[column] = values[column]
        else:
            one_hot = values[[f"{column}={category}" for category in categories]].to_numpy() > 0
            place = np.where(one_hot.any(1), one_hot @ np.arange(len(categories)), -1)
            table[column] = pd.array([*categories, None], dtype="str")[place]
    return table


def newest_window(prepared: Path, data: Data) -> pd.DataFrame:
    """Return the newest window of the longest series of a panel, in the format of its raw table.

    It ends with a value, followed by the future if known covariates are required.

    Args:
        prepared: the panel's folder.
        data: the section `data` of the model.
    """
    source = panel.load(prepared)
    series = series_frame(source, int(source.index["length"].to_numpy().argmax()), data)
    values = series["y"]
    own = alignment.own(series["ds"], series.get(PHASE), source.schema.frequency)
    stamps = pd.Series(written(own, data))
    if isinstance(data.ds, str):
        table = pd.DataFrame({data.ds: stamps})
    else:
        table = stamps.str.split(BETWEEN, regex=False, expand=True)
        table.columns = pd.Index(data.ds)
    for column in data.value_columns or (data.y,):
        table[column] = values
    if data.id_columns:
        ids = keys.split(series["unique_id"].to_numpy(dtype=object)[:1], data)
        table = table.assign(**{name: parts[0] for name, parts in ids.items()})
    for column in data.covariates:
        table[column] = series[column]
    future = data.horizon if data.known_covariates else 0
    last = int(np.flatnonzero(values.notna()[: len(table) - future])[-1])
    table = table.iloc[: last + 1 + future].copy()
    if future:
        table.loc[last + 1 :, data.y] = np.nan
        known = list(data.known_covariates)
        table[known] = table[known].ffill().bfill()
    table = table.tail(data.context_length + data.season_length + data.horizon)
    return across.lay_across(table, data) if data.dates_across else table.reset_index(drop=True)
