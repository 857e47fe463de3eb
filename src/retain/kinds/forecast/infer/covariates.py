"""What the other columns of an unknown table are: covariates of the past, known ahead or static."""

from typing import Any

import numpy as np
import pandas as pd

from retain.kinds.forecast.data.features import MAX_CATEGORIES
from retain.kinds.forecast.infer.hints import names
from retain.kinds.forecast.infer.keys import is_id

MOSTLY_EMPTY = 0.9
ROLES = {
    "past_covariates": (
        "--past-covariate",
        "not known ahead, for no value lies behind the last one of the target; "
        "--known-covariate COLUMN if the future is known, --drop COLUMN leaves one out",
    ),
    "known_covariates": (
        "--known-covariate",
        "known ahead, for they have values behind the last one of the target; --past-covariate "
        "COLUMN if these are not to be used",
    ),
    "static_covariates": (
        "--static-covariate",
        "one value a series; --drop COLUMN leaves one out",
    ),
}


def find(
    frame: pd.DataFrame,
    columns: list[str],
    numeric: set[str],
    targets: list[str],
    series: "pd.Series[Any] | None",
    order: Any,
    horizon: int,
    sentences: list[str],
) -> dict[str, list[str]]:
    """Return the covariates by the key of `data`, with a sentence for each kind.

    Args:
        columns: that have no other meaning.
        numeric: those that hold numbers.
        targets: the columns that are forecast.
        series: the series of each row; None where there is one.
        order: a value for each row that sorts the rows of a series by time.
    """
    filled = {name: _filled(frame[name]) for name in [*columns, *targets]}
    observed = np.logical_or.reduce([filled[name] for name in targets])
    future = _behind_last(observed, series, order)
    reaches = _typical(future, series) >= horizon
    roles: dict[str, list[str]] = {key: [] for key in ROLES}
    unused: dict[str, list[str]] = {}
    for name in columns:
        column, there = frame[name], filled[name]
        reason = _why_not(column, there, name in numeric)
        if reason:
            unused.setdefault(reason, []).append(name)
        elif series is not None and _is_static(column, there, series):
            values = column.groupby(series).first()
            if (name not in numeric or is_id(name)) and values.nunique() == len(values):
                unused.setdefault("a name of each series", []).append(name)
            else:
                roles["static_covariates"].append(name)
        elif reaches and (there & future).sum() > 0.5 * future.sum():
            roles["known_covariates"].append(name)
        else:
            roles["past_covariates"].append(name)
    if future.any():
        rows = _typical(future, series)
        few = "" if reaches else f", fewer than the horizon of {horizon}: nothing is known ahead"
        sentences.append(
            f"future: {future.sum():,} rows lie behind the last value of the target, {rows:,} of a "
            f"series{few}"
        )
    for key, (_, why) in ROLES.items():
        if roles[key]:
            sentences.append(f"{key}: {names(roles[key])}; {why}")
    for reason, left in unused.items():
        sentences.append(f"not used: {names(left)}; {reason}")
    return {key: found for key, found in roles.items() if found}


def _typical(future: Any, series: "pd.Series[Any] | None") -> int:
    """Return how many rows a series typically has behind its last value; 0 where none has one."""
    rows = future.sum() if series is None else np.median(pd.Series(future).groupby(series).sum())
    return int(rows)


def _filled(column: "pd.Series[Any]") -> Any:
    """Return which rows have a value."""
    there = column.notna().to_numpy()
    if not pd.api.types.is_numeric_dtype(column):
        there = there & (column.astype("str").str.strip() != "").fillna(False).to_numpy(dtype=bool)
    return there


def _behind_last(observed: Any, series: "pd.Series[Any] | None", order: Any) -> Any:
    """Return which rows lie behind the last value of the target in their series."""
    codes = np.zeros(len(observed), dtype=int)
    if series is not None:
        codes = pd.factorize(series)[0]
    place = pd.factorize(order, sort=True)[0]
    last = np.full(codes.max() + 1, -1)
    np.maximum.at(last, codes[observed], place[observed])
    return place > last[codes]


def _why_not(column: "pd.Series[Any]", there: Any, is_number: bool) -> str:
    """Return why a column is no covariate; empty where it is one."""
    values = column[there]
    distinct, empty = values.nunique(), 1 - there.mean()
    numbers = pd.to_numeric(values, errors="coerce") if is_number else values
    text = not is_number and not pd.api.types.is_datetime64_any_dtype(column)
    reasons = {
        "it is empty": empty == 1,
        f"{100 * empty:.0f} % of it is empty": empty > MOSTLY_EMPTY,
        "it has the same value in every row": distinct == 1 and empty == 0,
        "it holds dates": not is_number and not text,
        "it numbers the rows": is_number and counts(numbers),
        f"it is text with {distinct:,} different values; at most {MAX_CATEGORIES} are read": (
            text and distinct > MAX_CATEGORIES
        ),
        "it is text, and most rows have one of their own": text and 2 * distinct > len(values),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def counts(numbers: "pd.Series[Any]") -> bool:
    """Return whether numbers go up or down by the same step from row to row."""
    steps = numbers.diff().iloc[1:]
    return len(steps) > 1 and steps.iloc[0] != 0 and bool((steps == steps.iloc[0]).all())


def _is_static(column: "pd.Series[Any]", there: Any, series: "pd.Series[Any]") -> bool:
    """Return whether each series has one value, and has it in every row with one."""
    per_series = column[there].groupby(series[there]).nunique()
    count = series.nunique()
    return len(per_series) == count > 1 and bool((per_series == 1).all())
