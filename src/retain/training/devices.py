"""The devices of a training; an error if they are not available."""

import os
import threading
import time
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException

from retain.config.schema import Training
from retain.errors import ParamsError, clipped


def build_trainer(training: Training, **options: Any) -> pl.Trainer:
    """Build Lightning's trainer for the devices that a problem's section `training` names.

    Raises:
        ParamsError: they are not available, or accelerator, devices and strategy do not fit
            together.
    """
    accelerator = "cpu" if training.reproducible == "portable" else training.accelerator
    there = os.cpu_count() or 1
    if accelerator == "cpu" and isinstance(training.devices, int) and training.devices > there:
        raise ParamsError(
            f"training.devices is {training.devices}, and this machine has {there} processors; "
            f"take {there} or fewer"
        )
    try:
        return pl.Trainer(
            accelerator=accelerator,
            devices=training.devices,
            strategy=training.strategy,
            precision=training.precision,
            **options,
        )
    except (MisconfigurationException, ValueError, ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ParamsError(
            f"training.accelerator {clipped(training.accelerator)}, devices {training.devices} and "
            f"strategy {clipped(training.strategy)} cannot be used here: {clipped(reason, 500)}"
        ) from None


def follow(seconds: float = 1.0) -> bool:
    """Return whether Lightning started this process as a worker of the one that writes outputs.

    If so, this process ends when its parent has ended: a killed parent cannot end its workers,
    which would wait for it for half an hour.

    Args:
        seconds: between two checks of the parent.
    """
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:
        return False
    leader = os.getppid()

    def watch() -> None:
        while os.getppid() == leader:
            time.sleep(seconds)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    return True
