"""The report of a forecasting problem: its tables, figures and facts."""

from collections.abc import Iterator, Sequence

import pandas as pd

from retain.evaluation import curves, plotting
from retain.evaluation.quality_gate import MODEL, CheckResult
from retain.evaluation.report import Figure, Report, Table
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.evaluation import fan, figures, scores, wording, worth
from retain.kinds.forecast.evaluation.evaluate import Evaluation
from retain.kinds.forecast.evaluation.importance import Importance
from retain.kinds.forecast.evaluation.scores import label

MOST_INPUTS = 12  # of the figure; metrics.json has all


def report(name: str, problem: Problem, found: Evaluation, checks: Sequence[CheckResult]) -> Report:
    """Build the report of a problem."""
    data, metrics, schema = problem.data, found.metrics, found.schema
    validation, test, last = (
        wording.stamp(found.grid[step], data, schema.frequency)
        for step in (schema.validation_step, schema.test_step, -1)
    )
    rehearsed = problem.training.rehearsals > 0
    spans = [
        wording.steps(count, schema.frequency)
        for count in (data.context_length, data.horizon, data.season_length)
    ]
    return Report(
        title=name,
        lead=worth.lead(problem, metrics, label),
        headline=worth.headline(problem, metrics, schema.frequency, label),
        checks=checks,
        tables=(
            scores.differences_table(metrics, problem, schema.frequency),
            scores.scores_table(metrics, problem, schema.frequency),
            *([scores.cold_start_table(metrics, problem)] if "cold_start" in metrics else []),
            *([folds_table(found, data, rehearsed)] if len(found.folds) > 1 else []),
        ),
        figures=tuple(_figures(problem, found)),
        facts=(
            ("Test windows", f"{metrics['windows']['test']:,}"),
            ("Series", f"{found.tables['error_by_series']['unique_id'].nunique():,}"),
            ("Context, and horizon", " and ".join(spans[:2])),
            *found.cell_facts,
            ("Season", spans[2]),
            ("Evaluated model trained until", test if rehearsed else validation),
            ("Validation from", validation),
            ("Test from", test),
            ("Test to", last),
            ("Raw table", f"{data.path}, md5 {schema.digest}"),
        ),
    )


def _figures(problem: Problem, found: Evaluation) -> Iterator[Figure]:
    """Draw the figures in order; errors by series only if there are several."""
    tables = {name: _shown(table) for name, table in found.tables.items()}
    used, unit = label(found.metrics.get("model", MODEL)), fan.axis_unit(problem.data)
    ahead = wording.step_unit(found.schema.frequency)
    yield Figure(
        "forecasts",
        "Forecasts and observed values",
        f"Two typical, two best and two worst test windows. The {used} expected "
        "80\N{NO-BREAK SPACE}% of the values in the light band and half in the dark one; the lines "
        "are medians.",
        figures.forecasts(found.views, problem.model.quantiles, unit),
    )
    yield Figure(
        "error_by_step",
        "Error by step ahead",
        "The error of each model at each step of the horizon; lower is better. The axis "
        "need not begin at zero, so that the models can be told apart.",
        figures.error_by_step(tables["error_by_step"], unit, ahead),
    )
    yield Figure(
        "calibration",
        "Calibration",
        "A quantile of level 10\N{NO-BREAK SPACE}% should have 10\N{NO-BREAK SPACE}% of the values "
        "below it. Above the grey line it had more: the forecast was too high there; below it, "
        "too low.",
        figures.calibration(tables["calibration"]),
    )
    series = tables["error_by_series"]["unique_id"].nunique()
    if series > 1:
        yield Figure(
            "errors_by_series",
            "Errors by series",
            "The share of series with at most this error, MASE; the further left, the better."
            if series > figures.FEW_SERIES
            else "Mean absolute scaled error, MASE, of each series; the further left, the better.",
            figures.errors_by_series(tables["error_by_series"]),
        )
    yield Figure(
        "training_curves",
        "Training",
        "Loss by epoch, which is what training makes small: on the training part and on the "
        "validation part, which it does not learn from. The weights of the epoch with the lowest "
        "validation loss are kept.",
        curves.training_curves(tables["training"]),
    )
    yield Figure(
        "look_back",
        "How far back each network looks",
        "How strongly the forecast depends on each step of the past (norm of its gradient with "
        "respect to the input, on a logarithmic axis): where a line has fallen, that past no "
        "longer matters.",
        curves.look_back(tables["look_back"], "newest input", decades=12),
    )
    yield from _importance(found.metrics.get("importance", []))


def _importance(found: Sequence[Importance]) -> Iterator[Figure]:
    """Draw how much each input mattered, the first MOST_INPUTS of them."""
    if any(each["loss_increase"] for each in found):  # else the base forecasts alone
        first = found[:MOST_INPUTS]
        shares = [
            f"{each['input']} {plotting.percent(each['gradient'])}"
            for each in sorted(found, key=lambda each: -(each["gradient"] or 0.0))[:3]
            if each["gradient"] is not None
        ]
        rest = f" The first {MOST_INPUTS} of {len(found)}." if len(found) > MOST_INPUTS else ""
        yield Figure(
            "importance",
            "What mattered",
            "How much the loss of the judged network grows where one input is exchanged between "
            "test windows (permutation importance): a column of the table, a part of the calendar, "
            f"or some lags of the target.{rest} Of inputs that say the same, each seems to matter "
            f"little. By gradient \N{MULTIPLICATION SIGN} input the forecast depends most on "
            f"{', '.join(shares)}.",
            figures.importance(
                [each["input"] for each in first], [each["loss_increase"] for each in first]
            ),
        )


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the models that figures draw."""
    return table[~table["model"].isin(figures.NOT_DRAWN)]


def folds_table(found: Evaluation, data: Data, rehearsed: bool) -> Table:
    """List the folds: from when to when the models of each were trained and scored.

    Args:
        rehearsed: whether the models were trained on the validation parts, too.
    """
    grid, horizon = found.grid, found.schema.data["horizon"]
    rows = [
        (
            f"fold {fold.number}",
            *(
                wording.stamp(grid[step], data, found.schema.frequency)
                for step in (
                    fold.test_step if rehearsed else fold.validation_step,
                    fold.test_step,
                    fold.reach - horizon,
                )
            ),
        )
        for fold in found.folds
    ]
    return Table(
        f"{len(rows)} folds",
        ("fold", "trained from the beginning until", "scored from", "to"),
        tuple(rows),
        note=f"Each cell was trained {len(rows)} times, each time on all that precedes a part of "
        "the test data; a forecast is counted to the fold in which it begins.",
    )
