"""Which columns of an unknown table are forecast: one, or several side by side, each a series."""

import re
from typing import Any

import numpy as np
import pandas as pd

from retain.errors import AmbiguousError, Choice, DataError
from retain.kinds.forecast.infer.hints import NO_HINT, by_hint, names, rank

TARGET_NAMES = (
    *("y", "value", "values", "target", "sales", "revenue", "volume", "demand", "count"),
    *("quantity", "units", "load", "consumption", "price", "amount", "qty", "orders", "visits"),
    *("visitors", "calls", "passengers", "traffic", "usage", "production", "generation", "kwh"),
    *("mwh", "kw", "mw", "power", "energy", "turnover", "users", "sessions", "clicks", "umsatz"),
    *("absatz", "menge", "verbrauch", "wert", "anzahl", "last"),
)
COVARIATE_NAMES = (
    *("temperature", "temp", "rain", "rainfall", "precipitation", "snow", "wind", "windspeed"),
    *("humidity", "pressure", "cloud", "clouds", "sun", "sunshine", "weather", "radiation"),
    *("promo", "promotion", "discount", "price", "holiday", "event", "open", "closed", "is", "has"),
    *("weekday", "dow", "day", "month", "week", "year", "quarter", "hour", "minute", "weekend"),
    *("lag", "flag", "lat", "lon", "latitude", "longitude", "size", "area", "population", "school"),
)
ASKED = 8  # columns that are named one by one as answers
LEAST = 3  # columns of one kind that are proposed as series without any hint
FACTOR = 30.0  # between the levels of columns of one kind


def of_names(columns: list[str]) -> bool:
    """Return whether columns are called like series of one table: shop_1, shop_2; sales_a, …_b."""
    if len(columns) < 2:
        return False
    stems = {re.sub(r"\d+$", "", name) for name in columns}
    if len(stems) == 1 and columns[0] not in stems:
        return True
    words = [re.split(r"[\W_]+", name.strip().lower()) for name in columns]
    if min(map(len, words)) < 2 or len({len(parts) for parts in words}) > 1:
        return False
    differing = [len(set(parts)) for parts in zip(*words, strict=True)]
    return sum(count > 1 for count in differing) == 1 and max(differing) == len(columns)


def find(
    frame: pd.DataFrame, numeric: list[str], several_series: bool, path: str
) -> tuple[list[str], str]:
    """Return the columns that are forecast, and why, in words behind them.

    Several columns are series side by side.

    Args:
        numeric: the columns that may be it.
        several_series: whether a column tells series apart, so that one column is forecast.

    Raises:
        DataError: there is none, or it cannot be told which.
    """
    if not numeric:
        raise DataError(f"{path}: no column of numbers to forecast; name it with --y")
    if len(numeric) == 1:
        return numeric, ""
    if not several_series and of_names(numeric):
        return numeric, "; they are named alike"
    first = by_hint(numeric, TARGET_NAMES)[0]
    if rank(first, TARGET_NAMES) < NO_HINT:
        return [first], ""
    others = [name for name in numeric if rank(name, COVARIATE_NAMES) == NO_HINT]
    if len(others) == 1:
        return others, "; the names of the others are those of covariates"
    if not several_series and len(others) == len(numeric) >= LEAST and _alike(frame, numeric):
        return numeric, "; no name is that of a target or covariate, and their values are alike"
    likely = others or numeric
    choices = [Choice(f"only `{name}` is forecast", {"y": name}) for name in likely[:ASKED]]
    if not several_series:
        choices.append(Choice("each column is one series", {"value_columns": likely}))
    raise AmbiguousError(
        f"{path}: which column is to be forecast cannot be told: {names(likely)}", choices
    )


def _alike(frame: pd.DataFrame, columns: list[str]) -> bool:
    """Return whether columns hold quantities of one kind: as many decimals, sign and magnitude."""
    levels, decimals, kinds = [], set(), set()
    for name in columns:
        values = pd.to_numeric(frame[name], errors="coerce").dropna().to_numpy(dtype=float)
        if not len(values) or len(np.unique(values)) < min(5, len(values)):
            return False
        levels.append(float(np.median(np.abs(values))))
        kinds.add(bool((values < 0).any()))
        decimals.add(_decimals(values))
    low, high = min(levels), max(levels)
    return len(decimals) == len(kinds) == 1 and low > 0 and high <= FACTOR * low


def _decimals(values: Any) -> int:
    """Return how many decimals values are written with, at most 6."""
    sample = values[:1000]
    return next((n for n in range(6) if np.allclose(sample, np.round(sample, n), atol=1e-9)), 6)
