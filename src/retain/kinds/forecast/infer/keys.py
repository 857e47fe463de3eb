"""Which columns of an unknown table tell its series apart: one, or several together.

Time stamps that repeat say so. Where none repeats, as with sensors that are read in turn or series
of different years, the name of the column or the order of the rows does.
"""

import itertools
from typing import Any

import numpy as np
import pandas as pd

from retain.errors import DataError
from retain.kinds.forecast.infer.hints import NO_HINT, by_hint, names, rank
from retain.kinds.forecast.infer.targets import TARGET_NAMES

ID_NAMES = (
    *("unique_id", "series_id", "series", "id", "store", "item", "product", "sku", "sensor"),
    *("station", "meter", "region", "location", "site", "customer"),
    *("shop", "branch", "warehouse", "department", "dept", "brand", "article", "material"),
    *("device", "machine", "pump", "turbine", "filiale", "artikel", "kunde", "konto", "standort"),
    *("unit", "name", "code", "group", "family", "asset", "plant", "account", "user", "client"),
    *(
        "country",
        "state",
        "city",
        "county",
        "district",
        "zone",
        "route",
        "line",
        "symbol",
        "ticker",
    ),
    *("currency", "key", "no", "nr", "number"),
)
# columns that repeat in time, whatever they hold
CALENDAR_NAMES = (
    *("weekday", "dow", "dayofweek", "day", "month", "week", "year", "quarter", "hour", "minute"),
    *("date", "time", "season", "holiday", "shift", "wochentag", "monat", "jahr", "tag"),
)
TOGETHER = 3  # columns at most that make a key,
MOST = 12  # of so many
EXPLAINED = 0.99  # of the rows have a key and time stamp of their own
HINTED = 0.9  # where the name says that it is an id, and some rows are there twice
REGULAR = 0.9  # of the steps within a series are alike, where series are read in turn


STRONG = ID_NAMES[: ID_NAMES.index("unit")]  # of these a name is enough where no stamp repeats


def find(
    frame: pd.DataFrame,
    order: "pd.Series[Any]",
    candidates: list[str],
    numeric: list[str],
    path: str,
) -> list[str]:
    """Return the columns that tell the series apart, none for one series.

    Args:
        frame: with numbers in the columns of `numeric`.
        order: the time stamp of each row.
        candidates: columns that may be among them.
        numeric: those that hold numbers; such a one must be whole.

    Raises:
        DataError: a column may be the id of a series, or a category that changes in time.
    """
    usable = [name for name in candidates if _few(frame[name])]
    numbers = [name for name in usable if name in numeric]
    whole = [name for name in numbers if _whole(frame[name])]
    texts = [name for name in usable if name not in numbers]
    hinted = [
        name
        for name in by_hint([*texts, *whole], ID_NAMES)
        if is_id(name) and not (name in whole and rank(name, TARGET_NAMES) < NO_HINT)
    ]
    plain = [name for name in texts if name not in hinted]
    if order.duplicated().any():
        rest = [name for name in whole if name not in hinted and not _is_calendar(name)]
        return _of_repeated(frame, order, hinted, plain, rest)
    return _of_order(frame, order, hinted, plain, numeric, path)


def _of_repeated(
    frame: pd.DataFrame,
    order: "pd.Series[Any]",
    hinted: list[str],
    plain: list[str],
    whole: list[str],
) -> list[str]:
    """Return the key of a table whose time stamps repeat."""
    # Where few stamps repeat, a text such as the weather may tell those rows apart by chance.
    if len(frame) < 1.5 * order.nunique():
        hinted = [name for name in hinted if name.strip().lower() in ID_NAMES]
        plain, whole = [], []
    codes = {name: pd.factorize(frame[name])[0] for name in [*hinted, *plain, *whole]}
    stamps = pd.factorize(order)[0]

    def explained(key: tuple[str, ...]) -> float:
        pairs = pd.DataFrame({"": stamps, **{name: codes[name] for name in key}})
        return float(1 - pairs.duplicated().mean())

    # Numbers that no name calls an id come last, and only where they explain every row.
    numbers = [name for name in whole if frame[name].nunique() > 2]
    stages = (
        (hinted, EXPLAINED),
        ([*hinted, *plain], EXPLAINED),
        (hinted, HINTED),
        ([*hinted, *plain, *numbers], 1.0),
    )
    for pool, least in stages:
        for size in range(1, TOGETHER + 1):
            for key in itertools.combinations(pool[:MOST], size):
                if explained(key) >= least:
                    return [str(name) for name in frame.columns if name in key]
    return []


def _of_order(
    frame: pd.DataFrame,
    order: "pd.Series[Any]",
    hinted: list[str],
    plain: list[str],
    numeric: list[str],
    path: str,
) -> list[str]:
    """Return the key of a table none of whose time stamps repeats."""
    starts_again = not (order.is_monotonic_increasing or order.is_monotonic_decreasing)
    for name in hinted:
        in_runs = starts_again and _runs(frame[name]) == frame[name].nunique()
        strong = rank(name, STRONG) < NO_HINT and frame[name].nunique() * 5 <= len(frame)
        if in_runs or _in_turn(frame, name) or (strong and name not in numeric):
            return [name]
    for name in plain:
        if _is_calendar(name):
            continue
        if starts_again and _runs(frame[name]) == frame[name].nunique():
            return [name]
        if _in_turn(frame, name) and _differ(frame, name, numeric):
            raise DataError(
                f"{path}: column `{name}` may tell series apart, which are read in turn, or "
                f"change in time within one; say which with --unique-id {name} or "
                f"--past-covariate {name}"
            )
    return []


def _runs(column: "pd.Series[Any]") -> int:
    """Return how many runs of equal values a column has."""
    return int((column != column.shift()).sum())


def likely(frame: pd.DataFrame, columns: list[str]) -> str:
    """Return the columns that may be ids, as they are named in a sentence."""
    texts = [name for name in columns if not pd.api.types.is_numeric_dtype(frame[name])]
    return names(
        name
        for name in columns
        if is_id(name) or (name in texts and _few(frame[name]) and not _whole(frame[name]))
    )


def is_id(name: str) -> bool:
    """Return whether a column is named like an id."""
    return rank(name, ID_NAMES) < NO_HINT


def _is_calendar(name: str) -> bool:
    return rank(name, CALENDAR_NAMES) < NO_HINT


def _few(column: "pd.Series[Any]") -> bool:
    """Return whether a column has several values, each in several rows."""
    return column.nunique() > 1 and column.nunique() * 2 <= len(column)


def _whole(column: "pd.Series[Any]") -> bool:
    """Return whether all values of a column are whole numbers."""
    if pd.api.types.is_integer_dtype(column):
        return True
    if pd.api.types.is_numeric_dtype(column):
        values = column.dropna()
        return bool((values == values.round()).all())
    return bool(column.astype("str").str.strip().str.fullmatch(r"[+-]?\d+|").all())


def _in_turn(frame: pd.DataFrame, name: str) -> bool:
    """Return whether the values of a column come in turn, in nearly every row."""
    codes = pd.factorize(frame[name])[0]
    size = int(codes.max()) + 1
    if size < 2 or len(codes) < 3 * size:
        return False
    steps = np.diff(codes) % size
    usual = np.bincount(steps, minlength=size)
    return bool(usual.argmax() != 0 and usual.max() >= REGULAR * len(steps))


def _differ(frame: pd.DataFrame, name: str, numeric: list[str]) -> bool:
    """Return whether a column of numbers differs more between the values than within them."""
    for column in numeric:
        values = pd.to_numeric(frame[column], errors="coerce")
        between = values.groupby(frame[name]).transform("mean").var()
        if values.var() > 0 and between > 0.5 * values.var():
            return True
    return False
