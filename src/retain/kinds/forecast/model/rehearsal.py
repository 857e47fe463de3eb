"""Rehearsals: networks trained on the rows before a part of the past, and scored on that part.

Each part is as long as the validation part: the validation part itself, and the parts before it.
Their scores decide for how many updates to train, and on a classical base whether a network is
kept; their errors calibrate the intervals. The evaluated network is trained at the same time, on
all rows before the test part, without any scores. All of them are one training, which stops and
resumes as a whole.
"""

from collections.abc import Sequence
from statistics import fmean
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor, nn

from retain.config.schema import Cell
from retain.evaluation.arrays import Floats
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Batch, Windows
from retain.kinds.forecast.model import learner
from retain.kinds.forecast.model.calibration import Calibration, Target, point_of
from retain.kinds.forecast.model.conformal import Residuals, collect, fit, joined, set_calibration
from retain.kinds.forecast.model.forecaster import Forecaster
from retain.kinds.forecast.model.learner import Heads, Learner
from retain.kinds.forecast.model.ready import Ready, Together
from retain.kinds.forecast.model.trust import Trust
from retain.kinds.forecast.sections import Compared
from retain.training.setup import Group, TrainingSetup

FEWEST = 50  # training windows of a rehearsal, for a network to be kept
REHEARSED = 1_000  # most windows of a part that a rehearsal forecasts
SHARES = (1.0, 0.5)  # of a network's correction that may be applied
GAIN = 0.002  # share by which it must then reduce the base's error, on average
LOSS = 0.1  # share by which it may increase the error in no rehearsal


class Outcome(TypedDict):
    """The result for a network on a base, in config.json and metrics.json.

    `share` is how much of its correction is applied, and `gains` are the shares by which this much
    reduced the base's error in each rehearsal; `enough` says whether there were enough windows:
    with fewer no network is kept.
    """

    kept: bool
    enough: bool
    share: float
    gains: list[float]


class Rehearsed(nn.Module):
    """The rehearsals, and last the evaluated network."""

    def __init__(self, networks: Sequence[Forecaster]):
        super().__init__()
        self.networks = nn.ModuleList(networks)

    @property
    def rehearsals(self) -> list[Forecaster]:
        """The rehearsals."""
        return [network for network in self.networks if isinstance(network, Forecaster)][:-1]

    @property
    def final(self) -> Forecaster:
        """The evaluated network."""
        last = self.networks[-1]
        assert isinstance(last, Forecaster)
        return last


def build(source: Panel, problem: Problem, cell: Cell, config: dict[str, Any]) -> TrainingSetup:
    """Build the training of `cell` on a panel, with its rehearsals.

    Args:
        source: its training part ends where the last rehearsal's part begins.
        config: the config.json of the evaluated network; the training adds its results.
    """
    panels = cuts(source, problem.training.rehearsals)
    learners, parts = _rehearsals(panels, problem, cell)
    final = learner.make(before_test(source), problem, cell).made(written=True)
    network = Rehearsed([*(made.network for made in learners), final.network])
    starts = [learner.heads(one) for one in (*network.rehearsals, network.final)]
    training = problem.training
    fewest = min(len(made.train) for made in learners)
    enough = len(learners) == training.rehearsals and fewest >= FEWEST
    in_vain = final.network.base is not None and not enough
    least = training.batch_size * (1 if in_vain else training.epoch_steps)
    examples = Together([made.examples() for made in (*learners, final)], least)
    epochs, rate = (1 if in_vain else None), training.rate(cell)
    if isinstance(training, Compared):
        epochs = training.epochs(len(examples))
        rate *= training.rate_factor(len(examples))
    groups = [Group(tuple(one.parameters()), rate) for one in network.networks]

    def loss(network: nn.Module, batches: tuple[Batch | Ready, ...]) -> tuple[Tensor, Tensor]:
        assert isinstance(network, Rehearsed)
        networks = [*network.rehearsals, network.final][: len(batches)]
        losses = [
            learner.loss_of(problem, one, batch)
            for one, batch in zip(networks, batches, strict=True)
        ]
        totals, weights = zip(*losses, strict=True)
        return sum(totals[1:], totals[0]), sum(weights[1:], weights[0])

    def finish() -> None:
        for made in (*learners, final):
            made.finish()
        schemas = [cut.schema for cut in panels]
        steps = sum(schema.test_step - schema.validation_step for schema in schemas)
        rehearsed = steps / problem.data.horizon
        trust = Trust.of(rehearsed, len(source.index), final.network.base is not None)
        networks = [made.network for made in learners]
        outcome = _calibrate(networks, parts, final.network, trust, enough, starts)
        if outcome is not None:
            setup.config["network"] = outcome

    setup = TrainingSetup(
        network,
        examples,
        Together(parts),
        loss,
        config | final.described(),
        groups=tuple(groups),
        calibrate=finish,
        written=final.network,
        epochs=epochs,
    )
    return setup


def before_test(source: Panel) -> Panel:
    """Return a panel whose training part is all rows before the test part."""
    schema = source.schema
    return source.cut(schema.test_step, schema.test_step, schema.steps)


def cuts(source: Panel, count: int) -> list[Panel]:
    """Return the panels of rehearsals, the earliest first; the last is the source itself.

    Fewer than `count` if an earlier one would have no training window.
    """
    schema, panels = source.schema, [source]
    length = schema.test_step - schema.validation_step
    for number in range(1, count):
        begin = schema.validation_step - number * length
        if begin <= 0:
            break
        cut = source.cut(begin, begin + length, schema.steps)
        if not len(Windows(cut, "train")) or not len(Windows(cut, "validation")):
            break
        panels.insert(0, cut)
    return panels


def _rehearsals(
    panels: Sequence[Panel], problem: Problem, cell: Cell
) -> tuple[list[Learner], list[Windows]]:
    """Build the rehearsals, and the windows of their parts; the last must have windows."""
    pairs = [_rehearsal(cut, problem, cell) for cut in panels]
    return [made for made, _ in pairs], [part for _, part in pairs]


def _rehearsal(source: Panel, problem: Problem, cell: Cell) -> tuple[Learner, Windows]:
    """Build one; when this returns, its pool is free, before another one is fitted."""
    part = Windows(source, "validation").thinned(REHEARSED)
    found = learner.make(source, problem, cell, ensemble=1, scored=part)
    return found.made(written=False), part.on(found.bases, hold=True)


def _calibrate(
    rehearsals: Sequence[Forecaster],
    parts: Sequence[Windows],
    final: Forecaster,
    trust: Trust,
    enough: bool,
    starts: Sequence[Heads],
) -> Outcome | None:
    """Decide how much of the final network is kept, and calibrate it by its rehearsals.

    Args:
        trust: in the residuals of the rehearsals.
        enough: whether the rehearsals had enough training windows to keep a network.
        starts: the heads of all networks before the training.
    """
    outcome, pairs = None, list(zip(rehearsals, parts, strict=True))
    if final.base is not None:
        bases = [
            collect(network.forecast_base, part, network.target.transform)
            for network, part in pairs
        ]
        set_calibration(final.base, _fitted(bases, final, trust))
        errors = [_error(*pair) for pair in zip(bases, rehearsals, strict=True)]
        outcome = _keep(rehearsals, parts, final, errors, enough, starts)
    set_calibration(final, _fitted([_residuals(*pair) for pair in pairs], final, trust))
    return outcome


def _keep(
    rehearsals: Sequence[Forecaster],
    parts: Sequence[Windows],
    final: Forecaster,
    errors: Sequence[float],
    enough: bool,
    starts: Sequence[Heads],
) -> Outcome:
    """Set all networks to the share of their corrections that reduces the base's errors most.

    Half a correction often gains as much as the whole one, and harms half as much where a network
    has learned what does not last. If no share gains enough, all of them forecast as their base.
    """
    networks = [*rehearsals, final]
    ends, found = [learner.heads(network) for network in networks], {}

    def apply(share: float) -> None:
        for network, start, end in zip(networks, starts, ends, strict=True):
            learner.set_between(network, start, end, share)

    for share in SHARES:
        apply(share)
        own = [_error(_residuals(*pair), pair[0]) for pair in zip(rehearsals, parts, strict=True)]
        found[share] = [1 - ours / max(of, 1e-12) for ours, of in zip(own, errors, strict=True)]
    best = max(SHARES, key=lambda share: (min(found[share]) >= -LOSS, fmean(found[share])))
    gains = found[best]
    kept = enough and fmean(gains) >= GAIN and min(gains) >= -LOSS
    if kept:
        apply(best)
    else:
        for network in networks:
            learner.rest_on_base(network)
    rounded = [round(gain, 6) for gain in gains]
    return Outcome(kept=kept, enough=enough, share=best if kept else 0.0, gains=rounded)


def _fitted(residuals: Sequence[Residuals], final: Forecaster, trust: Trust) -> Calibration:
    return fit(joined(residuals), final.target, len(final.widths) - 1, trust)


def _residuals(network: Forecaster, part: Windows) -> Residuals:
    return collect(network, part, network.target.transform)


def data_errors(residuals: Residuals, target: Target) -> Floats:
    """Return the errors of the medians, in deviations of the series: (windows, horizon)."""
    median = residuals._replace(values=point_of(residuals.values, target.levels))
    return output_errors(median, target)[..., 0]


def output_errors(residuals: Residuals, target: Target) -> Floats:
    """Return the errors of every output, in deviations of the series, as `Residuals.values` are."""
    base, scale = residuals.base[..., None], residuals.scale[..., None]
    truth, forecast = (
        target.transform.inverse(torch.from_numpy(base + scale * values)).numpy()
        for values in (residuals.truth[..., None], residuals.values)
    )
    errors: Floats = (truth - forecast) / residuals.deviation[:, None, None]
    return errors


def _error(residuals: Residuals, network: Forecaster) -> float:
    return float(np.nanmean(np.abs(data_errors(residuals, network.target))))
