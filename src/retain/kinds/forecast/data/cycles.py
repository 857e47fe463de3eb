"""The natural cycles of a frequency: days, weeks, years, in steps."""

import pandas as pd

from retain.kinds.forecast.data.frequency import width

MOST = 16  # segments; a long recurrence costs time and forgets
# in seconds, by the length of a step below which they are worth trying
CYCLES = ((60, (60, 3600)), (900, (3600, 86_400)), (86_400, (86_400, 604_800)))
CALENDAR_CYCLES = {"D": (7, 365), "B": (5, 260), "W": (52,), "M": (12,), "Q": (4,), "Y": ()}


def natural(frequency: str) -> tuple[int, ...]:
    """Return season lengths worth trying, in steps, the shortest first.

    >>> natural("h"), natural("15min"), natural("MS")
    ((24, 168), (96, 672), (12,))
    """
    micros = width(pd.tseries.frequencies.to_offset(frequency))
    if micros is not None and micros < 86_400_000_000:
        step = micros / 1e6
        for below, seconds in CYCLES:
            if step < below:
                return tuple(int(s / step) for s in seconds if s % step == 0 and s / step > 1)
    name = frequency.partition("-")[0]
    if name in ("BME", "BMS"):
        return CALENDAR_CYCLES["M"]
    return CALENDAR_CYCLES.get(name, CALENDAR_CYCLES.get(name[0], ()))


def segment_length(frequency: str, horizon: int, context: int) -> int:
    """Return how many steps a cell reads at once: a part of a cycle, or several whole cycles.

    As many as keep the recurrence within MOST steps of the cell, but no more than the horizon, the
    context or, where that is short, a cycle.

    >>> segment_length("h", 48, 168), segment_length("h", 10, 168), segment_length("h", 720, 96)
    (24, 8, 48)
    """
    longest = min(horizon, context)
    cycles = natural(frequency)
    cycle = 4 if cycles[:1] == (52,) else cycles[0] if cycles else 1
    if cycle > longest:
        return max(d for d in range(1, longest + 1) if cycle % d == 0)
    wanted = -(-max(horizon, context) // (MOST * cycle))
    return cycle * min(wanted, longest // cycle)
