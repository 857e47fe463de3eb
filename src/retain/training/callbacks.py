"""Callbacks of a training: history, curves in MLflow, checkpoints."""

import math
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, WeightAveraging
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from retain.errors import ModelError, RetainError
from retain.tracking.offline_run import OfflineRun
from retain.training import checkpoints
from retain.training.lightning_module import Module
from retain.training.setup import Epoch


class WeightAverage(WeightAveraging):
    """A moving average of the weights over the steps (Polyak & Juditsky 1992).

    It has the effect of a much smaller learning rate at any time of the training, so which epoch is
    the best depends less on the learning rate schedule. The first steps have less weight.
    """

    def __init__(self, decay: float):
        super().__init__(use_buffers=False)
        self.decay = decay

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._device = trainer.strategy.root_device  # the module is moved there after this hook
        super().setup(trainer, pl_module, stage)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert self._average_model is not None
        self._means: list[Tensor] = [*self._average_model.parameters()]
        self._weights: list[Tensor] = [*pl_module.parameters()]

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any
    ) -> None:
        # Lightning's update lists the parameters of both networks at every step.
        step = trainer.global_step
        if step > self._latest_update_step:
            share = 1 - min(self.decay, (step - 1) / (step + 8))
            torch._foreach_lerp_(self._means, self._weights, share)
            self._latest_update_step = step

    def state(self) -> dict[str, Tensor]:
        """Return a copy of the averaged network's state on the CPU."""
        assert self._average_model is not None
        weights = self._average_model.get_submodule("module.network").state_dict()
        return {key: value.cpu().clone() for key, value in weights.items()}


class History(Callback):
    """Keeps the history and the best averaged weights, and prints progress.

    Without validation the newest weights are the best. `stop` says after each epoch whether the
    training ends there.
    """

    def __init__(
        self,
        name: str,
        max_epochs: int,
        average: WeightAverage,
        stop: Callable[[Epoch], bool] | None = None,
    ):
        self.name, self.max_epochs, self.average, self.stop = name, max_epochs, average, stop
        self.epochs: list[Epoch] = []
        self.best: dict[str, Tensor] = {}
        self.first = 0
        self.started = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        return {"history": [astuple(row) for row in self.epochs], "best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epochs = [Epoch(*row) for row in state_dict["history"]]
        self.best = state_dict["best"]
        self.first = len(self.epochs)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Module)
        row = Epoch(
            epoch=trainer.current_epoch,
            step=trainer.global_step,
            learning_rate=trainer.optimizers[0].param_groups[0]["lr"],
            train_loss=pl_module.epoch_loss("train"),
            validation_loss=float(trainer.callback_metrics.get("val/loss", math.nan)),
        )
        validated = trainer.val_dataloaders is not None
        both = row.train_loss + (row.validation_loss if validated else 0.0)
        if not math.isfinite(both):
            raise ModelError(
                f"{self.name}: the loss became {both} in epoch {row.epoch}; lower "
                f"training.learning_rate or training.gradient_clip"
            )
        self.epochs.append(row)
        best = row is min(self.epochs, key=lambda epoch: epoch.validation_loss)
        if best or not validated:
            self.best = self.average.state()
        pl_module.log("train/loss", row.train_loss, rank_zero_only=True)
        pl_module.log("learning_rate", row.learning_rate, rank_zero_only=True)
        if trainer.is_global_zero:
            done = row.epoch + 1
            seconds = (time.monotonic() - self.started) / (done - self.first)
            loss = f", validation {row.validation_loss:.4f}{' (best)' * best}" * validated
            print(
                f"{self.name}: epoch {done}/{self.max_epochs}, train {row.train_loss:.4f}{loss}, "
                f"at most {seconds * (self.max_epochs - done):.0f} s left",
                flush=True,
            )
        if self.stop is not None and self.stop(row):
            trainer.should_stop = True


# Lightning's name of a curve, and the metric of the run; Lightning's other metrics are left out.
CURVES = {
    "learning_rate": "train/learning_rate",
    "train/loss": "train/loss",
    "val/loss": "validation/loss",
}


class MlflowCurves(Logger):
    """Logs the curves to a run; Lightning's logger would stop the training when the server fails.

    A resumed training may log an epoch a second time; that changes nothing.
    """

    name, version = None, None

    def __init__(self, run: OfflineRun):
        super().__init__()
        self.run = run

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        named = {name: metrics[key] for key, name in CURVES.items() if key in metrics}
        self.run.log(named, step or 0)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the run has the params already."""


class Agreement(Callback):
    """Stops a training of several processes that do not start from the same.

    The name of the checkpoints' folder is the md5 of data, params and code.
    """

    def __init__(self, name: str, folder: Path, resumed: Path | None):
        step = "the start" if resumed is None else f"step {int(resumed.stem):,}"
        self.found = (name, folder.as_posix(), step, platform.node())

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if trainer.world_size == 1:
            return
        everyone: list[tuple[str, str, str, str]] = [self.found] * trainer.world_size
        torch.distributed.all_gather_object(everyone, self.found)
        for other in everyone:
            if other[:2] != everyone[0][:2]:
                raise RetainError(
                    f"node {other[3]} has other data, params or code than node {everyone[0][3]}: "
                    f"{other[0]} with {other[1]} there, {everyone[0][0]} with {everyone[0][1]} "
                    f"here; bring all nodes to the same commit and data"
                )
            if other[2] != everyone[0][2]:
                raise RetainError(
                    f"node {other[3]} would train from {other[2]}, node {everyone[0][3]} from "
                    f"{everyone[0][2]}: both must see the same checkpoints, in {other[1]}"
                )


class CheckpointEvery(Callback):
    """Writes a checkpoint every so many steps or seconds."""

    def __init__(self, every: int | str, folder: Path):
        self.folder = folder
        self.seconds = float(every.removesuffix("s")) if isinstance(every, str) else None
        self.steps = every if isinstance(every, int) else 0
        self.last_step, self.last_time = 0, time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any
    ) -> None:
        # Validation follows the last batch of an epoch, and Lightning's state does not say which of
        # the two a checkpoint follows; so wait for the next batch.
        if trainer.is_last_batch:
            return
        due = trainer.global_step - self.last_step >= self.steps
        if self.seconds is not None:
            due = time.monotonic() - self.last_time >= self.seconds
            if trainer.world_size > 1:  # clocks differ, and all must save at the same step
                due = trainer.strategy.broadcast(due)
        if due:
            path = self.folder / checkpoints.name(trainer.global_step)
            trainer.save_checkpoint(path, weights_only=False)
            self.last_step, self.last_time = trainer.global_step, time.monotonic()
