"""The figures of a recall report: tables in, SVG text out."""

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from retain.evaluation.plotting import (
    MUTED,
    PAPER,
    WIDTH,
    drawn,
    key,
    legend,
    line,
    mark,
    models_of,
    percent,
)


@drawn("accuracy_by_gap", "Share of right answers by the length of the gap, a line for each cell")
def accuracy_by_gap(frame: pd.DataFrame, threshold: float, chance: float) -> Figure:
    """Columns model, gap, seed, accuracy: a line through the means, a small mark for each seed."""
    figure = Figure(figsize=(WIDTH, 4.2))
    axes = figure.subplots()
    for level in (threshold, chance):
        if math.isfinite(level):
            axes.axhline(level, color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
    models = models_of(frame)
    gaps = np.unique(frame["gap"].to_numpy())
    for place, model in enumerate(models):
        rows = frame[frame["model"] == model]
        means = rows.groupby("gap")["accuracy"].mean()
        aside = 1.05 ** (place - (len(models) - 1) / 2)  # marks of several cells side by side
        line(axes, model, means.index.to_numpy(), means.to_numpy(), markers=False)
        look = mark(model)
        axes.plot(
            rows["gap"] * aside,
            rows["accuracy"],
            linestyle="none",
            color=look.colour,
            marker=look.marker,
            markersize=6,
            markeredgecolor=PAPER,
            zorder=5,
            clip_on=False,
        )
    axes.set_xscale("log")
    axes.set_ylim(0, 1)
    axes.xaxis.set_major_locator(FixedLocator(gaps.tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(percent))
    axes.set_xlabel("steps between what must be remembered and the question")
    axes.set_title("right answers")
    dotted = Line2D([], [], color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
    guessed = f", {100 * chance:.3g}\N{NO-BREAK SPACE}% by chance" if math.isfinite(chance) else ""
    dotted.set_label(f"{percent(threshold)}{guessed}")
    legend(figure, [*(key(model) for model in models), dotted])
    return figure
