"""What is found before a training: of the data, of the champion, and what follows from both."""

import dataclasses
import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from retain.config import schema
from retain.config.kind import kind_of
from retain.config.schema import Problem
from retain.errors import DataError
from retain.evaluation.results import Drift, DriftFindings
from retain.project import dvc, files
from retain.registry import listing, rebuild, registry
from retain.retraining import changes
from retain.retraining.changes import Changes
from retain.tracking import store
from retain.training import portable_cpu

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class Outcome:
    """What is to be done about a problem, and why; `stopped` says that its data got worse."""

    train: bool
    reasons: list[str]
    stopped: bool = False
    findings: DriftFindings | None = field(default=None, repr=False)

    def __str__(self) -> str:
        head = "stopped" if self.stopped else "retrain" if self.train else "nothing to do"
        return f"{head}: {'; '.join(self.reasons)}"


def check(root: Path, name: str, problem: Problem) -> Outcome:
    """Look at a problem's data and champion, and decide."""
    changed = changes.status(root, name)
    if changed.code and not changed.first:  # of this problem's kind, or of something else?
        dvc.call(root, "repro", "--quiet", f"code@{name}")
        changed = changes.status(root, name)
    try:
        if changed.sentences():
            return _look(root, name, problem, changed)
        _check_freshness(problem, root / "data" / "prepared" / name)
    except DataError as error:
        return Outcome(False, [str(error)], stopped=True)
    if changed:
        return Outcome(True, [f"not here: {', '.join(sorted(changed.missing))}"])
    return Outcome(False, ["data, params and code are those of the present model"])


def _look(root: Path, name: str, problem: Problem, changed: Changes) -> Outcome:
    """Prepare the data aside, where DVC does not see it, and compare them with the champion's."""
    with files.folder(root, f"check-{name}") as scratch:
        portable_cpu.pin_cpu_kernels("portable")
        prepared = scratch / "prepared"
        prepared.mkdir()
        kind = kind_of(problem)
        kind.prepare.load(problem, root, prepared)
        _check_freshness(problem, prepared)
        if kind.drift is None:
            return decide(problem, changed, None, None)
        with _champion(root, name) as (version, folder):
            expected = registry.test_metrics(version) if version else None
            findings = kind.drift.load(problem, prepared, folder, expected)
            registered = listing.since(version) if version else None
    if findings.worse:
        raise DataError("; ".join(findings.worse))
    return decide(problem, changed, findings, registered)


def decide(
    problem: Problem,
    changed: Changes,
    findings: DriftFindings | None,
    registered: dt.datetime | None,
    now: dt.datetime | None = None,
) -> Outcome:
    """Whether to train, by the policy of params.

    Args:
        changed: what DVC sees; where nothing changed, the same model would come again.
        findings: what became of the data; None where the kind does not compare them.
        registered: when the champion was; None where there is none.
    """
    settings = problem.retrain
    passed = [each for each in findings.drifts if each.passed] if findings else []
    drifted = [
        f"{name} drifted ({'; '.join(describe(each) for each in passed if each.name == name)})"
        for name in dict.fromkeys(each.name for each in passed)
    ]
    age = (now or dt.datetime.now(dt.UTC)) - registered if registered else None
    old = age is not None and age > schema.span(settings.max_age)
    aged = [f"the champion is {age.days} days old"] if old and age else []
    if registered is None and findings is not None:
        aged.append("there is no champion")
    said = changed.sentences()
    if settings.policy == "always":
        return Outcome(True, [*said, *drifted, *aged], findings=findings)
    own = dataclasses.replace(changed, data=set()).sentences()
    reasons = own + (drifted + aged if settings.policy == "drift" else [])
    if reasons or findings is None:
        return Outcome(True, reasons or said, findings=findings)
    why = f"new data, and the policy is `{settings.policy}`: "
    if settings.policy == "never":
        why += "; ".join(drifted) or "nothing drifted"
    else:
        why += "nothing drifted beyond its bound"
    return Outcome(False, [why], findings=findings)


def describe(each: Drift) -> str:
    """One finding of drift, with its bound, in words."""
    usual = ", which its own training part reaches" if each.usual else ""
    return f"{each.measure} {each.value:.3g}, bound {each.bound:.3g}{usual}"


def _check_freshness(problem: Problem, prepared: Path) -> None:
    """Raise DataError where the newest value is older than params allow."""
    limit, newest_of = problem.retrain.max_lag, kind_of(problem).newest
    if limit is None or newest_of is None:
        return
    newest = newest_of.load(prepared)
    lag = dt.datetime.now(dt.UTC).replace(tzinfo=None) - newest
    if lag > schema.span(limit):
        raise DataError(
            f"no fresh data: the newest value is of {newest:%Y-%m-%d %H:%M}, "
            f"{listing.age(lag.total_seconds())} ago; retrain.max_lag is {limit}"
        )


@contextmanager
def _champion(root: Path, name: str) -> Iterator[tuple["ModelVersion | None", Path | None]]:
    """The champion and its folder, while the block runs; nothing where there is none."""
    if store.is_empty(root) and (root / "dvc.lock").is_file():  # a machine that is new here
        for line in rebuild.rehydrate(root, name):
            print(line, flush=True)
    found = None
    if not store.is_empty(root):
        found = registry.alias_version(store.connect(root), name, "champion")
    if found is None:
        yield None, None
        return
    with registry.downloaded(found) as folder:
        yield found, folder
