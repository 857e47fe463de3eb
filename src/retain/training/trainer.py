"""Training with Lightning, as a pure function of data, params and code.

The order of an epoch is a function of seed and epoch, dropout of seed and step, the learning rate
of the step alone; nothing depends on what ran before in the process. It works for every kind of
problem: a `TrainingSetup` has the network, the examples and the loss.
"""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping

from retain.config.schema import Training
from retain.errors import Terminated
from retain.tracking.offline_run import OfflineRun
from retain.training import checkpoints, devices
from retain.training.callbacks import (
    Agreement,
    CheckpointEvery,
    History,
    MlflowCurves,
    WeightAverage,
)
from retain.training.checkpoints import SafetensorsCheckpointIO
from retain.training.lightning_module import Module
from retain.training.sampler import ResumableSampler
from retain.training.setup import Epoch, TrainingSetup


def seed_everything(training: Training) -> None:
    """Set threads and seeds before a network is built, so that its weights are the same."""
    torch.set_num_threads(training.threads)
    torch.manual_seed(training.seed)
    # Deterministic kernels fill memory before they overwrite it, to show early reads.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def equal_epochs(updates: int, training: Training, examples: int) -> tuple[int, int]:
    """Divide updates into epochs of equal length; return how many, and the updates of each.

    No epoch is shorter, so that every epoch ends with its last batch; no checkpoint is written
    there. No epoch is longer than `training` allows, and there are as few as possible; rounding
    adds less than one update per epoch.

    >>> equal_epochs(1001, Training(batch_size=10, epoch_steps=200), examples=5_000)
    (6, 167)
    """
    longest = min(training.epoch_steps, -(-examples // training.batch_size))
    epochs = -(-updates // longest)
    return epochs, -(-updates // epochs)


def epochs_of(setup: TrainingSetup, training: Training) -> int:
    """Return the most epochs of a training with early stopping."""
    epochs = training.epochs(len(setup.train))
    return epochs if setup.epochs is None else min(epochs, setup.epochs)


def fit(
    setup: TrainingSetup,
    training: Training,
    cell: str,
    name: str,
    run: OfflineRun | None = None,
    folder: Path | None = None,
    stop: Callable[[Epoch], bool] | None = None,
) -> list[Epoch]:
    """Train the network of a setup, in place, and leave the weights of the best epoch in it.

    Without a validation part these are the weights of the last epoch.

    Args:
        cell: chooses the learning rate if params has one for each cell.
        name: prefix of the lines of progress.
        run: the MLflow run that logs the curves.
        folder: of the checkpoints; training resumes from the newest complete one.
        stop: called after each epoch; whether the training ends there.

    Returns:
        The history, an entry for each epoch.

    Raises:
        ModelError: the loss is not finite.
    """
    for noisy in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(f"{noisy}.utilities.rank_zero").setLevel(logging.WARNING)
    epochs, most = epochs_of(setup, training), training.epoch_steps
    if setup.length is not None:
        epochs, most = equal_epochs(setup.length.updates, training, len(setup.train))
    train = ResumableSampler(setup.train, training.batch_size, training.seed, most)
    steps = setup.length.schedule if setup.length else len(train) * epochs
    module = Module(setup, training, training.rate(cell), steps)
    average = WeightAverage(training.ema_decay)
    history = History(name, epochs, average, stop)
    callbacks: list[Callback] = [average, history]
    validation = None
    if setup.validation is not None:
        validation = ResumableSampler(setup.validation, 4 * training.batch_size, None)
        patience = training.patience or max(3, epochs // 3)
        callbacks.append(EarlyStopping("val/loss", patience=patience))
    resumed = None
    if folder is not None:
        resumed = checkpoints.newest(folder)
        callbacks.append(CheckpointEvery(training.checkpoint_every, folder))
        callbacks.append(Agreement(name, folder, resumed))
    trainer = devices.build_trainer(
        training,
        [SafetensorsCheckpointIO()],
        max_epochs=epochs,
        gradient_clip_val=training.gradient_clip,
        deterministic=training.reproducible != "off",
        callbacks=callbacks,
        logger=False if run is None else MlflowCurves(run),
        log_every_n_steps=len(train) * epochs + 1,  # once an epoch is enough
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    if resumed is not None and devices.rank() == 0:
        print(f"{name}: resumes at step {int(resumed.stem):,}", flush=True)
    with warnings.catch_warnings():  # batches come from one gather; workers would slow them down
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        warnings.filterwarnings("ignore", message=".*smaller than the logging interval")
        warnings.filterwarnings("ignore", message=".*recommended to use `self.log")  # it is synced
        warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*have no `val_dataloader")
        try:
            trainer.fit(module, train, validation, ckpt_path=resumed)
        except SystemExit:  # what Lightning makes of Ctrl-C, with exit code 1
            if trainer.received_sigterm:  # and of a SIGTERM whose exception Python had to drop
                raise Terminated from None
            if trainer.interrupted:
                raise KeyboardInterrupt from None
            raise
    setup.network.load_state_dict(history.best)
    return history.epochs
