"""The figures of a forecasting report: tables in, SVG text out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

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
from retain.kinds.forecast.evaluation import fan
from retain.kinds.forecast.evaluation.wording import number

# More lines than those of the networks, their base and two floors could not be distinguished.
NOT_DRAWN = (
    *("naive", "drift", "zero", "seasonal_mean", "ets"),
    *("lstm_alone", "rnn_alone", "gru_alone"),
)
COMPARED = ("lstm", "rnn", "gru", "pool")  # whose errors set the scale
FAR = 1.25  # times the largest error of those: a floor above it is not drawn
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


@drawn("forecasts", "Test windows: the observed values, and the forecast of each model")
def forecasts(views: Sequence[View], levels: tuple[float, ...], unit: str = "value") -> Figure:
    """Draw a panel for each of `views`: median of every model, and the intervals of the first.

    `levels` are those of the last axis of `View.quantiles`; an array with a single column there
    is a point forecast.
    """
    rows = math.ceil(len(views) / 2)
    figure = Figure(figsize=(WIDTH, 0.8 + 2.15 * rows))
    panels = figure.subplots(rows, 2, squeeze=False).ravel()
    shades: list[Patch] = []
    for axes, view in zip(panels, views, strict=False):
        shades = _forecast(axes, view, levels)
    for axes in panels[len(views) :]:
        axes.set_axis_off()
    figure.supylabel(short(unit, 40), color=MUTED, fontsize="medium")
    models = list(dict.fromkeys(model for view in views for model in view.quantiles))
    truth = Line2D([], [], color=INK, label="what came")
    legend(figure, [truth, *(key(model, marker=False) for model in models), *shades])
    return figure


def _forecast(axes: Axes, view: View, levels: tuple[float, ...]) -> list[Patch]:
    shown = len(view.horizon_ds)  # more of the context would squeeze the forecast
    first, *_ = view.quantiles
    shades = []
    for model, values in view.quantiles.items():
        point = values.shape[1] == 1
        median = values[:, 0] if point else fan.median(values, levels)
        line(axes, model, view.horizon_ds, median, markers=len(median) < 3)
        if model == first and not point:
            shades = fan.bands(axes, view.horizon_ds, values, levels, mark(model).colour)
    ds = np.concatenate([view.context_ds[-shown:], view.horizon_ds])
    y = np.concatenate([view.context_y[-shown:], view.truth])
    axes.plot(ds, y, color=INK, linewidth=1.3, zorder=5)
    axes.axvline(view.horizon_ds[0], color=MUTED, linewidth=0.8)
    axes.set_title(short(view.title, 28), color=INK)
    fan.time_ticks(axes, minticks=2, maxticks=4)
    plain(axes)
    return shades


@drawn("error_by_step", "Mean absolute error by step ahead, a line for each model")
def error_by_step(frame: pd.DataFrame, unit: str = "", ahead: str = "steps") -> Figure:
    """Draw the columns model, step (1 = the first step of the horizon), mae.

    The compared models set the scale of the axis; a floor far above them has its mean in the legend
    instead of a line.
    """
    figure = Figure(figsize=(WIDTH, 3.6))
    axes = figure.subplots()
    errors = {name: frame[frame["model"] == name].sort_values("step") for name in models_of(frame)}
    compared = [name for name in errors if name in COMPARED] or [*errors]
    top = max(errors[name]["mae"].max() for name in compared)
    near = [name for name in errors if name in compared or errors[name]["mae"].min() <= FAR * top]
    low = min(errors[name]["mae"].min() for name in near)
    keys = []
    for name, rows in errors.items():
        entry = key(name)
        if name in near:
            line(axes, name, rows["step"].to_numpy(), rows["mae"].to_numpy())
        else:
            entry.set_label(f"{entry.get_label()}: {number(rows['mae'].mean())}, above")
        keys.append(entry)
    top = max(min(errors[name]["mae"].max(), FAR * top) for name in near)
    bottom = low - 0.25 * (top - low) if low > top / 2 else 0.0
    if top > bottom:
        axes.set_ylim(max(bottom, 0.0), top + 0.08 * (top - bottom))
    axes.set_title("mean absolute error" + (f", {short(unit, 40)}" if unit else ""))
    axes.set_xlabel(f"{ahead} ahead")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    plain(axes)
    legend(figure, keys)
    return figure


@drawn("calibration", "How far the share of the values below each quantile is from its level")
def calibration(frame: pd.DataFrame) -> Figure:
    """Draw the columns model, level, observed: the share of the truth at or below the quantile.

    The axis is their difference: along a diagonal, models could not be distinguished.
    """
    figure = Figure(figsize=(WIDTH, 3.6))
    axes = figure.subplots()
    axes.axhline(0, color=MUTED, linewidth=1)
    frame = frame.assign(off=frame["observed"] - frame["level"])
    keys = lines(axes, frame, "level", "off")
    largest = max(frame["off"].abs().max(), 0.04)
    axes.set(xlim=(0, 1), ylim=(-1.1 * largest, 1.1 * largest), xlabel="level of the quantile")
    axes.set_title("share of the values below it, minus its level")
    axes.xaxis.set_major_locator(MultipleLocator(0.25))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(percent))
    axes.yaxis.set_major_formatter(FuncFormatter(_points))
    perfect = Line2D([], [], color=MUTED, linewidth=1, label="perfect")
    legend(figure, [*keys, perfect])
    return figure


def _points(share: float, _: object = None) -> str:
    """Format a difference of two shares, with its sign."""
    return f"{100 * share:+.3g}\N{NO-BREAK SPACE}%" if round(share, 9) else "0"


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
    axes.set_xlabel("MASE (1: the seasonal naive forecast in the training part)")
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


@drawn("importance", "How much the loss grows where an input is exchanged between windows")
def importance(labels: Sequence[str], increases: Sequence[float]) -> Figure:
    """Draw a bar for each input, the first on top."""
    figure = Figure(figsize=(WIDTH, 1.0 + 0.3 * len(labels)))
    axes = figure.subplots()
    rows = np.arange(len(labels))[::-1]
    axes.barh(rows, increases, height=0.6, color=mark("lstm").colour)
    axes.set_yticks(rows, [short(label, 34) for label in labels])
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    axes.xaxis.set_major_formatter(FuncFormatter(percent))
    axes.set_title("increase of the loss")
    return figure


@drawn("replay", "Error of each retraining policy over time")
def backtest(frame: pd.DataFrame) -> Figure:
    """Draw the columns policy, date, trained, mae; a marker is where a policy trained a model."""
    styles = {"never": "naive", "always": "lstm", "drift": "rnn", "warm": "gru"}
    styles = {policy: styles[policy] for policy in frame["policy"].unique()}
    figure = Figure(figsize=(WIDTH, 3.4))
    axes = figure.subplots()
    handles = []
    for policy, model in styles.items():
        rows = frame[frame["policy"] == policy]
        handles += axes.plot(
            rows["date"],
            rows["mae"],
            markevery=np.flatnonzero(rows["trained"]).tolist(),
            markeredgecolor="auto",
            label=policy,
            **style_of(model),
        )
    legend(figure, handles)
    axes.set_title("mean absolute error until the next training")
    axes.set_ylim(bottom=0)
    fan.time_ticks(axes, maxticks=8)
    plain(axes)
    return figure
