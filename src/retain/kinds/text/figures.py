"""The figures of a text report: tables in, SVG text out."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from retain.evaluation.plotting import WIDTH, drawn, key, legend, line, models_of, plain


@drawn("context", "Bits a unit by the number of units read before it, a line for each cell")
def by_context(frame: pd.DataFrame, unit: str) -> Figure:
    """Columns model, context, bits."""
    figure = Figure(figsize=(WIDTH, 4.0))
    axes = figure.subplots()
    models = models_of(frame)
    for model in models:
        rows = frame[frame["model"] == model].sort_values("context")
        line(axes, model, rows["context"].to_numpy(), rows["bits"].to_numpy())
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(np.unique(frame["context"]).tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    plain(axes)
    axes.set_xlabel(f"{unit}s read before")
    axes.set_title(f"bits a {unit}")
    legend(figure, [key(model) for model in models])
    return figure
