"""Compare a new model with the champion on today's test windows."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from retain.errors import IncomparableError
from retain.evaluation.choice import fold_folders
from retain.evaluation.quality_gate import Comparison
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import folds, panel
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.evaluation import scoring
from retain.kinds.forecast.predict import predictor
from retain.kinds.forecast.predict.predictor import Predictor
from retain.model_files import load_champion


def compare_with_champion(
    problem: Problem, prepared: Path, new: Path, champion: Path
) -> Comparison:
    """Score a new model and the champion on today's test windows, fold by fold.

    Each fold is forecast by the newest model, of each of the two, that was trained before it
    begins.

    Raises:
        IncomparableError: the champion does not read today's columns, or was trained on today's
            test part.
    """
    source = panel.load(prepared)
    old = [load_champion(predictor.load, each, source.schema) for each in fold_folders(champion)]
    trained = [predictor.load(folder) for folder in fold_folders(new)]
    cuts = [(fold, folds.cut(source, fold)) for fold in folds.find(source.schema, problem.folds)]
    parts = [(cut, Windows(cut, (fold.test_step, fold.reach))) for fold, cut in cuts]
    ours, theirs = (
        scoring.empty_sums([windows for _, windows in parts], source, models[0].network.levels)
        for models in (trained, old)
    )
    for cut, windows in parts:
        begins = source.grid[cut.schema.test_step]
        for models, sums in ((trained, ours), (old, theirs)):
            model = scoring.network_model(_newest_before(models, begins), cut)
            scoring.sum_metrics(model, windows, source, sums.levels, sums)
    return Comparison(
        measures=("mae", "rmse", "mase", "rmsse", "bias", "crps", "coverage_80"),
        scores=(ours.scores(), theirs.scores()),
        differences=scoring.compare(ours, theirs, problem),
        by_step=(ours.mae_by_step().tolist(), theirs.mae_by_step().tolist()),
    )


def _newest_before(models: Sequence[Predictor], begins: pd.Timestamp) -> Predictor:
    """Return the newest model that was not trained on rows from `begins` on.

    A model whose validation part reaches beyond is better than none: these rows only stopped and
    calibrated it.

    Args:
        models: of the folds, in order.

    Raises:
        IncomparableError: all were trained on rows after `begins`.
    """
    trained = [model for model in models if model.trained_until() <= begins]
    if not trained:
        until = min(model.trained_until() for model in models)
        raise IncomparableError(
            f"it was trained until {until}, and today's test part begins at {begins}"
        )
    unseen = [model for model in trained if model.validated_until() <= begins]
    return unseen[-1] if unseen else trained[0]
