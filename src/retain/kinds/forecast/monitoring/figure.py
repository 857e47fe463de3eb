"""The figures of a monitoring page: a score of each version over time."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from retain.evaluation.plotting import MARKS, WIDTH, drawn, legend

# The styles of the newest versions, the newest first; more lines could not be told apart.
STYLES = [MARKS[name] for name in ("lstm", "rnn", "gru", "pool")]


Periods = Sequence[tuple[int, str, dict[str, float], int]]


def draw(periods: Periods, promised: Mapping[int, float], metric: str, title: str) -> str:
    """Draw a score of the newest versions over time, with what was promised, as SVG."""
    return drawn(f"monitor-{metric}", f"{title}, of each version")(_lines)(
        periods, promised, metric
    )


def _lines(periods: Periods, promised: Mapping[int, float], metric: str) -> Figure:
    figure = Figure(figsize=(WIDTH, 2.6))
    axes = figure.subplots()
    shown = sorted({number for number, *_ in periods}, reverse=True)
    handles = []
    for number, mark in zip(shown, STYLES, strict=False):
        own = [(first, scores[metric]) for n, first, scores, _ in periods if n == number]
        days = pd.to_datetime([first for first, _ in own])
        style: dict[str, Any] = {"linestyle": mark.dash, "marker": mark.marker}
        style |= {"color": mark.colour, "label": f"version {number}"}
        values = [score for _, score in own]
        handles += axes.plot(days, values, **style)
        if math.isfinite(promised.get(number, math.nan)):
            axes.axhline(promised[number], color=mark.colour, linestyle=":", linewidth=1.2)
    axes.set_ylim(bottom=0)
    axes.tick_params(axis="x", rotation=30)
    legend(figure, handles)
    return figure
