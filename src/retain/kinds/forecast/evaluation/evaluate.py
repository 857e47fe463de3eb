"""Score the networks and the baselines on every test window, fold by fold.

The baselines get their intervals as the networks do, from the validation windows of the fold, so
that the comparison is fair. Scores are over all folds: each forecast origin counts once.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from retain.errors import IncomparableError
from retain.evaluation.arrays import Floats
from retain.evaluation.choice import choose, fold_folder, fold_folders
from retain.evaluation.quality_gate import Comparison, differences
from retain.evaluation.results import Interval, Metrics, plots, stack_histories
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import folds, panel, quality
from retain.kinds.forecast.data.folds import Fold
from retain.kinds.forecast.data.panel import Panel, Schema
from retain.kinds.forecast.data.windows import VALIDATION_WINDOWS, Batch, Windows
from retain.kinds.forecast.evaluation import details
from retain.kinds.forecast.evaluation.figures import View
from retain.kinds.forecast.evaluation.metrics import COMPARED, MetricSums, difference
from retain.kinds.forecast.model import baselines
from retain.kinds.forecast.model.baselines import QuantileModel
from retain.kinds.forecast.predict import predictor
from retain.kinds.forecast.predict.predictor import Predictor
from retain.model_files import load_champion

PLOTTED = {
    "error_by_step": ("step", "mae"),
    "calibration": ("level", "observed"),
    "look_back": ("lag", "norm"),
    "training": ("epoch", "validation_loss"),
}


class ForecastMetrics(Metrics):
    """The content of metrics.json; `windows` counts those of the test part."""

    windows: dict[str, int]


@dataclass(frozen=True)
class Evaluation:
    """Figures for metrics.json, tables for the plots, and windows to look at."""

    metrics: ForecastMetrics
    tables: dict[str, pd.DataFrame]
    views: list[View]
    schema: Schema
    grid: pd.DatetimeIndex
    folds: list[Fold]
    left_out: list[str]  # series, with the reason
    cell_facts: tuple[tuple[str, str], ...]  # of the LSTM, for the report

    def plots(self) -> dict[str, pd.DataFrame]:
        """Pivot the tables for `dvc plots`: one column a model; by series its MASE.

        Other scores by series are in columns `MODEL.SCORE`.
        """
        series = self.tables["error_by_series"]
        by_series = series.pivot(index="unique_id", columns="model").reindex(
            series["unique_id"].unique()
        )
        by_series.columns = by_series.columns.map(
            lambda pair: pair[1] if pair[0] == "mase" else f"{pair[1]}.{pair[0]}"
        )
        return plots(self.tables, PLOTTED) | {"error_by_series": by_series.reset_index()}


def network_model(model: Predictor, source: Panel) -> QuantileModel:
    """Make a model folder a model of the series of a panel: calibrated quantiles in data units.

    A series keeps the number and the scale that it had when the model was trained.
    """
    network = model.network.eval()
    index = source.index
    names = index["unique_id"].to_numpy(dtype=object)
    numbers, scales = model.known_series(names, index[["mean", "std"]].to_numpy())

    def forecast(batch: Batch) -> Floats:
        rows = batch.series - 1
        known = batch._replace(series=numbers[rows], scales=scales[rows])
        with torch.inference_mode():
            return network.predict(known)[..., :-1].double().numpy()  # without the mean

    return forecast


def empty_sums(parts: Sequence[Windows], source: Panel, levels: tuple[float, ...]) -> MetricSums:
    """Return sums that have room for the windows of all parts."""
    steps = np.concatenate([windows.step for windows in parts])
    first, last = int(steps.min()), int(steps.max())
    unit = 1.0 if source.counts else 0.0
    return MetricSums(first, last - first + 1, parts[0].horizon, len(source.index), levels, unit)


def sum_metrics(
    model: QuantileModel,
    windows: Windows,
    source: Panel,
    levels: tuple[float, ...],
    sums: MetricSums | None = None,
) -> MetricSums:
    """Score one model on windows of a panel; add to `sums`, if they are given."""
    if sums is None:
        sums = empty_sums([windows], source, levels)
    scales = source.index["mase_scale"].to_numpy(dtype=np.float64)
    done = 0
    for batch in windows.chunks():
        truth = batch.window[:, 0, -windows.horizon :].double().numpy()
        series, step = windows.places(np.arange(done, done + len(truth)))
        sums.add(step, series, truth, model(batch), scales[series])
        done += len(truth)
    return sums


def evaluate(problem: Problem, prepared: Path, models: Mapping[str, Path]) -> Evaluation:
    """Score all models of a problem on its test windows, each fold by the models of the fold.

    Args:
        prepared: what `prepare` wrote.
        models: the folder of each cell, that of the LSTM among them.

    Raises:
        ModelError: a model does not fit the prepared data.
    """
    source = panel.load(prepared)
    chosen = choose(problem.register_cell, models)
    # Figures draw the intervals of the first, and by its errors windows are chosen to look at.
    cells = sorted(models, key=lambda cell: cell != chosen["model"])
    predictors = {cell: predictor.load(models[cell]) for cell in cells}
    parts = [
        _part(problem, source, fold, predictors if fold.number == 1 else _load(models, cells, fold))
        for fold in folds.find(source.schema, problem.folds)
    ]
    levels = problem.model.quantiles
    empty = empty_sums([part.windows for part in parts], source, levels)
    sums: dict[str, MetricSums] = {}
    for name in parts[0].models:
        sums[name] = copy.deepcopy(empty)  # to make it looks at every value of the table
        for part in parts:
            sum_metrics(part.models[name], part.windows, source, levels, sums[name])

    scores: dict[str, dict[str, Any]] = {name: model.scores() for name, model in sums.items()}
    for cell, model in predictors.items():
        scores[cell] |= {key: model.config[key] for key in ("parameters", "hidden_size")}
    metrics: ForecastMetrics = {
        "models": scores,
        "differences": differences(sums, lambda a, b: compare(a, b, problem), chosen["model"]),
        **chosen,
        "calibration": sums[chosen["model"]].calibration(),
        "windows": {
            "test": sum(len(part.windows) for part in parts),
            "test_without_values": sum(part.windows.dropped for part in parts),
        },
    }
    looked_at = next(part.windows for part in parts if len(part.windows))
    tables = details.tables(sums, predictors, source, looked_at)
    return Evaluation(
        metrics,
        tables | {"training": stack_histories(models)},
        details.views(sums[chosen["model"]], parts),
        source.schema,
        source.grid,
        [part.fold for part in parts],
        quality.left_out(source.quality),
        details.cell_facts(predictors["lstm"].network, looked_at),
    )


def _load(models: Mapping[str, Path], cells: list[str], fold: Fold) -> dict[str, Predictor]:
    """Load the models of a fold, by cell."""
    return {cell: predictor.load(fold_folder(models[cell], fold.number)) for cell in cells}


def _part(
    problem: Problem, source: Panel, fold: Fold, predictors: Mapping[str, Predictor]
) -> details.Part:
    """Return the windows of a fold, and the networks and baselines that forecast them."""
    cut = folds.cut(source, fold)
    for cell, model in predictors.items():
        model.check_fits(source.schema, f"the {cell}")
    validation = Windows(cut, "validation").thinned(VALIDATION_WINDOWS)
    models = {cell: network_model(model, cut) for cell, model in predictors.items()}
    models |= baselines.quantile_models(problem, validation, cut)
    return details.Part(fold, cut, Windows(cut, (fold.test_step, fold.reach)), models)


def compare(ours: MetricSums, theirs: MetricSums, problem: Problem) -> dict[str, Interval]:
    """Compare two models in each of COMPARED, by the problem's section `evaluation`."""
    settings = problem.evaluation
    block = settings.block_length or max(2 * problem.data.horizon, problem.data.season_length)
    return {
        metric: difference(ours, theirs, metric, block, settings.bootstrap, settings.seed)
        for metric in COMPARED
    }


def compare_with_champion(
    problem: Problem, prepared: Path, new: Path, champion: Path
) -> Comparison:
    """Score a new model and the champion on today's test windows, fold by fold.

    Each fold is forecast by the newest model of either that was trained before it begins.

    Raises:
        IncomparableError: the champion does not read today's columns, or was trained on what is
            today's test part.
    """
    source = panel.load(prepared)
    old = [load_champion(predictor.load, each, source.schema) for each in fold_folders(champion)]
    trained = [predictor.load(folder) for folder in fold_folders(new)]
    cuts = [(fold, folds.cut(source, fold)) for fold in folds.find(source.schema, problem.folds)]
    parts = [(cut, Windows(cut, (fold.test_step, fold.reach))) for fold, cut in cuts]
    ours, theirs = (
        empty_sums([windows for _, windows in parts], source, models[0].network.levels)
        for models in (trained, old)
    )
    for cut, windows in parts:
        begins = source.grid[cut.schema.test_step]
        for models, sums in ((trained, ours), (old, theirs)):
            model = network_model(_newest_before(models, begins), cut)
            sum_metrics(model, windows, source, sums.levels, sums)
    return Comparison(
        measures=("mae", "rmse", "mase", "crps", "coverage_80"),
        scores=(ours.scores(), theirs.scores()),
        differences=compare(ours, theirs, problem),
        by_step=(ours.mae_by_step().tolist(), theirs.mae_by_step().tolist()),
    )


def _newest_before(models: Sequence[Predictor], begins: pd.Timestamp) -> Predictor:
    """Return the newest model that knows nothing from `begins` on.

    One whose validation part reaches beyond is better than none: it did not learn from that, but
    was stopped and calibrated by it.

    Args:
        models: of the folds, in order.

    Raises:
        IncomparableError: all were trained on what comes after `begins`.
    """
    trained = [model for model in models if model.trained_until() <= begins]
    if not trained:
        until = min(model.trained_until() for model in models)
        raise IncomparableError(
            f"it was trained until {until}, and today's test part begins at {begins}"
        )
    unseen = [model for model in trained if model.validated_until() <= begins]
    return unseen[-1] if unseen else trained[0]
