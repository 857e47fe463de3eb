"""Score the networks and the baselines on every test window, fold by fold.

For a fair comparison, the intervals of baselines are calibrated like those of networks, on the
validation windows of the fold. Scores are over all folds: each forecast origin counts once.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NotRequired

import pandas as pd

from retain.evaluation.choice import choose, fold_folder, fold_folders
from retain.evaluation.quality_gate import differences
from retain.evaluation.results import Metrics, plots, stack_histories
from retain.kinds.forecast.config import ALONE, Problem
from retain.kinds.forecast.data import folds, panel
from retain.kinds.forecast.data.folds import Fold
from retain.kinds.forecast.data.panel import Panel, Schema
from retain.kinds.forecast.data.windows import VALIDATION_WINDOWS, Windows
from retain.kinds.forecast.evaluation import cold_start, details, importance
from retain.kinds.forecast.evaluation.cold_start import ColdStart
from retain.kinds.forecast.evaluation.figures import View
from retain.kinds.forecast.evaluation.importance import Importance
from retain.kinds.forecast.evaluation.metrics import MetricSums
from retain.kinds.forecast.evaluation.scoring import (
    compare,
    empty_sums,
    network_model,
    sum_metrics,
)
from retain.kinds.forecast.model import baselines, classical
from retain.kinds.forecast.model.classical import Classical
from retain.kinds.forecast.model.rehearsal import Outcome
from retain.kinds.forecast.predict import predictor
from retain.kinds.forecast.predict.predictor import Predictor

POOL = "pool"  # the classical base of the judged model, alone
PLOTTED = {
    "error_by_step": ("step", "mae"),
    "calibration": ("level", "observed"),
    "look_back": ("lag", "norm"),
    "training": ("epoch", "validation_loss"),
}


class ForecastMetrics(Metrics):
    """The content of metrics.json; `windows` counts those of the test part.

    `network` says for each fold whether the judged network was kept on its classical base. Scores
    of a model that forecast only a sample of the windows have a separate key `windows`. In
    `cold_start` are the scores of series without history, where some were left out;
    `importance` says how much each input of the judged network mattered.
    """

    windows: dict[str, int]
    cold_start: NotRequired[ColdStart]
    importance: NotRequired[list[Importance]]  # earlier versions have it not
    network: NotRequired[list[Outcome]]


@dataclass(frozen=True)
class Evaluation:
    """Figures for metrics.json, tables for the plots, and sample windows."""

    metrics: ForecastMetrics
    tables: dict[str, pd.DataFrame]
    views: list[View]
    schema: Schema
    grid: pd.DatetimeIndex
    folds: list[Fold]
    cell_facts: tuple[tuple[str, str], ...]  # of the LSTM, for the report

    def plots(self) -> dict[str, pd.DataFrame]:
        """Return the tables for `dvc plots`: a line for each model.

        By series, y is the MASE and x its rank among the series of a model; all scores follow.
        """
        scores = self.tables["error_by_series"]
        ranks = scores.groupby("model")["mase"].rank(method="first")
        first = {"x": ranks, "model": scores["model"], "y": scores["mase"]}
        by_series = pd.DataFrame(first).join(scores.drop(columns="model"))
        return plots(self.tables, PLOTTED) | {"error_by_series": by_series}


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
    # Figures draw the intervals of the first model; its errors choose the sample windows.
    cells = sorted(models, key=lambda cell: cell != chosen["model"])
    folders = {cell: models[cell] for cell in cells}
    folders |= {f"{cell}_{ALONE}": models[cell] / ALONE for cell in cells if problem.beside}
    predictors = {name: predictor.load(folder) for name, folder in folders.items()}
    smoothed = _smoothed(problem, source)
    parts = [
        _part(
            problem,
            source,
            fold,
            predictors if fold.number == 1 else _load(folders, fold),
            smoothed,
        )
        for fold in folds.find(source.schema, problem.folds)
    ]
    scored = _score(parts, source, problem.model.quantiles, smoothed)
    sums = scored.sums
    scores: dict[str, dict[str, Any]] = {name: model.scores() for name, model in sums.items()}
    for name in scored.sampled:
        scores[name]["windows"] = scored.windows
    for name, model in predictors.items():
        scores[name] |= {key: model.config[key] for key in ("parameters", "hidden_size")}
    metrics: ForecastMetrics = {
        "models": scores,
        "differences": differences(
            {name: name for name in sums},
            lambda one, other: compare(*scored.pair(one, other), problem),
            chosen["model"],
        ),
        "model": chosen["model"],
        "validation_loss": chosen["validation_loss"],
        "calibration": sums[chosen["model"]].calibration(),
        "windows": {
            "test": sum(len(part.windows) for part in parts),
            "test_without_values": sum(part.windows.dropped for part in parts),
        },
    }
    if "network" in predictors[chosen["model"]].config:
        of_folds = [predictor.load(folder) for folder in fold_folders(models[chosen["model"]])]
        metrics["network"] = [model.config["network"] for model in of_folds]
    if (cold := cold_start.score(problem, source, predictors)) is not None:
        metrics["cold_start"] = cold
    lstm, judged = predictors["lstm"], predictors[chosen["model"]]
    looked_at = next(part.windows for part in parts if len(part.windows))
    metrics["importance"] = importance.measure(judged, looked_at.on(judged.bases(source)), source)
    tables = details.tables(sums, predictors, source, looked_at)
    return Evaluation(
        metrics,
        tables | {"training": stack_histories(models)},
        details.views(sums[chosen["model"]], parts, problem.data),
        source.schema,
        source.grid,
        [part.fold for part in parts],
        details.cell_facts(lstm.network, looked_at.on(lstm.bases(source))),
    )


def _smoothed(problem: Problem, source: Panel) -> Classical | None:
    """Run the methods of `classical` along the series, from the first validation part on."""
    names = [name for name in problem.evaluation.floors if name in classical.NAMES]
    return classical.build(source, names, problem.evaluation.seed) if names else None


@dataclass(frozen=True)
class _Scored:
    """The sums of every model; for models that forecast every window, also those on the sample."""

    sums: dict[str, MetricSums]
    sampled: tuple[str, ...] = ()
    on_sample: dict[str, MetricSums] = field(default_factory=dict)
    windows: int = 0  # of the sample

    def pair(self, one: str, other: str) -> tuple[MetricSums, MetricSums]:
        """Return the sums of two models over the windows that both forecast."""
        if not {one, other} & {*self.sampled}:
            return self.sums[one], self.sums[other]
        every = self.sums | self.on_sample
        return every[one], every[other]


def _score(
    parts: Sequence[details.Part],
    source: Panel,
    levels: tuple[float, ...],
    smoothed: Classical | None,
) -> _Scored:
    empty = empty_sums([part.windows for part in parts], source, levels)

    def score(name: str, windows: Sequence[Windows]) -> MetricSums:
        sums = copy.deepcopy(empty)  # making it reads every value of the table
        for part, some in zip(parts, windows, strict=True):
            sum_metrics(part.models[name], some, source, levels, sums)
        return sums

    def score_all(windows: Mapping[str, Sequence[Windows]]) -> dict[str, MetricSums]:
        sums = {}
        for number, (name, some) in enumerate(windows.items(), start=1):
            count = sum(map(len, some))
            print(
                f"scoring model {number} of {len(windows)}: {name}, {count:,} windows", flush=True
            )
            sums[name] = score(name, some)
        return sums

    every, names = [part.windows for part in parts], list(parts[0].models)
    if smoothed is None or not smoothed.sampled:
        return _Scored(score_all(dict.fromkeys(names, every)))
    sample = [windows.among(smoothed.chosen) for windows in every]
    sampled = tuple(name for name in names if name in smoothed.names)
    sums = score_all({name: sample if name in sampled else every for name in names})
    on_sample = {name: score(name, sample) for name in names if name not in sampled}
    return _Scored(sums, sampled, on_sample, sum(map(len, sample)))


def _load(folders: Mapping[str, Path], fold: Fold) -> dict[str, Predictor]:
    """Load the models of a fold, by name."""
    return {
        name: predictor.load(fold_folder(folder, fold.number)) for name, folder in folders.items()
    }


def _part(
    problem: Problem,
    source: Panel,
    fold: Fold,
    predictors: Mapping[str, Predictor],
    smoothed: Classical | None,
) -> details.Part:
    """Return the windows of a fold, and the networks and baselines that forecast them."""
    cut = folds.cut(source, fold)
    for cell, model in predictors.items():
        model.check_fits(source.schema, f"the {cell}")
    validation = Windows(cut, "validation").thinned(VALIDATION_WINDOWS)
    models = {name: network_model(model, cut) for name, model in predictors.items()}
    judged = next(iter(predictors.values()))
    if judged.network.base is not None:
        models[POOL] = network_model(judged, cut, base_alone=True)
    models |= baselines.quantile_models(problem, validation, cut, smoothed)
    return details.Part(fold, cut, Windows(cut, (fold.test_step, fold.reach)), models)
