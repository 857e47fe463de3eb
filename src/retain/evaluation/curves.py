"""Figures of a network's training and memory, for every kind of problem."""

import math

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from retain.evaluation import report
from retain.evaluation.plotting import WIDTH, drawn, legend, lines, plain


@drawn("training_curves", "Loss by epoch: training on the left, validation on the right")
def training_curves(frame: pd.DataFrame) -> Figure:
    """Draw the columns model, epoch, train_loss, validation_loss."""
    figure = Figure(figsize=(WIDTH, 3.6))
    panels = figure.subplots(1, 2)
    for axes, part in zip(panels, ("training", "validation"), strict=True):
        keys = lines(axes, frame, "epoch", f"{part.removesuffix('ing')}_loss")
        axes.set_title(f"{part} loss")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        plain(axes)
    legend(figure, keys)
    return figure


def training_figure(caption: str, frame: pd.DataFrame) -> report.Figure:
    """Return `training_curves` as a figure of a report."""
    return report.Figure("training_curves", "Training", caption, training_curves(frame))


@drawn("look_back", "Norm of the gradient of the output by input step, on a logarithmic axis")
def look_back(frame: pd.DataFrame, back_from: str, decades: int) -> Figure:
    """Draw the columns model, lag (how many steps back), norm of the gradient there.

    Args:
        back_from: what is at lag 0, or before lag 1.
        decades: the most powers of ten to show; smaller gradients teach nothing.
    """
    figure = Figure(figsize=(WIDTH, 3.6))
    axes = figure.subplots()
    frame = frame.assign(norm=frame["norm"].where(frame["norm"] > 0))  # an underflow is a gap
    positive = frame["norm"].dropna()
    if len(positive):
        # whole decades, for at least two labels
        top = math.ceil(math.log10(positive.max()) + 1e-9)
        low = max(math.floor(math.log10(positive.min())), top - decades)
        axes.set_yscale("log")
        axes.set_ylim(10.0**low, 10.0**top)
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))
    keys = lines(axes, frame, "lag", "norm")
    axes.set_title("gradient norm")
    axes.set_xlabel(f"steps back from the {back_from}")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    legend(figure, keys)
    return figure


def _power(value: float) -> str:
    exponent = str(round(math.log10(value)))
    return "10" + exponent.translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
