"""A trial whose process ends is done again, and nobody who asks for trials knows of it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from retain.config.schema import Training
from retain.engine import choice
from retain.engine.processes import TRIES
from retain.errors import ParamsError, RetainError
from retain.tuning import ray_node, runner
from retain.tuning.ray_driver import Cluster, Place
from retain.tuning.runner import OnRay, Processes

from .test_plan import planned

# It stands for `retain.tuning.worker`: a trial of as many epochs as its task says, which ends its
# process in an epoch as often as it says, and repeats the answers that it got.
WORKER = """
import json, os, pathlib, sys
for text in sys.stdin:
    message = json.loads(text)
    place, task = message["place"], message["task"]
    def tell(**message):
        print(json.dumps({"place": place} | message), flush=True)
    if "defect" in task:
        tell(defect=task["defect"])
        continue
    tell(epochs=task["epochs"])
    answers = []
    for epoch in range(1, task["epochs"] + 1):
        tell(epoch=epoch, loss=0.0, score=0.0)
        answers.append(json.loads(sys.stdin.readline())["stop"])
        if epoch == task.get("dies_in") and (left := int(pathlib.Path("left").read_text())):
            pathlib.Path("left").write_text(str(left - 1))
            os.kill(os.getpid(), 9)
    tell(done=True, answers=answers, engine=os.environ["RETAIN_ENGINE"])
"""


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    """A runner whose trials need no library."""
    monkeypatch.chdir(tmp_path)

    def started(words: list[str], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        assert words == ["-m", "retain.tuning.worker", "root"]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, "-c", WORKER],
            **{"stdin": pipe, "stdout": pipe, "bufsize": 0, "env": environment},
            start_new_session=True,
        )

    monkeypatch.setattr(runner.processes, "started", started)
    with Processes(["root"], 1) as made:
        yield made


def told(made: Processes, stops: set[int]) -> list[dict[str, Any]]:
    """The messages of a trial, which is told to stop after some epochs."""
    found: list[dict[str, Any]] = []
    for place, message in made.messages():
        assert place == 3
        found.append(message)
        if "epoch" in message:
            made.answer(3, message["epoch"] in stops)
        if {"done", "failed", "defect"} & set(message):
            break
    return found


def test_a_trial_whose_process_ends_is_done_again_with_the_answers_it_had(
    processes: Processes, tmp_path: Path
) -> None:
    (tmp_path / "left").write_text("2")
    processes.start(3, {"epochs": 4, "dies_in": 2})
    found = told(processes, {2})
    assert (tmp_path / "left").read_text() == "0"
    assert [one["epoch"] for one in found if "epoch" in one] == [1, 2, 3, 4]
    assert found[-1]["answers"] == [False, True, False, False]
    processes.start(3, {"epochs": 1})  # of the same process
    assert told(processes, set())[-1]["answers"] == [False]


def test_a_trial_whose_process_ends_each_time_fails_and_the_next_one_runs(
    processes: Processes, tmp_path: Path
) -> None:
    (tmp_path / "left").write_text("9")
    processes.start(3, {"epochs": 4, "dies_in": 1})
    assert told(processes, set())[-1] == {
        "failed": f"its process ended {TRIES} times (exit code {-signal.SIGKILL})",
        "seconds": 0.0,
    }
    assert (tmp_path / "left").read_text() == str(9 - TRIES)
    processes.start(3, {"epochs": 1})
    assert told(processes, set())[-1]["done"]


def test_a_defect_of_a_trial_keeps_its_traceback(processes: Processes) -> None:
    processes.start(3, {"defect": "Traceback of a trial"})
    with pytest.raises(RuntimeError, match="Traceback of a trial"):
        told(processes, set())


def test_the_stages_of_a_trial_are_in_its_own_process(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(choice.VARIABLE, "local:4")
    processes.start(3, {"epochs": 0})
    assert told(processes, set())[-1]["engine"] == "local"


def test_the_engine_says_where_trials_run_and_how_many_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(tmp_path)
    monkeypatch.setenv(choice.VARIABLE, "local:4")
    assert runner.chosen_runner(plan).at_once == 4
    monkeypatch.setenv(choice.VARIABLE, "ray")
    assert isinstance(runner.chosen_runner(plan), OnRay)
    monkeypatch.setenv(choice.VARIABLE, "command:4")
    with pytest.raises(ParamsError, match="--engine local:N or --engine ray"):
        runner.chosen_runner(plan)


class Ray:
    """Stands for the module `ray`: each actor answers with what is left of a list, or is lost."""

    def __init__(self, *answers: dict[str, Any] | Exception):
        self.answers, self.asked = [*answers], list[str]()
        self.made = self.killed = 0
        self.needs: dict[str, Any] = {}
        self.watch: Callable[[], object] = lambda: None  # called while an answer is waited for
        self.actor = SimpleNamespace(
            exchange=SimpleNamespace(remote=self.asked.append),
            begin=SimpleNamespace(remote=lambda: "begin"),
        )

    def nodes(self) -> list[dict[str, Any]]:
        some = [{"CPU": 3.0}, {"CPU": 3.0, "GPU": 1.0}, {"memory": 1.0}]
        lost = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}
        return [lost, *({"Alive": True, "Resources": one} for one in some)]

    def remote(self, **needs: Any) -> Any:
        self.needs = needs
        return lambda node: SimpleNamespace(remote=self._make)

    def _make(self, words: list[str]) -> Any:
        self.made += 1
        return self.actor

    def get(self, reference: str | None) -> str:
        self.watch()
        if reference == "begin":
            return ""
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return json.dumps(answer)

    def kill(self, actor: Any) -> None:
        self.killed += 1


def cluster(ray: Ray, **training: Any) -> tuple[Cluster, Iterator[dict[str, Any]]]:
    """A cluster, and what is said of its trials."""
    reading, writing = os.pipe()
    said = FileIO(reading, "rb")
    settings = Training.model_validate({"learning_rate": 0.01, **training})
    made = Cluster(ray, settings, ["root", "p", "machine"], FileIO(writing, "wb"))
    return made, (json.loads(said.readline()) for _ in range(99))


def test_an_actor_that_is_lost_is_told_and_the_next_trial_gets_another() -> None:
    lost = ConnectionError("the node is gone")
    ray = Ray({"epochs": 2}, {"epoch": 1}, lost, {"epochs": 2}, {"epoch": 1}, {"done": True})
    made, said = cluster(ray)
    place = Place(7, made)
    place.start()
    place.asked.put("a task")
    assert [next(said), next(said)] == [{"place": 7, "epochs": 2}, {"place": 7, "epoch": 1}]
    place.asked.put("an answer")
    assert next(said) == {"place": 7, "lost": "the node is gone"}
    assert ray.made == 1
    place.asked.put("the task again")
    assert [next(said), next(said)] == [{"place": 7, "epochs": 2}, {"place": 7, "epoch": 1}]
    place.asked.put("an answer")
    assert next(said) == {"place": 7, "done": True}
    assert ray.made == 2
    assert ray.asked == ["a task", "", "an answer", "the task again", "", "an answer"]


def test_only_an_actor_without_a_trial_makes_room_and_only_for_one_that_waits() -> None:
    ray = Ray({"epoch": 1}, {"done": True})
    made, _ = cluster(ray)
    place = Place(1, made)
    place.exchange("a task")
    made._waiting = 1
    place.make_room()
    assert ray.killed == 0  # it waits for the answer to an epoch
    made._waiting = 0
    place.exchange("an answer")
    place.make_room()
    assert ray.killed == 0  # nobody waits
    made._waiting = 1
    place.make_room()
    place.make_room()
    assert ray.killed == 1


def test_an_actor_waits_for_room_until_it_is_on_a_node_not_until_it_answers() -> None:
    ray = Ray({"done": True})
    made, _ = cluster(ray)
    full = list[bool]()
    ray.watch = lambda: full.append(made.is_full)
    Place(1, made).exchange("a task")
    assert full == [True, False]


def test_a_trial_has_the_processors_that_it_trains_with() -> None:
    ray = Ray()
    made, _ = cluster(ray, threads=2, accelerator="cpu", reproducible="machine")
    assert (ray.needs, made.slots) == ({"num_cpus": 2, "num_gpus": 0}, 2)
    made, _ = cluster(ray, accelerator="gpu", reproducible="machine")
    assert (ray.needs, made.slots) == ({"num_cpus": 1, "num_gpus": 1}, 1)
    made, _ = cluster(ray, reproducible="portable")
    assert made.slots == 6


def test_a_trial_that_fits_on_no_node_is_an_error() -> None:
    """Two nodes have as many processors together; a trial would wait for ever."""
    with pytest.raises(RetainError, match="no node of the Ray cluster has the 4 processors of"):
        cluster(Ray(), threads=4, accelerator="cpu", reproducible="machine")
    with pytest.raises(RetainError, match="the 4 processors and a GPU of"):
        cluster(Ray(), threads=4, accelerator="gpu", reproducible="machine")


def test_a_driver_that_ends_while_it_connects_lost_no_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setattr(OnRay, "program", "retain.no_such_module")
    why = r"10\.0\.0\.1:6379 cannot be reached \(exit code 1\)"
    with pytest.raises(RetainError, match=why), OnRay([], 1):
        pass


def test_a_node_without_the_project_ends_the_study(tmp_path: Path) -> None:
    node = ray_node.Node([str(tmp_path / "elsewhere"), "p", "machine"])
    assert "does not see" in json.loads(node.exchange("{}\n"))["error"]


def test_a_node_passes_on_why_its_process_cannot_start(tmp_path: Path) -> None:
    node = ray_node.Node([str(tmp_path), "p", "machine"])
    assert json.loads(node.exchange("{}\n")) == {
        "error": f"{tmp_path}/params.yaml does not exist: run this in the project's folder"
    }
