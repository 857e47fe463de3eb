"""What each column of an unknown table is: time stamp, target, id of a series or covariate.

Names are hints and values decide: a column of that name which does not hold time stamps or numbers
is passed over.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import keys, tables, timestamps
from retain.kinds.forecast.data.formats import Origin
from retain.kinds.forecast.data.reader import Raw
from retain.kinds.forecast.infer import covariates, numbers, sentinels, shape, stamps, targets
from retain.kinds.forecast.infer import keys as infer_keys
from retain.kinds.forecast.infer.hints import NO_HINT, as_list, names, rank

COVARIATES = ("past_covariates", "known_covariates", "static_covariates")
SAMPLE = 10_000  # rows that decide what a column may be
NESTED = (list, dict, tuple, np.ndarray)
OF_TIME = ("ds", "ds_is_step", "calendar", "time_format", "timezone", "local_dates", "ambiguous")
ASKED = ("na_values", "drop", "keep_values")  # what the user says of values and columns


def without_nested(raw: Raw, sentences: list[str]) -> Raw:
    """Leave out the columns of a table whose cells are lists or records, as Parquet may have."""
    frame = raw.frame
    nested = [
        name
        for name in frame.columns
        if pd.api.types.is_object_dtype(frame[name])
        and frame[name].head(SAMPLE).map(lambda cell: isinstance(cell, NESTED)).any()
    ]
    if not nested:
        return raw
    sentences.append(f"not used: {names(nested)}; a cell holds several values")
    return replace(raw, frame=frame.drop(columns=nested))


def find(raw: Raw, given: dict[str, Any], path: str, sentences: list[str]) -> dict[str, Any]:
    """Return the keys of `data` that give the columns their meaning, with a sentence for each.

    Args:
        given: keys of `data` that the user gave; `drop`, columns that are not to be used;
            `keep_values`, numbers that look like marks of missing values and are none.

    Raises:
        DataError: a column named by the user is not there, one that is needed cannot be found, or
            something may mean two things.
    """
    known = dict(given)
    dropped = list(known.get("drop", ()))
    given_covariates = [name for key in COVARIATES for name in known.get(key, ())]
    id_columns = as_list(known.get("unique_id"))
    wide = list(known.get("value_columns", ()))
    across_keys = shape.dates_across(raw.frame, known, path)
    named = [] if across_keys else [*as_list(known.get("ds")), *as_list(known.get("y"))]
    named += [*id_columns, *known.get("categorical", ())]
    tables.check_names(path, list(raw.frame.columns), [*named, *wide, *given_covariates, *dropped])
    if across_keys:
        return shape.find(raw, known | across_keys, path, sentences)

    frame = raw.frame.drop(columns=dropped)
    sample = frame.head(SAMPLE)
    roles = stamps.find(sample, known, path, sentences)
    time = as_list(roles["ds"])
    order = _order(frame, known | roles, raw.origin)

    rest = [name for name in frame.columns if name not in time]
    categorical = list(known.get("categorical", ()))
    numeric = [
        name for name in rest if name not in categorical and numbers.is_numeric(sample[name], known)
    ]
    meant = {*numeric, *id_columns, *given_covariates, *categorical}
    numbers.check_signs(sample, [name for name in rest if name not in meant], known, path)
    signs = numbers.find(frame, numeric, known, path, sentences)
    known |= signs
    converted = numbers.convert(frame, numeric, known)

    free = [name for name in rest if name not in {known.get("y"), *given_covariates, *wide}]
    if not id_columns and not wide:
        of_id = [name for name in free if name not in categorical]
        id_columns = infer_keys.find(converted, order, of_id, numeric, path)
    free = [name for name in free if name not in id_columns]
    series = keys.join([frame[n].astype("str") for n in id_columns]) if id_columns else None
    counted = known.get("aggregate") == "count" and not wide
    of_target, why = wide or ([] if counted else [known.get("y")]), ""
    if not wide and not counted and "y" not in known:
        likely = _likely_targets(converted, free, numeric, series)
        of_target, why = targets.find(
            converted, likely, series is not None or bool(given_covariates), path
        )
        wide = of_target if len(of_target) > 1 else []
        free = [name for name in free if name not in of_target]
    roles |= _target_roles(of_target, id_columns, series, why, bool(wide), sentences)
    covariates_found: dict[str, list[str]] = {}
    if "aggregate" not in known:
        covariates_found = covariates.find(
            converted, free, set(numeric), of_target, series, order, known["horizon"], sentences
        )
    elif free:
        sentences.append(
            f"not used: {names(free)}; --past-covariate COLUMN uses its mean in a step"
        )
    roles |= _covariate_roles(covariates_found, known, numeric, bool(wide), sentences)
    used = [name for key in COVARIATES for name in roles.get(key, ())]
    if dropped:
        sentences.append(f"not used: {names(dropped)}, as given")
    measured = [*of_target, *(name for name in used if name in numeric)]
    numbers.check_readable(frame, measured, known, raw.origin)
    sentinels.check(converted, measured, given, raw.origin, sentences)
    return roles | signs


def _covariate_roles(
    found: dict[str, list[str]],
    known: dict[str, Any],
    numeric: list[str],
    wide: bool,
    sentences: list[str],
) -> dict[str, Any]:
    """Return the keys of the covariates, given and found, with a sentence for those given."""
    roles: dict[str, Any] = {}
    for key in COVARIATES:
        given = list(known.get(key, ()))
        if given:
            sentences.append(f"{key}: {names(given)}, as given")
        of_kind = [*given, *(() if wide and key == COVARIATES[2] else found.get(key, ()))]
        if of_kind:
            roles[key] = of_kind
    categorical = list(known.get("categorical", ()))
    if categorical:
        sentences.append(f"categorical: {names(categorical)}, as given")
    used = [name for of_kind in roles.values() for name in of_kind]
    if text := [name for name in used if name not in {*numeric, *categorical}]:
        sentences.append(f"categorical: {names(text)}, for they hold text")
    if categorical or text:
        roles["categorical"] = [*categorical, *text]
    return roles


def _target_roles(
    of_target: list[str],
    id_columns: list[str],
    series: "pd.Series[Any] | None",
    why: str,
    wide: bool,
    sentences: list[str],
) -> dict[str, Any]:
    """Return the keys of target and series, with a sentence for each."""
    if wide:
        sentences.append(
            f"value_columns: {names(of_target)}; the table is wide, a column is a series{why}; "
            "--y COLUMN forecasts one of them"
        )
        return {"value_columns": of_target}
    if series is None:
        sentences.append("unique_id: none, the table is one series")
    elif len(id_columns) == 1:
        sentences.append(f"unique_id: column `{id_columns[0]}`, {series.nunique():,} series")
    else:
        sentences.append(
            f"unique_id: columns {names(id_columns)} together, {series.nunique():,} series"
        )
    unique_id = {"unique_id": id_columns[0] if len(id_columns) == 1 else id_columns}
    roles = unique_id if id_columns else {}
    if not of_target:
        sentences.append("y: the number of rows in a step; no column is read for it")
        return roles
    sentences.append(f"y: column `{of_target[0]}`{why}")
    return {"y": of_target[0]} | roles


def _order(frame: pd.DataFrame, known: dict[str, Any], origin: Origin) -> "pd.Series[Any]":
    """Return the time stamp of each row; as it is written where it cannot be read."""
    keys_of_time = {key: known[key] for key in OF_TIME if key in known}
    no_target = "\0"  # `y` may be the name of a column of time
    data = Data(path=origin.where, y=no_target, horizon=1, context_length=1, **keys_of_time)
    column = timestamps.column(frame, data)
    try:
        return timestamps.parse(column, data, origin)
    except DataError:  # which is said when the table is checked
        return column.astype("str")


def _likely_targets(
    frame: pd.DataFrame, free: list[str], numeric: list[str], series: "pd.Series[Any] | None"
) -> list[str]:
    """Return the columns of numbers that may be a target.

    No flags, parts of dates, constants or numbers of rows, unless nothing else is there.
    """
    likely = []
    candidates = [name for name in free if name in numeric]
    named = [name for name in candidates if rank(name, targets.TARGET_NAMES) < NO_HINT]
    for name in candidates:
        values = frame[name].dropna()
        distinct = values.nunique()
        flag = distinct < 2 or (distinct < 3 and name not in named)
        calendar = infer_keys.is_calendar(name)
        fixed = (
            series is not None
            and series.nunique() > 1
            and bool((frame[name].groupby(series).nunique() <= 1).all())
        )
        if not (flag or covariates.counts(values) or calendar or fixed):
            likely.append(name)
    return likely or named or (candidates if len(free) == 1 else [])
