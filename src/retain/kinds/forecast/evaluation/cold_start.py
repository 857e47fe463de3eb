"""Score the forecasts of series that were left out of training, as if they had no history.

Beside the networks there are the mean of their static group, which is what a person would take, and
the group's mean at the same place in the season. The group are the neighbours of `model.cold`.
"""

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np
import torch

from retain.errors import DataError
from retain.evaluation.arrays import Floats
from retain.evaluation.quality_gate import differences
from retain.evaluation.results import Difference
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import left_out
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.scaling import steps_of
from retain.kinds.forecast.data.windows import Batch, Windows
from retain.kinds.forecast.evaluation import scoring
from retain.kinds.forecast.model import cold
from retain.kinds.forecast.model.baselines import QuantileModel
from retain.kinds.forecast.predict.predictor import Predictor
from retain.words import several

MOST = 5_000  # windows, evenly spaced
WITH_HISTORY = "with_history"  # the judged network, which sees the context of each window
GROUP, GROUP_SEASON = "group_mean", "group_seasonal_mean"
KEYS = ("mae", "rmse", "mase", "crps", "coverage_80", "width_80")


class ColdStart(TypedDict):
    """The scores of series without history, in metrics.json."""

    series: int
    windows: int
    models: dict[str, dict[str, Any]]
    differences: dict[str, dict[str, Difference]]


def score(problem: Problem, source: Panel, models: Mapping[str, Predictor]) -> ColdStart | None:
    """Score the series that `evaluation.cold_start` left out; None where it is 0.

    Args:
        source: the whole panel.
        models: the networks of the first fold, the judged one first.

    Raises:
        DataError: none of these series has a value in the test part.
    """
    share = problem.evaluation.cold_start
    if not share:
        return None
    hidden = left_out.drawn(source, share)
    windows = Windows(source, "test").among(hidden).thinned(MOST)
    if not len(windows):
        names = several([*source.index["unique_id"][hidden]], 5)
        raise DataError(
            f"{problem.data.path}: evaluation.cold_start is {share:g}, which leaves out {names}, "
            f"and no window of the test part has a value there; take a larger share, or 0"
        )
    judged = next(iter(models.values()))
    forecasts = {name: _without_history(model) for name, model in models.items()}
    forecasts |= _groups(judged, source, hidden)
    forecasts[WITH_HISTORY] = scoring.network_model(judged, source)
    levels = problem.model.quantiles
    sums = {
        name: scoring.sum_metrics(forecast, windows, source, levels)
        for name, forecast in forecasts.items()
    }
    return ColdStart(
        series=int(hidden.sum()),
        windows=len(windows),
        models={
            name: {key: value for key, value in each.scores().items() if key in KEYS}
            for name, each in sums.items()
        },
        differences=differences(
            sums, lambda one, other: scoring.compare(one, other, problem), next(iter(models))
        ),
    )


def _without_history(model: Predictor) -> QuantileModel:
    network = model.network.eval()

    def forecast(batch: Batch) -> Floats:
        with torch.inference_mode():
            return network.predict(cold.without_history(network, batch)).double().numpy()

    return forecast


def _groups(judged: Predictor, source: Panel, hidden: Any) -> dict[str, QuantileModel]:
    """Return the forecasts by the group of a series, the same for every quantile and the mean."""
    network, season = judged.network, source.schema.data["season_length"]
    kept, ours = np.flatnonzero(~hidden), np.flatnonzero(hidden)
    static = network.described(cold.static_of(source)).double().numpy()
    near = cold.nearest(static[kept], static[ours])
    phases = np.stack([_phases(source, int(number), season) for number in kept])  # (kept, season)
    level = source.index["mean"].to_numpy()[kept]
    means, by_phase = np.full(len(hidden), np.nan), np.full((len(hidden), season), np.nan)
    for number, chosen in zip(ours, near, strict=True):
        means[number] = level[chosen].mean()
        by_phase[number] = phases[chosen].mean(0)
    starts = (source.index["start"] - source.index["first_step"]).to_numpy()
    columns = len(network.levels) + 1

    def mean(batch: Batch) -> Floats:
        found = means[batch.series.numpy() - 1][:, None, None]
        return np.broadcast_to(found, (len(batch.series), network.horizon, columns))

    def seasonal(batch: Batch) -> Floats:
        series = batch.series.numpy() - 1
        steps = (batch.rows.numpy() - starts[series])[:, None] + np.arange(network.horizon)
        found = by_phase[series[:, None], steps % season][:, :, None]
        return np.broadcast_to(found, (*steps.shape, columns))

    found: dict[str, QuantileModel] = {GROUP: mean}
    return found | ({GROUP_SEASON: seasonal} if season > 1 else {})


def _phases(source: Panel, number: int, season: int) -> Floats:
    """Return the mean of each phase of the season in the training part of a series."""
    row = source.index.iloc[[number]]
    start, length = int(row["start"].iloc[0]), int(row["length"].iloc[0])
    steps = steps_of(row)
    y = source.values[start : start + length, 0].astype(np.float64)
    known = np.isfinite(y) & (steps < source.schema.validation_step)
    phase = steps[known] % season
    counts = np.bincount(phase, minlength=season)
    sums = np.bincount(phase, weights=y[known], minlength=season)
    found: Floats = np.where(counts > 0, sums / np.maximum(counts, 1), float(row["mean"].iloc[0]))
    return found
