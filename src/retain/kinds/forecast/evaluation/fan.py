"""Intervals of 80 and 50 % for every figure, and the figure of history and forecast."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import matplotlib.dates as mdates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from retain.config.forecasts import Forecasts
from retain.errors import DataError
from retain.evaluation.arrays import Dates, Floats
from retain.evaluation.plotting import (
    INK,
    MUTED,
    WIDTH,
    Drawing,
    drawn,
    legend,
    mark,
    percent,
    plain,
    png,
    short,
    styled,
)
from retain.kinds.forecast.config import Data, Problem
from retain.words import did_you_mean

SHARES = ((0.8, 0.16), (0.5, 0.26))  # of the values inside, and the opacity
MOST = 6  # series of one figure
HORIZONS, FEWEST = 5, 24  # of the past before a forecast, and steps of it at least
# by years, months, days, hours, minutes, seconds; and a tick on the first of each of them
DATES = {
    "formats": ["%Y", "%b", "%-d %b", "%H:%M", "%H:%M", "%H:%M:%S"],
    "zero_formats": ["%Y", "%b", "%-d %b", "%-d %b", "%H:%M", "%H:%M"],
    "show_offset": False,
}


@dataclass(frozen=True)
class Fan:
    """The history of a series, and its forecast."""

    title: str
    past_ds: Dates  # (steps,)
    past: Floats  # (steps,), NaN where missing
    ahead: Dates  # (horizon,)
    quantiles: Floats  # (horizon, levels)


def interval(
    quantiles: Floats, levels: Sequence[float], share: float
) -> tuple[Floats, Floats] | None:
    """Return the bounds between which a share of the values is expected, each (...,).

    A level between two of the model's is interpolated linearly. None if the share is larger than
    that between the outermost levels.

    Args:
        quantiles: (..., levels), which increase.
    """
    found = []
    for level in ((1 - share) / 2, (1 + share) / 2):
        above = int(np.searchsorted(np.asarray(levels) + 1e-9, level))
        if above == len(levels) or levels[0] > level + 1e-9:
            return None
        low = max(above - 1, 0)
        gap = levels[above] - levels[low]
        part = round((level - levels[low]) / gap, 9) if gap else 0.0
        found.append((1 - part) * quantiles[..., low] + part * quantiles[..., above])
    return found[0], found[1]


def bands(
    axes: Axes, ds: Dates, quantiles: Floats, levels: Sequence[float], colour: str
) -> list[Patch]:
    """Draw the intervals of SHARES, and return their entries of a legend.

    Args:
        quantiles: (horizon, levels).
    """
    keys = []
    for share, alpha in SHARES:
        found = interval(quantiles, levels, share)
        if found is None:
            continue
        if len(ds) == 1:  # an area would have no width
            axes.vlines(ds, *found, color=colour, alpha=alpha, linewidth=12)
        else:
            axes.fill_between(ds, *found, color=colour, alpha=alpha, linewidth=0)
        label = f"{percent(share)} interval"
        keys.append(Patch(color=colour, alpha=alpha, linewidth=0, label=label))
    return keys


def median(quantiles: Floats, levels: Sequence[float]) -> Floats:
    """Return the level nearest to one half, (horizon,)."""
    column = min(range(len(levels)), key=lambda column: abs(levels[column] - 0.5))
    values: Floats = quantiles[..., column]
    return values


class _Formatter(mdates.ConciseDateFormatter):
    """Short dates, with the year below the first one, and below each first one of another year."""

    def format_ticks(self, values: list[float]) -> list[str]:
        labels: list[str] = super().format_ticks(values)  # type: ignore[no-untyped-call]
        years = [f"{mdates.num2date(value):%Y}" for value in values]  # type: ignore[no-untyped-call]
        below = ["", *years[:-1]]
        return [
            f"{label}\n{year}" if year not in (before, label) else label
            for label, year, before in zip(labels, years, below, strict=True)
        ]


def time_ticks(axes: Axes, maxticks: int, minticks: int = 5) -> None:
    """Label the horizontal axis with steps, or dates that do not touch, years among them."""
    if not isinstance(axes.xaxis.get_major_locator(), mdates.AutoDateLocator):  # of no dates
        axes.xaxis.set_major_locator(MaxNLocator(maxticks, integer=True))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
        return
    locator = mdates.AutoDateLocator(minticks=minticks, maxticks=maxticks)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(_Formatter(locator, **DATES))  # type: ignore[no-untyped-call]


def _future(fans: Sequence[Fan], levels: Sequence[float], model: str, unit: str) -> Drawing:
    """Draw a panel for each series: its history, the median of its forecast, and the intervals.

    Args:
        levels: of the last axis of `Fan.quantiles`.
        model: the model whose colour is used.
        unit: of the values.
    """
    alone = len(fans) == 1
    rows = 1 if alone else -(-len(fans) // 2)
    figure = Drawing(figsize=(WIDTH, 3.6 if alone else 0.8 + 2.1 * rows))
    panels = figure.subplots(rows, 1 if alone else 2, squeeze=False).ravel()
    colour, keys = mark(model).colour, []
    for axes, fan in zip(panels, fans, strict=False):
        keys = bands(axes, fan.ahead, fan.quantiles, levels, colour)
        one = "." if len(fan.ahead) == 1 else ""
        axes.plot(fan.past_ds, fan.past, color=INK, linewidth=1.4)
        axes.plot(fan.ahead, median(fan.quantiles, levels), color=colour, marker=one)
        axes.axvline(fan.ahead[0], color=MUTED, linewidth=0.8)
        axes.set_title(unit if alone else short(fan.title, 28), color=MUTED if alone else INK)
        time_ticks(axes, minticks=2, maxticks=8 if alone else 4)
        plain(axes)
    for axes in panels[len(fans) :]:
        axes.set_axis_off()
    if not alone:
        figure.supylabel(short(unit, 40), color=MUTED, fontsize="medium")
    lines = (
        Line2D([], [], color=INK, linewidth=1.4, label="history"),
        Line2D([], [], color=colour, label="forecast"),
    )
    legend(figure, [*lines, *keys])
    return figure


future = drawn("future", "The history, and the forecast after it with its intervals")(_future)


def axis_unit(data: Data) -> str:
    """Return the label of a table's values on an axis."""
    name = "value" if data.value_columns else data.y
    return data.unit or name


def fans_of(
    found: Forecasts, names: Sequence[str] | None = None
) -> tuple[list[Fan], tuple[float, ...]]:
    """Return series of a forecast, by default the first MOST, and the levels of the quantiles.

    Raises:
        DataError: the forecast has no series of a name.
    """
    after = list(found.table.columns).index("median") + 1
    columns = {float(name): name for name in found.table.columns[after:] if _is_level(str(name))}
    levels = tuple(sorted(columns))
    past = {str(name): rows for name, rows in found.history.groupby("unique_id", sort=False)}
    values_of = found.table[[columns[level] for level in levels]].to_numpy(dtype=float)
    fans = []
    rows_of = found.rows.groupby("unique_id", sort=False).indices
    for name in list(rows_of)[:MOST] if names is None else names:
        if name not in rows_of:
            raise DataError(f"no series `{name}`{did_you_mean(str(name), [*map(str, rows_of)])}")
        places = rows_of[name]
        before = past[str(name)]
        ahead = found.rows["ds"].iloc[places].to_numpy()
        ds = before["ds"].to_numpy()
        known = np.flatnonzero(np.asarray(before["y"].notna() & (ds < ahead[0])))
        last = known[-1] + 1 if len(known) else len(ds)
        shown = slice(max(last - max(HORIZONS * len(ahead), FEWEST), 0), last)
        y = before["y"].to_numpy(dtype=float)[shown]
        fans.append(Fan(str(name), ds[shown], y, ahead, values_of[places]))
    return fans, levels


def _is_level(name: str) -> bool:
    try:
        return 0 < float(name) < 1
    except ValueError:
        return False


def figure(data: Data, found: Forecasts, names: Sequence[str] | None = None) -> Drawing:
    """Draw series of a forecast as `fans_of` chooses them."""
    fans, levels = fans_of(found, names)
    return styled(partial(_future, fans, levels, "lstm", axis_unit(data)))


def plot(problem: Problem, found: Forecasts, suffix: str) -> bytes:
    """Draw the first series of a forecast, at most MOST: the bytes of an `.svg` or a `.png`."""
    fans, levels = fans_of(found)
    drawing = fans, levels, "lstm", axis_unit(problem.data)
    return png(partial(_future, *drawing)) if suffix == ".png" else future(*drawing).encode()
