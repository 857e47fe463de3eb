"""Which columns of an unknown table hold the time stamps, and how they are written."""

import re
from typing import Any, TypeAlias

import pandas as pd

from retain.errors import AmbiguousError, Choice, DataError, ParamsError
from retain.kinds.forecast.data import time_formats, time_guess
from retain.kinds.forecast.data.time_formats import BETWEEN
from retain.kinds.forecast.data.timestamps import ISO_8601
from retain.kinds.forecast.infer import zones
from retain.kinds.forecast.infer.hints import NO_HINT, as_list, by_hint, names, rank

TIME_NAMES = (
    *("ds", "timestamp", "datetime", "date_time", "date", "time", "period", "day", "month"),
    *("week", "quarter", "hour", "year", "ts", "datum", "zeit", "zeitstempel", "jahr", "monat"),
    *("woche", "quartal", "tag", "fecha", "año", "mes", "année", "mois"),
)
STEP_NAMES = ("step", "t", "index", "period", "week", "month", "day", "n", "nr", "time", "ds")
ISO = "ISO8601"
CLOCK = r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?"
CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M%p", "%I:%M:%S %p", "%I:%M:%S%p")
# columns of whole numbers that are a part of a stamp: format, least, most, names
PARTS = (
    ("%m", 1, 12, ("month", "mon", "mth", "monat", "mois", "mes")),
    ("%q", 1, 4, ("quarter", "qtr", "q", "quartal")),
    ("%V", 1, 53, ("week", "isoweek", "wk", "kw", "woche")),
    ("%d", 1, 31, ("day", "dom", "tag", "jour", "dia")),
    ("%H", 0, 23, ("hour", "hr", "hours", "h", "he", "stunde", "time", "heure", "hora")),
    ("%K", 1, 24, ("hour", "hr", "hours", "h", "he", "stunde", "time", "heure", "hora")),
)

Roles = dict[str, Any]
Texts: TypeAlias = "pd.Series[Any]"


def find(sample: pd.DataFrame, known: Roles, path: str, sentences: list[str]) -> Roles:
    """Return the keys of `data` that say which columns are the time, with a sentence for each.

    Args:
        known: keys of `data` that the user gave.

    Raises:
        DataError: no column can be the time, or one may mean two things.
    """
    for key in ("align", "aggregate"):
        if known.get(key) and not known.get("frequency"):
            raise ParamsError(
                f"{path}: --{key} needs --frequency, the steps to make, such as --frequency D"
            )
    if known.get("ds_is_step"):
        return _steps(sample, known, path, sentences)
    given = known.get("ds")
    if isinstance(given, list | tuple):
        form = known.get("time_format") or _joined_format(sample, list(given), path)
        _describe(list(given), form, sentences)
        return {"ds": list(given), "time_format": form}
    name, found = _one(sample, known, path)
    if given is None:
        others = [n for n in sample.columns if n != name and n not in _taken(known)]
        joined = _companions(sample, name, found, others)
        if joined is not None:
            _describe(list(joined["ds"]), joined["time_format"], sentences)
            return joined
    sentences.append(f"ds: column `{name}`" + (f", written {found}" if found else ""))
    roles = {"ds": name} | ({} if found is None else {"time_format": found})
    if "timezone" not in known:
        roles |= zones.of_offsets(sample[name], found, sentences)
    return roles


def _describe(columns: list[str], form: str, sentences: list[str]) -> None:
    parts = form.split(BETWEEN)
    written = " and ".join(parts)
    sentences.append(f"ds: columns {names(columns)} together, written {written}")
    if "%K" in form:
        sentences.append(
            "ds: hours go from 1 to 24; hour 1 is taken as the one from 00:00 to 01:00"
        )


def _taken(known: Roles) -> set[str]:
    keys = ("past_covariates", "known_covariates", "static_covariates", "value_columns")
    several = [*(n for key in keys for n in known.get(key, ())), known.get("y")]
    return {*several, *as_list(known.get("unique_id"))}


def _whole_columns(sample: pd.DataFrame) -> list[str]:
    """Return the columns of whole numbers, first those that are named like steps."""
    return [name for name in by_hint(list(sample.columns), STEP_NAMES) if _is_whole(sample[name])]


def _steps(sample: pd.DataFrame, known: Roles, path: str, sentences: list[str]) -> Roles:
    name = known.get("ds")
    if name is None:
        whole = _whole_columns(sample)
        if not whole:
            raise DataError(
                f"{path}: no column of whole numbers to be the steps; name it with --ds"
            )
        name = whole[0]
    sentences.append(
        f"ds: column `{name}`, numbers of steps, which forecasts continue; they have no calendar, "
        "and a season only with --season-length"
    )
    return {"ds": name, "ds_is_step": True, "calendar": False}


def _one(sample: pd.DataFrame, known: Roles, path: str) -> tuple[str, str | None]:
    """Return the column of time stamps, and its `time_format` where it is not ISO 8601."""
    given = known.get("ds")
    for name in by_hint(list(sample.columns), TIME_NAMES) if given is None else [given]:
        hinted = given is not None or rank(name, TIME_NAMES) < NO_HINT
        if "time_format" in known and hinted:
            return str(name), str(known["time_format"])
        formats = formats_of(sample[name], numbers_too=hinted)
        if len(formats) > 1:
            what = "days" if "%d" in formats[0] else "times"
            text, choices = readings(_text(sample[name]), formats)
            raise AmbiguousError(f"{path}: column `{name}`: {text!r} may be two {what}", choices)
        if formats:
            return str(name), None if formats == [ISO] else formats[0]
    if given is not None and not _is_whole(sample[str(given)]):
        return str(given), None  # reading it will say what is wrong
    whole = _whole_columns(sample)
    counted = [n for n in whole if n == given or _counts(sample[n])]
    steps = (
        f"; or, if `{counted[0]}` numbers the steps, --ds {counted[0]} --ds-is-step"
        if counted
        else ""
    )
    raise DataError(
        f"{path}: no column looks like time stamps; name it with --ds, and how it is written "
        f"with --time-format{steps}. The columns are: {names(sample.columns)}"
    )


def readings(texts: Texts, formats: list[str]) -> tuple[str, list[Choice]]:
    """Return a stamp that formats read differently, and an answer for each of them."""
    stamps = pd.DataFrame({form: time_formats.read(texts, form) for form in formats})
    row = int((stamps.nunique(axis=1) > 1).to_numpy().argmax())
    return str(texts.iloc[row]), [
        Choice(f"it is {stamps[form].iloc[row]}".removesuffix(" 00:00:00"), {"time_format": form})
        for form in formats
    ]


def looks_like_time(frame: pd.DataFrame) -> bool:
    """Return whether a column is named like time stamps, and holds some."""
    hinted = [name for name in map(str, frame.columns) if rank(name, TIME_NAMES) < NO_HINT]
    return any(formats_of(frame[name], numbers_too=True) for name in hinted)


def _text(column: Texts) -> Texts:
    text = column.dropna().astype("str").str.strip()
    return text[text != ""]


def formats_of(column: Texts, numbers_too: bool) -> list[str]:
    """Return the formats that read every stamp of a column, `ISO8601` alone if that is one."""
    text = _text(column)
    if pd.api.types.is_datetime64_any_dtype(column):
        return [ISO]
    if not len(text):
        return []
    if text.str.fullmatch(ISO_8601).mean() >= time_guess.NEARLY:
        return [ISO]  # reading the others will say what is wrong
    number = text.str.fullmatch(time_guess.NUMBERS)
    if number.mean() >= time_guess.NEARLY:
        return time_guess.digits(text[number]) if numbers_too else []
    return time_guess.formats(text)


def _companions(
    sample: pd.DataFrame, name: str, form: str | None, others: list[str]
) -> Roles | None:
    """Return the time in several columns, of which `name` is the first; None if it stands alone."""
    first = _date_format(sample[name], form)
    if first is None:
        return None
    columns, forms = [name], [first]
    if first == "%Y":
        for part, low, high, hints in PARTS[:3]:
            found = [n for n in others if rank(n, hints) < NO_HINT]
            if found and (written := _part(sample[found[0]], part, low, high)):
                columns, forms = [*columns, found[0]], [*forms, written]
                break
        else:
            return None
        if forms[1] == "%V":
            forms[0] = "%G"
        days = [n for n in others if rank(n, PARTS[3][3]) < NO_HINT and n not in columns]
        if days and forms[1] in ("%m", "%b", "%B") and _part(sample[days[0]], *PARTS[3][:3]):
            columns, forms = [*columns, days[0]], [*forms, "%d"]
    if len(forms) == 3 or first != "%Y":
        clock = _clock(sample, columns, [n for n in others if n not in columns])
        if clock is not None:
            columns, forms = [*columns, clock[0]], [*forms, clock[1]]
    if len(columns) == 1:
        return None
    return {"ds": columns, "time_format": BETWEEN.join(forms)}


def _date_format(column: Texts, form: str | None) -> str | None:
    """Return how a column of dates without a time of day is written; None if it has one."""
    if form is not None:
        return None if re.search("%[HIKMSpfzqV]", form) or not form.startswith("%") else form
    if pd.api.types.is_datetime64_any_dtype(column):
        return "%Y-%m-%d" if (column.dropna() == column.dropna().dt.normalize()).all() else None
    text = _mostly(_text(column), r"\d{4}-\d{2}-\d{2}([T ]00:00(:00(\.0+)?)?)?")
    if text is None:
        return None
    clock = text.str.extract(r"^\d{4}-\d{2}-\d{2}(.+)?$")[0]
    return None if clock.nunique(dropna=False) > 1 else f"%Y-%m-%d{clock.fillna('').iloc[0]}"


def _clock(sample: pd.DataFrame, dates: list[str], others: list[str]) -> tuple[str, str] | None:
    """Return a column with the time of day, and its format, that tells rows of a date apart."""
    repeated = sample.duplicated(dates).mean()
    for name in others:
        text = _text(sample[name])
        forms: list[str] = []
        if (clocks := _mostly(text, CLOCK)) is not None:
            forms = [form for form in CLOCKS if time_guess.share(clocks, form, 1.0) == 1]
        elif len(text) > 1 and rank(name, PARTS[4][3]) < NO_HINT:
            forms = [part for part, low, high, _ in PARTS[4:] if _part(text, part, low, high)]
        if forms and sample.duplicated([*dates, name]).mean() < repeated:
            return name, forms[0]
    return None


def _part(column: Texts, form: str, low: int, high: int) -> str | None:
    """Return the format of a column that is a part of a stamp; None if it is none."""
    text = _text(column)
    if (numbers := _mostly(text, r"\d{1,2}")) is not None:
        return form if numbers.astype(int).between(low, high).all() else None
    if form == "%q" and len(text) and text.str.fullmatch(r"[Qq][1-4]").all():
        return "Q%q"
    if form == "%m" and len(text):
        for month in ("%b", "%B"):
            if time_formats.read("2000 " + text, f"%Y {month}").notna().all():
                return month
    return None


def _joined_format(sample: pd.DataFrame, given: list[str], path: str) -> str:
    """Return the format of the columns that the user named, joined."""
    forms: list[str] = []
    for name in given:
        found = formats_of(sample[name], numbers_too=not forms)
        dated = _date_format(sample[name], None if found == [ISO] else found[0]) if found else None
        if len(found) == 1 and dated and not forms:
            forms.append(dated)
        elif forms and len(found) < 2 and (clock := _clock(sample, given[: len(forms)], [name])):
            forms.append(clock[1])
        else:
            used = "".join(forms)
            parts = [
                _part(sample[name], form, low, high)
                for form, low, high, hints in PARTS
                if form not in used and rank(name, hints) < NO_HINT
            ]
            if not (part := next(filter(None, parts), None)):
                text = _text(sample[name]).iloc[0]
                raise DataError(
                    f"{path}: column `{name}`: {text!r} may be more than one part of a time stamp, "
                    f'or none; say how with --time-format, such as "%Y-%m-%d{BETWEEN}%H:%M" for '
                    "a date and a time"
                )
            forms.append(part)
            if part == "%V" and forms[0] == "%Y":
                forms[0] = "%G"
    return BETWEEN.join(forms)


def _mostly(text: Texts, pattern: str) -> "pd.Series[Any] | None":
    """Return the texts of a pattern, if nearly all are; reading will say what the others are."""
    fits = text.str.fullmatch(pattern)
    return text[fits] if len(text) and fits.mean() >= time_guess.NEARLY else None


def _is_whole(column: Texts) -> bool:
    text = _text(column)
    return bool(len(text)) and bool(text.str.fullmatch(r"\d+(\.0*)?").all())


def _counts(column: Texts) -> bool:
    """Return whether whole numbers are mostly one step apart."""
    steps = _text(column).drop_duplicates().astype(float).sort_values().diff().dropna()
    return len(steps) >= 9 and bool((steps == steps.mode()[0]).mean() > 0.9)
