"""Figures that reports share."""

import matplotlib.figure
import pytest
from matplotlib import style
from matplotlib.lines import Line2D

from retain.evaluation import plotting
from retain.evaluation.plotting import WIDTH

LABELS = ("what came", "LSTM", "RNN", "seasonal naive", "80 % interval", "50 % interval", "Theta")


@pytest.mark.parametrize("count", range(1, len(LABELS) + 1))
def test_a_legend_is_no_wider_than_its_figure(count: int) -> None:
    with style.context(["default", plotting.STYLE]):
        figure = matplotlib.figure.Figure(figsize=(WIDTH, 3.0), layout="constrained")
        figure.subplots()
        plotting.legend(figure, [Line2D([], [], label=label) for label in LABELS[:count]])
        figure.draw_without_rendering()
    (legend,) = figure.legends
    assert legend.get_window_extent().x1 <= figure.bbox.x1
