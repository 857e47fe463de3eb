"""Time stamps with a slip of the pen, such as another year: found by the rows around them."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import timestamps
from retain.kinds.forecast.data.columns import fault
from retain.kinds.forecast.data.formats import Origin
from retain.kinds.forecast.data.frequency import DAY, Micros, Times, micros
from retain.kinds.forecast.time_axis import TimeAxis

FAR = 20  # steps from its neighbours, from which on a stamp is no mere disorder
MONTH = 27 * DAY  # a shorter gap may be an outage
LONE = 3  # stamps, at most, that stand apart from all others
MOST = 0.02  # of the rows may be out of order in a table that is in order
FEWEST = 10  # stamps, of which one can stand apart
FIRST, LAST = np.datetime64("0001-01-01"), np.datetime64("9999-12-31T23:59:59.999999")
REMEDY = "Correct the time stamps."
RULE = "time stamps far from those around them"


def check_years(ds: "pd.Series[Any]", name: str, origin: Origin) -> None:
    """Raise DataError where a time stamp is before the year 1 or after 9999: no calendar has it."""
    outside = ((ds < FIRST) | (ds > LAST)).to_numpy()
    if outside.any():
        rows = [(int(str(place)), stamp) for place, stamp in ds[outside].items()]
        rule = "a year before 1 or after 9999"
        raise fault(origin, name, rule, rows, "Correct the values, or `time_format`.")


def check_order(long: pd.DataFrame, codes: Micros, data: TimeAxis, origin: Origin) -> None:
    """Raise DataError for a stamp out of order whose place in the file lacks one between two.

    Args:
        long: rows by series and time, indexed by their place in the file: `ds`.
        codes: the series of each.
    """
    places = long.index.to_numpy()
    if not ((np.diff(places) < 0) & (np.diff(codes) == 0)).any():
        return
    order = np.lexsort((places, codes))
    stamps, codes, places = micros(long["ds"])[order], codes[order], places[order]
    change = np.diff(stamps)[np.diff(codes) == 0]
    sign = 1 if (change > 0).sum() >= (change < 0).sum() else -1  # the newest may stand first
    forward, disorder = change[sign * change > 0], int((sign * change < 0).sum())
    if not len(forward) or disorder > max(LONE, MOST * len(long)):
        return
    step = int(np.median(np.abs(forward)))
    before, it, after = sign * stamps[:-2], sign * stamps[1:-1], sign * stamps[2:]
    lacks = (codes[:-2] == codes[2:]) & (after - before > 1.5 * step) & (after - before < 3 * step)
    far = np.minimum(np.abs(it - before), np.abs(it - after)) > FAR * step
    bad = np.flatnonzero(lacks & far & ((it < before) | (it > after))) + 1
    if len(bad):
        rows: dict[int, object] = {}
        for row in bad:
            around = sorted((stamps[row - 1], stamps[row + 1]))
            rows[int(places[row])] = (
                f"{_words(stamps[row], data)} lies {_apart(stamps[row], around)} its neighbours, "
                f"{_words(around[0], data)} and {_words(around[1], data)}"
            )
        raise fault(origin, data.time_name, RULE, sorted(rows.items()), REMEDY)


def check_ends(
    frames: Callable[[], Iterable[pd.DataFrame]], times: Times, data: Data, origin: Origin
) -> None:
    """Raise DataError for a few stamps far before or after all others of a table.

    Args:
        frames: returns its chunks, indexed by the place of each row: `ds`, and `series`.
    """
    lone, end = _lone(times.stamps)
    if not len(lone):
        return
    rows: dict[int, object] = {}
    for frame in frames():
        apart = np.isin(micros(frame["ds"]), lone)
        # a series of its own that has no others is no slip of the pen
        found = frame[apart & frame["series"].isin(frame["series"][~apart]).to_numpy()]
        for place, stamp in zip(found.index, micros(found["ds"]), strict=True):
            far = _apart(stamp, [end])
            words = f"{_words(stamp, data)} lies {far} its neighbour, {_words(end, data)}"
            rows[int(place)] = words
    if rows:
        first = sorted(rows.items())[:10]
        raise fault(origin, data.time_name, RULE, first, REMEDY, len(rows))


def _lone(stamps: Micros) -> tuple[Micros, int]:
    """Return stamps far from all others, and the next one to them."""
    steps = np.diff(stamps)
    if len(stamps) >= FEWEST:
        for count in range(1, LONE + 1):
            for gap, rest, lone, end in (
                (steps[-count], steps[:-count], stamps[-count:], stamps[-count - 1]),
                (steps[count - 1], steps[count:], stamps[:count], stamps[count]),
            ):
                typical = int(np.median(rest))
                least = max(1.5 * FAR * typical, 10 * int(rest.max()), 0.1 * int(rest.sum()))
                if gap > max(least, MONTH):  # a slip in the month or the year
                    return lone, int(end)
    return stamps[:0], 0


def _words(stamp: Any, data: TimeAxis) -> str:
    whole = np.int64(stamp).astype("datetime64[us]").astype("datetime64[s]")
    return timestamps.text(pd.Timestamp(whole), data).removesuffix(" 00:00:00")


def _apart(stamp: int, around: list[int]) -> str:
    """Return how far a stamp lies from the nearest of others, and on which side."""
    distance = min((int(stamp) - int(other) for other in around), key=abs)
    days = abs(distance) / DAY
    size = f"{days / 365.25:.0f} years" if days > 550 else f"{days:.0f} days"
    if 350 < days <= 550:
        size = "1 year"
    if days < 1:
        size = f"{24 * days:.0f} hours"
    return f"{size} {'after' if distance > 0 else 'before'}"
