"""The report of a forecasting problem: its tables, figures and facts."""

import math
from collections.abc import Sequence

import pandas as pd

from retain.evaluation import plotting
from retain.evaluation.quality_gate import MODEL, CheckResult, difference_rows, methods_of
from retain.evaluation.report import Figure, Report, Table
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.evaluation import figures, worth
from retain.kinds.forecast.evaluation.evaluate import Evaluation, ForecastMetrics
from retain.kinds.forecast.evaluation.metrics import MOST_ZEROS

SCORES = {
    "mae": "MAE",
    "rmse": "RMSE",
    "mase": "MASE",
    "rmsse": "RMSSE",
    "smape": "sMAPE\N{NO-BREAK SPACE}%",
    "wape": "WAPE",
    "bias": "bias",
    "crps": "CRPS",
    "coverage_80": "80\N{NO-BREAK SPACE}% coverage",
    "width_80": "80\N{NO-BREAK SPACE}% width",
}
MOST_LEFT_OUT = 20  # series that the report names
LEAST = ("mae", "rmse", "mase", "rmsse", "smape", "wape", "crps")  # the less, the better


def report(name: str, problem: Problem, found: Evaluation, checks: Sequence[CheckResult]) -> Report:
    """Build the report of a problem."""
    data, metrics = problem.data, found.metrics
    tables = {name: _shown(table) for name, table in found.tables.items()}
    schema, used = found.schema, plotting.mark(metrics.get("model", MODEL)).label
    several = tables["error_by_series"]["unique_id"].nunique() > figures.FEW_SERIES
    drawn = [
        Figure(
            "forecasts",
            "Forecasts and what came",
            f"Two typical, two best and two worst test windows: the bands are where the {used} "
            "expected the values, the lines are medians.",
            figures.forecasts(found.views, problem.model.quantiles),
        ),
        Figure(
            "error_by_step",
            "Error by step ahead",
            "How much harder each model finds it to look further ahead; lower is better.",
            figures.error_by_step(tables["error_by_step"]),
        ),
        Figure(
            "training_curves",
            "Training",
            "Loss by epoch; the weights of the epoch with the lowest validation loss are kept.",
            plotting.training_curves(tables["training"]),
        ),
        Figure(
            "calibration",
            "Calibration",
            "How often the truth came below each quantile; a calibrated forecast lies on the "
            "diagonal.",
            figures.calibration(tables["calibration"]),
        ),
        Figure(
            "look_back",
            "How far back each network looks",
            "Norm of the gradient of the forecast with respect to each input step, on a "
            "logarithmic axis: where a line has fallen, that past no longer matters.",
            plotting.look_back(tables["look_back"], "newest input", decades=12),
        ),
        Figure(
            "errors_by_series",
            "Errors by series",
            "The share of series with at most this MASE; the further left, the better."
            if several
            else "Mean absolute scaled error of each series; below 1 is better than the seasonal "
            "naive forecast was on the training part.",
            figures.errors_by_series(tables["error_by_series"]),
        ),
    ]
    validation, last = str(found.grid[schema.validation_step]), str(found.grid[-1])
    test, rehearsed = str(found.grid[schema.test_step]), problem.training.rehearsals > 0
    return Report(
        title=name,
        lead=worth.lead(problem, metrics, _label),
        checks=checks,
        tables=(
            scores_table(metrics),
            differences_table(metrics, worth.judging_metric(problem)),
            *([folds_table(found, rehearsed)] if len(found.folds) > 1 else []),
        ),
        figures=tuple(drawn),
        facts=(
            ("Test windows", f"{metrics['windows']['test']:,}"),
            ("Series", f"{tables['error_by_series']['unique_id'].nunique():,}"),
            ("Context and horizon", f"{data.context_length} and {data.horizon} steps"),
            *found.cell_facts,
            ("Season", f"{data.season_length} steps"),
            ("Frequency", schema.frequency),
            ("Evaluated model trained until", test if rehearsed else validation),
            *((("Refitted model, which forecasts, trained to", last),) if problem.refit else ()),
            ("Validation from", validation),
            ("Test from", test),
            ("Test to", last),
            *([("Left out", _left_out(found.left_out))] if found.left_out else []),
            ("Raw table", f"{data.path}, md5 {schema.digest}"),
        ),
    )


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the models that figures draw."""
    return table[~table["model"].isin(figures.NOT_DRAWN)]


def _label(name: str) -> str:
    return plotting.mark(name).label


def scores_table(metrics: ForecastMetrics) -> Table:
    """List every model's scores on the test windows."""
    models = metrics["models"]
    columns = {  # metrics of an older version have fewer
        key: title
        for key, title in SCORES.items()
        if any(key in scores for scores in models.values())
    }
    rows = []
    for name, scores in models.items():
        size, label = scores.get("parameters"), _label(name)
        cells = [_cell(key, scores.get(key, math.nan)) for key in columns]
        label += " (sample)" if "windows" in scores else ""
        rows.append((label, *cells, f"{size:,}" if size else "–"))
    best: list[int | None] = [None]
    for key in columns:
        finite = {
            row: scores[key]
            for row, scores in enumerate(models.values())
            if math.isfinite(scores.get(key, math.nan)) and "windows" not in scores
        }
        best.append(min(finite, key=lambda row: finite[row]) if key in LEAST and finite else None)
    return Table(
        "Scores on the test windows",
        ("model", *columns.values(), "parameters"),
        tuple(rows),
        note=_note(metrics),
        best=(*best, None),
    )


def _note(metrics: ForecastMetrics) -> str:
    """Say what the columns are of, and why some have no figure."""
    sentences = [
        "In units of the data; the best of each column stands out. Every model's interval is "
        "calibrated by its errors before the test part, but for always zero. RMSSE and bias are of "
        "the mean forecast, the other errors of the median."
    ]
    models = metrics["models"].values()
    for windows in dict.fromkeys(scores["windows"] for scores in models if "windows" in scores):
        sentences.append(
            f"A sample is {windows:,} of the {metrics['windows']['test']:,} windows, those of "
            "series that were drawn; differences from such a model are over its windows alone."
        )
    if all(math.isnan(scores.get("smape", math.nan)) for scores in models):
        sentences.append(
            f"There is no sMAPE: more than {100 * MOST_ZEROS:.0f}\N{NO-BREAK SPACE}% of the test "
            "values are zero, where it says little."
        )
    return " ".join(sentences)


def differences_table(metrics: ForecastMetrics, judging: str) -> Table:
    """List how the judged model and the LSTM differ from each other one, with intervals.

    Args:
        judging: the metric that is listed beside the CRPS.
    """
    rows = [
        (models, SCORES[metric], *rest)
        for models, metric, *rest in difference_rows(metrics, _label)
        if metric in (judging, "crps")
    ]
    return Table(
        "Differences",
        ("difference", "score", "value", "95\N{NO-BREAK SPACE}% interval", "the first is"),
        tuple(rows),
        note=f"Negative is in favour of the first. {methods_of(metrics)} They account for "
        "windows that overlap, and hold for these trained models, each of one seed, and for these "
        "series.",
    )


def folds_table(found: Evaluation, rehearsed: bool) -> Table:
    """List the folds: from when to when the models of each were trained and scored.

    Args:
        rehearsed: whether the models learned from the validation parts, too.
    """
    grid, horizon = found.grid, found.schema.data["horizon"]
    rows = [
        (
            f"fold {fold.number}",
            str(grid[fold.test_step if rehearsed else fold.validation_step]),
            str(grid[fold.test_step]),
            str(grid[fold.reach - horizon]),
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


def _left_out(reasons: Sequence[str]) -> str:
    more = len(reasons) - MOST_LEFT_OUT
    return "; ".join(reasons[:MOST_LEFT_OUT]) + (f"; and {more:,} more" if more > 0 else "")


def _cell(key: str, value: float) -> str:
    if not math.isfinite(value):
        return "–"
    if key in ("coverage_80", "wape", "bias"):
        return f"{100 * value:{'+' if key == 'bias' else ''}.1f}\N{NO-BREAK SPACE}%"
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
