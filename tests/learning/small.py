"""Small models, trained as the stage `train` does."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from retain import model_files
from retain.errors import Terminated
from retain.training import trainer
from retain.training.setup import TrainingSetup

Build = Callable[[Any, Path, Any], TrainingSetup]  # the part `training` of a kind


def trained(build: Build, problem: Any, prepared: Path, cell: str, folder: Path) -> Path:
    """Train a model and write it into a folder, which is made."""
    trainer.seed_everything(problem.training)
    setup = build(problem, prepared, cell)
    history = trainer.fit(setup, problem.training, cell, f"small {cell}")
    setup.calibrate()
    folder.mkdir()
    model_files.write_model(folder, setup.model, setup.config, history)
    return folder


def weights(
    build: Build, problem: Any, prepared: Path, cell: str, kept: Path | None, stop_after: int = 0
) -> list[Tensor]:
    """Return a network's weights after a training; stopped at the n-th batch, as by a signal."""
    trainer.seed_everything(problem.training)
    setup = build(problem, prepared, cell)
    calls = 0

    def loss(network: Any, batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == stop_after:
            raise Terminated
        return setup.loss(network, batch)

    counted = dataclasses.replace(setup, loss=loss)
    trainer.fit(counted, problem.training, cell, f"small {cell}", folder=kept)
    return [parameter.detach() for parameter in setup.network.parameters()]
