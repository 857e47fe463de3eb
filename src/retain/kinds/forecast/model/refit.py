"""The refit: the recipe of an evaluated forecaster, trained once more, on all rows of the table.

Nothing is left to validate on: how long it trains and how its quantiles are calibrated is taken
over from the evaluated model. It has seen the test part, so it is compared with the evaluated model
there only to find out whether something went wrong.
"""

import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from retain.evaluation import choice
from retain.evaluation.arrays import Floats
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel
from retain.kinds.forecast.data.panel import Panel, Schema
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.model import learner, setup
from retain.kinds.forecast.model.forecaster import CALIBRATION, Forecaster, load_forecaster
from retain.kinds.forecast.model.pool.running import Run
from retain.model_files import read_config
from retain.training.setup import Length, TrainingSetup

CHECKED = 500  # windows, evenly spaced over the test part
TOLERANCE = 0.05  # by which its error there may be larger than the evaluated model's


def build(problem: Problem, prepared: Path, evaluated: Path) -> TrainingSetup:
    """Build the training of an evaluated model's recipe on all rows.

    Its `calibrate` takes the calibration over, compares the two models, and says in the key `refit`
    of the config what it found. A refit that is refused leaves the evaluated model in its place.

    Args:
        evaluated: the model folder, with those of the later folds in it.
    """
    source = panel.load(prepared)
    return build_until(source.schema.steps, source, problem, evaluated)


def build_until(until: int, source: Panel, problem: Problem, evaluated: Path) -> TrainingSetup:
    """As `build`, on the rows of a panel before grid step `until`."""
    whole = source.cut(until, until, until)
    folds = choice.fold_folders(evaluated)
    length = training_length(problem, source, folds, len(Windows(whole, "train")))
    if not is_kept(read_config(folds[-1])):
        length = Length(1, 1)  # what it learns is taken back
    built = setup.build_on(whole, problem, read_config(evaluated)["cell"], length)
    network = built.network
    assert isinstance(network, Forecaster)

    def calibrate() -> None:
        built.calibrate()  # what else follows a training
        before, schema, config = load_forecaster(evaluated)
        newest, _, judged = load_forecaster(folds[-1])
        for name in CALIBRATION:
            network.get_buffer(name).copy_(newest.get_buffer(name))
            if network.base is not None and newest.base is not None:
                network.base.get_buffer(name).copy_(newest.base.get_buffer(name))
        if "network" in judged:
            built.config["network"] = judged["network"]
        if not is_kept(judged):
            learner.rest_on_base(network)
        sentence, accepted = compare(network, whole, before, source)
        if not accepted:
            # With all rows the pool may have had other experts, and the heads another width.
            network.members, network.base = before.members, before.base
            network.load_state_dict(before.state_dict())
            built.config.clear()
            built.config.update(config)
        built.config["refit"] = {
            "accepted": accepted,
            "sentence": sentence,
            "updates": length.updates,
            "evaluated_until": str(source.grid[schema.validation_step]),
        }

    return replace(built, calibrate=calibrate)


def is_kept(config: dict[str, Any]) -> bool:
    """Whether the config.json of a model says that its network is used."""
    return bool(config.get("network", {"kept": True})["kept"])


def training_length(problem: Problem, source: Panel, folds: list[Path], windows: int) -> Length:
    """Return how long to train on `windows`, from how long the models of the folds trained.

    Each trained `updates` until its best epoch, of so many that its learning rate was planned for.
    Medians over the folds of the updates per training window, and of their share in the plan, give
    the length: more data are more updates, and the learning rate ends where it did.
    """
    training, rates, shares = problem.training, [], []
    for folder in folds:
        schema = Schema.from_json(read_config(folder)["schema"])
        count = windows_of = len(Windows(source, (0, schema.validation_step)))
        if training.rehearsals:  # they have epochs of one length, however few windows there are
            count = max(count, training.batch_size * training.epoch_steps)
        epoch = min(-(-count // training.batch_size), training.epoch_steps)
        best = min(choice.history(folder), key=lambda row: float(row["validation_loss"]))
        updates = int(best["step"])
        rates.append(updates / windows_of)
        shares.append(updates / (epoch * training.epochs(count)))
    updates = max(1, round(statistics.median(rates) * windows))
    return Length(updates, max(updates, round(updates / statistics.median(shares))))


def compare(
    network: Forecaster, whole: Panel, before: Forecaster, source: Panel
) -> tuple[str, bool]:
    """Say how the refitted network forecasts the test part beside the evaluated one.

    Returns:
        A sentence, and whether the refitted network can take the place of the other: all its
        forecasts are finite, and its error is not larger by more than TOLERANCE.
    """
    part = (source.schema.test_step, whole.schema.steps)
    ours, finite = _errors(network, whole, part)
    theirs, _ = _errors(before, source, part)
    if not finite:
        return "a forecast of the refitted network is not finite: the evaluated one is kept", False
    both = np.isfinite(ours) & np.isfinite(theirs)
    if not both.any():
        return "the evaluated network has no forecast to compare it with", True
    mae, mae_before = float(ours[both].mean()), float(theirs[both].mean())
    found = (
        f"MAE {mae:.4g} against {mae_before:.4g} of the evaluated network, on {len(ours):,} "
        f"windows of the test part, which it has seen"
    )
    if mae > (1 + TOLERANCE) * mae_before:
        return f"{found}: more than {100 * TOLERANCE:g} % worse, the evaluated one is kept", False
    return found, True


def _errors(network: Forecaster, source: Panel, part: tuple[int, int]) -> tuple[Floats, bool]:
    """Return the absolute errors of the medians, (windows, horizon), and whether all is finite."""
    network.eval()
    windows = Windows(source, part).thinned(CHECKED)
    if network.base is not None:
        windows.on(Run(network.base.pool, source))
    errors, finite = [], True
    for batch in windows.chunks():
        with torch.inference_mode():
            quantiles = network.predict(batch).double().numpy()
        finite &= bool(np.isfinite(quantiles).all())
        truth = batch.window[:, 0, -network.horizon :].double().numpy()
        errors.append(np.abs(truth - quantiles[..., network.levels.index(0.5)]))
    return np.concatenate(errors), finite
