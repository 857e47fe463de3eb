"""Decide whether to train: from what changed, from the data, and from the champion."""

import dataclasses
import datetime as dt
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from retain.config import durations
from retain.config.kind import kind_of
from retain.config.schema import Problem
from retain.errors import DataError, ParamsError
from retain.evaluation.results import Drift, DriftFindings
from retain.project import files
from retain.project.layout import Layout
from retain.registry import artifacts, listing, rebuild, registry, version_tags
from retain.retraining import changes, live
from retain.retraining.changes import Changes
from retain.tracking import store
from retain.training import portable_cpu

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class Outcome:
    """What is to be done about a problem, and why.

    Attributes:
        stopped: its data got worse.
        restores: nothing changed, and only outputs are missing: the present model comes again.
    """

    train: bool
    reasons: list[str]
    stopped: bool = False
    restores: bool = False
    findings: DriftFindings | None = field(default=None, repr=False)

    def __str__(self) -> str:
        head = "stopped" if self.stopped else "retrain" if self.train else "nothing to do"
        return f"{head}: {'; '.join(self.reasons)}"


def check(root: Path, name: str, problem: Problem) -> Outcome:
    """Find what changed, compare the data with the champion's, and decide.

    Raises:
        ParamsError: `retrain.log` is named for a kind without a log.
    """
    if problem.retrain.log is not None and kind_of(problem).monitor is None:
        raise ParamsError(
            f"problems.{name}: retrain.log: a problem of kind {problem.kind} has no log"
        )
    changed = changes.status(root, name)
    try:
        if changed.sentences():
            return decide(problem, changed, *_compare_data(root, name, problem))
        _check_freshness(problem, Layout(root, name).prepared)
    except DataError as error:
        return Outcome(False, [str(error)], stopped=True)
    if changed:
        missing = f"not here: {', '.join(sorted(changed.missing))}"
        return Outcome(True, [missing], restores=True)
    return Outcome(False, ["data, params and code are those of the present model"])


def _compare_data(
    root: Path, name: str, problem: Problem
) -> tuple[DriftFindings | None, dt.datetime | None]:
    """Prepare the data where DVC does not look, and compare them with the champion's.

    Returns:
        What became of the data, None where the kind does not compare them, and when the champion
        was registered, None where there is none.

    Raises:
        DataError: the data cannot be prepared, are too old, or got worse.
    """
    kind = kind_of(problem)
    with files.folder(root, f"check-{name}") as prepared, ExitStack() as stack:
        portable_cpu.pin_cpu_kernels("portable")
        kind.prepare.load(problem, root, prepared)
        _check_freshness(problem, prepared)
        if kind.drift is None:
            return None, None
        champion, folder, scores = _find_champion(root, name), None, None
        if champion is not None:
            folder = stack.enter_context(artifacts.downloaded(champion))
            scores = version_tags.test_metrics(champion)
        findings = kind.drift.load(problem, prepared, folder, scores)
    if findings.worse:
        raise DataError("; ".join(findings.worse))
    if champion is None:
        return findings, None
    return add_logged(root, name, problem, champion, findings), listing.since(champion)


def add_logged(
    root: Path, name: str, problem: Problem, champion: "ModelVersion", findings: DriftFindings
) -> DriftFindings:
    """Add the error of the champion's logged forecasts, where `retrain.log` names a log.

    Where nothing can be said about them, that is printed.
    """
    if problem.retrain.log is None:
        return findings
    try:
        monitored = live.monitor(root, name, problem, root / problem.retrain.log)
        drifts, notes = monitored.drift(int(champion.version), problem.retrain.error)
    except DataError as error:
        drifts, notes = [], [str(error)]
    for note in notes:
        print(f"{name}: retrain.log: {note}", flush=True)
    return dataclasses.replace(findings, drifts=[*findings.drifts, *drifts])


def decide(
    problem: Problem,
    changed: Changes,
    findings: DriftFindings | None,
    registered: dt.datetime | None,
    now: dt.datetime | None = None,
) -> Outcome:
    """Decide whether to train, by the policy of params.

    Args:
        changed: what DVC sees; where nothing changed, the same model would come again.
        findings: what became of the data; None where the kind does not compare them.
        registered: when the champion was; None where there is none.
        now: the present time.
    """
    settings = problem.retrain
    drifts: dict[str, list[str]] = {}
    for drift in findings.drifts if findings else ():
        if drift.passed:
            drifts.setdefault(drift.name, []).append(describe(drift))
    drifted = [f"{column} drifted ({'; '.join(texts)})" for column, texts in drifts.items()]
    age = (now or dt.datetime.now(dt.UTC)) - registered if registered else None
    aged = []
    if age is not None and age > durations.span(settings.max_age):
        aged.append(f"the champion is {age.days} days old")
    if registered is None and findings is not None:
        aged.append("there is no champion")
    if settings.policy == "always":
        return Outcome(True, [*changed.sentences(), *drifted, *aged], findings=findings)
    reasons = dataclasses.replace(changed, data=set()).sentences()
    if settings.policy == "drift":
        reasons += drifted + aged
    if reasons or findings is None:
        return Outcome(True, reasons or changed.sentences(), findings=findings)
    why = "nothing drifted beyond its bound"
    if settings.policy == "never":
        why = "; ".join(drifted) or "nothing drifted"
    return Outcome(
        False, [f"new data, and the policy is `{settings.policy}`: {why}"], findings=findings
    )


def describe(drift: Drift) -> str:
    """Describe one measure of drift, with its bound."""
    usual = ", as far as the training part's own windows differ" if drift.usual else ""
    return f"{drift.measure} {drift.value:.3g}, bound {drift.bound:.3g}{usual}"


def _check_freshness(problem: Problem, prepared: Path) -> None:
    """Raise DataError where the newest value is older than params allow."""
    limit, newest_of = problem.retrain.max_lag, kind_of(problem).newest
    if limit is None or newest_of is None:
        return
    newest = newest_of.load(prepared)
    lag = dt.datetime.now(dt.UTC).replace(tzinfo=None) - newest
    if lag > durations.span(limit):
        raise DataError(
            f"no fresh data: the newest value is of {newest:%Y-%m-%d %H:%M}, "
            f"{listing.age(lag.total_seconds())} ago; retrain.max_lag is {limit}"
        )


def _find_champion(root: Path, name: str) -> "ModelVersion | None":
    """Return the champion, after rebuilding the registry where this machine is new.

    None where nothing could be rebuilt, as where DVC has no remote: then this is a first training.
    """
    if store.is_empty(root) and (root / "dvc.lock").is_file():
        try:
            for line in rebuild.rehydrate(root, name):
                print(line, flush=True)
        except rebuild.NothingRebuiltError as error:
            print(f"{name}: {error}; there is no champion to compare with", flush=True)
    if store.is_empty(root):
        return None
    return registry.alias_version(store.connect(root), name, "champion")
