"""Figures of a translation report: scores by length, and what a translation attends to."""

import matplotlib.figure
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from retain.evaluation import plotting
from retain.evaluation.arrays import Floats
from retain.evaluation.plotting import MARKS, WIDTH, drawn, short

END_LABEL = "(end)"


@drawn("length", "chrF by the number of words of the source, a line for each model")
def by_length(table: pd.DataFrame) -> matplotlib.figure.Figure:
    """Draw the columns model, words (at most), label, chrf."""
    figure = matplotlib.figure.Figure(figsize=(WIDTH, 4.4))
    axes = figure.subplots()
    keys = plotting.lines(axes, table, "words", "chrf")
    ticks = table.drop_duplicates("words").sort_values("words")
    axes.set_xticks(ticks["words"].to_numpy(), ticks["label"].tolist())
    axes.set_xlabel("words of the source")
    axes.set_title("chrF")
    plotting.plain(axes)
    axes.set_ylim(bottom=0)
    plotting.legend(figure, keys)
    return figure


@drawn("attention", "Attention of each piece of the translation to each piece of the source")
def attention(
    sentences: list[tuple[list[str], list[str], Floats]],
) -> matplotlib.figure.Figure:
    """Draw a matrix for each sentence: pieces of the source, of the target, (target + 1, source).

    A darker square is a larger weight; each row adds up to 1.
    """
    height = sum(0.3 * (len(target) + 1) + 1.1 for _, target, _ in sentences)
    figure = matplotlib.figure.Figure(figsize=(WIDTH, height))
    panels = figure.subplots(
        len(sentences),
        1,
        squeeze=False,
        gridspec_kw={"height_ratios": [len(target) + 2 for _, target, _ in sentences]},
    )
    for axes, (source, target, weights) in zip(panels[:, 0], sentences, strict=True):
        _matrix(axes, source, [*target, END_LABEL], weights)
    return figure


def _matrix(axes: Axes, source: list[str], target: list[str], weights: Floats) -> None:
    colour = MARKS["lstm"].colour
    axes.grid(visible=False)
    for row, values in enumerate(weights):
        for column, weight in enumerate(values):
            alpha = round(float(weight), 2)
            if alpha:
                axes.add_patch(
                    Rectangle((column, row), 1, 1, facecolor=colour, alpha=alpha, linewidth=0)
                )
    axes.set_xlim(0, len(source))
    axes.set_ylim(len(target), 0)
    axes.xaxis.tick_top()
    axes.set_xticks(np.arange(len(source)) + 0.5, [short(piece, 14) for piece in source])
    axes.set_yticks(np.arange(len(target)) + 0.5, [short(piece, 14) for piece in target])
    axes.tick_params(length=0)
    if len(source) > 12:
        axes.tick_params(axis="x", rotation=90)
