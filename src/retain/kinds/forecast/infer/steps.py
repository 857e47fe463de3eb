"""How the time stamps of an unknown table make steps: as they stand, aligned, or added up.

What is no grid is told by kind: series at times of their own, stamps near their steps, fiscal
periods, events at random times. Each is settled with a sentence or refused with what to do.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retain.errors import AmbiguousError, Choice, DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import (
    across,
    aggregate,
    alignment,
    frequency,
    keys,
    mistyped,
    reader,
    timestamps,
)
from retain.kinds.forecast.data.frequency import DAY, SECOND, WEEKDAYS, Micros
from retain.kinds.forecast.infer import events, zones
from retain.kinds.forecast.infer.events import FEW

# steps that people take, in seconds
USUAL = (
    *(1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 240, 300, 360, 600, 720, 900, 1200, 1800, 3600, 7200),
    *(10_800, 14_400, 21_600, 28_800, 43_200, 86_400, 604_800),
)
NEAR = 0.3  # of a step: how far a stamp may be from it
NEARLY = 0.05  # of a step: how far the middle of the steps may be from a usual one
TINY = 0.1  # of a step: a stamp so near is no fault, however few are off the grid
BY_CLASS = {-1: "MS", -2: "QS-JAN", -3: "YS-JAN"}
# days between stamps, at least and at most in the middle, of longer steps
LONGER = {"MS": (27, 33), "QS-JAN": (85, 97), "YS-JAN": (355, 376)}


@dataclass(frozen=True)
class Stamps:
    """The distinct time stamps of each series, by series and time."""

    series: Micros
    ds: "pd.Series[Any]"
    names: "pd.Index[Any]"

    @property
    def micros(self) -> Micros:
        """As microseconds since 1970."""
        return frequency.micros(self.ds)

    @property
    def steps(self) -> Micros:
        """Between the stamps of each series, in microseconds."""
        steps: Micros = np.diff(self.micros)[np.diff(self.series) == 0]
        return steps


def find(raw: reader.Raw, draft: Data, sentences: list[str]) -> Data:
    """Return the draft with the keys of time that its stamps ask for, with a sentence for each.

    Raises:
        DataError: the stamps cannot be read, or are at no steps.
    """
    if draft.dates_across:
        raw, _ = across.melt(raw, draft)
    said: list[str] = []
    found = _find(raw, draft, said)
    if found.cuts_days_in_utc and not found.in_utc:  # `align` was found by stamps in UTC
        said = []
        found = _find(raw, _of_place(draft, said), said)
    sentences += said
    return found


def _find(raw: reader.Raw, draft: Data, sentences: list[str]) -> Data:
    """Find the keys of time by the stamps as they are in UTC, or with `local_dates` of a place."""
    origin, column = raw.origin, timestamps.column(raw.frame, draft)
    names = keys.ids(raw.frame, draft, origin)
    draft = _local_dates(column, draft, origin, sentences)
    ds = timestamps.parse(column, draft, origin, names=names)
    if not draft.ds_is_step:
        mistyped.check_years(ds, draft.time_name, origin)
    long = pd.DataFrame({"unique_id": names, "ds": ds})
    codes, every = pd.factorize(long["unique_id"])
    order = np.lexsort((ds.to_numpy(), codes))
    if draft.aggregate is not None:
        _describe_aggregate(long, draft, origin.where, sentences)
        return draft
    mistyped.check_order(long.iloc[order], codes[order], draft, origin)
    long = long.assign(series=codes).iloc[order]
    distinct = long[~long.duplicated(["series", "ds"])]
    stamps = Stamps(distinct["series"].to_numpy(), distinct["ds"], every)
    if draft.timezone is None and len(distinct) < len(long):
        _check_clock_change(long, draft, origin.where)
    if draft.align is not None or draft.ds_is_step or not len(stamps.steps):
        return draft
    times = frequency.count_times(stamps.series, stamps.ds)
    mistyped.check_ends(lambda: [distinct], times, draft, origin)
    name = _given(draft) or frequency.infer(times)
    off = frequency.off_grid(times.stamps, times.stamp_counts, name)
    if not off.any():
        return draft
    _check_fiscal(stamps, draft, origin.where)
    found = _own_phase(stamps, name, draft, sentences) or _near_steps(stamps, draft, sentences)
    if found is not None:
        return draft.model_copy(update=found)
    share = times.stamp_counts[off].sum() / times.stamp_counts.sum()
    events.check(stamps.steps, share, draft, origin.where)
    return draft


def _of_place(draft: Data, sentences: list[str]) -> Data:
    """Return the draft for steps of days that begin at midnight of the time zone."""
    sentences.append(
        f"local_dates: days begin at midnight in {draft.timezone}; an offset from UTC is left out"
    )
    return draft.model_copy(update={"local_dates": True})


def _local_dates(column: "pd.Series[Any]", draft: Data, origin: Any, sentences: list[str]) -> Data:
    """Return the draft for stamps by the day, which are dates of the time zone, not times in it."""
    if draft.timezone in (None, "UTC") or draft.local_dates or draft.in_utc:
        return draft
    if draft.cuts_days_in_utc:
        return _of_place(draft, sentences)
    local = draft.model_copy(update={"local_dates": True})
    ds = (
        pd.DatetimeIndex(timestamps.parse(column.drop_duplicates(), local, origin))
        .unique()
        .sort_values()
    )
    clock = frequency.micros(ds.to_series()) % DAY
    if len(ds) < 2 or (clock != clock[0]).any():
        return draft
    sentences.append(
        f"local_dates: the stamps are a day or more apart, and are dates of {draft.timezone}; an "
        "offset from UTC is left out"
    )
    return local


def _describe_aggregate(long: pd.DataFrame, draft: Data, where: str, sentences: list[str]) -> None:
    """Say what becomes of the rows in a step, of steps without rows, and of the first and last."""
    name = frequency.canonical(str(draft.frequency))
    stamps = np.unique(frequency.micros(long["ds"]))
    whole = aggregate.whole_steps([stamps], draft, where)
    lacking = (
        "is missing"
        if draft.aggregate == "mean"
        else "is 0, from the first row of a series to the end of the table"
    )
    what = "number" if draft.aggregate == "count" else str(draft.aggregate)
    text = (
        f"aggregate: the {what} of the rows of a series in each step of {name}; one without a row "
        f"{lacking}"
    )
    ends = alignment.period(stamps[[0, -1]], name)
    left = [_text(end) for end, kept in zip(ends.tolist(), whole, strict=True) if end != kept]
    if left:
        text += f"; left out, for the rows do not fill it: {' and '.join(left)}"
    sentences.append(text)


def _check_clock_change(long: pd.DataFrame, draft: Data, where: str) -> None:
    """Raise DataError where all stamps that repeat are of an hour in which clocks are set back."""
    repeated = long[long.duplicated(["series", "ds"], keep=False).to_numpy()]
    zone = zones.ambiguous_in(repeated["ds"])
    if zone is not None and draft.duplicates == "error":
        first, last = repeated["ds"].min(), repeated["ds"].max()
        count = repeated["ds"].nunique()
        raise AmbiguousError(
            f"{where}: column `{draft.time_name}`: {count:,} time stamps, from {first} to {last}, "
            f"have two rows, all of an hour that came twice as clocks were set back, as in {zone}",
            [
                Choice(
                    "the first row of a stamp is of the first hour",
                    {"timezone": zone, "ambiguous": "order"},
                ),
                Choice("the first row counts", {"duplicates": "first"}),
                Choice("their mean counts", {"duplicates": "mean"}),
            ],
        )


def _check_fiscal(stamps: Stamps, draft: Data, where: str) -> None:
    """Raise DataError for periods of 4 and 5 weeks, of which no frequency can be made."""
    weeks = stamps.steps / (7 * DAY)
    if (np.isin(weeks, (4, 5)).mean() > 0.9) and (weeks == 4).any() and (weeks == 5).any():
        raise DataError(
            f"{where}: column `{draft.time_name}`: the time stamps are 4 or 5 weeks apart, as in a "
            "fiscal calendar (4-4-5 weeks), whose periods are no frequency: add a column that "
            "numbers them, 1, 2, 3 and so on, and name it with --ds and --ds-is-step"
        )


def _own_phase(
    stamps: Stamps, name: str, draft: Data, sentences: list[str]
) -> dict[str, Any] | None:
    """Return the keys where each series is on the grid at a distance of its own."""
    if draft.frequency is None:
        kind = frequency.classify(stamps.steps)
        values, counts = np.unique(kind, return_counts=True)
        common = int(values[counts.argmax()])
        name = BY_CLASS.get(common, name)
    ds = stamps.micros
    slots = alignment.period(ds, name)
    own = alignment.of_series(ds, slots, stamps.series, name)
    if (alignment.add(slots, own[stamps.series], name) != ds).any():
        return None
    kinds = np.unique(own)
    first = [int(np.flatnonzero(own == kind)[0]) for kind in kinds[:3]]
    examples = ", ".join(
        f"{stamps.names[number]!r} at {_text(int(ds[stamps.series == number][0]))}"
        for number in first
    )
    count = len(stamps.names)
    which = (
        f"{count:,} series have {len(kinds):,} different distances from the steps of {name} "
        f"({examples})"
        if len(kinds) > 1
        else f"every time stamp is as far from its step of {name}, such as {_text(int(ds[-1]))}"
    )
    sentences.append(f"align: series; {which}; forecasts keep it. --frequency takes other steps")
    return {"align": "series", "frequency": name}


def _near_steps(stamps: Stamps, draft: Data, sentences: list[str]) -> dict[str, Any] | None:
    """Return the keys where stamps are near their steps, or one in each."""
    name = _given(draft) or _usual(stamps)
    if name is None:
        return None
    ds = stamps.micros
    length = _length(name)
    near = alignment.nearest(ds, name)
    far = np.abs(ds - near)
    off = far > 0
    steps = np.round(np.diff(near)[np.diff(stamps.series) == 0] / length)
    if off.mean() < FEW and far.max() > TINY * length:
        return None  # faults, which are named one by one
    if far.max() <= NEAR * length and (steps == 0).mean() < FEW:
        sentences.append(
            f"align: nearest; {off.sum():,} of {len(ds):,} time stamps are off the steps of "
            f"{name}, by {events.size(int(far.max()))} at most, and are taken to the nearest step, "
            "which forecasts have. --frequency takes other steps"
        )
        return {"align": "nearest", "frequency": name}
    slots = alignment.period(ds, name)
    same = (np.diff(slots) == 0) & (np.diff(stamps.series) == 0)
    if same.any():
        return None
    sentences.append(
        f"align: period; each series has at most one row in a step of {name}, at changing times, "
        "and it is taken for the step; forecasts have the stamps of the steps. --frequency takes "
        "other steps"
    )
    return {"align": "period", "frequency": name}


def _given(draft: Data) -> str | None:
    """Return the frequency that the user gave, in pandas' own spelling."""
    return None if draft.frequency is None else frequency.canonical(draft.frequency)


def _usual(stamps: Stamps) -> str | None:
    """Return the frequency that the steps are near to; None if they are near none."""
    steps = stamps.steps
    middle = float(np.median(steps))
    for alias, (least, most) in LONGER.items():
        if least * DAY <= middle <= most * DAY:
            return alias
    seconds = middle / SECOND
    nearest = min(USUAL, key=lambda usual: abs(np.log(max(seconds, 1e-6) / usual)))
    if abs(seconds / nearest - 1) > NEARLY:
        return None
    ratio = steps / (nearest * SECOND)
    regular = np.abs(ratio - np.round(ratio)) <= NEAR
    if nearest < 86_400 and (regular & (ratio > 0.5)).mean() < 0.9:
        return None
    if nearest == 604_800:
        day = np.bincount((stamps.micros // DAY + 3) % 7).argmax()
        return f"W-{WEEKDAYS[day]}"
    return frequency.canonical(f"{nearest}s")


def _length(name: str) -> int:
    """Return about how long a step is, in microseconds."""
    few = pd.date_range("2001-01-01", periods=14, freq=name)
    return int(np.median(np.diff(few.to_numpy(dtype="datetime64[us]").astype(np.int64))))


def _text(stamp: int) -> str:
    return f"{pd.Timestamp(stamp, unit='us')}".removesuffix(" 00:00:00")
