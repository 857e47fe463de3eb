"""The input and the result of a training, for every kind of problem.

This module does not import Lightning, so that a kind can build its part without it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from retain.training.sampler import Examples


@dataclass(frozen=True)
class Group:
    """Parameters with a separate learning rate and separate gradient clipping."""

    parameters: tuple[nn.Parameter, ...]
    rate: float


def _nothing() -> None:
    """Do nothing after the training."""


@dataclass(frozen=True)
class Length:
    """The length of a training without early stopping.

    Attributes:
        updates: of the weights, rounded up to epochs of equal length.
        schedule: updates over which the learning rate falls; more than `updates` if it should not
            reach its end.
    """

    updates: int
    schedule: int


@dataclass(frozen=True)
class TrainingSetup:
    """What a kind of problem gives to a training.

    `loss(network, batch)` returns the sum of the loss over the batch and its weight, both scalar
    tensors, so that masked values have no effect. Independent networks that are trained together
    are a group each; otherwise all parameters have the learning rate of params. `config` is the
    model's config.json; `calibrate()` is called once, after the training. Without a validation part
    there is a `length`, and the weights at its end are kept. `model` is the network that is saved:
    `written`, if it is given. `epochs`, if given, is the most epochs. `start_from(folder)` copies
    the weights of a model folder into the network, where the kind can start from another model.
    """

    network: nn.Module
    train: Examples
    validation: Examples | None
    loss: Callable[[nn.Module, Any], tuple[Tensor, Tensor]]
    config: dict[str, Any] = field(default_factory=dict)
    groups: tuple[Group, ...] = ()
    calibrate: Callable[[], None] = _nothing
    length: Length | None = None
    written: nn.Module | None = None
    epochs: int | None = None
    start_from: Callable[[Path], None] | None = None

    def warm(self, parent: Path | None, md5: str | None) -> None:
        """Start from the weights of a parent's folder, if there is one; config.json has its md5.

        Raises:
            ModelError: the parent does not fit.
        """
        if parent is not None and self.start_from is not None:
            self.start_from(parent)
            self.config["parent"] = md5

    @property
    def model(self) -> nn.Module:
        """The part of the network that is written into a model folder."""
        return self.network if self.written is None else self.written


@dataclass(frozen=True)
class Epoch:
    """One row of history.csv; without a validation part its loss is NaN."""

    epoch: int
    step: int
    learning_rate: float
    train_loss: float
    validation_loss: float
