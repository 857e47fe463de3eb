"""Whether an unknown table has dates across the top, a row for each series; and what it means."""

import itertools
import re
from typing import Any

import pandas as pd

from retain.errors import AmbiguousError, DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import across, time_formats
from retain.kinds.forecast.data.reader import Raw
from retain.kinds.forecast.infer import keys, numbers, sentinels, zones
from retain.kinds.forecast.infer.hints import as_list, by_hint, names
from retain.kinds.forecast.infer.stamps import ISO, formats_of, looks_like_time, readings

STAMP = r"\s*\d|[A-Za-z]{3,9}\W+\d|[Qq][1-4]\b"  # what the name of such a column begins like
KEYS = ("ds", "y", "time_format", "dates_across", "timezone", "local_dates", "ambiguous")
LEAST = 3  # columns named by dates


def dates_across(frame: pd.DataFrame, known: dict[str, Any], path: str) -> dict[str, Any]:
    """Return `dates_across` and the format of the stamps, where names of columns are stamps.

    Raises:
        DataError: a stamp may be two days.
    """
    given = known.get("dates_across")
    stamps = [name for name in map(str, frame.columns) if re.match(STAMP, name)]
    if given is None and (
        len(stamps) < LEAST or 2 * len(stamps) < len(frame.columns) or "ds" in known
    ):
        return {}
    if "time_format" in known:
        form = str(known["time_format"])
        forms = [form] if given or _reads(stamps, form) else []
    else:
        forms = formats_of(pd.Series(stamps, dtype="str"), numbers_too=True)
    if given is None and (not forms or looks_like_time(frame)):
        return {}
    if len(forms) > 1:
        name, choices = readings(pd.Series(stamps, dtype="str"), forms)
        raise AmbiguousError(f"{path}: the name {name!r} of a column may be two days", choices)
    form = next(iter(forms), ISO)
    return {"dates_across": True} | ({} if form == ISO else {"time_format": form})


def _reads(stamps: list[str], form: str) -> bool:
    if form in time_formats.NUMBER_FORMATS:
        return False
    return bool(time_formats.read(pd.Series(stamps, dtype="str"), form).notna().all())


def find(raw: Raw, known: dict[str, Any], path: str, sentences: list[str]) -> dict[str, Any]:
    """Return the keys of `data` of a table with dates across the top, with a sentence for each.

    Raises:
        DataError: the rows cannot be told apart, or a number may mean two things.
    """
    base: dict[str, Any] = {key: known[key] for key in KEYS if key in known}
    if "timezone" not in known:
        top = [name for name in map(str, raw.frame.columns) if re.match(STAMP, name)]
        base |= zones.of_offsets(pd.Series(top, dtype="str"), base.get("time_format"), sentences)
    draft = Data(path=path, horizon=1, context_length=1, **base)
    dropped = set(known.get("drop", ()))
    stamps = set(across.stamp_columns(list(map(str, raw.frame.columns)), draft))
    others = [name for name in raw.frame.columns if name not in stamps | dropped]
    form = f", written {draft.time_format}" if draft.time_format else ""
    sentences.append(
        f"dates_across: {len(stamps):,} columns are time stamps{form}, and a row is a series"
    )
    ids = as_list(known.get("unique_id"))
    if not ids and len(raw.frame) > 1:
        ids = _key(raw.frame, others, path)
    roles: dict[str, Any] = dict(base)
    if ids:
        roles["unique_id"] = ids[0] if len(ids) == 1 else ids
        sentences.append(f"unique_id: {names(ids)}, {len(raw.frame):,} series")
    fixed = list(known.get("static_covariates", ()))
    for name in others:
        several = 1 < raw.frame[name].nunique() < len(raw.frame)
        if name not in {*ids, *fixed} and several:
            fixed.append(name)
    left = [name for name in others if name not in {*ids, *fixed}]
    draft = Data(path=path, horizon=1, context_length=1, **roles, static_covariates=tuple(fixed))
    long, _ = across.melt(Raw(raw.frame, raw.origin), draft)
    texts = known.get("categorical", ())
    sample = [
        name
        for name in [draft.y, *fixed]
        if name not in texts and numbers.is_numeric(long.frame[name], known)
    ]
    signs = numbers.find(long.frame, sample, known, path, sentences)
    if fixed:
        roles["static_covariates"] = fixed
        sentences.append(f"static_covariates: {names(fixed)}; --drop COLUMN leaves one out")
    if categorical := [name for name in fixed if name not in sample]:
        roles["categorical"] = categorical
    if left or dropped:
        sentences.append(
            f"not used: {names([*left, *sorted(dropped)])}; given with --drop, or the same in all "
            "rows, or different in each"
        )
    measured = [draft.y, *(name for name in fixed if name in sample)]
    numbers.check_readable(long.frame, measured, known | signs, raw.origin)
    converted = numbers.convert(long.frame, measured, known | signs)
    sentinels.check(converted, measured, known, raw.origin, sentences)
    return roles | signs


def _key(frame: pd.DataFrame, others: list[str], path: str) -> list[str]:
    """Return the columns whose values differ from row to row, together."""
    usable = by_hint([name for name in others if frame[name].nunique() > 1], keys.ID_NAMES)
    for size in range(1, keys.TOGETHER + 1):
        for key in itertools.combinations(usable[: keys.MOST], size):
            if not frame.duplicated(list(key)).any():
                if all(map(keys.is_calendar, key)):
                    raise DataError(
                        f"{path}: rows and columns are parts of dates ({names(key)} beside dates "
                        "across the top); write each value in a row of its own, with its date"
                    )
                return [name for name in frame.columns if name in key]
    raise DataError(
        f"{path}: a row is a series, with time stamps across the top, and no columns tell the rows "
        f"apart; name them with --unique-id. The others are: {names(others) or 'none'}"
    )
