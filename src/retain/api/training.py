"""`retain.train`: what `retain add` and the stages of the pipeline do, on a frame."""

import contextlib
import io
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pandas as pd
from pyarrow.lib import ArrowException

from retain import model_files
from retain.api.evaluation import FIGURES, METRICS, REPORT
from retain.api.model import FINAL, NAME, Model
from retain.config import loader
from retain.config.kind import kind_of
from retain.config.schema import Cell
from retain.errors import DataError, ParamsError
from retain.evaluation import choice, quality_gate, report
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.data import reader, tables
from retain.kinds.forecast.infer import entry as inference
from retain.project import files
from retain.words import did_you_mean

CELLS = get_args(Cell)
COLUMNS = {*Data.model_fields, "folds"} - {"path", "horizon"}  # what a caller may say of a table


def train(
    table: pd.DataFrame,
    horizon: int,
    *,
    preset: str | None = None,
    cells: Sequence[str] = ("lstm", "rnn"),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    budget: float | None = None,
    verbose: bool = False,
    **columns: Any,
) -> Model:
    """Train a forecaster of a table, score it on the table's last part, and train it on all rows.

    Args:
        table: one row for each series and time stamp, or a column for each series.
        horizon: steps to forecast.
        preset: `fast` or `accurate`; as `retain add` chooses it if None.
        cells: the networks to train: `lstm`, and what it is compared with (`rnn`, `gru`).
        settings: keys of `model`, `training` and `evaluation` of params.yaml, by section.
        budget: seconds of the processor to try settings; by the table's size if None.
        verbose: whether the progress of training is printed.
        **columns: keys of `data` of params.yaml, such as `unique_id`, `ds`, `y`,
            `known_covariates`, `frequency`, `season_length`; what is not given is inferred.

    Raises:
        DataError: the table cannot be used, or may mean two things.
        ParamsError: a setting is unknown, or settings do not go together.
    """
    check_known(columns, COLUMNS)
    scratch = tempfile.TemporaryDirectory(prefix="retain-")
    root = Path(scratch.name)
    path = "table.parquet"
    write_table(table, root / path)
    given = columns | {"preset": preset}
    inferred = inference.infer(NAME, path, root, horizon, given, budget)
    entry: dict[str, Any] = {
        "kind": "forecast",
        "preset": inferred.preset,
        "data": inferred.data,
        "model": inferred.model,
        "training": {"seed": 1, "cells": list(cells)},
        "evaluation": {"folds": inferred.folds},
        # A check that compares with a cell needs the cell.
        "gate": [
            check for check in inferred.gate if check.get("baseline") not in {*CELLS} - {*cells}
        ],
    }
    check_known(settings or {}, {"model", "training", "evaluation"})
    for section, values in (settings or {}).items():
        entry[section] = entry[section] | dict(values)
    problem = loader.parse(NAME, entry)
    assert isinstance(problem, Problem)
    with contextlib.nullcontext() if verbose else contextlib.redirect_stdout(io.StringIO()):
        _run(problem, root)
    history = tables.read(problem.data, root)
    return Model.read(scratch, findings=inferred.sentences, _history=lambda: history)


def write_table(table: pd.DataFrame, path: Path) -> str:
    """Write a frame to a file; DataError where two columns have one name, or values no one type."""
    try:
        reader.of_frame(table, "the table", 0).frame.to_parquet(path, index=False)
    except ArrowException as error:
        raise DataError(f"the table cannot be written: {error}; give a column one type") from None
    return str(path)


def _run(problem: Problem, root: Path) -> None:
    """Do what the stages of the pipeline do, into the folder NAME of `root`."""
    from retain.training import plan, trainer

    kind, prepared, out = kind_of(problem), root / "prepared", root / NAME
    prepared.mkdir()
    kind.prepare.load(problem, root, prepared)
    folders = {str(cell): root / "cells" / cell for cell in problem.training.cells}
    for cell in problem.training.cells:
        for each in plan.plan(problem):
            setup = each.build(kind, problem, prepared, cell)
            history = trainer.fit(
                setup, problem.training, cell, each.label(NAME, cell, problem.folds)
            )
            setup.calibrate()
            each.folder(folders[cell]).mkdir(parents=True, exist_ok=True)
            model_files.write_model(each.folder(folders[cell]), setup.model, setup.config, history)
    evaluation = kind.evaluate.load(problem, prepared, folders)
    checks = quality_gate.run_checks(evaluation.metrics, problem.gate)
    judged = folders[choice.choose(problem.register_cell, folders)["model"]]
    shutil.copytree(judged, out)
    passed = all(check.passed for check in checks)
    (out / METRICS).write_text(files.to_json({**evaluation.metrics, "passed": passed}), "utf-8")
    page = kind.report.load(NAME, problem, evaluation, checks)
    (out / REPORT).write_text(report.to_html(page), "utf-8")
    (out / FIGURES).mkdir()
    for figure in page.all_figures:
        (out / FIGURES / f"{figure.name}.svg").write_text(figure.svg, "utf-8")
    if kind.refit is not None and problem.refit:
        trainer.seed_everything(problem.training)
        setup = kind.refit.load(problem, prepared, judged)
        history = trainer.fit(setup, problem.training, setup.config["cell"], f"{NAME} refit")
        setup.calibrate()
        (out / FINAL).mkdir()
        model_files.write_model(out / FINAL, setup.model, setup.config, history)


def check_known(given: Mapping[str, Any], known: set[str]) -> None:
    """Raise ParamsError if a name among `given` is none of those that are known."""
    for name in given:
        if name not in known:
            raise ParamsError(f"there is no setting `{name}`{did_you_mean(name, sorted(known))}")
