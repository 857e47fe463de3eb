"""The id of each row's series: one column, or several joined with `/`, and back to the columns."""

import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import columns
from retain.kinds.forecast.data.columns import fault
from retain.kinds.forecast.data.formats import Origin

ONE_SERIES = "series"  # the id where the table has no column for it
JOINT = "/"  # between the ids of several columns; one inside of an id is written \/
PART = re.compile(r"(?:[^/\\]|\\.)+")


def ids(frame: pd.DataFrame, data: Data, origin: Origin) -> "pd.Series[Any]":
    """Return the series of each row, under its place; raises DataError where one lacks."""
    if not data.id_columns:
        return pd.Series(ONE_SERIES, index=frame.index, dtype="str")
    parts = []
    for column in data.id_columns:
        names = columns.texts(frame[column])
        missing = names.isna()
        if missing.any():
            rows = [(place, "no id") for place in names.index[missing]]
            raise fault(origin, column, "missing", rows, "Every row needs the id of its series.")
        parts.append(names)
    if len(parts) == 1:
        return parts[0]
    return join(parts)


def join(parts: "list[pd.Series[Any]]") -> "pd.Series[Any]":
    """Return ids of several columns as one, from which `split` gets them back."""
    codes = np.column_stack([pd.factorize(part)[0] for part in parts])
    _, rows, back = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    first = [part.iloc[rows].str.replace(r"([\\/])", r"\\\1", regex=True) for part in parts]
    names = [JOINT.join(words) for words in zip(*first, strict=True)]
    joined = pd.Series(names, dtype="str").to_numpy()[back.reshape(-1)]
    return pd.Series(joined, index=parts[0].index, dtype="str")


def split(names: NDArray[np.object_], data: Data) -> dict[str, NDArray[np.object_]]:
    """Return what the columns of a table have for some series, by column.

    >>> data = Data(path="t.csv", unique_id=("store", "sku"), horizon=1, context_length=1)
    >>> split(np.array(["s1/a", r"s2/b\\/c"], dtype=object), data)
    {'store': array(['s1', 's2'], dtype=object), 'sku': array(['a', 'b/c'], dtype=object)}
    """
    if len(data.names_columns) == 1:
        return {data.names_columns[0]: names}
    parts = [[re.sub(r"\\(.)", r"\1", part) for part in PART.findall(name)] for name in names]
    of_column = zip(*parts, strict=True) if parts else [[]] * len(data.names_columns)
    return {
        column: np.array(values, dtype=object)
        for column, values in zip(data.names_columns, of_column, strict=True)
    }
