"""Where trials run: in processes of this machine, or of the nodes of a Ray cluster.

A trial whose process ends is done again, with the answers that it has had. So it takes the same
way, and neither a study nor what is compared afterwards knows of the loss.
"""

import json
import os
import selectors
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from retain.engine import choice, processes
from retain.engine.processes import TRIES
from retain.errors import ParamsError, RetainError
from retain.tuning.plan import Plan


class TrialRunner(Protocol):
    """Runs one trial in each of its places at a time.

    Attributes:
        at_once: trials that run at a time, if nobody chooses another number.
    """

    at_once: int

    def start(self, place: int, task: Mapping[str, Any]) -> None:
        """Start a trial in a free place: an entry of params.yaml, and a cell."""

    def messages(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield messages of trials as they come, with their places, without end.

        Raises:
            RetainError: the trials cannot run at all.
            RuntimeError: a trial ended with an error of retain.
        """

    def answer(self, place: int, stop: bool) -> None:
        """Answer a trial that has reported an epoch: whether it ends."""


def chosen_runner(plan: Plan) -> "Processes":
    """Return the runner of the chosen engine.

    Raises:
        ParamsError: the engine cannot run trials.
    """
    engine = choice.chosen()
    if engine.name == "command":
        raise ParamsError(
            "the engine `command` cannot run trials, since each is drawn by the results of others: "
            "give --engine local:N or --engine ray"
        )
    runner = OnRay if engine.name == "ray" else Processes
    mode = plan.problem.training.reproducible
    return runner([str(plan.root.resolve()), plan.name, mode], engine.count)


@dataclass
class _Attempts:
    """The attempts at a trial: its task, how often it was begun, and the answers that it got."""

    task: Mapping[str, Any]
    tries: int = 1
    answers: list[bool] = field(default_factory=list)
    asked: int = 0  # since it was begun last


class Processes:
    """Processes that do the tasks of places, each started with its first task.

    Here each place has its own, a `worker`: it has the libraries imported, and forks the trials.
    """

    program = "retain.tuning.worker"

    def __init__(self, words: list[str], at_once: int):
        self.at_once = at_once
        self._words = words
        self._trials: dict[int, _Attempts] = {}
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all processes, those of trials that run, too."""
        for process in self._processes.values():
            processes.kill(process)
        self._selector.close()

    def start(self, place: int, task: Mapping[str, Any]) -> None:
        """See `TrialRunner`."""
        self._trials[place] = _Attempts(task)
        self._write(place, {"task": task})

    def messages(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """See `TrialRunner`."""
        while True:
            for key, _ in self._selector.select():
                line = key.fileobj.readline()  # type: ignore[union-attr]
                message = json.loads(line) if line else self._ended(key.data)
                if "error" in message:
                    raise RetainError(message["error"])
                if "defect" in message:
                    raise RuntimeError(
                        f"a trial ended with an error of retain:\n{message['defect']}"
                    )
                if (place := message.pop("place")) in self._trials:
                    yield from self._handle(place, message)

    def answer(self, place: int, stop: bool) -> None:
        """See `TrialRunner`."""
        self._trials[place].answers.append(stop)
        self._write(place, {"stop": stop})

    def _handle(self, place: int, message: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield a message, unless it says what was known before the trial was begun again."""
        trial = self._trials[place]
        if "lost" in message and trial.tries < TRIES:
            trial.tries, trial.asked = trial.tries + 1, 0
            self._write(place, {"task": trial.task})
            return
        if "lost" in message:
            why = f"its process ended {TRIES} times ({message['lost']})"
            message = {"failed": why, "seconds": 0.0}
        if "epoch" in message:
            trial.asked += 1
            if trial.asked <= len(trial.answers):
                self._write(place, {"stop": trial.answers[trial.asked - 1]})
                return
        elif "epochs" not in message:
            del self._trials[place]
        yield place, message

    def _ended(self, place: int) -> dict[str, Any]:
        """Return the message of a process that has ended."""
        process = self._processes.pop(place)
        self._selector.unregister(process.stdout)  # type: ignore[arg-type]
        process.communicate()
        return {"place": place, "lost": f"exit code {process.returncode}"}

    def _process(self, place: int) -> "subprocess.Popen[bytes]":
        """Return the process that does the tasks of a place, which is started if there is none."""
        if place not in self._processes:
            environment = os.environ | {choice.VARIABLE: "local"}
            process = processes.started(["-m", self.program, *self._words], environment)
            assert process.stdout is not None
            self._processes[place] = process
            self._selector.register(process.stdout, selectors.EVENT_READ, place)
        return self._processes[place]

    def _write(self, place: int, message: Mapping[str, Any]) -> None:
        stdin = self._process(place).stdin
        assert stdin is not None
        with suppress(BrokenPipeError):  # it has ended, as `messages` says
            stdin.write(json.dumps({"place": place, **message}).encode() + b"\n")


class OnRay(Processes):
    """A Ray cluster, and one process of this machine that speaks with it for all places."""

    program = "retain.tuning.ray_driver"

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            RetainError: the cluster cannot be used.
        """
        process = self._process(0)
        assert process.stdout is not None
        line = process.stdout.readline()
        if line:
            message = json.loads(line)
        else:  # its driver has ended
            message = {"error": processes.unreachable(super()._ended(0)["lost"])}
        if "error" in message:
            self.__exit__(None, None, None)
            raise RetainError(message["error"])
        self.at_once = message["slots"]
        return self

    def _process(self, place: int) -> "subprocess.Popen[bytes]":
        """Return the one process, whatever the place."""
        return super()._process(0)

    def _ended(self, place: int) -> dict[str, Any]:
        code = super()._ended(place)["lost"]
        return {
            "error": f"the Ray cluster was lost (its driver ended with {code}; see above); the "
            "trials that have ended are kept: start the cluster and run the same again"
        }
