"""Training with Lightning, as a pure function of data, params and code.

The order of an epoch is a function of seed and epoch, dropout of seed and step, the learning rate
of the step alone; nothing depends on what ran before in the process. Knows no kind of problem: a
`TrainingSetup` brings the network, the windows and the loss. The only module that imports
Lightning.
"""

import json
import logging
import math
import os
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.io import CheckpointIO
from pytorch_lightning.utilities import rank_zero_only
from safetensors.torch import save
from torch import Tensor, nn

from retain.config.schema import Training
from retain.errors import ModelError, Terminated
from retain.tracking.offline_run import OfflineRun
from retain.training import checkpoints
from retain.training.sampler import Examples, ResumableSampler


@dataclass(frozen=True)
class Group:
    """Parameters with a learning rate of their own, whose gradients are clipped by themselves."""

    parameters: tuple[nn.Parameter, ...]
    rate: float


def _nothing() -> None:
    """Leave a network as the training left it."""


@dataclass(frozen=True)
class TrainingSetup:
    """What a kind of problem hands to training.

    `loss(network, batch)` answers with the sum of the loss over the batch and its weight, both
    scalar tensors, so that masked values count nowhere. Networks that learn side by side, each
    apart from the others, are a group each; otherwise all parameters have the rate of params.
    `config` is the model's config.json; `calibrate()` is called once, after the training.
    """

    network: nn.Module
    train: Examples
    validation: Examples
    loss: Callable[[nn.Module, Any], tuple[Tensor, Tensor]]
    config: dict[str, Any] = field(default_factory=dict)
    groups: tuple[Group, ...] = ()
    calibrate: Callable[[], None] = _nothing


@dataclass(frozen=True)
class Epoch:
    """One row of history.csv."""

    epoch: int
    step: int
    learning_rate: float
    train_loss: float
    validation_loss: float


def learning_rate(step: int, total: int, peak: float, warmup_fraction: float) -> float:
    """Linear warm-up, then a cosine to 1 % of the peak (Loshchilov & Hutter 2017)."""
    warmup = max(1, round(total * warmup_fraction))
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


class Average:
    """A moving average of a network's weights over the steps (Polyak & Juditsky 1992).

    It forecasts as weights at a far smaller learning rate would, at any time of the training: which
    epoch is the best then hangs less on where in its schedule the learning rate is.
    """

    def __init__(self, network: nn.Module, decay: float):
        self.decay = decay
        self.kept = [parameter.detach().clone() for parameter in network.parameters()]
        self.follow(network)

    def follow(self, network: nn.Module) -> None:
        """Keep the average where the network is, which a trainer may have moved."""
        self.weights = [parameter.data for parameter in network.parameters()]
        self.kept = [
            kept.to(weight.device) for kept, weight in zip(self.kept, self.weights, strict=True)
        ]

    def update(self, step: int) -> None:
        """Take in the weights after so many steps; the first ones count less."""
        decay = min(self.decay, step / (step + 9))
        torch._foreach_lerp_(self.kept, self.weights, 1 - decay)

    def swap(self) -> None:
        """Change the network's weights for their average, or back."""
        for weight, kept in zip(self.weights, self.kept, strict=True):
            other = weight.clone()
            weight.copy_(kept)
            kept.copy_(other)


class Module(pl.LightningModule):
    """A task under Lightning."""

    def __init__(
        self,
        task: TrainingSetup,
        training: Training,
        rate: float,
        batches: tuple[ResumableSampler, ...],
    ):
        super().__init__()
        self.network, self.loss = task.network, task.loss
        self.training_params, self.batches = training, batches
        self.groups = task.groups or (Group(tuple(self.network.parameters()), rate),)
        self.steps = len(batches[0]) * training.epochs(len(task.train))
        self.average = Average(self.network, training.ema_decay)
        self._sums: dict[str, list[Tensor]] = {"train": [], "val": []}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        decay = self.training_params.weight_decay
        # Lightning clips no gradients of a fused optimiser in half precision.
        fused = self.training_params.precision == "32-true"
        groups = [{"params": group.parameters, "lr": group.rate} for group in self.groups]
        return torch.optim.AdamW(groups, weight_decay=decay, fused=fused)

    def on_fit_start(self) -> None:
        for batches in self.batches:
            batches.rank, batches.world = self.trainer.global_rank, self.trainer.world_size
        self.average.follow(self.network)

    def on_train_epoch_start(self) -> None:
        self.batches[0].epoch = self.current_epoch

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        self.average.update(self.global_step)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        if len(self.groups) == 1:
            super().configure_gradient_clipping(
                optimizer, gradient_clip_val, gradient_clip_algorithm
            )
            return
        for group in self.groups:
            nn.utils.clip_grad_norm_(group.parameters, self.training_params.gradient_clip)

    def on_validation_start(self) -> None:
        self.average.swap()

    def on_validation_end(self) -> None:
        self.average.swap()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        step = self.global_step
        # Two numbers in one seed: no run has a million steps more than its seed has room for.
        seed = (self.training_params.seed << 32) + step * 64 + self.global_rank
        # torch.manual_seed would queue a seed at every step for each device that is not there.
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        warmup = self.training_params.warmup_fraction
        optimised = self.optimizers(use_pl_optimizer=False).param_groups  # type: ignore[union-attr]
        for group, own in zip(optimised, self.groups, strict=True):
            group["lr"] = learning_rate(step, self.steps, own.rate, warmup)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self._step("train", batch)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._step("val", batch)

    def _step(self, part: str, batch: Any) -> Tensor:
        total, weight = self.loss(self.network, batch)
        self._sums[part].append(torch.stack([total.detach(), weight.detach()]))
        return total / weight.clamp(min=1)

    def epoch_loss(self, part: str) -> float:
        """The mean loss since the last call, over all devices."""
        sums = torch.stack(self._sums[part]).double().sum(0)
        self._sums[part].clear()
        total, weight = self.trainer.strategy.reduce(sums, reduce_op="sum").tolist()
        return float(total / weight)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["sums"] = torch.stack(self._sums["train"])
        checkpoint["average"] = self.average.kept

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._sums["train"] = list(checkpoint["sums"])
        self.average.kept = list(checkpoint["average"])

    def on_validation_epoch_end(self) -> None:
        self.log("val/loss", self.epoch_loss("val"), rank_zero_only=True)


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


class SafetensorsCheckpointIO(CheckpointIO):
    """Lightning's reading and writing of checkpoints by `checkpoints`, without pickle."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        checkpoints.write(Path(path), checkpoint)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return checkpoints.read(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)


def seed_everything(training: Training) -> None:
    """Set threads and seeds before a network is built; the same call gives the same weights."""
    torch.set_num_threads(training.threads)
    torch.manual_seed(training.seed)
    # Deterministic kernels fill what they are about to overwrite, to show who reads it too early.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def is_follower() -> bool:
    """Whether Lightning started this process to help another, which alone records and writes."""
    return int(os.environ.get("LOCAL_RANK", "0")) > 0


def fit(
    task: TrainingSetup,
    training: Training,
    cell: str,
    name: str,
    run: OfflineRun | None = None,
    folder: Path | None = None,
) -> list[Epoch]:
    """Train the network of `task`, in place, and leave the weights of the best epoch in it.

    Args:
        cell: chooses the learning rate where params has one for each cell.
        name: what the lines of progress begin with.
        run: the MLflow run that the curves go to.
        folder: of the checkpoints; training goes on from the newest in it that is whole.

    Returns:
        The history, an entry for each epoch.

    Raises:
        ModelError: the loss is no longer a number.
    """
    for noisy in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(f"{noisy}.utilities.rank_zero").setLevel(logging.WARNING)
    train = ResumableSampler(task.train, training.batch_size, training.seed, training.epoch_steps)
    epochs = training.epochs(len(task.train))
    validation = ResumableSampler(task.validation, 4 * training.batch_size, None)
    module = Module(task, training, training.rate(cell), (train, validation))
    journal = History(name, epochs)
    patience = training.patience or max(3, epochs // 3)
    callbacks: list[Callback] = [journal, EarlyStopping("val/loss", patience=patience)]
    resumed = None
    if folder is not None:
        callbacks.append(CheckpointEvery(training.checkpoint_every, folder))
        resumed = checkpoints.newest(folder)
    trainer = pl.Trainer(
        accelerator="cpu" if training.reproducible == "portable" else training.accelerator,
        devices=training.devices,
        strategy=training.strategy,
        precision=training.precision,
        max_epochs=epochs,
        gradient_clip_val=training.gradient_clip,
        deterministic=training.reproducible != "off",
        callbacks=callbacks,
        plugins=[SafetensorsCheckpointIO()],
        logger=False if run is None else MlflowCurves(run),
        log_every_n_steps=len(train) * epochs + 1,  # once an epoch is enough
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    if resumed is not None:
        print(f"{name}: goes on from step {int(resumed.stem):,}", flush=True)
    with warnings.catch_warnings():  # batches come from one gather; workers would slow them down
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        warnings.filterwarnings("ignore", message=".*smaller than the logging interval")
        warnings.filterwarnings("ignore", message=".*recommended to use `self.log")  # it is synced
        warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
        try:
            trainer.fit(module, train, validation, ckpt_path=resumed)
        except SystemExit:  # what Lightning makes of Ctrl-C, with exit code 1
            if trainer.received_sigterm:  # and of a SIGTERM whose exception Python had to drop
                raise Terminated from None
            if trainer.interrupted:
                raise KeyboardInterrupt from None
            raise
    task.network.load_state_dict(journal.best)
    return journal.history


def write_model(
    folder: Path, network: nn.Module, config: dict[str, Any], history: list[Epoch]
) -> None:
    """Write a model into an existing folder: weights, config and history, each byte-stable."""
    weights = {key: value.contiguous() for key, value in network.state_dict().items()}
    # Not by save_file, whose error on a full disk is no OSError, and whose file is for one user.
    (folder / "weights.safetensors").write_bytes(save(weights))
    text = json.dumps(config, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    names = [field.name for field in fields(Epoch)]
    lines = [",".join(f"{getattr(row, name):.9g}" for name in names) for row in history]
    (folder / "history.csv").write_text("\n".join([",".join(names), *lines]) + "\n")
