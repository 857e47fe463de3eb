"""The training setup of a translation problem: network, groups of pairs, loss."""

import functools
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from retain.config.schema import Cell
from retain.kinds.translate import dataset
from retain.kinds.translate.config import Problem
from retain.kinds.translate.dataset import Batch, Groups
from retain.kinds.translate.network import Translator
from retain.kinds.translate.pieces import PAD
from retain.networks import recurrent
from retain.training.setup import TrainingSetup


def build(problem: Problem, prepared: Path, cell: Cell) -> TrainingSetup:
    """Build the training of `cell` on what `prepare` wrote."""
    source, training, model = dataset.load(prepared), problem.training, problem.model
    pieces = len(source.schema.source), len(source.schema.target)
    network, sizes = recurrent.build_matched(
        cell, model.hidden_size, lambda cell, hidden: Translator(cell, hidden, pieces, model)
    )
    config = {
        "kind": problem.kind,
        "cell": cell,
        **sizes,
        "model": model.model_dump(mode="json"),
        "schema": source.schema.to_dict(),
    }
    train, validation = (
        Groups(source, part, training.sentences) for part in ("train", "validation")
    )
    smoothed = functools.partial(loss, smoothing=training.smoothing)
    return TrainingSetup(network, train, validation, smoothed, config)


def loss(network: nn.Module, batches: list[Batch], smoothing: float) -> tuple[Tensor, Tensor]:
    """Return the sum of −ln p of all pieces of the targets with their ends, and their number.

    Labels are smoothed in training alone.
    """
    share = smoothing if network.training else 0.0
    losses, count = [], 0
    for batch in batches:
        scores = network(batch.source, batch.inputs).flatten(0, 1)
        targets = batch.targets.flatten()
        losses.append(
            functional.cross_entropy(
                scores, targets, ignore_index=PAD, label_smoothing=share, reduction="sum"
            )
        )
        count += int((targets != PAD).sum())
    return torch.stack(losses).sum(), torch.tensor(float(count), device=losses[0].device)
