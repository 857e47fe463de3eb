"""The classical base of an evaluated model, without training a network: seconds a table."""

import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from benchmarks.ordinary import scoring
from benchmarks.ordinary.scoring import DECILES, Floats, Test
from retain.config import loader
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import folds, panel
from retain.kinds.forecast.data.folds import Fold
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.model import learner, rehearsal
from retain.kinds.forecast.model.conformal import collect, fit, joined, set_calibration
from retain.kinds.forecast.model.learner import Learner
from retain.kinds.forecast.model.trust import Trust


def scores(test: Test, prepared: Path, name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Return a row of scores of the base, fitted and calibrated as a training would.

    Args:
        entry: the problem's, of params.yaml.
    """
    begin = time.process_time()
    problem = cast("Problem", loader.parse(name, entry))
    source = panel.load(prepared)
    parts = [_forecast(problem, source, fold) for fold in folds.find(source.schema, problem.folds)]
    found = scoring.score(test, DECILES, np.concatenate(parts))
    seconds = time.process_time() - begin
    return {"model": "retain pool", "preset": "added"} | found | {"cpu_seconds": seconds}


def _forecast(problem: Problem, source: Panel, fold: Fold) -> Floats:
    """Return the deciles of a fold's windows: (windows, horizon, 9)."""
    cut = folds.cut(source, fold)
    made = _fitted(problem, cut)
    windows = Windows(cut, (fold.test_step, fold.reach)).on(made.bases)
    with torch.inference_mode():
        deciles = [made.network.predict_base(batch)[..., :9] for batch in windows.chunks()]
    return torch.cat(deciles).double().numpy()


def _fitted(problem: Problem, cut: Panel) -> Learner:
    """Return a network before its training, with its base calibrated by rehearsals."""
    panels = rehearsal.cuts(cut, problem.training.rehearsals)
    made = [learner.make(part, problem, "lstm", ensemble=1) for part in panels]
    final = learner.make(rehearsal.before_test(cut), problem, "lstm", ensemble=1)
    residuals = []
    for one, part in zip(made, panels, strict=True):
        one.finish()
        windows = Windows(part, "validation").thinned(rehearsal.REHEARSED)
        windows.on(one.bases, hold=True)
        network = one.network
        residuals.append(collect(network.forecast_base, windows, network.target.transform))
    final.finish()
    steps = sum(part.schema.test_step - part.schema.validation_step for part in panels)
    trust = Trust.of(steps / problem.data.horizon, len(cut.index), on_base=True)
    network = final.network
    assert network.base is not None
    calibration = fit(joined(residuals), network.target, len(network.widths) - 1, trust)
    set_calibration(network.base, calibration)
    return final
