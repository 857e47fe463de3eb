"""Small models, trained as the stage `train` does."""

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor

from retain import model_files
from retain.errors import Terminated
from retain.training import trainer


def trained(room: ModuleType, given: Any, source: Path, cell: str, folder: Path) -> Path:
    """The folder, which is made, of a model.

    Args:
        room: `task` of the kind.
        given: the problem.
        source: what `prepare` wrote.
    """
    trainer.seed_everything(given.training)
    built = room.build(given, source, cell)
    history = trainer.fit(built, given.training, cell, f"small {cell}")
    built.calibrate()
    folder.mkdir()
    model_files.write_model(folder, built.network, built.config, history)
    return folder


def weights(
    room: ModuleType, given: Any, source: Path, cell: str, kept: Path | None, stop_after: int = 0
) -> list[Tensor]:
    """Those of a network after a training; stopped at the n-th batch, as by a signal."""
    trainer.seed_everything(given.training)
    built = room.build(given, source, cell)
    calls = 0

    def loss(network: Any, batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == stop_after:
            raise Terminated
        return built.loss(network, batch)

    counted = dataclasses.replace(built, loss=loss)
    trainer.fit(counted, given.training, cell, f"small {cell}", folder=kept)
    return [parameter.detach() for parameter in built.network.parameters()]
