"""What a kind of problem hands to a training, and what the training hands back.

Nothing here imports Lightning, so that a kind can build its part without it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from retain.training.sampler import Examples


@dataclass(frozen=True)
class Group:
    """Parameters with a learning rate of their own, whose gradients are clipped by themselves."""

    parameters: tuple[nn.Parameter, ...]
    rate: float


@dataclass(frozen=True)
class TrainingSetup:
    """What a kind of problem hands to training.

    `loss(network, batch)` returns the sum of the loss over the batch and its weight, both
    scalar tensors, so that masked values count nowhere. Networks that learn side by side, each
    apart from the others, are a group each; otherwise all parameters have the rate of params.
    """

    network: nn.Module
    train: Examples
    validation: Examples
    loss: Callable[[nn.Module, Any], tuple[Tensor, Tensor]]
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True)
class Epoch:
    """One row of history.csv."""

    epoch: int
    step: int
    learning_rate: float
    train_loss: float
    validation_loss: float
