"""What a kind of problem hands to a training, and what the training hands back.

Nothing here imports Lightning, so that a kind can build its part without it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from retain.training.sampler import Examples


@dataclass(frozen=True)
class Group:
    """Parameters with a learning rate of their own, whose gradients are clipped by themselves."""

    parameters: tuple[nn.Parameter, ...]
    rate: float


def _nothing() -> None:
    """Leave a network as the training left it."""


@dataclass(frozen=True)
class Length:
    """How long a training is that nothing stops early.

    Attributes:
        updates: of the weights, rounded up to epochs of equal length.
        schedule: updates over which the learning rate falls; more than there are where it is not to
            reach its end.
    """

    updates: int
    schedule: int


@dataclass(frozen=True)
class TrainingSetup:
    """What a kind of problem hands to training.

    `loss(network, batch)` returns the sum of the loss over the batch and its weight, both
    scalar tensors, so that masked values count nowhere. Networks that learn side by side, each
    apart from the others, are a group each; otherwise all parameters have the rate of params.
    `config` is the model's config.json; `calibrate()` is called once, after the training. Without
    a validation part there is a `length`, and the weights at its end are kept. `model` is what is
    written of the network: a part of it where `written` says so. If `epochs` is given, there are no
    more than so many.
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
