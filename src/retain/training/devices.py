"""The devices and processes of a training; an error if they are not available.

`training.devices` × `training.num_nodes` processes train together. Lightning starts those of one
machine; torchrun or Ray start those of several, and may place them on any number of nodes: the
result depends on how many there are, not on where they run.
"""

import os
import platform
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException

from retain.config.schema import Training
from retain.errors import ParamsError, RetainError
from retain.words import clipped

RAY_WORKER = "RETAIN_RAY_WORKER"  # set in the processes that Ray starts


def launcher() -> Literal["lightning", "torchrun", "ray"]:
    """Return what starts the processes of a training."""
    if os.environ.get(RAY_WORKER):
        return "ray"
    return "torchrun" if "TORCHELASTIC_RUN_ID" in os.environ else "lightning"


def rank() -> int:
    """Return the number of this process among those of the training; 0 writes the outputs."""
    return int(os.environ.get("LOCAL_RANK" if launcher() == "lightning" else "RANK", "0"))


def build_trainer(training: Training, plugins: Sequence[Any] = (), **options: Any) -> pl.Trainer:
    """Build Lightning's trainer for the devices that a problem's section `training` names.

    Raises:
        ParamsError: they are not available, accelerator, devices and strategy do not fit together,
            or another number of processes was started.
    """
    accelerator = "cpu" if training.reproducible == "portable" else training.accelerator
    started = launcher()
    if started == "lightning":
        _check_one_machine(training, accelerator)
    else:
        _check_world(training)
    places: dict[str, Any] = {"devices": training.devices, "strategy": training.strategy}
    if started == "torchrun":
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        places |= {"devices": here, "num_nodes": int(os.environ["WORLD_SIZE"]) // here}
    try:
        if started == "ray":
            from ray.train.lightning import RayLightningEnvironment

            places = {"devices": "auto", "strategy": _ray_strategy(training.strategy)}
            plugins = [*plugins, RayLightningEnvironment()]
        return pl.Trainer(
            accelerator=accelerator,
            precision=training.precision,
            plugins=list(plugins),
            **places,
            **options,
        )
    except (MisconfigurationException, ValueError, ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ParamsError(
            f"training.accelerator {clipped(training.accelerator)}, devices {training.devices} and "
            f"strategy {clipped(training.strategy)} cannot be used here: {clipped(reason, 500)}"
        ) from None


def _check_one_machine(training: Training, accelerator: str) -> None:
    if training.num_nodes > 1:
        raise ParamsError(
            f"training.num_nodes is {training.num_nodes}, and this is one process: set "
            f"RETAIN_ENGINE=ray, or start pipelines/train.py with torchrun on every node "
            f"(docs/scale-training.md)"
        )
    there = os.cpu_count() or 1
    if accelerator == "cpu" and isinstance(training.devices, int) and training.devices > there:
        raise ParamsError(
            f"training.devices is {training.devices}, and this machine has {there} processors; "
            f"take {there} or fewer"
        )


def _check_world(training: Training) -> None:
    world = int(os.environ["WORLD_SIZE"])
    if training.world not in (None, world):
        raise ParamsError(
            f"{world} processes were started, and training.devices × training.num_nodes is "
            f"{training.world}: start that many, or change the keys; their number changes the model"
        )
    if world % int(os.environ["LOCAL_WORLD_SIZE"]) and launcher() == "torchrun":
        raise ParamsError("torchrun must start the same number of processes on every node")


def _ray_strategy(strategy: str) -> pl.strategies.Strategy:
    from ray.train.lightning import RayDDPStrategy

    unused = "ddp_find_unused_parameters_true"
    if strategy not in ("auto", "ddp", unused):
        raise ValueError(f"with Ray, take auto, ddp or {unused}")
    found: pl.strategies.Strategy = RayDDPStrategy(find_unused_parameters=strategy == unused)
    return found


def check_sees(folder: Path) -> None:
    """Check that this node sees a folder that all nodes read.

    Raises:
        RetainError: it does not.
    """
    if launcher() != "lightning" and not folder.is_dir():
        raise RetainError(
            f"node {platform.node()}: no folder {folder.resolve()}; the project must lie on a file "
            f"system that every node sees, under the same path, or be copied there "
            f"(docs/scale-training.md)"
        )


def follow(seconds: float = 1.0) -> bool:
    """Return whether another process of this training writes the outputs.

    If this process was started for the training by another, it ends when that one has ended: what
    was killed cannot end its workers, which would wait for each other for half an hour.

    Args:
        seconds: between two checks of the parent.
    """
    number, started = rank(), launcher()
    if started == "torchrun" or (started == "lightning" and number > 0):
        leader = os.getppid()

        def watch() -> None:
            while os.getppid() == leader:
                time.sleep(seconds)
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()
    return number > 0
