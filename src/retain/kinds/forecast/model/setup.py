"""The training setup of a forecasting problem: network, windows, loss, calibration."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from retain.config.schema import Cell
from retain.errors import DataError
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import folds, left_out, panel, profile, slots
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import VALIDATION_WINDOWS, Batch, Windows
from retain.kinds.forecast.model import learner, parent, rehearsal
from retain.kinds.forecast.model.conformal import calibrate
from retain.kinds.forecast.model.forecaster import Forecaster
from retain.kinds.forecast.model.ready import Ready
from retain.training.setup import Length, TrainingSetup


def build(problem: Problem, prepared: Path, cell: Cell) -> TrainingSetup:
    """Build the training of `cell` on what `prepare` wrote."""
    return build_fold(problem, prepared, cell, 1)


def build_fold(problem: Problem, prepared: Path, cell: Cell, fold: int) -> TrainingSetup:
    """Build the training of `cell` for a fold of the test part, from 1 to `problem.folds`."""
    source = left_out.leave_out(panel.load(prepared), problem.evaluation.cold_start)
    return build_on(
        folds.cut(source, folds.find(source.schema, problem.folds)[fold - 1]), problem, cell
    )


def build_on(
    source: Panel, problem: Problem, cell: Cell, length: Length | None = None
) -> TrainingSetup:
    """Build the training of `cell` on a panel; with a `length`, without validation or calibration.

    Raises:
        DataError: a required part has no window with a value.
    """
    validation = Windows(source, "validation").thinned(VALIDATION_WINDOWS)
    if length is None and not len(validation):
        raise DataError(f"{problem.data.path}: no window of the validation part has a value in it")
    if length is None and problem.training.rehearsals:
        config = _config(rehearsal.before_test(source), problem, cell)
        return rehearsal.build(source, problem, cell, config)
    made = learner.make(source, problem, cell).made(written=True)
    network = made.network

    def loss(network: nn.Module, batch: Batch | Ready) -> tuple[Tensor, Tensor]:
        assert isinstance(network, Forecaster)
        return learner.loss_of(problem, network, batch)

    def finish() -> None:
        made.finish()
        if length is None:
            calibrate(network, validation)
            if network.cold is not None:
                network.cold.fit(network, validation)

    return TrainingSetup(
        network,
        made.examples(),
        validation if length is None else None,
        loss,
        _config(source, problem, cell) | made.described(),
        calibrate=finish,
        length=length,
        start_from=lambda folder: parent.start_from(network, source, folder, length is not None),
    )


def _config(source: Panel, problem: Problem, cell: Cell) -> dict[str, Any]:
    """Return the config.json of a network trained on a panel, without the network's sizes."""
    return {
        "kind": problem.kind,
        "cell": cell,
        "model": problem.model.model_dump(mode="json"),
        "schema": asdict(source.schema),
        "series": source.index[["unique_id", "mean", "std"]].to_dict("list"),
        "reference": profile.measure(source),
        "slots": slots.measure(source),
    }
