"""The figures of a forecasting report: tables in, SVG text out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.dates as mdates
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from retain.evaluation.arrays import Dates, Floats
from retain.evaluation.plotting import (
    INK,
    MUTED,
    WIDTH,
    drawn,
    key,
    legend,
    line,
    lines,
    mark,
    models_of,
    percent,
    plain,
    short,
    style_of,
)

# by years, months, days, hours, minutes, seconds; and a tick on the first of each of them
DATES = {
    "formats": ["%Y", "%b %Y", "%d %b", "%H:%M", "%H:%M", "%H:%M:%S"],
    "zero_formats": ["%Y", "%Y", "%b %Y", "%d %b", "%H:%M", "%H:%M"],
    "show_offset": False,
}
# More lines than those of the networks, their base and two floors nobody could tell apart.
NOT_DRAWN = (
    *("naive", "drift", "zero", "seasonal_mean", "ets"),
    *("lstm_alone", "rnn_alone", "gru_alone"),
)
FEW_SERIES = 30  # up to here each series has a row of its own


@dataclass(frozen=True)
class View:
    """One test window: context, truth, and the forecast of each model (the LSTM first)."""

    title: str
    context_ds: Dates  # (context,)
    context_y: Floats  # (context,)
    horizon_ds: Dates  # (horizon,)
    truth: Floats  # (horizon,), NaN where missing
    quantiles: dict[str, Floats]  # model -> (horizon, levels)


@drawn("forecasts", "Test windows: what came, and what each model had forecast")
def forecasts(views: Sequence[View], levels: tuple[float, ...]) -> Figure:
    """Draw a panel for each of `views`: median of every model, and the intervals of the first.

    `levels` are those of the last axis of `View.quantiles`; an array with a single column there
    is a point forecast.
    """
    rows = math.ceil(len(views) / 2)
    figure = Figure(figsize=(WIDTH, 0.7 + 2.0 * rows))
    panels = figure.subplots(rows, 2, squeeze=False).ravel()
    bands = _bands(levels)
    for axes, view in zip(panels, views, strict=False):
        _forecast(axes, view, levels, bands)
    for axes in panels[len(views) :]:
        axes.set_axis_off()
    models = list(dict.fromkeys(model for view in views for model in view.quantiles))
    shades = [
        Patch(
            color=mark(models[0]).colour,
            alpha=alpha,
            linewidth=0,
            label=percent(share) + " interval",
        )
        for share, alpha, _, _ in bands
    ]
    truth = Line2D([], [], color=INK, label="truth")
    legend(figure, [truth, *(key(model, marker=False) for model in models), *shades])
    return figure


def _bands(levels: tuple[float, ...]) -> list[tuple[float, float, int, int]]:
    """Return share, opacity, lower and upper column of intervals of about 80 % and 50 %."""
    bands = {}
    for level, alpha in ((0.1, 0.16), (0.25, 0.26)):
        low = _nearest(levels, level)
        high = _nearest(levels, 1 - levels[low])
        if low < high:
            bands[low] = (levels[high] - levels[low], alpha, low, high)
    return list(bands.values())


def _nearest(levels: tuple[float, ...], level: float) -> int:
    return min(range(len(levels)), key=lambda column: round(abs(levels[column] - level), 9))


def _forecast(
    axes: Axes,
    view: View,
    levels: tuple[float, ...],
    bands: list[tuple[float, float, int, int]],
) -> None:
    shown = len(view.horizon_ds)  # more of the context would squeeze the forecast
    first, *_ = view.quantiles
    for model, values in view.quantiles.items():
        point = values.shape[1] == 1
        median = values[:, 0 if point else _nearest(levels, 0.5)]
        line(axes, model, view.horizon_ds, median, markers=len(median) < 3)
        if model == first and not point:
            for _, alpha, low, high in bands:
                edges = values[:, low], values[:, high]
                colour = mark(model).colour
                axes.fill_between(view.horizon_ds, *edges, color=colour, alpha=alpha, linewidth=0)
    ds = np.concatenate([view.context_ds[-shown:], view.horizon_ds])
    y = np.concatenate([view.context_y[-shown:], view.truth])
    axes.plot(ds, y, color=INK, linewidth=1.3, zorder=5)
    axes.axvline(view.horizon_ds[0], color=MUTED, linewidth=0.8)
    axes.set_title(short(view.title, 28), color=INK)
    _date_ticks(axes, minticks=2, maxticks=4)
    plain(axes)


def _date_ticks(axes: Axes, **ticks: int) -> None:
    locator = mdates.AutoDateLocator(**ticks)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    dates = mdates.ConciseDateFormatter(locator, **DATES)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(dates)


@drawn("error_by_step", "Mean absolute error by step ahead, a line for each model")
def error_by_step(frame: pd.DataFrame) -> Figure:
    """Draw the columns model, step (1 = the first step of the horizon), mae."""
    figure = Figure(figsize=(WIDTH, 3.6))
    axes = figure.subplots()
    keys = lines(axes, frame, "step", "mae")
    axes.set_ylim(bottom=0)
    axes.set_title("mean absolute error")
    axes.set_xlabel("steps ahead")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    plain(axes)
    legend(figure, keys)
    return figure


@drawn("calibration", "Share of the truth below each forecast quantile, against its level")
def calibration(frame: pd.DataFrame) -> Figure:
    """Draw the columns model, level, observed: the share of the truth at or below the quantile."""
    figure = Figure(figsize=(WIDTH, 4.2))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1)
    keys = lines(axes, frame, "level", "observed")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="level of the quantile")
    axes.set_title("share of the truth below it")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MultipleLocator(0.25))
        axis.set_major_formatter(FuncFormatter(percent))
    diagonal = Line2D([], [], color=MUTED, linewidth=1, label="perfect")
    legend(figure, [*keys, diagonal])
    return figure


@drawn("errors_by_series", "Scaled error (MASE) of each model, by series")
def errors_by_series(frame: pd.DataFrame) -> Figure:
    """Draw the columns model, unique_id, mase: dots for each series, or how many lie below x."""
    frame = frame.assign(mase=frame["mase"].where(np.isfinite(frame["mase"])))
    wide = frame.pivot(index="unique_id", columns="model", values="mase")[models_of(frame)]
    wide = wide.sort_values([*wide.columns], ascending=False, kind="stable")
    few = len(wide) <= FEW_SERIES
    figure = Figure(figsize=(WIDTH, 1.3 + 0.26 * max(len(wide), 2) if few else 3.8))
    axes = figure.subplots()
    (_dots if few else _shares)(axes, wide)
    axes.axvline(1, color=MUTED, linewidth=1)
    axes.set_xlim(left=0)
    axes.set_xlabel("MASE (1 = seasonal naive, in training)")
    legend(figure, [key(model, line=not few) for model in wide.columns])
    return figure


def _dots(axes: Axes, wide: pd.DataFrame) -> None:
    rows = np.arange(len(wide))
    for model in reversed(wide.columns):  # the LSTM is first and lies on top
        axes.plot(wide[model], rows, markersize=8, **style_of(model, line=False))
    axes.set_yticks(rows, [short(str(series), 18) for series in wide.index])
    axes.set_ylim(-0.6, len(wide) - 0.4)


def _shares(axes: Axes, wide: pd.DataFrame) -> None:
    for model in wide.columns:
        scores = np.sort(wide[model].dropna().to_numpy())
        line(axes, model, scores, np.arange(1, len(scores) + 1) / max(len(scores), 1))
    # the few series that no model can forecast would squeeze all others against the left edge
    scored = wide.to_numpy()[np.isfinite(wide.to_numpy())]
    axes.set_xlim(right=max(1.5, np.quantile(scored, 0.98)) if len(scored) else 1.5)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_locator(MultipleLocator(0.25))
    axes.yaxis.set_major_formatter(FuncFormatter(percent))
    axes.set_title(f"share of the {len(wide):,} series with a lower error")


@drawn("replay", "Error of each retraining policy over time")
def backtest(frame: pd.DataFrame) -> Figure:
    """Draw the columns policy, date, trained, mae; a marker is where a policy trained a model."""
    styles = {"never": "naive", "always": "lstm", "drift": "rnn"}
    figure = Figure(figsize=(WIDTH, 3.4))
    axes = figure.subplots()
    handles = []
    for policy, model in styles.items():
        rows = frame[frame["policy"] == policy]
        handles += axes.plot(
            pd.to_datetime(rows["date"]),
            rows["mae"],
            markevery=np.flatnonzero(rows["trained"]).tolist(),
            markeredgecolor="auto",
            label=policy,
            **style_of(model),
        )
    legend(figure, handles)
    axes.set_ylabel("MAE until the next date")
    axes.set_ylim(bottom=0)
    _date_ticks(axes, maxticks=8)
    plain(axes)
    return figure
