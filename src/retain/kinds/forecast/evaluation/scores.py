"""The tables of a report: how the judged model compares with the others, and every score."""

import math
from collections.abc import Iterable, Iterator, Sequence

from retain.config.checks import BeatsCheck, TiesCheck
from retain.evaluation import plotting
from retain.evaluation.quality_gate import MODEL, methods_of
from retain.evaluation.report import Table
from retain.evaluation.results import Interval
from retain.kinds.forecast.config import ALONE, Problem
from retain.kinds.forecast.evaluation import wording
from retain.kinds.forecast.evaluation.cold_start import GROUP, GROUP_SEASON, WITH_HISTORY
from retain.kinds.forecast.evaluation.evaluate import ForecastMetrics
from retain.kinds.forecast.evaluation.metrics import MOST_ZEROS

SCORES = {
    "mae": "MAE",
    "mase": "MASE",
    "crps": "CRPS",
    "coverage_80": "80\N{NO-BREAK SPACE}% coverage",
    "width_80": "80\N{NO-BREAK SPACE}% width",
    "rmse": "RMSE",
    "rmsse": "RMSSE",
    "smape": "sMAPE\N{NO-BREAK SPACE}%",
    "wape": "WAPE",
    "bias": "bias",
}
LEAST = ("mae", "rmse", "mase", "rmsse", "smape", "wape", "crps")  # lower is better


def label(name: str) -> str:
    """Return a model's display name."""
    return plotting.mark(name).label


def judging_metric(problem: Problem) -> str:
    """Return the metric of the gate's first check against another model.

    MAE if there is no such check.
    """
    named = (check.metric for check in problem.gate if isinstance(check, BeatsCheck | TiesCheck))
    return next(named, problem.ERRORS[0])


def scores_table(metrics: ForecastMetrics, problem: Problem, frequency: str) -> Table:
    """List every model's scores on the test windows.

    Args:
        frequency: of the table, an alias of pandas.
    """
    models = metrics["models"]
    columns = {  # older versions of metrics.json have fewer
        key: title
        for key, title in SCORES.items()
        if any(key in scores for scores in models.values())
    }
    rows = []
    for name, scores in models.items():
        size, called = scores.get("parameters"), label(name)
        cells = [_cell(key, scores.get(key, math.nan)) for key in columns]
        called += " (sample)" if "windows" in scores else ""
        rows.append((called, *cells, f"{size:,}" if size else "–"))
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
        terms=_terms(columns, problem, frequency),
    )


def _terms(columns: Iterable[str], problem: Problem, frequency: str) -> tuple[tuple[str, str], ...]:
    """Explain the columns of the table of scores."""
    data = problem.data
    unit = data.unit or "the unit of the data"
    before = wording.season_before(data.season_length, frequency)
    meanings = {
        "mae": f"mean absolute error: how far the forecast is off on average, in {unit}",
        "rmse": "root mean square error: as MAE, but large errors count for more",
        "mase": f"mean absolute scaled error: MAE divided by that of {before} in the training "
        "part; below 1 is better than that",
        "rmsse": "root mean squared scaled error: as MASE, but large errors count for more",
        "smape": "symmetric percentage error: the error over the mean size of value and forecast",
        "wape": "sum of the absolute errors over the sum of the values",
        "bias": "forecast minus value, over the mean value; with a plus it is too high on average",
        "crps": "continuous ranked probability score: the error of the whole forecast with its "
        f"intervals, in {unit}",
        "coverage_80": "share of the values inside the 80\N{NO-BREAK SPACE}% interval, which "
        "should be 80\N{NO-BREAK SPACE}%",
        "width_80": f"mean width of that interval in {unit}; with the same coverage, narrower is "
        "better",
    }
    named = tuple((SCORES[key], meanings[key]) for key in columns)
    return (*named, ("parameters", "numbers of the network that training sets"))


def _note(metrics: ForecastMetrics) -> str:
    """Describe the columns, and why some have no figure."""
    sentences = [
        "The best of each column is marked. Every model's interval is calibrated by its errors "
        "before the test part, but for always zero. RMSSE and bias are of the mean forecast, the "
        "other errors of the median."
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


def differences_table(metrics: ForecastMetrics, problem: Problem, frequency: str) -> Table:
    """List the differences of the judged model from each other one, the best of the others first.

    By the gate's metric, and by the CRPS.

    Args:
        frequency: of the table, an alias of pandas.
    """
    judging = judging_metric(problem)
    model, title = metrics.get("model", MODEL), SCORES[judging]
    used = label(model)
    rows, errors, names = [], [], []
    for name, scores in metrics["models"].items():
        found = metrics["differences"].get(f"{model}_minus_{name}", {})
        if judging not in found:
            continue
        change, theirs = Interval.from_dict(found[judging]), scores.get(judging, math.nan)
        crps = Interval.from_dict(found["crps"]).judgement if "crps" in found else "–"
        errors.append(theirs)
        names.append(name)
        rows.append(
            (
                label(name) + (" (sample)" if "windows" in scores else ""),
                _cell(judging, theirs),
                change.judgement,
                *in_percent(change, theirs),
                crps,
            )
        )
    order = sorted(range(len(rows)), key=lambda row: (math.isnan(errors[row]), errors[row]))
    ours = _cell(judging, metrics["models"][model].get(judging, math.nan))
    return Table(
        f"The {used}, {title} {ours}, beside the others",
        (
            "beside",
            f"its {title}",
            f"{used} is",
            "difference",
            "95\N{NO-BREAK SPACE}% interval",
            "by CRPS",
        ),
        tuple(rows[row] for row in order),
        note=f"A negative difference is in favour of the {used}. {methods_of(metrics)} They "
        "account for windows that overlap, and hold for these trained models, each of one seed, "
        "and for these series.",
        terms=(
            (
                "95\N{NO-BREAK SPACE}% interval",
                "where the difference lies if chance is taken into account, in percent of the "
                "other's error; where zero is inside, there is no clear difference",
            ),
            ("by CRPS", "the same judgement of the whole forecast with its intervals"),
            *_methods([names[row] for row in order], problem, frequency),
        ),
    )


def _methods(names: Sequence[str], problem: Problem, frequency: str) -> Iterator[tuple[str, str]]:
    """Explain the models, each by its name."""
    season = problem.data.season_length
    network = "a recurrent network with as many parameters"
    meanings = {
        "lstm": network,
        "rnn": network,
        "gru": network,
        "pool": "the classical base, a blend of classical forecasts, which networks correct",
        "naive": "the last value, continued",
        "seasonal_naive": wording.season_before(season, frequency),
        "seasonal_mean": "the mean of all values at the same place in the season",
        "drift": "the straight line through the first and the last value, continued",
        "theta": "a classical method: a trend and exponential smoothing",
        "ets": "a classical method: exponential smoothing of level, trend and season",
    }
    for name in names:
        if name in meanings:
            yield label(name), meanings[name]
        elif name.endswith(f"_{ALONE}"):
            yield label(name), "the network without the classical base"


def cold_start_table(metrics: ForecastMetrics, problem: Problem) -> Table:
    """List the scores of the series that were left out, as if they had no history."""
    found = metrics["cold_start"]
    names = {
        WITH_HISTORY: f"{label(metrics.get('model', MODEL))}, with their history",
        GROUP: "mean of their static group",
        GROUP_SEASON: "the same, by place in the season",
    }
    columns = {key: SCORES[key] for key in ("mae", "rmse", "mase", "crps", "coverage_80")}
    point = {GROUP: ("crps", "coverage_80"), GROUP_SEASON: ("crps", "coverage_80")}
    rows = tuple(
        (
            names.get(name, label(name)),
            *("–" if key in point.get(name, ()) else _cell(key, scores[key]) for key in columns),
        )
        for name, scores in found["models"].items()
    )
    share = f"{100 * problem.evaluation.cold_start:g}\N{NO-BREAK SPACE}%"
    return Table(
        "Series without history",
        ("forecast", *columns.values()),
        rows,
        note=f"{share} of the series, {found['series']:,}, were left out of training, and "
        f"{found['windows']:,} of their test windows are forecast from static, calendar and known "
        "values alone. A group are the series with the same static values, or the nearest.",
    )


def in_percent(change: Interval, theirs: float) -> tuple[str, str]:
    """Write a difference and its interval in percent of the other's error, where it has one."""
    if not theirs > 0 or change.judgement in ("undecided", "not finite"):
        return f"{change.value:+.4g}", change.bounds
    value, low, high = (
        f"{100 * part / theirs:+.1f}" for part in (change.value, change.low, change.high)
    )
    return f"{value}\N{NO-BREAK SPACE}%", f"{low} to {high}\N{NO-BREAK SPACE}%"


def _cell(key: str, value: float) -> str:
    if not math.isfinite(value):
        return "–"
    if key in ("coverage_80", "wape", "bias"):
        return f"{100 * value:{'+' if key == 'bias' else ''}.1f}\N{NO-BREAK SPACE}%"
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
