"""What `retain tune` tries for a forecasting problem, and how it scores a trial.

The loss of a training is in the units of its normalisation, and so are the validation losses: those
of two settings cannot be compared. A trial is scored by its errors in deviations of the series.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from retain.config.schema import Cell
from retain.config.search import RATE, Choices, Numbers, Range, Space, around, space
from retain.errors import DataError
from retain.kinds.forecast.config import Problem

if TYPE_CHECKING:
    from torch import Tensor, nn

    from retain.kinds.forecast.data.windows import Batch
    from retain.kinds.forecast.model.calibration import Forecast
    from retain.training.setup import TrainingSetup


def build(problem: Problem, cell: Cell) -> Space:
    """Return the search space of a cell.

    `model.base` stays as it is, and on a base so do the keys that it has no use for. A larger
    ensemble is always better and slower: its size is left to the user, too.
    """
    data, model = problem.data, problem.model
    ranges: dict[str, Range] = {
        "data.context_length": Choices(_contexts(problem)),
        "model.hidden_size": around(model.hidden_size, 8, 512),
        "model.layers": Choices((1, 2)),
        "model.dropout": Numbers(0.0, 0.5),
        RATE: Numbers(3e-4, 0.02, log=True),
        "training.weight_decay": Choices((0.0, 0.001, 0.01, 0.1)),
    }
    if model.segment_length is not None:
        ranges["model.segment_length"] = Choices(_segments(problem, model.segment_length))
    if model.base == "none":
        ranges["model.normalisation"] = Choices(("last", "mean_std", "series"))
        if data.season_length > 1:
            ranges["model.residual"] = Choices(("none", "seasonal"))
    return space(problem, cell, ranges)


def _contexts(problem: Problem) -> tuple[int, ...]:
    """Return half of the context length, the length itself and its double, in whole segments."""
    now, unit = problem.data.context_length, problem.model.segment_length or 1
    half = max(unit, -(-now // (2 * unit)) * unit)
    return tuple(sorted({half, now, 2 * now}))


def _segments(problem: Problem, now: int) -> tuple[int, ...]:
    """Return the segment length, its half and its double, where they divide the horizon."""
    most = min(problem.data.horizon, problem.data.context_length)
    others = [now // 2] * (now % 2 == 0) + [2 * now] * (2 * now <= most)
    fitting = {steps for steps in others if problem.data.horizon % steps == 0}
    return tuple(sorted({now, *fitting}))


def build_trial(
    problem: Problem, prepared: Path, cell: Cell
) -> "tuple[TrainingSetup, Callable[[], float]]":
    """Build a trial: the rehearsals of a training, or without any the training itself.

    The network that learns from all rows before the test part is left out: nothing is known of its
    errors. All windows of the validation part, or of the rehearsals' parts, count alike.

    Returns:
        The training, and a function that returns twice the mean quantile loss of the forecasts
        since its last call, in deviations of the series: for a median the absolute error.
    """
    from retain.kinds.forecast.model import setup
    from retain.kinds.forecast.model.forecaster import Forecaster
    from retain.kinds.forecast.model.rehearsal import FEWEST, Rehearsed, Together

    made = setup.build(problem, prepared, cell)
    if made.epochs is not None:
        raise DataError(
            f"{problem.data.path}: a network on the base is not kept, whatever its settings: a "
            f"rehearsal has fewer than {FEWEST} training windows; tune it with model.base: none"
        )
    network = made.network
    if isinstance(network, Rehearsed):
        assert isinstance(made.train, Together)
        rehearsals, loss = network.rehearsals, made.loss

        def same_gradient(network: "nn.Module", batch: "Batch") -> "tuple[Tensor, Tensor]":
            """The weight of all networks divides each gradient, which is then clipped."""
            total, weight = loss(network, batch)
            return total, weight * (1 + network.training / len(rehearsals))

        made = replace(
            made,
            loss=same_gradient,
            network=Rehearsed(rehearsals),
            train=Together(made.train.parts[:-1], least=len(made.train)),
            groups=made.groups[:-1],
            written=None,
        )
    else:
        assert isinstance(network, Forecaster)
        rehearsals = [network]
    sums = [0.0, 0.0]  # of the losses, and of the values that were observed
    for one in rehearsals:
        _add_losses(one, sums)

    def score() -> float:
        total, count = sums
        sums[:] = 0.0, 0.0
        return total / count if count else float("nan")

    return made, score


def _add_losses(network: "nn.Module", sums: list[float]) -> None:
    """Add the losses of each forecast outside of training to `sums`; it costs no second one."""
    import torch

    from retain.kinds.forecast.model import learner
    from retain.kinds.forecast.model.forecaster import Forecaster

    def add(network: "nn.Module", args: "tuple[Batch]", forecast: "Forecast") -> None:
        if network.training:
            return
        assert isinstance(network, Forecaster)
        batch, (values, base, scale, _) = args[0], forecast
        outputs = base.unsqueeze(-1) + scale.unsqueeze(-1) * values  # (batch, horizon, outputs)
        truth = batch.window[:, 0, -network.horizon :].unsqueeze(-1)
        errors: Tensor = truth - network.target.transform.inverse(outputs)
        errors = errors / batch.scales[:, 1:, None]
        quantiles = errors.shape[-1] > 1
        levels = torch.tensor(network.levels if quantiles else (0.5,), device=errors.device)
        losses = 2 * learner.pinball(errors, levels).mean(-1)
        seen = truth[..., 0].isfinite()
        sums[0] += float(torch.where(seen, losses, 0.0).double().sum())
        sums[1] += float(seen.sum())

    network.register_forward_hook(add)
