"""What training needs of a forecasting problem: network, windows, loss, calibration."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from retain.config.schema import Cell
from retain.errors import DataError
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import folds, panel, profile, slots
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import VALIDATION_WINDOWS, Batch, Windows
from retain.kinds.forecast.model.conformal import calibrate
from retain.kinds.forecast.model.forecaster import Forecaster, build_matched
from retain.training.setup import Length, TrainingSetup


def build(problem: Problem, prepared: Path, cell: Cell) -> TrainingSetup:
    """Build the training of `cell` on what `prepare` wrote."""
    return build_fold(problem, prepared, cell, 1)


def build_fold(problem: Problem, prepared: Path, cell: Cell, fold: int) -> TrainingSetup:
    """Build the training of `cell` for a fold of the test part, from 1 to `problem.folds`."""
    source = panel.load(prepared)
    return build_on(
        folds.cut(source, folds.find(source.schema, problem.folds)[fold - 1]), problem, cell
    )


def build_on(
    source: Panel, problem: Problem, cell: Cell, length: Length | None = None
) -> TrainingSetup:
    """Build the training of `cell` on a panel; with a `length` nothing is validated or calibrated.

    Raises:
        DataError: a part that is needed has no window with a value.
    """
    network, sizes = build_matched(cell, problem.model, source.schema, len(source.index))
    levels = torch.tensor(problem.model.quantiles)

    def loss(network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        assert isinstance(network, Forecaster)
        # The members of an ensemble are trained separately, and validated as their mean.
        values, base, scale = network.by_member(batch) if network.training else network(batch)
        truth = (batch.window[:, 0, -base.shape[1] :] - base) / scale  # (batch, horizon)
        seen = truth.isfinite()
        error = torch.where(seen, truth, 0.0).unsqueeze(-1) - values.float()
        if problem.model.loss == "pinball":
            losses = pinball(error, levels.to(error.device)).mean(-1)
        else:
            losses = error[..., 0].abs() if problem.model.loss == "mae" else error[..., 0].square()
        return (losses * seen).sum(), seen.expand_as(losses).sum().to(losses.dtype)

    train = Windows(source, "train")
    validation = Windows(source, "validation").thinned(VALIDATION_WINDOWS)
    for part, windows in (("training", train), ("validation", validation)):
        if not len(windows) and (part == "training" or length is None):
            raise DataError(f"{problem.data.path}: no window of the {part} part has a value in it")

    def finish() -> None:
        _forget_untrained(network, train)
        if length is None:
            calibrate(network, validation)

    config = {
        "kind": problem.kind,
        "cell": cell,
        **sizes,
        "model": problem.model.model_dump(mode="json"),
        "schema": asdict(source.schema),
        "series": source.index[["unique_id", "mean", "std"]].to_dict("list"),
        "reference": profile.measure(source),
        "slots": slots.measure(source),
    }
    checked = validation if length is None else None
    return TrainingSetup(network, train, checked, loss, config, calibrate=finish, length=length)


def _forget_untrained(network: Forecaster, train: Windows) -> None:
    """Give a series without a training window the embedding of a series never seen."""
    for embedding in (member.series for member in network.members):
        if isinstance(embedding, nn.Embedding):
            untrained = np.setdiff1d(np.arange(1, embedding.num_embeddings), train.series + 1)
            with torch.no_grad():
                embedding.weight[torch.from_numpy(untrained)] = embedding.weight[0].clone()


def pinball(error: Tensor, levels: Tensor) -> Tensor:
    """Compute the quantile loss of errors, truth − forecast (Koenker & Bassett 1978)."""
    return torch.maximum(levels * error, (levels - 1) * error)
