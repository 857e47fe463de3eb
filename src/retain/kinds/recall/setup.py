"""The training setup of a recall problem: networks, examples, loss, and choice of the rate."""

import functools
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from retain.config.schema import Cell
from retain.kinds.recall import dataset
from retain.kinds.recall.config import Problem
from retain.kinds.recall.dataset import Batch, Examples
from retain.kinds.recall.network import GapClassifier, match_sizes
from retain.training.setup import Group, TrainingSetup

WORST = 100.0  # the loss of an answer by a member that is not finite


def build(problem: Problem, prepared: Path, cell: Cell) -> TrainingSetup:
    """Build the training of `cell` on what `prepare` wrote: networks of several seeds and rates."""
    source = dataset.load(prepared)
    model, training = problem.model, problem.training
    rates = training.rates(cell)
    seeds = tuple(range(training.seed, training.seed + training.seeds))
    words = training.objective == "words"
    sizes = match_sizes(cell, model.hidden_size, source.schema, words)
    hidden = sizes["hidden_size"]
    network = GapClassifier(cell, hidden, source.schema, seeds, len(rates), model.chrono, words)
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
        "model": model.model_dump(mode="json"),
        "schema": asdict(source.schema),
    }
    validation = Examples(source, "validation")
    return TrainingSetup(
        network,
        Examples(source, "train"),
        validation,
        loss,
        config,
        groups,
        calibrate=functools.partial(calibrate, network, validation),
    )


def loss(network: nn.Module, batches: list[Batch]) -> tuple[Tensor, Tensor]:
    """Return the mean loss of the members; each gets only the gradient of its loss.

    A member whose loss is not finite, since its rate is too high, is left out of the mean. In
    validation all members of its rate are, as `calibrate` keeps none of them; where no rate is
    left, it counts as WORST, so that no epoch is the best because a member is lost.
    """
    assert isinstance(network, GapClassifier)
    losses = torch.cat([network.training_loss(batch) for batch in batches], dim=1)
    sums = losses.sum(1)  # (members,)
    finite = sums.isfinite()
    if not network.training:
        finite = finite.view_as(network.losses).all(0).expand_as(network.losses).flatten()
        sums = sums if finite.any() else sums.where(sums.isfinite(), WORST * losses.shape[1])
    sums = sums[finite] if finite.any() else sums
    total = sums.sum()  # gives each member its own gradient; the value is set to the mean below
    weight = torch.tensor(float(losses.shape[1]), device=losses.device)
    return total + (total.detach() / len(sums) - total.detach()), weight


def calibrate(network: GapClassifier, validation: Examples) -> None:
    """Score every member on the validation part, and keep those of the best learning rate."""
    correct, losses = network.answer_all(validation)
    shape = network.losses.shape
    network.losses.copy_(losses.mean(1).view(shape))
    network.accuracies.copy_(correct.float().mean(1).view(shape))
    network.keep_rate(int(network.losses.mean(0).nan_to_num(torch.inf).argmin()))
