"""The quality gate: whether a model is good enough, by checks that params.yaml declares.

A pure function of metrics and params. The comparison with the present champion depends on the
registry's state, so it is made at registration and recorded there.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar, get_args

from retain.config.checks import (
    AtLeastCheck,
    BeatsCheck,
    ChampionCheck,
    Check,
    CoverageCheck,
    FiniteCheck,
    TiesCheck,
)
from retain.config.schema import Cell
from retain.errors import ParamsError
from retain.evaluation.results import Difference, Interval, Metrics

T = TypeVar("T")
MODEL: Final = "lstm"  # the model that is judged where metrics.json names no other


@dataclass(frozen=True)
class CheckResult:
    """The result of one check, in a sentence and in figures."""

    check: str
    passed: bool
    sentence: str
    figures: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """Scores of two models on the same test part; each pair is in the order of the models.

    `measures` names the scores to show, `differences` are the first model's minus the second's by
    metric, `by_step` is an error at each step ahead, if any.
    """

    measures: tuple[str, ...]
    scores: tuple[dict[str, Any], dict[str, Any]]
    differences: Mapping[str, Interval]
    by_step: tuple[list[float], list[float]] = ([], [])


def run_checks(metrics: Metrics, gate: Iterable[Check]) -> list[CheckResult]:
    """Check the judged model's metrics against the gate, except for the check `champion`.

    Args:
        metrics: the content of metrics.json.
        gate: the section `gate` of the problem.

    Raises:
        ParamsError: a check names a baseline or a figure that was not evaluated.
    """
    return [_result(metrics, check) for check in gate if not isinstance(check, ChampionCheck)]


def verdict(checks: list[CheckResult], model: str = MODEL) -> dict[str, Any]:
    """Return the content of verdict.json."""
    return {
        "passed": all(check.passed for check in checks),
        "model": model,
        "checks": [vars(check) for check in checks],
    }


def _result(metrics: Metrics, check: Check) -> CheckResult:
    model = metrics.get("model", MODEL)
    scores = metrics["models"][model]
    if isinstance(check, FiniteCheck):
        count = int(scores["not_finite"])
        sentence = f"{count:,} values are not finite" if count else "every value is finite"
        return CheckResult("finite", count == 0, sentence, {"not_finite": count})
    if isinstance(check, CoverageCheck):
        return _coverage(metrics, check)
    if isinstance(check, AtLeastCheck):
        value = _figure(scores, check.metric)
        label = check.metric.replace("_", " ")
        sentence = f"{label} {value:.4g}; {check.value:g} is required"
        figures = {check.metric: value, "least": check.value}
        return CheckResult(
            f"{label} at least {check.value:g}", value >= check.value, sentence, figures
        )
    assert isinstance(check, BeatsCheck | TiesCheck)
    name = check.baseline
    label = f"{'beats' if isinstance(check, BeatsCheck) else 'beats or ties'} {name}"
    if name == model:
        return CheckResult(label, True, f"the {name} is the model that is judged", {})
    differences = metrics["differences"].get(f"{model}_minus_{name}")
    if differences is None and name.partition("_")[0] in get_args(Cell):  # as in an experiment
        sentence = f"not compared: the {name} was not trained (training.cells, training.alone)"
        return CheckResult(label, False, sentence, {})
    if differences is None:
        raise ParamsError(
            f"params.yaml: the gate names the baseline `{name}`; evaluated were "
            f"{', '.join(other for other in metrics['models'] if other != model)}"
        )
    change = Interval.from_dict(differences[check.metric])
    theirs = metrics["models"][name][check.metric]
    ours, sample = scores[check.metric], metrics["models"][name].get("windows")
    if sample:  # a baseline that forecast only some of the windows is compared on these
        ours = theirs + change.value
    sentence = f"{check.metric.upper()} {ours:.4g} against {theirs:.4g}: {change}"
    sentence += f", on the {sample:,} windows of a sample" if sample else ""
    if isinstance(check, BeatsCheck):
        passed = change.high < 0
    else:
        margin = check.margin * theirs
        tied = change.judgement == "no clear difference" and change.value <= margin
        passed = change.high <= margin or tied
        sentence += f"; a margin of {100 * check.margin:g} % is allowed" if check.margin else ""
    return CheckResult(label, passed, sentence, change.figures)


def _coverage(metrics: Metrics, check: CoverageCheck) -> CheckResult:
    """Check the 80 % interval and every quantile level; the result is that of the worst one."""
    tolerance = check.tolerance
    coverage = _figure(metrics["models"][metrics.get("model", MODEL)], "coverage_80")
    shares = dict(metrics.get("calibration", {}))  # older versions of metrics.json have none
    interval = shares.pop("coverage_80", {"observed": coverage, "by_chance": 0.0})
    coverage, chance = interval["observed"], interval["by_chance"]
    figures = {"coverage_80": coverage, "tolerance": tolerance}
    passed = abs(coverage - 0.8) <= tolerance + chance
    sentence = (
        f"the 80 % interval covers {100 * coverage:.1f} % of the test values; allowed are "
        f"{_around(0.8, tolerance, chance)}"
    )
    if shares:
        excess = {
            level: abs(share["observed"] - float(level)) - share["by_chance"]
            for level, share in shares.items()
        }
        finite = all(math.isfinite(value) for value in excess.values())
        worst = max(excess, key=lambda level: excess[level])
        observed, chance = shares[worst]["observed"], shares[worst]["by_chance"]
        passed = passed and finite and excess[worst] <= tolerance
        sentence += (
            f"; of {len(shares)} quantiles that of {100 * float(worst):g} % is furthest off, with "
            f"{100 * observed:.1f} % at or below it; allowed are "
            f"{_around(float(worst), tolerance, chance)}"
        )
        figures |= {"level": float(worst), "observed": observed, "by_chance": chance}
    return CheckResult("coverage", passed, sentence, figures)


def _around(share: float, tolerance: float, chance: float) -> str:
    low, high = (100 * (share + sign * (tolerance + chance)) for sign in (-1, 1))
    why = f" ({100 * chance:.1f} points of it for chance)" if chance else ""
    return f"{max(low, 0):.0f} to {min(high, 100):.0f} %{why}"


def _figure(scores: Mapping[str, float], metric: str) -> float:
    """Return a figure of the model; NaN passes no check."""
    if metric not in scores:
        raise ParamsError(
            f"params.yaml: the gate names `{metric}`, and this kind of problem has only "
            f"{', '.join(scores)}"
        )
    return scores[metric]


def differences(
    scored: Mapping[str, T],
    compare: Callable[[T, T], Mapping[str, Interval]],
    model: str = MODEL,
) -> dict[str, dict[str, Difference]]:
    """Compare the LSTM, and the judged model, with each other model; as in metrics.json.

    Args:
        model: the judged one.
        compare: subtracts the metrics of its second argument from those of its first.
    """
    return {
        f"{one}_minus_{name}": {
            metric: change.to_dict() for metric, change in compare(scored[one], other).items()
        }
        for one in dict.fromkeys((MODEL, model))
        for name, other in scored.items()
        if name != one
    }


def difference_rows(
    metrics: Metrics, label: Callable[[str], str], digits: str = ".4g"
) -> list[tuple[str, str, str, str, str]]:
    """Describe the differences of metrics.json: models, metric, value, interval, judgement.

    Args:
        label: returns a model's display name.
    """
    rows = []
    for name, by_metric in metrics["differences"].items():
        for metric, difference in by_metric.items():
            change = Interval.from_dict(difference)
            models = " − ".join(map(label, name.split("_minus_", 1)))
            value = f"{change.value:+{digits}}"
            rows.append((models, metric, value, change.bounds, change.judgement))
    return rows


def methods(changes: Iterable[Interval]) -> str:
    """Describe the methods of intervals in a sentence; empty if there is none."""
    ways = dict.fromkeys(change.evidence for change in changes if change.evidence)
    return f"Intervals by {'; '.join(ways)}." if ways else ""


def methods_of(metrics: Metrics) -> str:
    """Describe the methods of the intervals of metrics.json in a sentence."""
    return methods(
        Interval.from_dict(difference)
        for by_metric in metrics["differences"].values()
        for difference in by_metric.values()
    )
