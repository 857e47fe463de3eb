"""The refit: the recipe of an evaluated forecaster, trained once more, on all rows of the table.

There is no validation part: the length of training and the calibration are those of the evaluated
model. The refit was trained on the test part, so the comparison with the evaluated model there only
shows whether something went wrong.
"""

import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retain.evaluation import choice
from retain.evaluation.arrays import Floats
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import left_out, panel
from retain.kinds.forecast.data.panel import Panel, Schema
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.model import learner, setup
from retain.kinds.forecast.model.forecaster import CALIBRATION, Forecaster, load_forecaster
from retain.kinds.forecast.model.pool.running import Run
from retain.model_files import read_config
from retain.training.setup import Length, TrainingSetup

CHECKED = 500  # windows, evenly spaced over the test part
TOLERANCE = 0.05  # share by which its error there may be larger than the evaluated model's


def build(problem: Problem, prepared: Path, evaluated: Path) -> TrainingSetup:
    """Build the training of an evaluated model's recipe on all rows.

    Its `calibrate` copies the calibration, compares the two models, and writes the result to the
    key `refit` of the config. If the refit is refused, the evaluated model is used instead.

    Args:
        evaluated: the model folder, with those of the later folds in it.
    """
    source = panel.load(prepared)
    return build_until(source.schema.steps, source, problem, evaluated)


def build_until(until: int, source: Panel, problem: Problem, evaluated: Path) -> TrainingSetup:
    """Like `build`, on the rows of a panel before grid step `until`."""
    whole = source.cut(until, until, until)
    folds = choice.fold_folders(evaluated)
    share = problem.evaluation.cold_start
    learned = left_out.leave_out(source, share)
    length = training_length(problem, learned, folds, len(Windows(whole, "train")))
    kept = ~left_out.drawn(source, share) if share else None
    if not is_kept(read_config(folds[-1])):
        length = Length(1, 1)  # the training has no effect
    built = setup.build_on(whole, problem, read_config(evaluated)["cell"], length)
    network = built.network
    assert isinstance(network, Forecaster)
    start = learner.heads(network)

    def calibrate() -> None:
        built.calibrate()  # what else follows a training
        before, schema, config = load_forecaster(evaluated)
        newest, _, judged = load_forecaster(folds[-1])
        for name in CALIBRATION:
            fitted = newest.get_buffer(name)
            if name == "widths" and kept is not None:
                fitted = fitted[_numbers(kept)]
            network.get_buffer(name).copy_(fitted)
            if network.base is not None and newest.base is not None:
                network.base.get_buffer(name).copy_(newest.base.get_buffer(name))
        if network.cold is not None and newest.cold is not None:
            network.cold.offsets.copy_(newest.cold.offsets)
            network.cold.mean_offsets.copy_(newest.cold.mean_offsets)
        if "network" in judged:
            built.config["network"] = judged["network"]
        if not is_kept(judged):
            learner.rest_on_base(network)
        elif "network" in judged:
            learner.set_between(network, start, learner.heads(network), judged["network"]["share"])
        sentence, accepted = compare(network, whole, before, learned, kept)
        if not accepted:
            # With all rows the pool may have had other experts, and the heads another width.
            network.members, network.base = before.members, before.base
            network.cold = before.cold
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


def _numbers(kept: NDArray[np.bool_]) -> Tensor:
    """Return the number of each series in the evaluated model, 0 for one it has not seen.

    Args:
        kept: which series it has learned from.
    """
    return torch.from_numpy(np.r_[0, np.where(kept, np.cumsum(kept), 0)])


def is_kept(config: dict[str, Any]) -> bool:
    """Whether a model uses its network, by its config.json."""
    return bool(config.get("network", {"kept": True})["kept"])


def training_length(problem: Problem, source: Panel, folds: list[Path], windows: int) -> Length:
    """Return the length of training on `windows`, from that of the folds' models.

    Each was trained for `updates` until its best epoch, a share of the updates of its learning rate
    schedule. The medians over the folds of the updates per training window and of this share give
    the length: more data mean more updates, and the learning rate ends at the same value.
    """
    training, rates, shares = problem.training, [], []
    for folder in folds:
        schema = Schema.from_json(read_config(folder)["schema"])
        count = windows_of = len(Windows(source, (0, schema.validation_step)))
        if training.rehearsals:  # they have epochs of the same length, even with few windows
            count = max(count, training.batch_size * training.epoch_steps)
        epoch = min(-(-count // training.batch_size), training.epoch_steps)
        best = min(choice.history(folder), key=lambda row: float(row["validation_loss"]))
        updates = int(best["step"])
        rates.append(updates / windows_of)
        shares.append(updates / (epoch * training.epochs(count)))
    updates = max(1, round(statistics.median(rates) * windows))
    return Length(updates, max(updates, round(updates / statistics.median(shares))))


def compare(
    network: Forecaster,
    whole: Panel,
    before: Forecaster,
    source: Panel,
    kept: NDArray[np.bool_] | None = None,
) -> tuple[str, bool]:
    """Compare the refitted network with the evaluated one on the test part.

    Args:
        kept: which series of `whole` are in `source`, all if None.

    Returns:
        A sentence, and whether the refitted network can replace the other: all its forecasts are
        finite, and its error is not larger by more than TOLERANCE.
    """
    part = (source.schema.test_step, whole.schema.steps)
    ours, finite = _errors(network, whole, part, kept)
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


def _errors(
    network: Forecaster,
    source: Panel,
    part: tuple[int, int],
    kept: NDArray[np.bool_] | None = None,
) -> tuple[Floats, bool]:
    """Return the absolute errors of the medians, (windows, horizon), and whether all are finite."""
    network.eval()
    windows = Windows(source, part)
    windows = (windows if kept is None else windows.among(kept)).thinned(CHECKED)
    if network.base is not None:
        windows.on(Run(network.base.pool, source), hold=True)
    errors, finite = [], True
    for batch in windows.chunks():
        with torch.inference_mode():
            quantiles = network.predict(batch).double().numpy()
        finite &= bool(np.isfinite(quantiles).all())
        truth = batch.window[:, 0, -network.horizon :].double().numpy()
        errors.append(np.abs(truth - quantiles[..., network.levels.index(0.5)]))
    return np.concatenate(errors), finite
