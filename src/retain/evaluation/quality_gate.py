"""The quality gate: whether a model is good enough, by checks that params.yaml declares.

A pure function of metrics and params. The comparison with the present champion depends on the
registry's state, so it is made at registration and recorded there.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from retain.config.schema import (
    AtLeastCheck,
    BeatsCheck,
    ChampionCheck,
    Check,
    CoverageCheck,
    FiniteCheck,
    TiesCheck,
)
from retain.errors import ParamsError
from retain.evaluation.results import Difference, Metrics

if TYPE_CHECKING:
    from retain.evaluation.bootstrap import Interval

T = TypeVar("T")
MODEL: Final = "lstm"  # the model that is judged where metrics.json names no other


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check, in a sentence and in figures."""

    check: str
    passed: bool
    sentence: str
    figures: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """Scores of two models on the same test part, each pair in the order of the models.

    `measures` names the scores that a person looks at, `differences` are those of the first minus
    the second by metric, `by_step` is an error at each step ahead, if any.
    """

    measures: tuple[str, ...]
    scores: tuple[dict[str, Any], dict[str, Any]]
    differences: "Mapping[str, Interval]"
    by_step: tuple[list[float], list[float]] = ([], [])


def run_checks(metrics: Metrics, gate: Iterable[Check]) -> list[CheckResult]:
    """Check the judged model's metrics against the gate, but for the check `champion`.

    Args:
        metrics: the content of metrics.json.
        gate: the section `gate` of the problem.

    Raises:
        ParamsError: a check names a baseline or a figure that was not evaluated.
    """
    return [_result(metrics, check) for check in gate if not isinstance(check, ChampionCheck)]


def verdict(checks: list[CheckResult], model: str = MODEL) -> dict[str, Any]:
    """The content of verdict.json."""
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
        share = _figure(scores, "coverage_80")
        passed = abs(share - 0.8) <= check.tolerance
        sentence = (
            f"the 80 % interval covers {100 * share:.1f} % of the test values; "
            f"allowed are {80 - 100 * check.tolerance:.0f} to {80 + 100 * check.tolerance:.0f} %"
        )
        figures = {"coverage_80": share, "tolerance": check.tolerance}
        return CheckResult("coverage", passed, sentence, figures)
    if isinstance(check, AtLeastCheck):
        value = _figure(scores, check.metric)
        label = check.metric.replace("_", " ")
        sentence = f"{label} {value:.4g}; {check.value:g} is asked for"
        figures = {check.metric: value, "least": check.value}
        return CheckResult(
            f"{label} at least {check.value:g}", value >= check.value, sentence, figures
        )
    assert isinstance(check, BeatsCheck | TiesCheck)
    name = check.baseline
    if name == model:
        label = f"{'beats' if isinstance(check, BeatsCheck) else 'beats or ties'} {name}"
        return CheckResult(label, True, f"the {name} is the model that is judged", {})
    differences = metrics["differences"].get(f"{model}_minus_{name}")
    if differences is None:
        raise ParamsError(
            f"params.yaml: the gate names the baseline `{name}`; evaluated were "
            f"{', '.join(other for other in metrics['models'] if other != model)}"
        )
    change = differences[check.metric]
    value, low, high = change["value"], change["low"], change["high"]
    theirs = metrics["models"][name][check.metric]
    sentence = (
        f"{check.metric.upper()} {scores[check.metric]:.4g} against {theirs:.4g}: "
        f"{judgement(low, high)} ({value:+.4g}, 95 % interval {interval(low, high)})"
    )
    if isinstance(check, BeatsCheck):
        label, passed = f"beats {name}", high < 0
    else:
        label, passed = f"beats or ties {name}", low <= check.margin * theirs
        sentence += f"; a margin of {100 * check.margin:g} % is allowed" if check.margin else ""
    return CheckResult(label, passed, sentence, {"value": value, "low": low, "high": high})


def _figure(scores: Mapping[str, float], metric: str) -> float:
    """Return a figure of the model; NaN passes no check."""
    if metric not in scores:
        raise ParamsError(
            f"params.yaml: the gate names `{metric}`, and of this kind of problem are measured "
            f"{', '.join(scores)}"
        )
    return scores[metric]


def interval(low: float, high: float) -> str:
    """Describe a 95 % interval."""
    if not math.isfinite(low + high):
        return "unknown: too few windows, or a forecast that is not finite"
    return f"{low:+.4g} to {high:+.4g}"


def differences(
    scored: Mapping[str, T],
    compare: "Callable[[T, T], Mapping[str, Interval]]",
    model: str = MODEL,
) -> dict[str, dict[str, Difference]]:
    """Compare the LSTM with each other model, and so the judged one; as metrics.json has it.

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
        label: returns a model's name for a person.
    """
    return [
        (
            " − ".join(map(label, name.split("_minus_", 1))),
            metric,
            f"{change['value']:+{digits}}",
            interval(change["low"], change["high"]),
            judgement(change["low"], change["high"]),
        )
        for name, by_metric in metrics["differences"].items()
        for metric, change in by_metric.items()
    ]


def judgement(low: float, high: float) -> str:
    """Judge the first of two models by the interval of the difference in error."""
    if high < 0:
        return "better"
    return "worse" if low > 0 else "no clear difference"
