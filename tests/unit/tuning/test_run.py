"""Equally many trials of each cell, however many jobs there are and whenever the time is up."""

from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from retain.errors import DataError, RetainError
from retain.tuning import run as runs_of
from retain.tuning.plan import Plan
from retain.tuning.run import Progress, run
from retain.tuning.study import Ended, Study

from .test_plan import planned

EPOCHS = 3


class Fake:
    """An engine in which every trial of a place takes its turn; no process and no training."""

    most = 0  # trials at a time, of one cell
    failing: str | None = None

    at_once = 1

    def __init__(self, plan: Plan):
        self.waiting: deque[tuple[int, dict[str, Any]]] = deque()
        self.tasks: dict[int, Mapping[str, Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def start(self, place: int, task: Mapping[str, Any]) -> None:
        if "cell" not in task:
            self.waiting.append((place, {"prepared": "an md5"}))
            return
        self.tasks[place] = task
        same = sum(one["cell"] == task["cell"] for one in self.tasks.values())
        Fake.most = max(Fake.most, same)
        if task["entry"]["model"].get("hidden_size") == Fake.failing:
            del self.tasks[place]
            self.waiting.append((place, {"failed": "too large", "seconds": 0.1}))
        else:
            self.waiting.append((place, {"epochs": EPOCHS}))
            self._epoch(place, 1)

    def _epoch(self, place: int, epoch: int) -> None:
        score = self.tasks[place]["entry"]["model"]["hidden_size"] / epoch
        self.waiting.append((place, {"epoch": epoch, "loss": score, "score": score}))

    def messages(self) -> Iterator[tuple[int, dict[str, Any]]]:
        while True:
            yield self.waiting.popleft()

    def answer(self, place: int, stop: bool) -> None:
        epoch = self.tasks[place].get("epoch", 1)
        if stop or epoch == EPOCHS:
            del self.tasks[place]
            self.waiting.append((place, {"done": True, "seconds": 1.0}))
        else:
            self.tasks[place] = {**self.tasks[place], "epoch": epoch + 1}
            self._epoch(place, epoch + 1)


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_of, "chosen_runner", Fake)
    monkeypatch.setattr(runs_of.runs, "log", lambda *args: None)
    for name, value in (("most", 0), ("failing", None)):
        monkeypatch.setattr(Fake, name, value)


def tried(
    plan: Plan, trials: int, jobs: int = 1, seconds: float | None = None
) -> tuple[dict[Any, Study], list[tuple[str, Ended, Progress]]]:
    ended: list[tuple[str, Ended, Progress]] = []
    studies, _ = run(plan, trials, seconds, jobs, lambda *args: ended.append(args))
    return studies, ended


@pytest.mark.parametrize(("jobs", "at_once"), [(1, 1), (2, 1), (4, 2)])
def test_cells_have_as_many_trials_and_few_jobs_change_none(
    tmp_path: Path, jobs: int, at_once: int
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    known, _ = tried(planned(tmp_path / "one"), 6)
    found, ended = tried(planned(tmp_path / "many"), 6, jobs)
    assert {cell: len(study.ended) for cell, study in found.items()} == {"lstm": 6, "rnn": 6}
    assert len(ended) == 12
    assert Fake.most == at_once
    if at_once == 1:
        assert [s.ended for s in found.values()] == [s.ended for s in known.values()]


def test_when_the_time_is_up_only_what_makes_the_numbers_equal_begins(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    first, _ = tried(plan, 3)
    journal = first["rnn"].path
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:-1]))  # the RNN has one less
    found, ended = tried(plan, 10, seconds=0.0)
    assert {cell: len(study.ended) for cell, study in found.items()} == {"lstm": 3, "rnn": 3}
    assert [cell for cell, _, _ in ended] == ["rnn"]


def test_a_trial_that_fails_is_reported_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, _ = tried(planned(tmp_path / "a"), 3)
    monkeypatch.setattr(Fake, "failing", whole["lstm"].ended[1].settings["model.hidden_size"])
    found, ended = tried(planned(tmp_path / "b"), 3)
    assert found["lstm"].ended[1].why == "too large"
    assert len(ended) == 6


def test_where_the_settings_as_they_are_fail_the_reason_is_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fake, "failing", 16)
    with pytest.raises(RetainError, match="lstm, with the settings as they are: too large"):
        tried(planned(tmp_path), 3)


def test_a_table_that_cannot_be_prepared_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(self: Fake, place: int, task: Mapping[str, Any]) -> None:
        self.waiting.append((place, {"failed": "row 3: no number"}))

    monkeypatch.setattr(Fake, "start", start)
    with pytest.raises(DataError, match="row 3: no number"):
        tried(planned(tmp_path), 3)
