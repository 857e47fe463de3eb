"""The profile of a model's training part, kept with the model, so that drift can be seen later.

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


def measure(source: Panel) -> dict[str, Any]:
    """Return the profile of a panel's training part, for the model's config.json."""
    data, end = source.schema.data, source.schema.validation_step
    window = min(max(10 * data["horizon"], 4 * data["season_length"]), end)
    scales = source.index[["mean", "std"]].to_numpy(dtype=np.float64)
    steps, values = sample(source, scales, 0, end)
    begins = np.arange(0, max(end - window, 0) + 1, max(window // 2, 1))
    cuts = np.searchsorted(steps, np.stack([begins, begins + window]))
    columns = {}
    for name, column in zip(table_columns(source.schema), values.T, strict=True):
        profile = describe(column)
        windows = [column[begin:end] for begin, end in cuts.T]
        usual = [
            distances(profile, part)
            for part in windows
            if np.isfinite(part).sum() > 0.5 * len(part)
        ]
        # The last digits of a logarithm depend on the processor.
        for key, distance in zip(("psi", "wasserstein"), np.array(usual).T, strict=False):
            profile[key] = float(f"{np.quantile(distance, USUAL):.4g}")
        columns[name] = profile
    return {
        "window": window,
        "last": str(source.grid[last_step(source)]),
        "series": len(source.index),
        "rows": source.quality["rows"],
        "columns": columns,
    }


def describe(values: Floats) -> dict[str, Any]:
    """Return the distribution of a column's values."""
    known = values[np.isfinite(values)]
    edges = np.unique(np.quantile(known, DECILES)) if len(known) else np.empty(0)
    return {
        "edges": edges.tolist(),
        "shares": _shares(known, edges).tolist(),
        "quantiles": np.quantile(known, POINTS).tolist() if len(known) else [],
        "deviation": (float(known.std()) if len(known) else 0.0) or 1.0,
        "psi": 0.0,  # of the training part's own windows
        "wasserstein": 0.0,
    }


def table_columns(schema: Schema) -> tuple[str, ...]:
    """Return the columns that the table brings: those of the calendar cannot drift."""
    data = schema.data
    calendar = calendars.feature_names(schema.frequency, data["calendar"], data["holidays"])
    return schema.columns[: len(schema.columns) - len(calendar)]


def sample(source: Panel, scales: Floats, begin: int, end: int) -> tuple[NDArray[np.int64], Floats]:
    """Return rows from grid step `begin` to before `end`: their steps, and values (rows, columns).

    Args:
        scales: mean and deviation of each series, by which its target is taken, (series, 2).
    """
    count = len(table_columns(source.schema))
    every = max(1, len(source.values) // ROWS)
    sampled_steps, sampled = [], []
    for series, rows in scaling.blocks(source.index):
        steps = scaling.steps_of(source.index[series])
        inside = np.flatnonzero((steps >= begin) & (steps < end))[::every]
        values = source.values[rows, :count][inside].astype(np.float64)
        scale = np.repeat(scales[series], source.index["length"].to_numpy()[series], axis=0)[inside]
        values[:, 0] = (values[:, 0] - scale[:, 0]) / scale[:, 1]
        sampled_steps.append(steps[inside])
        sampled.append(values)
    steps = np.concatenate(sampled_steps)
    order = np.argsort(steps, kind="stable")
    return steps[order], np.concatenate(sampled)[order]


def last_step(source: Panel) -> int:
    """Return the last grid step at which a series has a value of the target."""
    last = 0
    for series, rows in scaling.blocks(source.index):
        steps = scaling.steps_of(source.index[series])
        inside = np.isfinite(source.values[rows, 0]) & (steps < source.schema.steps)
        last = max(last, steps[inside].max(initial=0))
    return int(last)


def newest(prepared: Path) -> dt.datetime:
    """Return the time stamp of the last value of a panel; UTC where there is a time zone."""
    source = panel.load(prepared)
    return source.grid[last_step(source)].to_pydatetime()


def distances(profile: dict[str, Any], values: Floats) -> tuple[float, float]:
    """Return how far values are from a column's profile: their PSI and Wasserstein distance.

    The population stability index (Siddiqi 2006) is over the deciles; the 1-Wasserstein distance,
    as a difference of quantiles (Ramdas et al. 2017), is in standard deviations of the training
    part. Both are NaN where there is no value, then or now; what is missing does not count.
    """
    known = values[np.isfinite(values)]
    if not len(known) or not profile["quantiles"]:
        return np.nan, np.nan
    now = np.maximum(_shares(known, np.array(profile["edges"])), FLOOR)
    before = np.maximum(np.array(profile["shares"]), FLOOR)
    psi = ((now - before) * np.log(now / before)).sum()
    apart = np.abs(np.quantile(known, POINTS) - np.array(profile["quantiles"])).mean()
    return float(psi), float(apart / profile["deviation"])


def _shares(known: Floats, edges: Floats) -> Floats:
    """Return the share of values in each interval between the edges, open at both ends."""
    counts = np.bincount(np.searchsorted(edges, known), minlength=len(edges) + 1)
    shares: Floats = counts / max(len(known), 1)
    return shares
