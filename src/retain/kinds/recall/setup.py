"""What training needs of a recall problem: networks, examples, loss; and the choice of a rate."""

import functools
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from retain.config.schema import Cell
from retain.kinds.recall import dataset
from retain.kinds.recall.batches import Batch, Examples
from retain.kinds.recall.config import Problem
from retain.kinds.recall.network import GapClassifier, build_matched
from retain.training.setup import Group, TrainingSetup


def build(problem: Problem, prepared: Path, cell: Cell) -> TrainingSetup:
    """Build the training of `cell` on what `prepare` wrote: networks of several seeds and rates."""
    source = dataset.load(prepared)
    training = problem.training
    rates = training.rates(cell)
    seeds = tuple(range(training.seed, training.seed + training.seeds))
    size, chrono = problem.model.hidden_size, problem.model.chrono
    speaks = training.objective == "words"
    network, sizes = build_matched(cell, size, source.schema, seeds, len(rates), chrono, speaks)
    groups = tuple(
        Group(tuple(member.parameters()), rates[number % len(rates)])
        for number, member in enumerate(network.members)
    )
    config = {
        "kind": problem.kind,
        "cell": cell,
        **sizes,
        "seeds": seeds,
        "learning_rates": rates,
        "objective": training.objective,
        "model": problem.model.model_dump(mode="json"),
        "schema": asdict(source.schema),
    }
    train, validation = Examples(source, "train"), Examples(source, "validation")
    return TrainingSetup(
        network,
        train,
        validation,
        loss,
        config,
        groups,
        calibrate=functools.partial(calibrate, network, validation),
    )


def loss(network: nn.Module, batches: list[Batch]) -> tuple[Tensor, Tensor]:
    """The mean loss of the members; each gets the gradient of its own, as if it were alone.

    A member whose loss is no number any more, since its rate was too high, does not count.
    """
    assert isinstance(network, GapClassifier)
    each = torch.cat([network.training_loss(batch) for batch in batches], dim=1)
    own = each.sum(1)
    own = own[own.isfinite()] if own.isfinite().any() else own
    total = own.sum()  # over members too: its gradient is what each has alone, its value is not
    weight = torch.tensor(float(each.shape[1]), device=each.device)
    return total + (total.detach() / len(own) - total.detach()), weight


def calibrate(network: GapClassifier, validation: Examples) -> None:
    """Score every member on the validation part, and keep those of the best learning rate."""
    losses, right = [], []
    with torch.inference_mode():
        for _, batch in validation.chunks():
            said = network(batch)
            losses.append(network.loss(said, batch.targets))
            right.append(network.right(said, batch.targets))
    shape = network.losses.shape
    network.losses.copy_(torch.cat(losses, dim=1).mean(1).view(shape))
    network.accuracies.copy_(torch.cat(right, dim=1).float().mean(1).view(shape))
    network.keep(int(network.losses.mean(0).nan_to_num(torch.inf).argmin()))
