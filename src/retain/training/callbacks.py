"""What happens beside a training: history, curves in MLflow, checkpoints."""

import math
import time
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from retain.errors import ModelError
from retain.tracking.offline_run import OfflineRun
from retain.training import checkpoints
from retain.training.lightning_module import Module
from retain.training.setup import Epoch


class History(Callback):
    """Keeps the history and the best weights, and says how far the training is."""

    def __init__(self, name: str, max_epochs: int):
        self.name, self.max_epochs = name, max_epochs
        self.history: list[Epoch] = []
        self.best: dict[str, Tensor] = {}
        self.resumed = 0
        self.started = time.monotonic()

    @property
    def best_epoch(self) -> Epoch:
        return min(self.history, key=lambda epoch: epoch.validation_loss)

    def state_dict(self) -> dict[str, Any]:
        return {"history": [astuple(row) for row in self.history], "best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history = [Epoch(*row) for row in state_dict["history"]]
        self.best = state_dict["best"]
        self.resumed = len(self.history)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Module)
        row = Epoch(
            epoch=trainer.current_epoch,
            step=trainer.global_step,
            learning_rate=trainer.optimizers[0].param_groups[0]["lr"],
            train_loss=pl_module.epoch_loss("train"),
            validation_loss=float(trainer.callback_metrics["val/loss"]),
        )
        both = row.train_loss + row.validation_loss
        if not math.isfinite(both):
            raise ModelError(
                f"{self.name}: the loss became {both} in epoch {row.epoch}; lower "
                f"training.learning_rate or training.gradient_clip"
            )
        self.history.append(row)
        if row is self.best_epoch:
            pl_module.average.swap()
            weights = pl_module.network.state_dict()
            self.best = {key: value.detach().cpu().clone() for key, value in weights.items()}
            pl_module.average.swap()
        pl_module.log("train/loss", row.train_loss, rank_zero_only=True)
        pl_module.log("learning_rate", row.learning_rate, rank_zero_only=True)
        if trainer.is_global_zero:
            self._say(row)

    def _say(self, row: Epoch) -> None:
        done = row.epoch + 1
        each = (time.monotonic() - self.started) / (done - self.resumed)
        left = each * (self.max_epochs - done)
        mark = " (best)" if row is self.best_epoch else ""
        print(
            f"{self.name}: epoch {done}/{self.max_epochs}, train {row.train_loss:.4f}, "
            f"validation {row.validation_loss:.4f}{mark}, at most {left:.0f} s left",
            flush=True,
        )


class MlflowCurves(Logger):
    """Tells a run the curves; Lightning's own logger would end the training with the server.

    A resumed training may log an epoch a second time; that changes nothing.
    """

    name, version = None, None

    def __init__(self, run: OfflineRun):
        super().__init__()
        self.run = run

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.run.log(metrics, step or 0)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The run has them already."""


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
        # Behind the last batch of an epoch comes validation, and Lightning's own state would have
        # to tell the two apart; the next batch is near.
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
