"""What a program or a notebook does with retain: train, predict, save, load.

    import retain

    model = retain.train(frame, horizon=28)
    model.predict()

Nothing is logged to MLflow, and no file stays but what `save` writes. The settings, the networks,
the calibration and the floors are those of `retain add` and of the pipeline.
"""

import contextlib
import io
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, get_args

import pandas as pd

from retain import model_files
from retain.config import loader
from retain.config.forecasts import ForecastOptions
from retain.config.kind import kind_of
from retain.config.schema import Cell
from retain.errors import DataError, ModelError, ParamsError, nearest
from retain.evaluation import choice, quality_gate, report
from retain.evaluation.results import Interval, Metrics, read_metrics
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.data import tables
from retain.kinds.forecast.infer import entry as inference
from retain.kinds.forecast.predict import forecast_table, future, predictor
from retain.project import files

NAME = "model"  # of the problem that a call of `train` makes
TABLE = "the table"  # what messages call a frame
CELLS = get_args(Cell)
FINAL, METRICS, REPORT = "final", "metrics.json", "report.html"


@dataclass(frozen=True)
class Evaluation:
    """How a model and its baselines forecast the test windows.

    Attributes:
        scores: a row for each model, by name; a column for each score (see docs/verdict.md).
        differences: a row for each pair of models and score: `first`, `second`, `score`, `value`
            (of the first minus the second), `low` and `high` of the 95 % interval, `judgement`.
        report: the report as one HTML page.
        passed: whether the model passes the gate that `retain add` would write.
    """

    scores: pd.DataFrame
    differences: pd.DataFrame
    report: str
    passed: bool

    def _repr_html_(self) -> str:
        """Show the scores in a notebook."""
        return str(self.scores.to_html(float_format="{:.4g}".format))


@dataclass(frozen=True)
class Model:
    """A trained forecaster.

    Attributes:
        evaluation: None where the model was loaded from a folder or a registry without one.
        findings: what `train` found out about the table and chose, a sentence each.
    """

    _predictor: predictor.Predictor
    _folder: Path | tempfile.TemporaryDirectory[str]
    evaluation: Evaluation | None = None
    findings: tuple[str, ...] = ()
    _history: tables.Table | None = None

    @property
    def horizon(self) -> int:
        """How many steps it forecasts."""
        return self._predictor.network.horizon

    @property
    def config(self) -> Mapping[str, Any]:
        """What config.json of the model folder says."""
        return self._predictor.config

    def predict(
        self,
        table: pd.DataFrame | None = None,
        future: pd.DataFrame | None = None,
        *,
        fill_with: str | None = None,
        strict: bool = True,
    ) -> pd.DataFrame:
        """Forecast the steps after the last row of each series.

        Args:
            table: history, with the columns of the training table; the training table itself if
                None.
            future: known covariates of the horizon: the columns of the series, of the time and of
                the covariates, `horizon` rows for each series.
            fill_with: `theta` or `seasonal_naive`, for series that the network cannot forecast.
            strict: whether a series that cannot be forecast is an error; else it is left out.

        Returns:
            `horizon` rows for each series: the table's columns of series and time (`unique_id`
            where it has none), `mean`, `median`, a column for each quantile, named by its level
            (`0.1`), and `note`.

        Raises:
            DataError: the table cannot be used, or a series cannot be forecast.
        """
        data = self._predictor.read_as(TABLE)
        history = self._history if table is None else tables.clean(table, data, TABLE, 0)
        if history is None:
            raise DataError("this model was loaded, and has no table; give one: predict(table)")
        coming = None if future is None else _read_future(future, data)
        options = ForecastOptions(None, strict, fill_with)
        answer = forecast_table.forecast_table(self._predictor, history, TABLE, options, coming)
        if answer.table.empty:
            raise forecast_table.none_left(answer.left_out, TABLE)
        return answer.table

    def save(self, path: str | Path) -> None:
        """Write the model into a new folder, with its evaluation; `load` reads it.

        Raises:
            ModelError: there is something at `path` already.
        """
        target = Path(path)
        if target.exists():
            raise ModelError(f"{target} exists already; name a new folder")
        part = target.with_name(f"{target.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(self._place, part)
        files.publish(part, target)

    @property
    def _place(self) -> Path:
        folder = self._folder
        return folder if isinstance(folder, Path) else Path(folder.name) / NAME

    @classmethod
    def _read(cls, folder: Path | tempfile.TemporaryDirectory[str], **more: Any) -> Self:
        place = folder if isinstance(folder, Path) else Path(folder.name) / NAME
        evaluation = None
        if (place / METRICS).is_file():
            metrics = read_metrics(place / METRICS)
            page = (place / REPORT).read_text(encoding="utf-8")
            passed = json.loads((place / METRICS).read_text("utf-8"))["passed"]
            evaluation = Evaluation(_scores(metrics), _differences(metrics), page, passed)
        has_final = (place / FINAL / "config.json").is_file()
        return cls(
            predictor.load(place / FINAL if has_final else place), folder, evaluation, **more
        )


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
    _check_known(columns, {*Data.model_fields, "folds"} - {"path", "horizon"})
    scratch = tempfile.TemporaryDirectory(prefix="retain-")
    root = Path(scratch.name)
    path = "table.parquet"
    table.reset_index(drop=True).to_parquet(root / path, index=False)
    found = inference.infer(NAME, path, root, horizon, columns, budget)
    entry: dict[str, Any] = {
        "kind": "forecast",
        "preset": preset or found.preset,
        "data": found.data,
        "model": found.model,
        "training": {"seed": 1, "cells": list(cells)},
        "evaluation": {"folds": found.folds},
        # A check that compares with a cell needs the cell.
        "gate": [check for check in found.gate if check.get("baseline") not in {*CELLS} - {*cells}],
    }
    _check_known(settings or {}, {"model", "training", "evaluation"})
    for section, values in (settings or {}).items():
        entry[section] = entry[section] | dict(values)
    problem = loader.parse(NAME, entry)
    assert isinstance(problem, Problem)
    with contextlib.nullcontext() if verbose else contextlib.redirect_stdout(io.StringIO()):
        _run(problem, root)
    return Model._read(scratch, findings=found.sentences, _history=tables.read(problem.data, root))


def load(source: str | Path) -> Model:
    """Load a model that `Model.save` wrote, a model folder of a project, or a registered version.

    Args:
        source: a folder; or `models:/NAME@champion`, `models:/NAME/VERSION` of the registry of the
            project that the working directory is in.

    Raises:
        ModelError: the folder is no model, or damaged.
        RegistryError: the registry has no such version.
    """
    if not str(source).startswith("models:/"):
        return Model._read(Path(source))
    from retain.registry import lookup

    scratch = tempfile.TemporaryDirectory(prefix="retain-")
    with lookup.registered_folder(loader.find_root(), str(source)) as folder:
        shutil.copytree(folder, Path(scratch.name) / NAME)
    return Model._read(scratch)


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
    found = kind.evaluate.load(problem, prepared, folders)
    checks = quality_gate.run_checks(found.metrics, problem.gate)
    judged = folders[choice.choose(problem.register_cell, folders)["model"]]
    shutil.copytree(judged, out)
    passed = all(check.passed for check in checks)
    (out / METRICS).write_text(files.to_json({**found.metrics, "passed": passed}), "utf-8")
    page = kind.report.load(NAME, problem, found, checks)
    (out / REPORT).write_text(report.to_html(page), "utf-8")
    if kind.refit is not None and problem.refit:
        trainer.seed_everything(problem.training)
        setup = kind.refit.load(problem, prepared, judged)
        history = trainer.fit(setup, problem.training, setup.config["cell"], f"{NAME} refit")
        setup.calibrate()
        (out / FINAL).mkdir()
        model_files.write_model(out / FINAL, setup.model, setup.config, history)


def _read_future(frame: pd.DataFrame, data: Data) -> future.Future:
    return future.of_frame(frame, data, "the table of the future")


def _scores(metrics: Metrics) -> pd.DataFrame:
    frame = pd.DataFrame.from_dict(dict(metrics["models"]), orient="index")
    frame.index.name = "model"
    return frame


def _differences(metrics: Metrics) -> pd.DataFrame:
    rows = []
    for pair, by_score in metrics["differences"].items():
        first, _, second = pair.partition("_minus_")
        for score, difference in by_score.items():
            interval = Interval.from_dict(difference)
            rows.append(
                {
                    "first": first,
                    "second": second,
                    "score": score,
                    **interval.figures,
                    "judgement": interval.judgement,
                }
            )
    return pd.DataFrame(rows)


def _check_known(given: Mapping[str, Any], known: set[str]) -> None:
    for name in given:
        if name not in known:
            near = nearest(name, sorted(known))
            hint = (
                f"; did you mean `{near}`?" if near else f"; known are {', '.join(sorted(known))}"
            )
            raise ParamsError(f"there is no setting `{name}`{hint}")
