"""The report of a forecasting problem: its tables, figures and facts."""

import math
from collections.abc import Sequence

from retain.evaluation import plotting
from retain.evaluation.quality_gate import MODEL, CheckResult, difference_rows, methods_of
from retain.evaluation.report import Figure, Report, Table
from retain.evaluation.results import Interval
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.evaluation import figures
from retain.kinds.forecast.evaluation.evaluate import Evaluation, ForecastMetrics

SCORES = {
    "mae": "MAE",
    "rmse": "RMSE",
    "mase": "MASE",
    "smape": "sMAPE\N{NO-BREAK SPACE}%",
    "crps": "CRPS",
    "coverage_80": "80\N{NO-BREAK SPACE}% coverage",
    "width_80": "80\N{NO-BREAK SPACE}% width",
}
LEAST = ("mae", "rmse", "mase", "smape", "crps")  # the less, the better


def report(name: str, problem: Problem, found: Evaluation, checks: Sequence[CheckResult]) -> Report:
    """Build the report of a problem."""
    data, metrics, tables = problem.data, found.metrics, found.tables
    schema = found.schema
    several = tables["error_by_series"]["unique_id"].nunique() > figures.FEW_SERIES
    drawn = [
        Figure(
            "forecasts",
            "Forecasts and what came",
            "Two typical, two best and two worst test windows: the bands are where the LSTM "
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
    return Report(
        title=name,
        lead=_lead(metrics, data.horizon),
        checks=checks,
        tables=(scores_table(metrics), differences_table(metrics)),
        figures=tuple(drawn),
        facts=(
            ("Test windows", f"{metrics['windows']['test']:,}"),
            ("Series", f"{tables['error_by_series']['unique_id'].nunique():,}"),
            ("Context and horizon", f"{data.context_length} and {data.horizon} steps"),
            ("Season", f"{data.season_length} steps"),
            ("Frequency", schema.frequency),
            ("Validation from", str(found.grid[schema.validation_step])),
            ("Test from", str(found.grid[schema.test_step])),
            ("Test to", str(found.grid[-1])),
            ("Raw table", f"{data.path}, md5 {schema.digest}"),
        ),
    )


def _lead(metrics: ForecastMetrics, horizon: int) -> str:
    """Compare the LSTM with the others in a sentence."""
    parts = []
    for name, label in (("rnn", "the RNN of equal size"), ("seasonal_naive", "the seasonal naive")):
        change = metrics["differences"].get(f"{MODEL}_minus_{name}", {}).get("mae")
        if change is not None:
            theirs = metrics["models"][name]["mae"]
            share = f" ({100 * change['value'] / theirs:+.1f}\N{NO-BREAK SPACE}%)" if theirs else ""
            parts.append(f"{Interval.from_dict(change).judgement} against {label}{share}")
    return f"Mean absolute error of the LSTM over {horizon} steps: {', '.join(parts)}."


def scores_table(metrics: ForecastMetrics) -> Table:
    """List every model's scores on the test windows."""
    models = metrics["models"]
    rows = []
    for name, scores in models.items():
        size = scores.get("parameters")
        cells = [_cell(key, scores[key]) for key in SCORES]
        rows.append((plotting.mark(name).label, *cells, f"{size:,}" if size else "–"))
    best: list[int | None] = [None]
    for key in SCORES:
        by_row = {row: scores[key] for row, scores in enumerate(models.values())}
        finite = {row: score for row, score in by_row.items() if math.isfinite(score)}
        best.append(min(finite, key=lambda row: finite[row]) if key in LEAST and finite else None)
    return Table(
        "Scores on the test windows",
        ("model", *SCORES.values(), "parameters"),
        tuple(rows),
        note="In units of the data; the best of each column stands out. Every model's interval is "
        "calibrated on the validation windows.",
        best=(*best, None),
    )


def differences_table(metrics: ForecastMetrics) -> Table:
    """List the differences between the LSTM and each other model, with confidence intervals."""
    rows = [
        (models, SCORES[metric], *rest)
        for models, metric, *rest in difference_rows(
            metrics, lambda name: plotting.mark(name).label
        )
    ]
    return Table(
        "Differences",
        ("difference", "score", "value", "95\N{NO-BREAK SPACE}% interval", "the LSTM is"),
        tuple(rows),
        note=f"Negative is in favour of the LSTM. {methods_of(metrics)} They account for "
        "windows that overlap, and hold for these trained models, each of one seed, and for these "
        "series.",
    )


def _cell(key: str, value: float) -> str:
    if not math.isfinite(value):
        return "–"
    if key == "coverage_80":
        return f"{100 * value:.1f}\N{NO-BREAK SPACE}%"
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
