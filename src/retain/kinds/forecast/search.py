"""What `retain tune` tries for a forecasting problem, and how it scores a trial.

The loss of a training is in the units of its normalisation, and so are the validation losses: those
of two settings cannot be compared. A trial is scored by its errors in deviations of the series.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from retain.config.schema import Cell
from retain.config.search import (
    RATE,
    Choices,
    Losses,
    Numbers,
    Range,
    Space,
    Trial,
    around,
    space,
)
from retain.errors import DataError
from retain.kinds.forecast.config import Problem

if TYPE_CHECKING:
    from torch import Tensor, nn

    from retain.kinds.forecast.data.panel import Panel
    from retain.kinds.forecast.data.windows import Batch
    from retain.kinds.forecast.model.calibration import Forecast

LEAST = 0.5  # of the training part, that is left before an earlier part


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


def build_trial(problem: Problem, prepared: Path, cell: Cell, earlier: int = 0) -> Trial:
    """Build a trial: the rehearsals of a training, or without any the training itself.

    The network that learns from all rows before the test part is left out: nothing is known of its
    errors. All windows of the validation part, or of the rehearsals' parts, count alike. The score
    is twice the mean quantile loss of the forecasts, in deviations of the series: for a median the
    absolute error.

    Args:
        earlier: by how many validation parts the part that is scored lies before those that score
            a trial; it is then one part.

    Raises:
        DataError: a part has no windows, or less than half of the training part is before it.
    """
    from retain.kinds.forecast.data import left_out, panel
    from retain.kinds.forecast.model import setup
    from retain.kinds.forecast.model.forecaster import Forecaster
    from retain.kinds.forecast.model.ready import Together
    from retain.kinds.forecast.model.rehearsal import FEWEST, Rehearsed

    source = left_out.leave_out(panel.load(prepared), problem.evaluation.cold_start)
    if earlier:
        source, problem = _earlier(source, problem, earlier)
    made = setup.build_on(source, problem, cell)
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
    losses = _Losses(source, problem.data.horizon)
    for one in rehearsals:
        one.register_forward_hook(losses.add)
    return Trial(made, losses.score, losses.collected)


def _earlier(source: "Panel", problem: Problem, count: int) -> "tuple[Panel, Problem]":
    """Return a panel whose validation part lies before all parts that score a trial.

    And the problem with one rehearsal, if it has any: more of them would need more rows before.
    """
    schema, training = source.schema, problem.training
    length = schema.test_step - schema.validation_step
    first = schema.validation_step - max(training.rehearsals - 1, 0) * length
    begin = first - count * length
    if begin < LEAST * first:
        raise DataError(f"{problem.data.path}: too few rows before the validation part")
    one = training.model_copy(update={"rehearsals": min(training.rehearsals, 1)})
    cut = source.cut(begin, begin + length, schema.steps)
    return cut, problem.model_copy(update={"training": one})


class _Losses:
    """The losses of the forecasts outside of training, since the last score."""

    def __init__(self, source: "Panel", horizon: int):
        import numpy as np

        self._horizon = horizon
        self._start = source.index["start"].to_numpy()
        self._first_step = source.index["first_step"].to_numpy()
        self._by_step = np.zeros((2, source.schema.steps))  # sums, and numbers of values
        self._by_series = np.zeros((2, len(source.index)))
        self._scored = True

    def score(self) -> float:
        """Return the mean loss."""
        self._scored = True
        total, count = self._by_series.sum(axis=1)
        return float(total / count) if count else float("nan")

    def collected(self) -> Losses:
        """Return the losses of the last score."""
        seen = self._by_step[1] > 0
        sums, counts = self._by_step[:, seen].tolist()
        of_series, counts_of_series = self._by_series.tolist()
        steps = seen.nonzero()[0].tolist()
        return Losses(steps, (sums, counts), (of_series, counts_of_series), self._horizon)

    def add(self, network: "nn.Module", args: "tuple[Batch]", forecast: "Forecast") -> None:
        """Add the losses of a forecast; it costs no second one."""
        import numpy as np
        import torch

        from retain.kinds.forecast.model import learner
        from retain.kinds.forecast.model.forecaster import Forecaster

        if network.training:
            return
        if self._scored:
            self._by_step[:], self._by_series[:], self._scored = 0.0, 0.0, False
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
        series = batch.series.cpu().numpy() - 1
        steps = batch.rows.cpu().numpy() - self._start[series] + self._first_step[series]
        for row, part in enumerate((torch.where(seen, losses, 0.0), seen)):
            of_window = part.double().sum(-1).cpu().numpy()
            np.add.at(self._by_step[row], steps, of_window)
            np.add.at(self._by_series[row], series, of_window)
