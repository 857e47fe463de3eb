"""Which column of an unknown table is the time stamp, the target and the id of a series.

Names are hints and values decide: a column of that name which does not hold time stamps or numbers
is passed over.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import tables
from retain.kinds.forecast.data.columns import number_pattern
from retain.kinds.forecast.data.timestamps import ISO_8601, LOOKS_LIKE

TIME_NAMES = (
    *("ds", "timestamp", "datetime", "date_time", "date", "time", "period", "day", "month"),
    *("week", "hour", "year"),
)
ID_NAMES = (
    *("unique_id", "series_id", "series", "id", "store", "item", "product", "sku", "sensor"),
    *("station", "meter", "region", "location", "site", "customer", "name", "code", "group"),
)
TARGET_NAMES = (
    *("y", "value", "values", "target", "sales", "revenue", "volume", "demand", "count"),
    *("quantity", "units", "load", "consumption", "price", "amount"),
)
COVARIATES = ("past_covariates", "known_covariates", "static_covariates")
# formats worth trying where stamps are not ISO 8601; those of one line may read the same stamp
FORMATS = (
    ("%d{0}%m{0}%Y", "%m{0}%d{0}%Y"),
    ("%d{0}%m{0}%y", "%m{0}%d{0}%y"),
    ("%Y{0}%m{0}%d",),
)
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
ISO = "ISO8601"
SAMPLE = 10_000  # rows that decide what a column may be
NO_HINT = 1_000


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
    ds, form = _time_column(sample, known, path)
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
            first = _by_hint(numeric, TARGET_NAMES)[0]
            y = first if _rank(first, TARGET_NAMES) < NO_HINT else numeric[-1]
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


def _time_column(sample: pd.DataFrame, known: dict[str, Any], path: str) -> tuple[str, str | None]:
    """Return the column of time stamps, and its `time_format` where it is not ISO 8601."""
    given = known.get("ds")
    for name in _by_hint(list(sample.columns), TIME_NAMES) if given is None else [given]:
        hinted = given is not None or _rank(name, TIME_NAMES) < NO_HINT
        if "time_format" in known and hinted:
            return str(name), str(known["time_format"])
        formats = _formats(sample[name], numbers_too=hinted)
        if len(formats) > 1:
            raise DataError(
                f"{path}: column `{name}`: {sample[name].iloc[0]!r} may be two days; say which "
                "with " + " or ".join(f'--time-format "{form}"' for form in formats)
            )
        if formats:
            return str(name), None if formats == [ISO] else formats[0]
    if given is not None:
        return str(given), None  # reading it will say what is wrong
    raise DataError(
        f"{path}: no column looks like time stamps; name it with --ds, and how it is written "
        f"with --time-format. The columns are: {names(sample.columns)}"
    )


def _formats(column: "pd.Series[Any]", numbers_too: bool) -> list[str]:
    """Return the formats that read every stamp of a column, `ISO8601` alone if that is one."""
    text = column.astype("str").str.strip()
    text = text[text.notna() & (text != "")].drop_duplicates()
    is_time = pd.api.types.is_datetime64_any_dtype(column)
    if is_time or (len(text) and text.str.fullmatch(ISO_8601).all()):
        return [ISO]
    if len(text) and text.str.fullmatch(r"\d+(\.\d*)?").all():
        middle = float(text.astype(float).median())
        likely = [form.strip('"') for low, high, _, form in LOOKS_LIKE if low <= middle <= high]
        return likely[:1] if numbers_too else []
    dated = re.match(r"\d+([/.-])\d+\1\d+", text.iloc[0]) if len(text) else None
    if dated is None:
        return []
    for alternatives in FORMATS:
        forms = [form.format(dated[1]) + clock for form in alternatives for clock in CLOCKS]
        readable = [
            form
            for form in forms
            if pd.to_datetime(text, format=form, errors="coerce").notna().all()
        ]
        if readable:
            return readable
    return []


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
    for name in _by_hint(candidates, ID_NAMES):
        hinted = _rank(name, ID_NAMES) < NO_HINT
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


def _rank(name: str, hints: Sequence[str]) -> int:
    """Return how soon a name is found among the hints: whole first, then as a word of the name."""
    lower = name.strip().lower()
    if lower in hints:
        return hints.index(lower)
    words = set(re.split(r"[\W_]+", lower))
    return next((len(hints) + n for n, hint in enumerate(hints) if hint in words), NO_HINT)


def _by_hint(names: list[str], hints: Sequence[str]) -> list[str]:
    return sorted(names, key=lambda name: _rank(str(name), hints))


def names(columns: Iterable[str]) -> str:
    """Return columns as a list in a sentence."""
    return ", ".join(f"`{name}`" for name in columns)
