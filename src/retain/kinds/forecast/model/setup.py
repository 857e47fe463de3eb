"""What training needs of a forecasting problem: network, windows, loss, calibration."""

import functools
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from retain.config.schema import Cell
from retain.errors import DataError
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel, profile, slots
from retain.kinds.forecast.data.windows import VALIDATION_WINDOWS, Batch, Windows
from retain.kinds.forecast.model.calibration import fit_offsets
from retain.kinds.forecast.model.forecaster import Forecaster, build_matched
from retain.training.setup import TrainingSetup


def build(problem: Problem, prepared: Path, cell: Cell) -> TrainingSetup:
    """Build the training of `cell` on what `prepare` wrote."""
    source = panel.load(prepared)
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
        if not len(windows):
            raise DataError(f"{problem.data.path}: no window of the {part} part has a value in it")
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
    return TrainingSetup(
        network,
        train,
        validation,
        loss,
        config,
        calibrate=functools.partial(fit_offsets, network, validation),
    )


def pinball(error: Tensor, levels: Tensor) -> Tensor:
    """Compute the quantile loss of errors, truth − forecast (Koenker & Bassett 1978)."""
    return torch.maximum(levels * error, (levels - 1) * error)
