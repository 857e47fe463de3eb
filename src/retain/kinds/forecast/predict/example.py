"""The example of a model: a table that it can forecast, taken from the data it was trained on."""

from pathlib import Path

import numpy as np
import pandas as pd

from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import across, keys, panel
from retain.kinds.forecast.data.panel import Schema
from retain.kinds.forecast.data.time_formats import BETWEEN
from retain.kinds.forecast.data.timestamps import written


def newest_window(prepared: Path, data: Data, schema: Schema) -> pd.DataFrame:
    """Return the newest window of the longest series of a panel, as its raw table has it.

    It ends with a value, and with the future behind it where that must be known.

    Args:
        prepared: the panel's folder.
        data: the section `data` of the model.
        schema: what the model knows of its training table.
    """
    source = panel.load(prepared)
    series = source.index.iloc[int(source.index["length"].to_numpy().argmax())]
    rows = slice(series["start"], series["start"] + series["length"])
    steps = slice(series["first_step"], series["first_step"] + series["length"])
    values = pd.DataFrame(
        np.asarray(source.values[rows], dtype=float), columns=source.schema.columns
    )
    stamps = pd.Series(written(source.grid[steps], data))
    if isinstance(data.ds, str):
        table = pd.DataFrame({data.ds: stamps})
    else:
        table = stamps.str.split(BETWEEN, regex=False, expand=True)
        table.columns = pd.Index(data.ds)
    for column in data.value_columns or (data.y,):
        table[column] = values["y"]
    if data.id_columns:
        ids = keys.split(np.array([series["unique_id"]], dtype=object), data)
        table = table.assign(**{name: values[0] for name, values in ids.items()})
    for name in schema.static:
        values[name] = series[f"static.{name}"]
    for column in data.covariates:
        categories = schema.categories.get(column)
        if categories is None:
            table[column] = values[column]
        elif categories:
            one_hot = values[[f"{column}={category}" for category in categories]]
            table[column] = np.array(categories)[one_hot.to_numpy().argmax(1)]
        else:
            table[column] = ""
    future = data.horizon if data.known_covariates else 0
    last = int(np.flatnonzero(values["y"].notna()[: len(table) - future])[-1])
    table = table.iloc[: last + 1 + future].copy()
    if future:
        table.loc[last + 1 :, data.y] = np.nan
        known = list(data.known_covariates)
        table[known] = table[known].ffill().bfill()
    table = table.tail(data.context_length + data.season_length + data.horizon)
    return across.lay_across(table, data) if data.dates_across else table.reset_index(drop=True)
