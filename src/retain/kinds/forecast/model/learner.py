"""A forecaster with the windows it learns from, and its loss."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from retain.config.schema import Cell
from retain.errors import DataError
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.powers import takes_logarithms
from retain.kinds.forecast.data.windows import Batch, Windows
from retain.kinds.forecast.model.forecaster import Forecaster, build_matched
from retain.kinds.forecast.model.pool import fitting
from retain.kinds.forecast.model.pool.pool import Pool
from retain.kinds.forecast.model.pool.running import Run

# Windows that are learned from on a base, whose forecasts for each are held in memory: as many as
# fit into the updates of a training.
HELD = 130_000
UNITS = 5_000  # windows that the units of the base are measured in


@dataclass(frozen=True)
class Learner:
    """A network before its training, and its training windows.

    Attributes:
        sizes: of the network, for config.json.
        bases: the pool along the panel, where the network has a base.
    """

    network: Forecaster
    sizes: dict[str, int]
    train: Windows
    bases: Run | None

    def described(self) -> dict[str, Any]:
        """Return what config.json says of the network."""
        base = self.network.base
        if base is None:
            return {**self.sizes}
        return {**self.sizes, "pool": {"experts": list(base.experts), "log": base.log}}

    def windows(self, source: Panel, part: str | tuple[int, int], limit: int) -> Windows:
        """Return windows of a part of its panel, with the base's forecasts."""
        windows = Windows(source, part).thinned(limit)
        return windows.on(self.bases, hold=True)


def fit_base(source: Panel) -> tuple[Pool, Run]:
    """Fit the pool to the training part of a panel, and run it along all of it."""
    until = source.schema.validation_step
    pool = fitting.fit(source, until, takes_logarithms(source.values, source.index, until))
    return pool, Run(pool, source)


def make(
    source: Panel,
    problem: Problem,
    cell: Cell,
    ensemble: int | None = None,
    limit: int = HELD,
    fitted: tuple[Pool, Run] | None = None,
) -> Learner:
    """Build a network of `cell` that learns from the training part of a panel.

    Args:
        ensemble: how many members it has, if not as many as params say.
        limit: windows that it learns from on a base, at most.
        fitted: its base, where that is fitted already.

    Raises:
        DataError: the training part has no window with a value.
    """
    model = problem.model
    if ensemble is not None:
        model = model.model_copy(update={"ensemble": ensemble})
    train = Windows(source, "train")
    if not len(train):
        raise DataError(f"{problem.data.path}: no window of the training part has a value in it")
    pool, bases = None, None
    if model.base == "pool":
        pool, bases = fitted or fit_base(source)
        train = train.thinned(limit).on(bases, hold=True)
    network, sizes = build_matched(cell, model, source.schema, len(source.index), pool)
    if network.base is not None:
        few = len(train) <= UNITS
        measured = train if few else Windows(source, "train").thinned(UNITS).on(bases)
        network.begin_at_base(measured)
    return Learner(network, sizes, train, bases)


def loss_of(problem: Problem, network: Forecaster, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the sum of a network's loss over a batch, and its weight."""
    # The members of an ensemble are trained separately, and validated as their mean.
    values, base, scale = network.by_member(batch) if network.training else network(batch)
    truth = network.target.transform.forward(batch.window[:, 0, -base.shape[1] :])
    truth = (truth - base) / scale  # (batch, horizon)
    seen = truth.isfinite()
    error = torch.where(seen, truth, 0.0).unsqueeze(-1) - values.float()
    if problem.model.loss == "pinball":
        levels = torch.tensor(problem.model.quantiles, device=error.device)
        losses = pinball(error, levels).mean(-1)
    else:
        losses = error[..., 0].abs() if problem.model.loss == "mae" else error[..., 0].square()
    return (losses * seen).sum(), seen.expand_as(losses).sum().to(losses.dtype)


def pinball(error: Tensor, levels: Tensor) -> Tensor:
    """Compute the quantile loss of errors, truth − forecast (Koenker & Bassett 1978)."""
    return torch.maximum(levels * error, (levels - 1) * error)


def forget_untrained(network: Forecaster, train: Windows) -> None:
    """Give a series without a training window the embedding of a series never seen."""
    for embedding in (member.series for member in network.members):
        if isinstance(embedding, nn.Embedding):
            untrained = np.setdiff1d(np.arange(1, embedding.num_embeddings), train.series + 1)
            with torch.no_grad():
                embedding.weight[torch.from_numpy(untrained)] = embedding.weight[0].clone()
