"""The rows of a made table, and the series that they are of."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tests.made_tables.grids import GRIDS, Random
from tests.made_tables.numbers import MISSING, NUMBERS, Floats
from tests.made_tables.recipes import NOT_ASCII, WIDE, Recipe

AHEAD = 3  # rows behind the last value, of what is known ahead
WORDS = ("north", "south", "east")
UMLAUTS = ("köln", "münchen", "graz")
ALIKE = ("store_1", "store_2", "store_3")
FRUIT = ("Apples", "Bananas", "Cherries", "Dates")


@dataclass
class Rows:
    """Rows in the order of the file.

    Attributes:
        series: the number of the series of each; 0 where a column is a series.
        ds: what the time is.
        shown: what is written for it.
        y: values, a column for each target, NaN where there is none.
        texts: what is written for them.
        ahead: whether the row lies behind the last value.
        meant: whether it says something that no row before says.
    """

    series: NDArray[np.int64]
    ds: pd.DatetimeIndex
    shown: pd.DatetimeIndex
    y: Floats
    texts: NDArray[np.object_]
    ahead: NDArray[np.bool_]
    meant: NDArray[np.bool_]

    def take(self, places: NDArray[np.int64]) -> "Rows":
        """Return some rows."""
        return Rows(**{name: part[places] for name, part in vars(self).items()})


def ids_of(recipe: Recipe) -> list[tuple[str, ...]]:
    """Return the key of each series, a part for each column that tells it."""
    words = UMLAUTS if recipe.file in NOT_ASCII else WORDS
    keys: dict[str, list[tuple[str, ...]]] = {
        "one series": [()],
        "one series, its name in a column": [(words[0],)],
        "whole numbers as ids": [("1",), ("2",), ("3",)],
        "ids with zeros before": [("007",), ("012",), ("103",)],
        "two columns as the key": [(word, sku) for word in words[:2] for sku in ("x1", "x2")],
        "two columns of numbers as the key": [(n, sku) for n in "12" for sku in ("10", "20")],
        "a column a series": [(name,) for name in ALIKE],
        "columns of other names": [(name,) for name in FRUIT],
        "a row a series": [(word,) for word in words],
    }
    return keys.get(recipe.layout, [(word,) for word in words])


def draw(recipe: Recipe, random: Random) -> Rows:
    """Draw the rows of a table in which nothing is wrong."""
    grid, numbers, count = GRIDS[recipe.grid], NUMBERS[recipe.numbers], len(ids_of(recipe))
    ahead = AHEAD * (recipe.covariates == "known")
    targets, count = (count, 1) if recipe.layout in WIDE else (1, count)
    each = grid.periods + ahead
    apart = recipe.layout == "no stamp in two series"
    if recipe.fault == "the autumn hour twice":
        step = "h" if recipe.grid == "hours" else "15min"
        times = pd.date_range("2020-10-21", periods=max(each, 130), freq=step)
        times = times if step == "h" else times + pd.Timedelta(3, "D")
        each = len(times)
    else:
        times = grid.stamps(random, each * (count if apart else 1))
    parts = []
    for series in range(count):
        ds = times[series * each : (series + 1) * each] if apart else times
        if recipe.layout == "series each at its own phase":
            ds = ds + series * (times[1] - times[0]) / 3
        y = np.column_stack([numbers.values(random, each) for _ in range(targets)])
        y[each - ahead :] = np.nan
        inner = np.arange(2, each - ahead - 3)
        if recipe.missing != "none":
            for column in range(targets):
                y[random.choice(inner, len(inner) // 15 + 1, replace=False), column] = np.nan
        last = np.arange(each) >= each - ahead
        none = np.full(y.shape, "", dtype=object)
        part = Rows(np.full(each, series), ds, ds, y, none, last, np.full(each, True))
        if recipe.gaps == "rows":
            left_out = random.choice(inner, len(inner) // 15 + 1, replace=False)
            part = part.take(np.setdiff1d(np.arange(each), left_out))
        if recipe.gaps == "spans of their own":
            part = part.take(np.arange(3 * series, each - 2 * series))
        parts.append(part)
    joined = {name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])}
    for name in ("ds", "shown"):
        joined[name] = pd.DatetimeIndex(joined[name])
    rows = Rows(**joined)
    rows = rows.take(_ordered(rows, recipe, random))
    if recipe.fault == "the autumn hour twice":
        local = rows.ds.tz_localize("UTC").tz_convert("Europe/Berlin")
        rows.shown = local.tz_localize(None)
    write(rows, recipe)
    return rows


def _ordered(rows: Rows, recipe: Recipe, random: Random) -> NDArray[np.int64]:
    """Return the places of the rows in the order of the file."""
    by_time = np.argsort(rows.ds, kind="stable")
    match recipe.order:
        case "newest first":
            return by_time[::-1]
        case "at random":
            return random.permutation(len(by_time))
    beside = recipe.layout in ("series side by side in rows", "series each at its own phase")
    if beside or (recipe.layout != "series one after another" and random.integers(2)):
        return by_time
    return np.arange(len(by_time))


def write(rows: Rows, recipe: Recipe) -> None:
    """Write the values as text."""
    numbers, mark = NUMBERS[recipe.numbers], MISSING.get(recipe.missing, "")
    for place in np.ndindex(rows.y.shape):
        value = rows.y[place]
        missing = "" if rows.ahead[place[0]] else mark
        rows.texts[place] = missing if np.isnan(value) else numbers.write(value)
