"""The training setup of a text problem: network, sequences of text, loss.

A sequence (`stretch`) has several chunks. The state starts at zero and is carried from chunk to
chunk; the gradient ends at the border of a chunk: truncated backpropagation (Williams & Peng 1990).
No state is carried from one batch to the next, so the batches of an epoch can be in any order, and
training can resume at any batch.
"""

import functools
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from retain.config.schema import Cell
from retain.kinds.text import dataset
from retain.kinds.text.config import Problem
from retain.kinds.text.dataset import Tokens
from retain.kinds.text.network import LanguageModel, detach
from retain.networks import recurrent
from retain.networks.recurrent import State
from retain.training.setup import TrainingSetup

NONE = -1  # no unit
GOLDEN = (math.sqrt(5) - 1) / 2  # its multiples, without their whole part, lie evenly in 0 to 1


class Stretches:
    """Stretches of a part, one after the other; the last ends with the part."""

    def __init__(self, tokens: Tokens, length: int):
        self.tokens, self.length = tokens, min(length, len(tokens) - 1)

    def __len__(self) -> int:
        return math.ceil((len(self.tokens) - 1) / self.length)

    def batch(self, numbers: NDArray[np.int64]) -> Tensor:
        """Return the stretches of these numbers, each with the next unit: (length + 1, batch)."""
        last = len(self.tokens) - 1 - self.length
        starts = np.minimum(numbers * self.length, last)
        return torch.from_numpy(self.tokens[np.arange(self.length + 1)[:, None] + starts])


class Shifted(Stretches):
    """Stretches that begin at other places in each epoch, so that no unit is always the first."""

    def at(self, epoch: int) -> Stretches:
        """Return the stretches of an epoch."""
        shift = int(epoch * GOLDEN % 1 * self.length)
        return Stretches(self.tokens[shift:], self.length)


def build(problem: Problem, prepared: Path, cell: Cell) -> TrainingSetup:
    """Build the training of `cell` on what `prepare` wrote."""
    source, model = dataset.load(prepared), problem.model
    units = len(source.schema.vocabulary)
    network, sizes = recurrent.build_matched(
        cell, model.hidden_size, lambda cell, hidden: LanguageModel(cell, hidden, units, model)
    )
    chunk = problem.training.chunk
    config = {
        "kind": problem.kind,
        "cell": cell,
        **sizes,
        "model": model.model_dump(mode="json"),
        "schema": asdict(source.schema),
    }
    length = chunk * problem.training.chunks
    train = Shifted(source.part("train"), length)
    validation = Stretches(source.part("validation"), length)
    # Where training never has an unknown unit, no network learns how probable it is, and its loss
    # would rule that of the validation part.
    learned = not train.tokens.all() or not validation.tokens[1:].any()
    return TrainingSetup(
        network,
        train,
        validation,
        functools.partial(loss, chunk=chunk, ignored=NONE if learned else 0),
        config,
        epochs=problem.training.cell_epochs.get(cell),
    )


def loss(
    network: nn.Module, batch: Tensor, chunk: int, ignored: int = NONE
) -> tuple[Tensor, Tensor]:
    """Return the sum of −ln p of all units of a batch except the first, and their number.

    Args:
        ignored: the unit that is not counted.
    """
    assert isinstance(network, LanguageModel)
    inputs, targets = batch[:-1], batch[1:]  # (length, batch)
    total = torch.zeros((), device=batch.device)
    state: State | None = None
    for begin in range(0, len(inputs), chunk):
        part = slice(begin, begin + chunk)
        scores, state = network(inputs[part], None if state is None else detach(state))
        losses = functional.cross_entropy(
            scores.flatten(0, 1), targets[part].flatten(), ignore_index=ignored, reduction="sum"
        )
        total = total + losses
    return total, (targets != ignored).sum().float()
