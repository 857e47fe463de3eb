"""Which column of an unknown table is the time stamp, the target and the id of a series.

Names are hints and values decide: a column of that name which does not hold time stamps or numbers
is passed over.
"""

import re
from typing import Any

import pandas as pd

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import tables
from retain.kinds.forecast.data.numerals import number_pattern
from retain.kinds.forecast.infer.hints import NO_HINT, by_hint, names, rank
from retain.kinds.forecast.infer.stamps import time_column

ID_NAMES = (
    *("unique_id", "series_id", "series", "id", "store", "item", "product", "sku", "sensor"),
    *("station", "meter", "region", "location", "site", "customer", "name", "code", "group"),
)
TARGET_NAMES = (
    *("y", "value", "values", "target", "sales", "revenue", "volume", "demand", "count"),
    *("quantity", "units", "load", "consumption", "price", "amount"),
)
COVARIATES = ("past_covariates", "known_covariates", "static_covariates")
SAMPLE = 10_000  # rows that decide what a column may be


def find(
    frame: pd.DataFrame, known: dict[str, Any], path: str, sentences: list[str]
) -> dict[str, Any]:
    """Return the keys of `data` that give the columns their meaning, with a sentence for each.

    Args:
        known: keys of `data` that the user gave.

    Raises:
        DataError: a column named by the user is not there, or one that is needed cannot be found.
    """
    sample = frame.head(SAMPLE)
    covariates = [name for key in COVARIATES for name in known.get(key, ())]
    named = [known[key] for key in ("ds", "y", "unique_id") if key in known]
    wide = list(known.get("value_columns", ()))
    tables.check_names(path, list(frame.columns), [*named, *wide, *covariates])
    ds, form = time_column(sample, known, path)
    sentences.append(f"ds: column `{ds}`" + (f", written {form}" if form else ""))
    roles: dict[str, Any] = {"ds": ds} | ({} if form is None else {"time_format": form})

    rest = [name for name in frame.columns if name not in {ds, *covariates}]
    numeric = [name for name in rest if is_numeric(sample[name], known)]
    y, unique_id = known.get("y"), known.get("unique_id")
    if unique_id is None and not wide:
        unique_id = _id_column(frame, ds, [name for name in rest if name != y], numeric)
    numeric = [name for name in numeric if name != unique_id]
    if not wide and y is None and unique_id is None and not covariates and _alike(numeric):
        wide = numeric
    if wide:
        sentences.append(f"value_columns: {names(wide)}; the table is wide, a column is a series")
        roles["value_columns"] = wide
    else:
        if y is None and not numeric:
            raise DataError(f"{path}: no column of numbers to forecast; name it with --y")
        if y is None:
            first = by_hint(numeric, TARGET_NAMES)[0]
            y = first if rank(first, TARGET_NAMES) < NO_HINT else numeric[-1]
        others = [name for name in numeric if name != y]
        if unique_id is None:
            sentences.append("unique_id: none, the table is one series")
        else:
            count = frame[unique_id].nunique()
            sentences.append(f"unique_id: column `{unique_id}`, {count:,} series")
        sentences.append(f"y: column `{y}`" + (f"; passed over: {names(others)}" if others else ""))
        roles |= {"y": y} | ({} if unique_id is None else {"unique_id": unique_id})
    for key in COVARIATES:
        if known.get(key):
            roles[key] = list(known[key])
            sentences.append(f"{key}: {names(roles[key])}")
    categorical = [name for name in covariates if not is_numeric(sample[name], known)]
    if categorical:
        roles["categorical"] = categorical
        sentences.append(f"categorical: {names(categorical)}, for they hold text")
    left = [name for name in rest if name not in {unique_id, y, *wide}]
    if left:
        sentences.append(f"not used: {names(left)}; --past-covariate or --known-covariate uses one")
    return roles


def _id_column(
    frame: pd.DataFrame, ds: str, candidates: list[str], numeric: list[str]
) -> str | None:
    """Return the column that tells the series apart, or None for one series.

    There is one only where time stamps repeat. It must make nearly every (id, ds) unique, and each
    series must have several rows. A column of numbers has to look like ids: whole, with a name to
    match.
    """
    if not frame.duplicated(ds).any():
        return None
    # Where few stamps repeat, a text such as the weather may tell those rows apart by chance.
    is_panel = len(frame) >= 1.5 * frame[ds].nunique()
    for name in by_hint(candidates, ID_NAMES):
        hinted = rank(name, ID_NAMES) < NO_HINT
        if (name in numeric and not hinted) or frame[name].nunique() * 2 > len(frame):
            continue
        explained = 1 - frame.duplicated([name, ds]).mean()
        certain = name.lower() in ID_NAMES
        if (is_panel or certain) and explained >= (0.9 if hinted else 0.99):
            return name
    return None


def _alike(names: list[str]) -> bool:
    """Return whether columns are called like series of one table, as `store_1`, `store_2`."""
    stems = {re.sub(r"\d+$", "", name) for name in names}
    return len(names) > 1 and len(stems) == 1 and names[0] not in stems


def is_numeric(column: "pd.Series[Any]", known: dict[str, Any]) -> bool:
    """Return whether a column is meant to hold numbers: nine of ten of its values are one."""
    if pd.api.types.is_numeric_dtype(column):
        return True
    if pd.api.types.is_datetime64_any_dtype(column):
        return False
    text = column.astype("str").str.strip()
    missing = text.isin(["", *Data.model_fields["na_values"].default]) | text.isna()
    number = text[~missing].str.fullmatch(number_pattern(known.get("decimal", ".")))
    return bool(len(number)) and float(number.mean()) > 0.9
