"""Covariate columns as numbers: a categorical one becomes a column of 0 and 1 for each category."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data.chunks import Chunks
from retain.kinds.forecast.data.series import STATIC

MAX_CATEGORIES = 50


def find_categories(
    table: Chunks, usable: NDArray[np.bool_], begins: pd.Timestamp, data: Data
) -> dict[str, list[str]]:
    """Return the categories of each categorical column in the training part.

    Args:
        usable: which of the series are trained on.
        begins: the time stamp at which validation begins.

    Raises:
        DataError: there are too many.
    """
    static = [column for column in data.categorical if column in data.static_covariates]
    moving = [column for column in data.categorical if column not in static]
    categories = {name: set(table.series.loc[usable, STATIC + name].dropna()) for name in static}
    categories |= {name: set() for name in moving}
    for frame in table.frames() if moving else ():
        training = frame[usable[frame["series"]] & (frame["ds"] < begins).to_numpy()]
        for column in moving:
            categories[column].update(training[column].dropna().unique())
    for column, names in categories.items():
        if len(names) > MAX_CATEGORIES:
            raise DataError(
                f"{data.path}: column {column!r} has {len(names):,} categories; at "
                f"most {MAX_CATEGORIES} are encoded: group them, or leave the column out"
            )
    return {column: sorted(categories[column]) for column in data.categorical}


def feature_names(columns: Iterable[str], categories: dict[str, list[str]]) -> tuple[str, ...]:
    """Return the names of the features that `encode` makes of covariate columns."""
    names: list[str] = []
    for column in columns:
        known = categories.get(column)
        names += [column] if known is None else [f"{column}={category}" for category in known]
    return tuple(names)


def encode(
    frame: pd.DataFrame, columns: Iterable[str], categories: dict[str, list[str]], prefix: str = ""
) -> NDArray[np.float64]:
    """Return covariate columns as numbers, (rows, features).

    A category that the training part does not have is 0 in all of its columns. In the frame the
    names begin with `prefix`.
    """
    encoded: list[NDArray[np.float64]] = [np.empty((len(frame), 0))]
    for column in columns:
        values, known = frame[prefix + column], categories.get(column)
        if known is None:
            encoded.append(values.to_numpy(dtype=np.float64)[:, None])
        else:
            codes = pd.Index(known, dtype="str").get_indexer(pd.Index(values))
            encoded.append((codes[:, None] == np.arange(len(known))).astype(np.float64))
    return np.hstack(encoded)
