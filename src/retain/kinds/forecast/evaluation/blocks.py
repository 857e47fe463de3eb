"""Score all models of a fold on a block of its windows: a part of the evaluation of many windows.

Blocks begin at multiples of the windows of a batch, so that a network forecasts the same batches as
it does on all windows together. Sums of blocks are added in order.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retain.evaluation.choice import fold_folder
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import folds, panel
from retain.kinds.forecast.data.folds import Fold
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import CHUNK, VALIDATION_WINDOWS, Windows
from retain.kinds.forecast.evaluation import details, floors
from retain.kinds.forecast.evaluation.metrics import MetricSums
from retain.kinds.forecast.evaluation.scoring import network_model, sum_models
from retain.kinds.forecast.model import baselines
from retain.kinds.forecast.model.classical import NAMES, Classical
from retain.kinds.forecast.predict import predictor
from retain.kinds.forecast.predict.predictor import Predictor

POOL = "pool"  # the classical base of the judged model, alone
BLOCK = 64 * CHUNK  # windows of a part; fewer are scored without parts
FUNCTION = "retain.kinds.forecast.evaluation.blocks:score"
SUMS = ("by_origin", "by_step", "by_series", "below_by_origin", "rounded_by_origin")


def load(folders: Mapping[str, Path], fold: Fold) -> dict[str, Predictor]:
    """Load the models of a fold, by name."""
    return {
        name: predictor.load(fold_folder(folder, fold.number)) for name, folder in folders.items()
    }


def fold_part(
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
    bases = {name: model.bases(cut) for name, model in predictors.items()}
    models = {
        name: network_model(model, cut, bases=bases[name]) for name, model in predictors.items()
    }
    first, judged = next(iter(predictors.items()))
    if judged.network.base is not None:
        models[POOL] = network_model(judged, cut, base_alone=True, bases=bases[first])
    models |= baselines.quantile_models(problem, validation, cut, smoothed)
    return details.Part(fold, cut, Windows(cut, (fold.test_step, fold.reach)), models)


def score(
    out: Path, recipe: dict[str, Any], fold: int, sample: bool, names: list[str], bounds: list[int]
) -> None:
    """Score models on some windows of a fold, counted from the first: a part.

    Args:
        recipe: what `_fold` reads; `origins` are the arguments of `MetricSums` for all windows.
        sample: whether the windows are counted among those of the sampled series alone.
        names: of the models.
        bounds: the first window, and the one after the last.
    """
    part, source, smoothed = _fold(json.dumps(recipe), fold)
    windows = part.windows
    if sample:
        assert smoothed is not None
        windows = windows.among(smoothed.chosen)
    score_here(out, part, source, windows, recipe, names, bounds)


def score_here(
    out: Path,
    part: details.Part,
    source: Panel,
    windows: Windows,
    recipe: Mapping[str, Any],
    names: Sequence[str],
    bounds: Sequence[int],
) -> None:
    """Do the same with what is loaded already."""
    some = windows.between(*bounds)
    first, last = (int(some.places(np.array([at]))[0][0]) for at in (0, len(some) - 1))
    arrays = {"series": np.array([first, last - first + 1])}
    every = [_sums(recipe["origins"], first, last - first + 1) for _ in names]
    models = [part.models[name] for name in names]
    sum_models([*zip(models, every, strict=True)], some, source)
    for number, sums in enumerate(every):
        arrays |= {f"{number}.{key}": getattr(sums, key) for key in SUMS}
        arrays[f"{number}.by_window"] = np.concatenate(sums.by_window)
        arrays[f"{number}.not_finite"] = np.array(sums.not_finite)
    np.savez(out, **arrays)  # type: ignore[arg-type]


def _sums(origins: Mapping[str, Any], first: int, count: int) -> MetricSums:
    """Return empty sums of some series."""
    return MetricSums(
        origins["first_step"],
        origins["steps"],
        origins["horizon"],
        count,
        tuple(origins["levels"]),
        origins["unit"],
        first,
    )


def merge(
    path: Path, names: Sequence[str], origins: Mapping[str, Any], into: Mapping[str, MetricSums]
) -> None:
    """Add what a part wrote to the sums of its models."""
    with np.load(path, allow_pickle=False) as content:
        first, count = content["series"].tolist()
        for number, name in enumerate(names):
            sums = _sums(origins, first, count)
            for key in SUMS:
                setattr(sums, key, content[f"{number}.{key}"])
            sums.by_window = [content[f"{number}.by_window"]]
            sums.not_finite = int(content[f"{number}.not_finite"])
            into[name].merge(sums)


@functools.lru_cache(maxsize=2)
def _fold(recipe: str, number: int) -> tuple[details.Part, Panel, Classical | None]:
    """Return a fold with its models, as the process that evaluates has it."""
    content = json.loads(recipe)
    problem = Problem.model_validate(content["problem"])
    source = panel.load(Path(content["prepared"]))
    names = [name for name in problem.evaluation.floors if name in NAMES]
    seed, paths = problem.evaluation.seed, [Path(path) for path in content["floors"]]
    smoothed = None
    if names:  # of few series there are no parts
        smoothed = (
            floors.load(source, names, seed, paths) if paths else floors.build(source, names, seed)
        )
    fold = folds.find(source.schema, problem.folds)[number - 1]
    folders = {name: Path(folder) for name, folder in content["models"].items()}
    return fold_part(problem, source, fold, load(folders, fold), smoothed), source, smoothed
