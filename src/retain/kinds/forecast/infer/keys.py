"""Which columns of an unknown table tell its series apart: one, or several together.

Time stamps that repeat say so. Where none repeats, as with sensors that are read in turn or series
of different years, the name of the column or the order of the rows does.
"""

import itertools
import re
from typing import Any

import numpy as np
import pandas as pd

from retain.errors import AmbiguousError, Choice
from retain.kinds.forecast.infer.hints import NO_HINT, by_hint, rank
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
    *("date", "time", "season", "holiday", "shift", "period", "slot", "wochentag", "monat", "jahr"),
    *("tag", "stunde", "weekend", "ampm", "am_pm", "woche", "quartal", "zeit", "uhrzeit"),
)
NUMBERED = ("id", "nr", "no", "num", "number", "nummer", "key", "code")  # behind the name of an id
TOGETHER = 3  # columns at most that make a key,
MOST = 12  # of so many
LOOKED_AT = 200_000  # rows, whole time stamps
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
        if is_id(name)
        and not (name in whole and (rank(name, TARGET_NAMES) < NO_HINT or not _numbered(name)))
    ]
    plain = [name for name in texts if not (name in hinted or is_calendar(name))]
    # A column of numbers may be the target itself.
    rest = [
        name
        for name in whole
        if not (name in hinted or is_calendar(name) or rank(name, TARGET_NAMES) < NO_HINT)
        and len(numeric) > 1
    ]
    if order.duplicated().any():
        return _of_repeated(frame, order, hinted, plain, rest)
    numbers = [name for name in rest if frame[name].nunique() > 2]
    return _of_order(frame, order, hinted, [*plain, *numbers], path)


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
    stamps = pd.factorize(order)[0]
    looked_at = stamps < max(1, LOOKED_AT * (int(stamps.max()) + 1) // len(stamps))
    stamps = stamps[looked_at]
    names_of = [*hinted, *plain, *whole]
    codes = {name: pd.factorize(frame[name].to_numpy()[looked_at])[0] for name in names_of}

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
    frame: pd.DataFrame, order: "pd.Series[Any]", hinted: list[str], others: list[str], path: str
) -> list[str]:
    """Return the key of a table none of whose time stamps repeats.

    Args:
        hinted: columns that are named like an id.
        others: columns of text or of whole numbers that are not.
    """
    starts_again = not (order.is_monotonic_increasing or order.is_monotonic_decreasing)
    for name in hinted:
        in_runs = starts_again and _runs(frame[name]) == frame[name].nunique()
        strong = rank(name, STRONG) < NO_HINT and frame[name].nunique() * 5 <= len(frame)
        text = not pd.api.types.is_numeric_dtype(frame[name])
        if in_runs or _in_turn(frame, name) or (strong and text):
            return [name]
    for name in others:
        in_runs = _runs(frame[name]) == frame[name].nunique()
        if in_runs and starts_again:
            return [name]
        in_turn = _in_turn(frame, name)
        if (in_runs or in_turn) and not is_calendar(name):
            how = "read in turn" if in_turn else "one after another"
            raise AmbiguousError(
                f"{path}: column `{name}` may tell series apart, {how}, or change in time within "
                "one",
                [
                    Choice("it tells series apart", {"unique_id": name}),
                    Choice("it changes in time", {"past_covariates": [name]}),
                ],
            )
    return []


def _runs(column: "pd.Series[Any]") -> int:
    """Return how many runs of equal values a column has."""
    return int((column != column.shift()).sum())


def likely(frame: pd.DataFrame, columns: list[str]) -> list[str]:
    """Return the columns that may be ids."""
    texts = [name for name in columns if not pd.api.types.is_numeric_dtype(frame[name])]
    return [
        name
        for name in columns
        if is_id(name) or (name in texts and _few(frame[name]) and not _whole(frame[name]))
    ]


def is_id(name: str) -> bool:
    """Return whether a column is named like an id."""
    return rank(name, ID_NAMES) < NO_HINT


def _numbered(name: str) -> bool:
    """Return whether whole numbers of this name are ids: `shop`, `shop_nr`, not `shop_visits`."""
    words = [word for word in re.split(r"[\W_]+", name.strip().lower()) if word]
    last = words[-1] if words else ""
    return last in ID_NAMES or (words[0] in ID_NAMES and last in NUMBERED) if words else False


def is_calendar(name: str) -> bool:
    """Return whether a column is named like a part of a date."""
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
