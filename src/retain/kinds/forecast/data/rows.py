"""Rows of a checked table become rows of numbers on a grid: their place, and what stands in them.

A part of the table is filled in at a time, so that of a large one no more is held in memory.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import scaling
from retain.kinds.forecast.data.chunks import Parts
from retain.kinds.forecast.data.series_spans import STATIC

MAX_CATEGORIES = 50


@dataclass(frozen=True)
class Layout:
    """What all parts have in common: the columns, and the steps with their calendar."""

    data: Data
    categories: dict[str, list[str]]
    grid: pd.DatetimeIndex
    calendar: NDArray[np.float32]  # (steps, features)


def index_of(
    series: pd.DataFrame, grid: pd.DatetimeIndex, reach: int
) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    """The index of a panel, sorted by unique_id, and where in it each of `series` stands."""
    place, _ = pd.factorize(series["unique_id"], sort=True)
    ordered = series.iloc[np.argsort(place)]
    first_step = grid.get_indexer(pd.DatetimeIndex(ordered["first"]))
    length = grid.get_indexer(pd.DatetimeIndex(ordered["last"])) - first_step + 1
    columns = {
        "unique_id": ordered["unique_id"].reset_index(drop=True),
        "first_step": first_step,
        "start": reach + np.cumsum(length) - length,
        "length": length,
    }
    return pd.DataFrame(columns), place


def fill(
    values: NDArray[np.float32],
    part: pd.DataFrame,
    counts: NDArray[np.int64],
    places: NDArray[np.int64],
    index: pd.DataFrame,
    layout: Layout,
) -> NDArray[np.bool_]:
    """Write one part of a table into `values`.

    Args:
        part: series after series, each in order of time.
        counts: how many rows each series of the part has.
        places: where in the index each stands, -1 if it is left out.

    Returns:
        The steps of the grid at which one of them has a value, (steps,).
    """
    seen = np.zeros(len(layout.grid), dtype=bool)
    place = np.repeat(places, counts)  # of each row
    if (places < 0).any():
        part, place = part[place >= 0], place[place >= 0]
    chosen = np.sort(places[places >= 0])
    if not len(chosen):
        return seen
    own = index.iloc[chosen]
    start, length = own["start"].to_numpy(), own["length"].to_numpy()
    begin = np.cumsum(length) - length  # in the block
    step = layout.grid.get_indexer(pd.DatetimeIndex(part["ds"]))
    number = np.searchsorted(chosen, place)
    data = layout.data
    covariates = [*data.past_covariates, *data.known_covariates]
    given = np.column_stack([part["y"], encode(part, covariates, layout.categories)[0]])
    block = np.full((length.sum(), values.shape[1]), np.nan, dtype=np.float32)
    row = begin[number] + step - own["first_step"].to_numpy()[number]
    block[row, : given.shape[1]] = given
    block[:, given.shape[1] :] = layout.calendar[scaling.steps_of(own)]
    if chosen[-1] - chosen[0] + 1 == len(chosen):  # the series are neighbours in the index
        values[start[0] : start[0] + len(block)] = block
    else:
        values[np.arange(len(block)) + np.repeat(start - begin, length)] = block
    seen[step[part["y"].notna().to_numpy()]] = True
    return seen


def categories(
    parts: Parts, good: NDArray[np.bool_], begins: pd.Timestamp, data: Data
) -> dict[str, list[str]]:
    """The categories of each categorical column in the training part of the series that are `good`.

    Args:
        begins: the time stamp at which validation begins.
    """
    found: dict[str, set[str]] = {}
    moving = []
    for column in data.categorical:
        if column in data.static_covariates:
            found[column] = set(parts.series.loc[good, STATIC + column].dropna())
        else:
            found[column] = set()
            moving.append(column)
    for number, part in enumerate(parts.frames if moving else ()):
        own = parts.own(number)
        kept = np.repeat(good[own], parts.series["rows"].to_numpy()[own])
        training = part.loc[kept & (part["ds"] < begins).to_numpy(), moving]
        for column in moving:
            found[column].update(training[column].dropna().unique())
    for column, names in found.items():
        if len(names) > MAX_CATEGORIES:
            raise DataError(
                f"{data.path}: column {column!r} has {len(names):,} categories; at "
                f"most {MAX_CATEGORIES} are encoded: group them, or leave the column out"
            )
    return {column: sorted(names) for column, names in found.items()}


def feature_names(columns: Iterable[str], categories: dict[str, list[str]]) -> tuple[str, ...]:
    """The names of the features that `encode` makes of covariate columns."""
    names: list[str] = []
    for column in columns:
        known = categories.get(column)
        names += [column] if known is None else [f"{column}={category}" for category in known]
    return tuple(names)


def encode(
    frame: pd.DataFrame,
    columns: Iterable[str],
    categories: dict[str, list[str]],
    prefix: str = "",
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Covariate columns as numbers, (rows, features), with the features' names.

    A categorical column becomes one column of 0 and 1 a category; a category that the training
    part does not have is 0 in all of them. In the frame the names begin with `prefix`.
    """
    columns = list(columns)
    encoded: list[NDArray[np.float64]] = [np.empty((len(frame), 0))]
    for column in columns:
        values = frame[prefix + column]
        known = categories.get(column)
        if known is None:
            encoded.append(values.to_numpy(dtype=np.float64)[:, None])
        else:
            codes = pd.Index(known, dtype="str").get_indexer(pd.Index(values))
            encoded.append((codes[:, None] == np.arange(len(known))).astype(np.float64))
    return np.hstack(encoded), feature_names(columns, categories)
