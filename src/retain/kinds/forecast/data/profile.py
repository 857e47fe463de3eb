"""What a model's training part looked like, frozen with the model, so that drift can be seen later.

Of each column: its deciles and the share of values between them, its quantiles, and how far windows
of the training part itself lie from the whole. A summer differs from a year without being drift:
what is no more than usual is no news.
"""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.data import calendars, panel, scaling
from retain.kinds.forecast.data.panel import Panel, Schema

POINTS = (np.arange(100) + 0.5) / 100  # levels at which distributions are compared
DECILES = np.arange(1, 10) / 10
FLOOR = 1e-4  # of a share, which may be empty
ROWS = 1 << 20  # that are looked at; of more, every so many
USUAL = 0.95  # of the training part's own windows are nearer to the whole


def of(source: Panel) -> dict[str, Any]:
    """The reference of a panel's training part, for the model's config.json."""
    data, end = source.schema.data, source.schema.validation_step
    window = min(max(10 * data["horizon"], 4 * data["season_length"]), end)
    scales = source.index[["mean", "std"]].to_numpy(dtype=np.float64)
    steps, values = sample(source, scales, 0, end)
    begins = np.arange(0, max(end - window, 0) + 1, max(window // 2, 1))
    cuts = np.searchsorted(steps, np.stack([begins, begins + window]))
    columns = {}
    for name, column in zip(names(source.schema), values.T, strict=True):
        frozen = _frozen(column)
        windows = [column[begin:end] for begin, end in cuts.T]
        apart = [distances(frozen, each) for each in windows if np.isfinite(each).mean() > 0.5]
        # The last digits of a logarithm hang on the processor.
        for key, each in zip(("psi", "wasserstein"), np.array(apart).T, strict=False):
            frozen[key] = float(f"{np.quantile(each, USUAL):.4g}")
        columns[name] = frozen
    return {
        "window": window,
        "last": str(source.grid[last_seen(source)]),
        "series": len(source.index),
        "rows": source.quality["rows"],
        "columns": columns,
    }


def names(schema: Schema) -> tuple[str, ...]:
    """The columns that the table brings: those of the calendar cannot drift."""
    data = schema.data
    made = calendars.feature_names(schema.frequency, data["calendar"], data["holidays"])
    return schema.columns[: len(schema.columns) - len(made)]


def sample(source: Panel, scales: Floats, begin: int, end: int) -> tuple[NDArray[np.int64], Floats]:
    """Rows from grid step `begin` to before `end`, by step: their steps, and values (rows, names).

    Args:
        scales: mean and deviation of each series, by which its target is taken, (series, 2).
    """
    count = len(names(source.schema))
    every = max(1, len(source.values) // ROWS)
    found_steps, found = [], []
    for series, rows in scaling.blocks(source.index):
        steps = scaling.steps_of(source.index[series])
        inside = np.flatnonzero((steps >= begin) & (steps < end))[::every]
        values = source.values[rows, :count][inside].astype(np.float64)
        lengths = source.index["length"].to_numpy()[series]
        own = scales[series][np.repeat(np.arange(len(lengths)), lengths)[inside]]
        values[:, 0] = (values[:, 0] - own[:, 0]) / own[:, 1]
        found_steps.append(steps[inside])
        found.append(values)
    steps = np.concatenate(found_steps)
    order = np.argsort(steps, kind="stable")
    return steps[order], np.concatenate(found)[order]


def last_seen(source: Panel) -> int:
    """The last grid step at which a series has a value of the target."""
    last = 0
    for series, rows in scaling.blocks(source.index):
        seen = np.flatnonzero(np.isfinite(source.values[rows, 0]))
        if len(seen):
            last = max(last, int(scaling.steps_of(source.index[series])[seen].max()))
    return last


def newest(prepared: Path) -> dt.datetime:
    """The time stamp of the last value in what `prepare` wrote; UTC where a time zone is given."""
    source = panel.load(prepared)
    return source.grid[last_seen(source)].to_pydatetime()


def distances(frozen: dict[str, Any], values: Floats) -> tuple[float, float]:
    """How far values are from a frozen column: their PSI, and their Wasserstein distance.

    The population stability index (Siddiqi 2006) is over the deciles; the 1-Wasserstein distance,
    as a difference of quantiles (Ramdas et al. 2017), is in standard deviations of the frozen
    column. Both are NaN where there is no value, then or now; what is missing does not count.
    """
    known = values[np.isfinite(values)]
    if not len(known) or not frozen["quantiles"]:
        return np.nan, np.nan
    now = np.maximum(_shares(known, np.array(frozen["edges"])), FLOOR)
    before = np.maximum(np.array(frozen["shares"]), FLOOR)
    psi = ((now - before) * np.log(now / before)).sum()
    apart = np.abs(np.quantile(known, POINTS) - np.array(frozen["quantiles"])).mean()
    return float(psi), float(apart / frozen["deviation"])


def _frozen(values: Floats) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    edges = np.unique(np.quantile(known, DECILES)) if len(known) else np.empty(0)
    deviation = float(known.std()) if len(known) else 0.0
    return {
        "edges": edges.tolist(),
        "shares": _shares(known, edges).tolist(),
        "quantiles": np.quantile(known, POINTS).tolist() if len(known) else [],
        "deviation": deviation if deviation > 0 else 1.0,
        "psi": 0.0,  # of the training part's own windows
        "wasserstein": 0.0,
    }


def _shares(known: Floats, edges: Floats) -> Floats:
    """The share of values in each interval between the edges, the first and last of them open."""
    counts = np.bincount(np.searchsorted(edges, known), minlength=len(edges) + 1)
    shares: Floats = counts / max(len(known), 1)
    return shares
