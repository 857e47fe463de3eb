"""A forecaster with its training windows, and its loss."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from retain.config.schema import Cell
from retain.errors import DataError
from retain.evaluation.arrays import Floats
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.powers import takes_logarithms
from retain.kinds.forecast.data.windows import Batch, Windows
from retain.kinds.forecast.model import cold
from retain.kinds.forecast.model.conformal import collect
from retain.kinds.forecast.model.forecaster import Forecaster, build_matched
from retain.kinds.forecast.model.mean import deviance
from retain.kinds.forecast.model.pool import fitting
from retain.kinds.forecast.model.pool.pool import Pool
from retain.kinds.forecast.model.pool.running import Run
from retain.kinds.forecast.model.ready import Ready, ReadyWindows
from retain.kinds.forecast.model.segrnn import SegRNN

# Training windows on a base, whose forecasts are held in memory: at most those of the updates of a
# training, and at most this many numbers.
HELD = 130_000
NUMBERS = 1 << 26
UNITS = 5_000  # windows from which the units of the base are estimated
Heads = list[dict[str, Tensor]]  # of the members of a network


@dataclass(frozen=True)
class Learner:
    """A network before its training, and its training windows.

    Attributes:
        sizes: of the network, for config.json.
        pool: of the base, where the network has one and is to be written.
        bases: the pool along the panel, while windows are still to be made.
    """

    network: Forecaster
    sizes: dict[str, int]
    train: Windows
    pool: Pool | None
    bases: Run | None

    def described(self) -> dict[str, Any]:
        """Return what config.json says of the network."""
        base = self.network.base
        if self.network.cold is not None:
            return {**self.sizes, "cold_start": {"series": len(self.network.cold.static)}}
        if base is None:
            return {**self.sizes}
        return {**self.sizes, "pool": {"experts": list(base.experts), "log": base.log}}

    def examples(self) -> Windows | ReadyWindows:
        """Return what it learns from: normalised in blocks, unless each batch is masked anew."""
        masked = self.network.cold is not None
        return self.train if masked else ReadyWindows(self.train, self.network)

    def finish(self) -> None:
        """Complete the network after its training.

        A series without a training window gets the embedding of a new series.
        """
        for embedding in (member.series for member in self.network.members):
            if isinstance(embedding, nn.Embedding):
                untrained = np.setdiff1d(
                    np.arange(1, embedding.num_embeddings), self.train.series + 1
                )
                with torch.no_grad():
                    embedding.weight[torch.from_numpy(untrained)] = embedding.weight[0].clone()
        if self.network.base is not None and self.pool is not None:
            self.network.base.hold(self.pool)
        self.network.eval()

    def made(self, written: bool) -> "Learner":
        """Return the learner without what only making its windows needs, which may be large.

        Args:
            written: whether its network will be.
        """
        return replace(self, pool=self.pool if written else None, bases=None)


def fit_base(
    source: Panel, log: bool | None = None, among: NDArray[np.int64] | None = None
) -> tuple[Pool, Run]:
    """Fit the pool to the training part of a panel, and prepare to run it along all of it.

    Args:
        log: whether it has experts of log1p; by default if the training part takes logarithms.
        among: the series that are fitted and may be run; all by default.
    """
    if log is None:
        log = _takes_logarithms(source)
    pool = fitting.fit(source, source.schema.validation_step, log, among)
    return pool, Run(pool, source, _rows(source, among))


def _takes_logarithms(source: Panel) -> bool:
    return takes_logarithms(source.values, source.index, source.schema.validation_step)


def _rows(source: Panel, among: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
    """Return the row of each series in a pool that is fitted to some of them, 0 for the others."""
    if among is None:
        return None
    numbers = np.zeros(len(source.index), dtype=np.int64)
    numbers[among] = 1 + np.arange(len(among))
    return numbers


def make(
    source: Panel,
    problem: Problem,
    cell: Cell,
    ensemble: int | None = None,
    limit: int = HELD,
    fitted: tuple[Pool, Run] | None = None,
    scored: Windows | None = None,
) -> Learner:
    """Build a network of `cell` for the training part of a panel.

    Args:
        ensemble: number of members, if not that of params.
        limit: the most training windows on a base.
        fitted: its base, if it is fitted already.
        scored: all further windows that it will forecast, if it is not to be written: of a large
            table the base is then fitted only to the series of these and of its training windows.

    Raises:
        DataError: the training part has no window with a value.
    """
    model = problem.model
    if ensemble is not None:
        model = model.model_copy(update={"ensemble": ensemble})
    train = Windows(source, "train")
    if not len(train):
        raise DataError(f"{problem.data.path}: no window of the training part has a value in it")
    pool, bases, light, measured = None, None, None, train
    if model.base == "pool":
        until, horizon = source.schema.validation_step, source.schema.data["horizon"]
        log = fitted is None and _takes_logarithms(source)  # which reads all values
        experts = fitted[0].experts if fitted else fitting.names(source, until, log)
        most = NUMBERS // (len(experts) * horizon + train.context)
        train = train.thinned(min(limit, most))
        if len(train) > UNITS:
            measured = Windows(source, "train").thinned(UNITS)
        among = None
        if scored is not None:
            among = _few(source, (train, measured, scored))
        pool, bases = fitted or fit_base(source, log, among)
        train.on(bases, hold=True)
        if measured is not train:
            measured.on(bases, hold=True)
        # The copies of a network in a training are small: it reads nothing else of its pool.
        light = pool.weights_alone(_rows(source, among))
    network, sizes = build_matched(cell, model, source.schema, len(source.index), light)
    if network.base is not None:
        begin_at_base(network, measured)
    if problem.training.mask_contexts:
        network.cold = cold.make(network, source)
    return Learner(network, sizes, train, pool, bases)


def _few(source: Panel, drawn: Sequence[Windows]) -> NDArray[np.int64] | None:
    """Return the series of windows; None if they are not less than half of all."""
    series = np.unique(np.concatenate([windows.series for windows in drawn]))
    return series if 2 * len(series) < len(source.index) else None


def loss_of(problem: Problem, network: Forecaster, batch: Batch | Ready) -> tuple[Tensor, Tensor]:
    """Return the sum of a network's loss over a batch, and its weight."""
    batch, window = batch if isinstance(batch, Ready) else (batch, None)
    if network.training and problem.training.mask_contexts:
        batch = cold.masked(network, batch, problem.training.mask_contexts)
    # The members of an ensemble are trained separately, and validated as their mean.
    forecast = network.by_member(batch, window) if network.training else network(batch)
    values, base, scale, mean = forecast
    observed = batch.window[:, 0, -base.shape[1] :]  # (batch, horizon)
    truth = (network.target.transform.forward(observed) - base) / scale
    seen = truth.isfinite()
    error = torch.where(seen, truth, 0.0).unsqueeze(-1) - values.float()
    if problem.model.loss == "pinball":
        levels = torch.tensor(problem.model.quantiles, device=error.device)
        losses = pinball(error, levels).mean(-1)
    else:
        losses = error[..., 0].abs() if problem.model.loss == "mae" else error[..., 0].square()
    if mean is not None:  # NaN in mirrored windows
        known, deviation = seen & mean.isfinite(), batch.scales[:, 1:]
        expected = torch.where(known, mean / deviation, 1.0)
        found = deviance(torch.where(seen, observed / deviation, 0.0), expected)
        losses = losses + torch.where(known, found, 0.0)
    return (losses * seen).sum(), seen.expand_as(losses).sum().to(losses.dtype)


def pinball(error: Tensor, levels: Tensor) -> Tensor:
    """Compute the quantile loss of errors, truth − forecast (Koenker & Bassett 1978)."""
    return torch.maximum(levels * error, (levels - 1) * error)


def begin_at_base(network: Forecaster, windows: Windows) -> None:
    """Fit the units of a network's base to windows, and initialise it with the base's forecast.

    Its initial quantiles are those of the base's errors.
    """
    assert network.base is not None
    network.base.fit_units(windows, network.target.transform)
    found = collect(network.forecast_base, windows, network.target.transform)
    errors = (found.truth - found.values[..., 0]).reshape(-1)
    errors = errors[np.isfinite(errors)]
    outputs = np.zeros(_outputs(network))
    if len(outputs) > 1 and len(errors):
        outputs = np.quantile(errors, network.levels)
    _say_always(network, outputs)


def heads(network: Forecaster) -> Heads:
    """Return a copy of the weights of the members' heads."""
    return [{name: value.detach().clone() for name, value in _head(m)} for m in network.members]


def set_between(network: Forecaster, start: Heads, end: Heads, share: float) -> None:
    """Set the heads between two others, so that a network adds a share of what `end` would add.

    With a share of 1 they are exactly `end`.
    """
    for member, before, after in zip(network.members, start, end, strict=True):
        for name, value in _head(member):
            value.data.copy_(torch.lerp(before[name], after[name], share))


def _head(member: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    assert isinstance(member, SegRNN)
    return member.head.named_parameters()


def rest_on_base(network: Forecaster) -> None:
    """Reset a network, so that its forecast is the base's."""
    _say_always(network, np.zeros(_outputs(network)))


def _outputs(network: Forecaster) -> int:
    return len(network.levels) if network.model.loss == "pinball" else 1


def _say_always(network: Forecaster, outputs: Floats) -> None:
    """Set the members to change no expert weight, and to add the same to each mixture."""
    assert network.base is not None
    values = np.r_[np.zeros(len(network.base.experts)), outputs]
    for member in network.members:
        assert isinstance(member, SegRNN)
        member.start_at(torch.from_numpy(values).float())
