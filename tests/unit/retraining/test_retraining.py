"""What is decided about a retraining, from what changed, drifted and aged."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from retain.errors import DataError, ParamsError, RegistryError
from retain.evaluation.results import Drift, DriftFindings
from retain.kinds.forecast.config import Problem
from retain.kinds.text import config as text
from retain.project import fingerprint
from retain.registry import rebuild
from retain.retraining import changes, decide, live, steps
from retain.retraining.changes import Changes

NOW = dt.datetime(2024, 6, 1, tzinfo=dt.UTC)
NEW_DATA = {"data": {"data/raw/t.csv"}}
CALM = DriftFindings("now", [Drift("y", "psi", 0.1, 0.25)])
DRIFTED = DriftFindings("now", [Drift("y", "psi", 0.3, 0.25), Drift("y", "wasserstein", 0.1, 0.5)])


def problem(**retrain: Any) -> Problem:
    return Problem.model_validate(
        {
            "kind": "forecast",
            "preset": "fast",
            "data": {"path": "t.csv", "horizon": 6, "context_length": 24},
            "gate": [{"check": "finite"}],
            "retrain": retrain,
        }
    )


@pytest.mark.parametrize(
    ("policy", "changed", "findings", "days", "train", "said"),
    [
        ("always", NEW_DATA, CALM, 1, True, "data: data/raw/t.csv"),
        ("always", NEW_DATA, DRIFTED, 1, True, "y drifted (psi 0.3, bound 0.25)"),
        ("drift", NEW_DATA, CALM, 1, False, "nothing drifted beyond its bound"),
        ("drift", NEW_DATA, DRIFTED, 1, True, "y drifted"),
        ("drift", NEW_DATA, CALM, 91, True, "the champion is 91 days old"),
        ("drift", NEW_DATA, CALM, None, True, "there is no champion"),
        (
            "drift",
            {"params": {"problems.t.model": "modified"}},
            CALM,
            1,
            True,
            "params: problems.t.model",
        ),
        ("drift", {"code": {"src/retain/rows.py"}}, CALM, 1, True, "code: src/retain/rows.py"),
        ("never", NEW_DATA, DRIFTED, 91, False, "y drifted (psi 0.3, bound 0.25)"),
        ("never", {"params": {"problems.t.model": "modified"}}, CALM, 1, True, "params"),
        ("drift", {"first": True}, CALM, 1, True, "there is no model yet"),
        ("drift", {"made": {"data/prepared/t"}}, CALM, 1, True, "run was stopped before its end"),
        ("drift", {**NEW_DATA, "made": {"models/t/lstm"}}, CALM, 1, True, "was stopped"),
    ],
)
def test_the_policy_decides(
    policy: str, changed: Any, findings: DriftFindings, days: int | None, train: bool, said: str
) -> None:
    registered = None if days is None else NOW - dt.timedelta(days=days)
    found = decide.decide(problem(policy=policy), Changes(**changed), findings, registered, NOW)
    assert (found.train, found.stopped) == (train, False)
    assert said in str(found)


def test_the_age_that_is_too_old_comes_from_params() -> None:
    registered = NOW - dt.timedelta(days=8)
    asked = problem(policy="drift", max_age="1w")
    assert decide.decide(asked, Changes(**NEW_DATA), CALM, registered, NOW).train


def add_logged(monkeypatch: pytest.MonkeyPatch, found: Any) -> DriftFindings:
    """What is found of the data, with the log of the champion, version 3."""

    def monitor(*words: Any) -> Any:
        assert words[-1] == Path("root/logs")
        if isinstance(found, Exception):
            raise found
        return SimpleNamespace(drift=lambda version, bound: found if version == 3 else None)

    monkeypatch.setattr(live, "monitor", monitor)
    champion: Any = SimpleNamespace(version="3")
    asked = problem(policy="drift", log="logs")
    return decide.add_logged(Path("root"), "t", asked, champion, CALM)


def test_the_error_of_logged_forecasts_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    worse = Drift("logged forecasts", "mase", 1.4, 1.25)
    findings = add_logged(monkeypatch, ([worse], []))
    assert findings.drifts == [*CALM.drifts, worse]
    outcome = decide.decide(problem(policy="drift"), Changes(**NEW_DATA), findings, NOW, NOW)
    assert str(outcome) == "retrain: logged forecasts drifted (mase 1.4, bound 1.25)"


@pytest.mark.parametrize("found", [([], ["too few values"]), DataError("too few values")])
def test_a_log_that_says_nothing_is_no_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], found: Any
) -> None:
    assert add_logged(monkeypatch, found) == CALM
    assert capsys.readouterr().out == "t: retrain.log: too few values\n"


def test_where_no_version_can_be_rebuilt_there_is_no_champion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """But a ledger that cannot be read, or a store that is away, is an error."""
    errors = [rebuild.NothingRebuiltError("none could be rebuilt"), RegistryError("a bad ledger")]

    def rehydrate(root: Path, name: str) -> Iterator[str]:
        yield "skipped"
        raise errors.pop(0)

    (tmp_path / "dvc.lock").touch()
    monkeypatch.setattr(rebuild, "rehydrate", rehydrate)
    assert decide._find_champion(tmp_path, "t") is None
    assert "none could be rebuilt; there is no champion" in capsys.readouterr().out
    with pytest.raises(RegistryError, match="a bad ledger"):
        decide._find_champion(tmp_path, "t")


def test_without_a_log_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "monitor", None)
    champion: Any = SimpleNamespace(version="3")
    assert decide.add_logged(Path(), "t", problem(policy="drift"), champion, CALM) == CALM


def test_a_kind_without_a_log_refuses_one() -> None:
    entry = {"kind": "text", "data": {"path": "t.txt"}, "gate": [{"check": "finite"}]}
    asked = text.Problem.model_validate(entry | {"retrain": {"log": "logs"}})
    with pytest.raises(ParamsError, match="a problem of kind text has no log"):
        decide.check(Path(), "t", asked)


def test_a_kind_without_drift_is_trained_whenever_something_changed() -> None:
    assert decide.decide(problem(policy="drift"), Changes(**NEW_DATA), None, None, NOW).train


def test_a_bound_that_is_usual_says_so() -> None:
    each = Drift("warm", "psi", 5.0, 4.9, usual=True)
    assert decide.describe(each) == (
        "psi 5, bound 4.9, as far as the training part's own windows differ"
    )


LOCK = """\
schema: '2.0'
stages:
  prepare@t:
    cmd: python pipelines/prepare.py t
    deps:
    - path: data/raw/t.csv
      md5: {raw}
    - path: pipelines/prepare.py
      md5: aa
    params:
      params.yaml:
        problems.t.data:
          horizon: {horizon}
          ds: time
  train@t-lstm:
    cmd: python pipelines/train.py t lstm
    deps:
    - path: data/prepared/t
      md5: {raw}.dir
    - path: data/code/t/train.txt
      md5: {code}
  prepare@tt:
    cmd: x
    deps:
    - path: data/raw/tt.csv
      md5: {raw}
"""
BEFORE = LOCK.format(raw="11", horizon=6, code="bb")


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (LOCK.format(raw="22", horizon=6, code="bb"), ({"data/raw/t.csv"}, {}, set())),
        (
            LOCK.format(raw="11", horizon=12, code="bb"),
            (set(), {"problems.t.data.horizon": (6, 12)}, set()),
        ),
        (LOCK.format(raw="11", horizon=6, code="cc"), (set(), {}, {"what train runs"})),
    ],
)
def test_what_changed_since_the_commit_is_read_from_both_locks(
    now: str, expected: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes.Git, "show", lambda *_: BEFORE)
    (tmp_path / "dvc.lock").write_text(now)
    found = changes.since_commit(tmp_path, "t")
    assert (found.data, found.params, found.code) == expected
    assert not found.first
    assert not changes.is_committed(tmp_path, "t")
    (tmp_path / "dvc.lock").write_text(BEFORE)
    assert changes.is_committed(tmp_path, "t")


@pytest.mark.parametrize(
    ("stage", "entry", "place"),
    [
        ("prepare@t", {"changed deps": {"data/raw/t.csv": "modified"}}, "data"),
        ("data/raw/t.csv.dvc", {"changed outs": {"data/raw/t.csv": "modified"}}, "data"),
        ("train@t-lstm", {"changed deps": {"data/code/t/train.txt": "modified"}}, "code"),
        ("train@t-lstm", "changed command", "code"),
        ("train@t-lstm", {"changed deps": {"data/prepared/t": "modified"}}, "made"),
        ("train@t-lstm", {"changed outs": {"models/t/lstm": "deleted"}}, "missing"),
        (
            "train@t-lstm",
            {"changed deps": {"params.yaml": {"problems.t.model": "modified"}}},
            "params",
        ),
    ],
)
def test_what_dvc_says_of_a_stage_is_one_kind_of_change(
    stage: str, entry: Any, place: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes.dvc, "status", lambda *_: {stage: [entry]})
    found = changes.status(tmp_path, "t")
    names = ("data", "params", "code", "made", "missing")
    assert [name for name in names if getattr(found, name)] == [place]


@pytest.mark.parametrize(("text", "said"), [("as before", []), ("other", ["what train runs"])])
def test_a_change_of_the_code_is_one_where_a_stage_would_run_other_code(
    text: str, said: list[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = fingerprint.text_md5("as before")
    (tmp_path / "dvc.lock").write_text(
        LOCK.format(raw="11", horizon=6, code=code) + "  register@t:\n    cmd: x\n"
    )
    status = {"code@t": [{"changed deps": {"src/retain": "modified"}}]}
    monkeypatch.setattr(changes.dvc, "status", lambda *_: status)
    monkeypatch.setattr(changes.loader, "load", lambda *_: {"t": problem()})
    monkeypatch.setattr(changes.code_deps, "code_list", lambda *_: text)
    assert sorted(changes.status(tmp_path, "t").code) == said


def test_a_problem_that_the_commit_does_not_know_is_the_first(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes.Git, "show", lambda *_: None)
    (tmp_path / "dvc.lock").write_text(BEFORE)
    assert changes.since_commit(tmp_path, "t").first


def test_what_was_never_trained_here_is_left_out_unless_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of four problems one has a ledger, one its outputs, one is in the lock alone, one is new."""
    names = ("ledger", "outputs", "sample", "new")
    every = {name: problem() for name in names}
    monkeypatch.setattr(
        steps.loader, "some", lambda _, named: {n: every[n] for n in named} or every
    )
    stages = "".join(f"  register@{name}:\n    cmd: a command\n" for name in names[:3])
    (tmp_path / "dvc.lock").write_text(f"schema: '2.0'\nstages:\n{stages}")
    for path in ("models/ledger/ledger.csv", "reports/outputs/verdict.json"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    (tmp_path / "models/new").mkdir()
    (tmp_path / "models/new/ledger.csv").touch()
    assert list(steps.choose(tmp_path, [])) == ["ledger", "outputs"]
    assert "never trained here: sample, new; name those" in capsys.readouterr().out
    assert list(steps.choose(tmp_path, ["sample"])) == ["sample"]
    assert capsys.readouterr().out == ""
