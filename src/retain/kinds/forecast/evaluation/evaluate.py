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

from retain.evaluation.choice import choose, fold_folders
from retain.evaluation.quality_gate import differences
from retain.evaluation.results import Metrics, plots, stack_histories
from retain.kinds.forecast.config import ALONE, Problem
from retain.kinds.forecast.data import folds, panel
from retain.kinds.forecast.data.folds import Fold
from retain.kinds.forecast.data.panel import Panel, Schema
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.evaluation import blocks, cold_start, details, importance
from retain.kinds.forecast.evaluation.cold_start import ColdStart
from retain.kinds.forecast.evaluation.figures import View
from retain.kinds.forecast.evaluation.importance import Importance
from retain.kinds.forecast.evaluation.metrics import MetricSums
from retain.kinds.forecast.evaluation.scoring import compare, empty_sums, sum_metrics
from retain.kinds.forecast.evaluation.work import Work
from retain.kinds.forecast.model.classical import Classical
from retain.kinds.forecast.model.rehearsal import Outcome
from retain.kinds.forecast.predict import predictor
from retain.model_files import read_config

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
    work = Work(problem, prepared, folders)
    smoothed = work.floors(source)
    parts = [
        blocks.fold_part(
            problem,
            source,
            fold,
            predictors if fold.number == 1 else blocks.load(folders, fold),
            smoothed,
        )
        for fold in folds.find(source.schema, problem.folds)
    ]
    scored = _score(parts, source, smoothed, work)
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
    lstm, judged = predictors["lstm"], predictors[chosen["model"]]
    if "network" in judged.config:
        later = map(read_config, fold_folders(models[chosen["model"]])[1:])
        metrics["network"] = [config["network"] for config in (judged.config, *later)]
    if (cold := cold_start.score(problem, source, predictors)) is not None:
        metrics["cold_start"] = cold
    # Not the windows of the part: with a base, each view would run it along a block of series.
    looked_at = copy.copy(next(part.windows for part in parts if len(part.windows)))
    metrics["importance"] = importance.measure(judged, looked_at.on(judged.bases(source)), source)
    work.finish()
    views = details.views(sums[chosen["model"]], parts, problem.data)
    tables = details.tables(sums, predictors, source, looked_at)
    return Evaluation(
        metrics,
        tables | {"training": stack_histories(models)},
        views,
        source.schema,
        source.grid,
        [part.fold for part in parts],
        details.cell_facts(lstm.network, looked_at.on(lstm.bases(source))),
    )


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
    parts: Sequence[details.Part], source: Panel, smoothed: Classical | None, work: Work
) -> _Scored:
    empty = empty_sums([part.windows for part in parts], source, work.problem.model.quantiles)
    every, names = [part.windows for part in parts], list(parts[0].models)

    def score(
        names: Sequence[str], windows: Sequence[Windows], sample: bool
    ) -> dict[str, MetricSums]:
        if sum(map(len, every)) > blocks.BLOCK:
            return work.score(parts, source, empty, names, windows, sample)
        sums, count = {}, sum(map(len, windows))
        for number, name in enumerate(names, start=1):
            print(f"scoring model {number} of {len(names)}: {name}, {count:,} windows", flush=True)
            sums[name] = copy.deepcopy(empty)  # making it reads every value of the table
            for part, of_fold in zip(parts, windows, strict=True):
                sum_metrics(part.models[name], of_fold, source, empty.levels, sums[name])
            if number > 1:
                sums[name].by_window.clear()  # those of the first model choose the views
        return sums

    if smoothed is None or not smoothed.sampled:
        return _Scored(score(names, every, sample=False))
    sample = [windows.among(smoothed.chosen) for windows in every]
    sampled = tuple(name for name in names if name in smoothed.names)
    others = [name for name in names if name not in sampled]
    sums = score(others, every, sample=False)
    on_sample = score(names, sample, sample=True)
    ordered = {name: on_sample.pop(name) if name in sampled else sums[name] for name in names}
    return _Scored(ordered, sampled, on_sample, sum(map(len, sample)))
