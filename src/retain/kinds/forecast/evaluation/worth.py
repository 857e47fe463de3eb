"""Whether a network was worth its training, in sentences for the report."""

import math
from collections.abc import Callable
from typing import get_args

from retain.evaluation import choice, plotting
from retain.evaluation.quality_gate import MODEL
from retain.evaluation.results import Interval
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.evaluation.evaluate import ForecastMetrics
from retain.kinds.forecast.evaluation.scores import in_percent, judging_metric
from retain.kinds.forecast.evaluation.wording import number, season_before
from retain.kinds.forecast.sections import Floor

Label = Callable[[str], str]  # returns a model's display name
SAME = 0.005  # of the other's error: a smaller difference is none to a reader
ALMOST = 0.02  # where chance may explain it
BASE = "pool"  # the classical base alone
VERDICTS = {  # by what earned the difference
    "network": {
        "better": "A network was worth it",
        "worse": "No network was needed",
        "not finite": "Whether a network was worth it is unknown",
    },
    "base": {
        "better": "The base is worth more than a floor",
        "worse": "A floor would do better",
        "not finite": "Whether the base is worth more than a floor is unknown",
    },
}
UNCLEAR = {"network": "a network was worth it", "base": "the base is worth more than a floor"}


def headline(problem: Problem, metrics: ForecastMetrics, frequency: str, label: Label) -> str:
    """Describe how good the forecast is, without technical terms.

    Args:
        frequency: of the table, an alias of pandas.
        label: returns a model's display name.
    """
    model, data = metrics.get("model", MODEL), problem.data
    scores = metrics["models"][model]
    if not math.isfinite(scores.get("mae", math.nan)):
        return ""
    unit = f" {data.unit}" if data.unit else ""
    share = scores.get("wape", math.nan)
    part = f" ({plotting.percent(share)} of the mean value)" if math.isfinite(share) else ""
    parts = [f"In the test the forecast was off by {number(scores['mae'])}{unit} on average{part}"]
    before = season_before(data.season_length, frequency)
    naive = _beside(metrics, model, "seasonal_naive", before)
    parts[0] += f", {naive}" if naive else ""
    folds = metrics.get("network", [])
    serves = not folds or any(fold["kept"] for fold in folds)  # the network, not its base alone
    others = [cell for cell in problem.training.cells if cell != model and serves]
    parts += filter(None, (_beside(metrics, model, cell, f"the {label(cell)}") for cell in others))
    floor = _best_floor(metrics, model, "mae")
    if floor is not None and floor[0] != "seasonal_naive" and floor[1].judgement == "worse":
        parts.append(f"a simpler method, {label(floor[0])}, is better")
    return "; ".join(parts) + "."


def _beside(metrics: ForecastMetrics, model: str, other: str, called: str) -> str:
    """Say how the MAE of a model compares with another's; empty where that is not known."""
    change = _change(metrics, model, other, "mae")
    theirs = metrics["models"].get(other, {}).get("mae", 0.0)
    if change is None or not math.isfinite(change.value) or not theirs > 0:
        return ""
    size, clear = abs(change.value) / theirs, change.judgement in ("better", "worse")
    if size < SAME or (size < ALMOST and not clear):
        return f"{called} is as good"
    share = f"{100 * size:.0f}" if size >= 0.1 else f"{100 * size:.1f}"
    doubt = "" if clear else ", which is not certain"
    order = "less" if change.value < 0 else "more"
    return f"{share}\N{NO-BREAK SPACE}% {order} than {called}{doubt}"


def lead(problem: Problem, metrics: ForecastMetrics, label: Label) -> str:
    """Say what the network earned over its base and over the best floor, and why it is used.

    Args:
        label: returns a model's display name.
    """
    metric = judging_metric(problem)
    cells, error = problem.training.cells, problem.ERRORS[0]
    sentences = (
        _over_base(metrics, metric, label),
        _over_floors(metrics, metric, label),
        choice.explain(problem.register_cell, metrics, error, cells, label),
    )
    return " ".join(filter(None, sentences))


def _over_base(metrics: ForecastMetrics, metric: str, label: Label) -> str:
    """Compare the judged network with the classical base that it corrects; empty without one."""
    model, folds = metrics.get("model", MODEL), metrics.get("network", [])
    if folds and not any(fold["kept"] for fold in folds):
        if not any(fold["enough"] for fold in folds):
            why = "the table has fewer windows than a network needs"
        else:
            gains = " and ".join(_gain(gain) for gain in folds[-1]["gains"])
            why = f"in the last rehearsals its error was {gains}"
        return f"The network did not improve on its classical base, which forecasts alone: {why}."
    change = _change(metrics, model, BASE, metric)
    if change is None:
        return ""
    theirs = metrics["models"][BASE][metric]
    if not change.value < 0:
        what = "did not reduce the error of its classical base"
    else:
        what = f"reduced the error of its classical base by {_share(-change.value, theirs)}"
    ours, kept = theirs + change.value, sum(fold["kept"] for fold in folds)
    partly = f" It was kept in {kept} of {len(folds)} folds." if kept < len(folds) else ""
    halved = sum(0 < fold["share"] < 1 for fold in folds)
    if halved:
        where = f" in {halved} of them" if halved < kept else ""
        partly += f" Half of its correction is applied{where}, which did better in rehearsals."
    return (
        f"The {label(model)} {what}: {metric.upper()} {ours:.4g} against {theirs:.4g} "
        f"({_interval(change, theirs)}).{partly}"
    )


def _gain(gain: float) -> str:
    return f"{100 * abs(gain):.1f}\N{NO-BREAK SPACE}% {'below' if gain > 0 else 'above'} the base's"


def _over_floors(metrics: ForecastMetrics, metric: str, label: Label) -> str:
    """Compare the judged network with the floor of the least error, on the windows of both."""
    model = metrics.get("model", MODEL)
    found = _best_floor(metrics, model, metric)
    if found is None:
        return ""
    best, change = found
    theirs = metrics["models"][best][metric]
    folds = metrics.get("network", [])
    over = _change(metrics, model, BASE, metric) if folds else None
    earned = not folds or (over is not None and over.judgement == "better")
    served = "network" if earned else "base"  # what the difference is due to
    verdict = VERDICTS[served].get(change.judgement, f"Whether {UNCLEAR[served]} is not clear")
    where = "below" if change.value < 0 else "above"
    windows = metrics["models"][best].get("windows")
    sample = f" on the {windows:,} windows of a sample" if windows else ""
    share = _share(abs(change.value), theirs)
    return (
        f"{verdict}: the {metric.upper()} of the {label(model)} is {share} {where} that of the "
        f"best floor in the test, {label(best)}{sample} ({_interval(change, theirs)})."
    )


def _best_floor(metrics: ForecastMetrics, model: str, metric: str) -> tuple[str, Interval] | None:
    """Return the floor of the least error beside a model's, and the model's difference from it."""
    ratios = {}
    for name in get_args(Floor):
        change = _change(metrics, model, name, metric)
        if change is not None and change.judgement != "not finite":
            theirs = metrics["models"][name][metric]
            ratios[name] = ((theirs + change.value) / theirs if theirs else math.inf), change
    best = max(ratios, key=lambda name: ratios[name][0], default=None)
    return None if best is None else (best, ratios[best][1])


def _change(metrics: ForecastMetrics, model: str, other: str, metric: str) -> Interval | None:
    """Return the difference of two models; None where it was not measured."""
    found = metrics["differences"].get(f"{model}_minus_{other}", {}).get(metric)
    return None if found is None else Interval.from_dict(found)


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f}\N{NO-BREAK SPACE}%" if whole else f"{part:.4g}"


def _interval(change: Interval, theirs: float) -> str:
    """Write an interval in percent of the other's error, and that it contains zero, if it does."""
    if change.judgement in ("undecided", "not finite"):
        return f"{change.judgement}: {change.bounds.removeprefix('unknown: ')}"
    doubt = ", no clear difference" if change.judgement == "no clear difference" else ""
    return f"95\N{NO-BREAK SPACE}% interval {in_percent(change, theirs)[1]}{doubt}"
