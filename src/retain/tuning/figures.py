"""The figures of `retain tune`: score by trial, importance of keys, and settings side by side."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from retain.config.schema import Cell
from retain.config.search import Choices, Numbers, Range
from retain.evaluation import plotting
from retain.evaluation.plotting import GRID, MUTED, WIDTH, drawn, mark, plain
from retain.tuning.study import Study


def number(value: Any) -> str:
    """Return a value with four significant digits.

    >>> number(0.0431234), number(336), number(None), number("last")
    ('0.04312', '336', '–', 'last')
    """
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _outcomes(studies: Mapping[Cell, Study]) -> pd.DataFrame:
    rows = [
        (cell, one.number + 1, one.value if one.value is not None else np.nan)
        for cell, study in studies.items()
        for one in study.ended
    ]
    return pd.DataFrame(rows, columns=["model", "trial", "value"])


@drawn("history", "The score of each trial, and the best so far, by cell")
def history(studies: Mapping[Cell, Study]) -> Figure:
    """Draw the score of each trial and the best so far, by cell."""
    figure = Figure(figsize=(WIDTH, 3.2))
    axes, frame = figure.subplots(), _outcomes(studies)
    known = frame["value"].dropna()
    # Much worse trials would hide the differences of the others.
    top = float(known.min() + 2 * (known.median() - known.min())) if len(known) else 1.0
    for cell in plotting.models_of(frame):
        rows = frame[frame["model"] == cell]
        shown = rows["value"].where(rows["value"] <= top)
        axes.plot(rows["trial"], shown, **plotting.style_of(cell, line=False))
        least = rows["value"].cummin().ffill()
        axes.step(
            rows["trial"], least, where="post", color=mark(cell).colour, linestyle=mark(cell).dash
        )
        cut = rows["trial"][rows["value"].isna()]
        axes.plot(cut, np.zeros(len(cut)), "|", color=mark(cell).colour, markersize=8,
                  transform=axes.get_xaxis_transform(), clip_on=False)  # fmt: skip
    axes.set_xlabel("trial")
    axes.set_title("validation score")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plain(axes)
    plotting.legend(figure, [plotting.key(cell) for cell in plotting.models_of(frame)])
    return figure


@drawn("importance", "The importance of each key, by cell")
def importance(shares: Mapping[Cell, Mapping[str, float]]) -> Figure:
    """Draw the shares of `Study.importance`, by cell."""
    keys = sorted(
        {key for one in shares.values() for key in one},
        key=lambda key: sum(one.get(key, 0.0) for one in shares.values()),
    )
    figure = Figure(figsize=(WIDTH, 0.8 + 0.35 * len(keys)))
    axes, height = figure.subplots(), 0.8 / max(len(shares), 1)
    for place, (cell, one) in enumerate(shares.items()):
        at = np.arange(len(keys)) + height * (len(shares) / 2 - place - 0.5)
        widths = [one.get(key, 0.0) for key in keys]
        axes.barh(at, widths, 0.9 * height, color=mark(cell).colour, label=mark(cell).label)
    axes.set_yticks(range(len(keys)), [key.partition(".")[2] for key in keys])
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    axes.xaxis.set_major_formatter(plotting.percent)
    handles, _ = axes.get_legend_handles_labels()
    plotting.legend(figure, handles)
    return figure


def parallel(cell: Cell, study: Study) -> str:
    """Draw an axis for each key, and a line for each trial that was trained to its end."""
    meaning = f"The settings of the {mark(cell).label}'s trials, and their scores"
    return drawn(f"parallel-{cell}", meaning)(_draw_parallel)(cell, study)


def _draw_parallel(cell: Cell, study: Study) -> Figure:
    scored = study.scored[::-1]  # the best is drawn last, above the others
    ranges = study.space.ranges
    figure = Figure(figsize=(WIDTH, 3.6))
    axes = figure.subplots()
    for rank, one in enumerate(scored, start=1):
        values = [_place(ranges[key], one.settings[key]) for key in ranges]
        axes.plot(
            range(len(values)),
            values,
            color=mark(cell).colour,
            linewidth=3.0 if rank == len(scored) else 1.0,
            alpha=0.15 + 0.85 * (rank / len(scored)) ** 2,
            zorder=3,
        )
    _axes_of_keys(axes, ranges)
    plotting.legend(figure, [Line2D([], [], color=mark(cell).colour, label=mark(cell).label)])
    return figure


def _axes_of_keys(axes: Axes, ranges: Mapping[str, Range]) -> None:
    for at, one in enumerate(ranges.values()):
        axes.axvline(at, color=GRID, zorder=1)
        values: Sequence[Any] = one.values if isinstance(one, Choices) else (one.low, one.high)
        for value in values:
            axes.annotate(
                number(value), (at, _place(one, value)), xytext=(3, 0), textcoords="offset points",
                color=MUTED, fontsize="x-small", va="center",
            )  # fmt: skip
    names = [key.partition(".")[2].replace("_", "\n") for key in ranges]
    axes.set_xticks(range(len(names)), names, fontsize="small")
    axes.set_yticks([])
    axes.set_ylim(-0.06, 1.06)
    axes.grid(visible=False)


def _place(one: Range, value: Any) -> float:
    """Return the place of a value on its axis, from 0 to 1."""
    if isinstance(one, Choices):
        return one.values.index(value) / max(len(one.values) - 1, 1)
    assert isinstance(one, Numbers)
    low, high, at = one.low, one.high, float(value)
    if high <= low:
        return 0.5
    if one.log:
        low, high, at = math.log(low), math.log(high), math.log(at)
    return min(max((at - low) / (high - low), 0.0), 1.0)
