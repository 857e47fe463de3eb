"""What a run logs is sent once the store answers, and kept until then."""

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from retain.errors import RegistryError
from retain.project import files, fingerprint
from retain.tracking import offline_run, runs, store
from retain.tracking.offline_run import Message, OfflineRun
from retain.tracking.store import StoreError


class Store:
    """Replaces a tracking store and its client; with `away` every call fails."""

    def __init__(self) -> None:
        self.away = True
        self.calls: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.away:
                raise StoreError("sqlite:///of.the.test", ConnectionError("refused"))
            self.calls.append((name, {**kwargs, "args": args[1:]}))
            if name == "search_runs":
                return []
            return self

        return call

    @property
    def info(self) -> Any:
        return self

    @property
    def run_id(self) -> str:
        return "an id"

    def sent(self, part: str) -> list[str]:
        batches = [words.get(part, ()) for name, words in self.calls if name == "log_batch"]
        return [entry.key for batch in batches for entry in batch]


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Store:
    made = Store()
    monkeypatch.setattr(store, "connect", lambda root: made)
    monkeypatch.setattr(store, "experiment_id", lambda client, root, name: client.get_it(name))
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which passes only where somebody sleeps."""
    time = [100.0]
    monkeypatch.setattr(offline_run.time, "monotonic", lambda: time[0])
    monkeypatch.setattr(
        offline_run.time, "sleep", lambda seconds: time.__setitem__(0, time[0] + seconds)
    )
    return time


def begun(root: Path, **more: Any) -> OfflineRun:
    return OfflineRun(root, Message("a key", "small", "train@small-lstm", 5, **more))


def test_what_was_logged_while_the_store_was_away_is_sent_when_it_is_back(
    tmp_path: Path, away: Store, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    run = begun(tmp_path, params={"cell": "lstm"})
    run.log({"loss": 2.0}, 1)
    run.log({"loss": 1.0}, 2)
    run.tag({"model.md5": "1"})
    kept = json.loads((tmp_path / "mlruns/pending/a key.json").read_text())
    assert [metric[:2] for metric in kept["metrics"]] == [["loss", 2.0], ["loss", 1.0]]
    away.away = False
    clock[0] += offline_run.LONGEST_PAUSE
    run.end("FINISHED")
    assert away.sent("metrics") == ["loss", "loss"]
    assert away.sent("params") == ["cell"]
    assert [name for name, _ in away.calls][-1] == "set_terminated"
    assert not list((tmp_path / "mlruns/pending").iterdir())
    printed = capsys.readouterr().out
    assert printed.count("does not answer: refused") == 1  # and not at every step


def test_the_pauses_between_two_tries_grow(
    tmp_path: Path, away: Store, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def refuse(run: OfflineRun) -> None:
        tries.append(clock[0])
        raise RegistryError("refused")

    monkeypatch.setattr(OfflineRun, "deliver", refuse)
    run = begun(tmp_path)
    for _ in range(400):
        run.log({"loss": 1.0}, 1)
        clock[0] += 1
    gaps = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert gaps[:6] == [1, 2, 4, 8, 16, 32]
    assert set(gaps[6:]) == {offline_run.LONGEST_PAUSE}


def test_a_store_that_never_answered_is_not_waited_for_at_the_end(
    tmp_path: Path, away: Store, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    run = begun(tmp_path)
    run.end("FINISHED")
    assert clock == [100.0]
    assert "pending: train@small-lstm, in " in capsys.readouterr().out


@pytest.mark.parametrize(("status", "waits"), [("FINISHED", True), ("KILLED", False)])
def test_the_end_waits_for_a_store_that_went_away_unless_it_was_killed(
    tmp_path: Path, away: Store, clock: list[float], status: str, waits: bool
) -> None:
    away.away = False
    run = begun(tmp_path)
    run.log({"loss": 1.0}, 1)
    away.away = True
    run.end(status)
    assert (clock[0] > 100.0) is waits
    assert clock[0] <= 100.0 + offline_run.PATIENCE


def test_what_a_killed_process_could_not_send_is_sent_by_the_next(
    tmp_path: Path, away: Store, clock: list[float]
) -> None:
    begun(tmp_path).log({"loss": 2.0}, 1)
    run = begun(tmp_path)
    run.load_pending()
    away.away = False
    run.log({"loss": 1.0}, 2)
    assert away.sent("metrics") == ["loss", "loss"]


def test_what_is_pending_is_sent_by_another_process(tmp_path: Path, away: Store) -> None:
    begun(tmp_path).end("KILLED")
    away.away = False
    for run in offline_run.pending(tmp_path):
        run.deliver()
    assert away.calls[-1][1]["args"][:1] == ("KILLED",)
    assert not list(offline_run.pending(tmp_path))


def test_a_part_of_a_pipeline_lies_below_its_run_which_is_made_with_it(
    tmp_path: Path, away: Store, clock: list[float]
) -> None:
    data = {"name": "small", "digest": "1.dir", "source_type": "dvc", "source": "{}"}
    tags = {"data.md5": "1.dir", "env.cpu": "a processor"}
    more = {"tags": tags, "datasets": [data], "pipeline": "pipeline-1", "pipeline_name": "small"}
    run = begun(tmp_path, **more)
    assert not run.send()
    kept = json.loads(run.path.read_text())
    assert kept["datasets"] == [data]
    away.away = False
    (again,) = offline_run.pending(tmp_path)
    again.deliver()
    whole, part = (words for name, words in away.calls if name == "create_run")
    assert whole["run_name"] == "small"
    assert whole["tags"] == {"run.key": "pipeline-1", "data.md5": "1.dir"}
    assert part["tags"][offline_run.PARENT] == "an id"
    sent = [words["datasets"] for name, words in away.calls if name == "log_inputs"]
    assert [inputs[0].dataset.digest for inputs in sent] == ["1.dir"] * 2  # of the whole, too


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": "b"}', "\udcff"])
def test_a_damaged_message_is_put_aside_and_said(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = offline_run.folder(tmp_path) / "a.json"
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="utf-8", errors="surrogateescape")
    assert list(offline_run.pending(tmp_path)) == []
    assert "a.json is damaged: it is kept as a.damaged" in capsys.readouterr().out
    assert [file.name for file in path.parent.iterdir()] == ["a.damaged"]


def test_what_another_process_sends_or_writes_meanwhile_is_left_to_it(
    tmp_path: Path, away: Store, clock: list[float]
) -> None:
    for key in ("a", "b", "c"):
        OfflineRun(tmp_path, Message(key, "small", key, 5)).send()
    found = offline_run.pending(tmp_path)
    assert next(found).message.key == "a"
    (offline_run.folder(tmp_path) / "b.json").unlink()
    assert next(found).message.key == "c"
    path = offline_run.folder(tmp_path) / "c.json"
    with files.replacing(path) as scratch:
        scratch.write_text('{"key": ')
        assert [run.message.key for run in offline_run.pending(tmp_path)] == ["a", "c"]
        scratch.write_bytes(path.read_bytes())


def evaluated(root: Path, problems: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A project with a marker of scores; return the problems whose scores are sent."""
    sent: list[str] = []
    monkeypatch.setattr(runs, "load", lambda root: problems)
    monkeypatch.setattr(runs, "_log_evaluation", lambda root, name, *more: sent.append(name))
    metrics = root / "reports/old/metrics.json"
    metrics.parent.mkdir(parents=True)
    metrics.write_text("{}")
    marker = offline_run.folder(root) / "old.evaluation"
    marker.parent.mkdir(parents=True)
    marker.write_text(f"{fingerprint.file_md5(metrics)} lstm")
    return sent


@pytest.mark.parametrize(
    ("problems", "cell", "why"),
    [
        ({}, "lstm", "params.yaml has no problem `old`"),
        ({"old": ""}, "gru", "there is no models/old/lstm"),
    ],
)
def test_scores_of_what_is_gone_are_given_up(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    problems: dict[str, str],
    cell: str,
    why: str,
) -> None:
    sent = evaluated(tmp_path, problems, monkeypatch)
    (tmp_path / "models/old" / cell).mkdir(parents=True)
    assert runs.sync(tmp_path) == sent == []
    assert f"the scores of old are not sent: {why}" in capsys.readouterr().out
    assert not list(offline_run.folder(tmp_path).iterdir())


def test_scores_that_another_process_sends_meanwhile_are_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = evaluated(tmp_path, {"old": ""}, monkeypatch)
    (tmp_path / "models/old/lstm").mkdir(parents=True)
    marker = offline_run.folder(tmp_path) / "old.evaluation"
    with files.replacing(marker.with_name("new.evaluation")) as scratch:
        scratch.write_text("half a marker")
        assert runs.sync(tmp_path) == ["the scores of old"]
    assert sent == ["old"]
    assert not runs._send_scores(tmp_path, marker)  # which is gone


def test_an_evaluation_that_runs_again_logs_what_is_new(tmp_path: Path) -> None:
    class Client:
        def get_run(self, run_id: str) -> Any:
            values = {"test/mae": 1.5, "test/mase": float("nan")}
            return SimpleNamespace(data=SimpleNamespace(metrics=values))

    run = OfflineRun(tmp_path, Message("a", "small", "a run", 0), "id")
    run.__dict__["client"] = Client()
    runs._log_scores(run, {"test/mae": 1.5, "test/mase": float("nan"), "test/rmse": 2.0}, 7)
    assert run.message.metrics == [("test/rmse", 2.0, 7, 0)]
