"""Where trials run: a runner starts them and returns their messages.

`Processes` is the runner of one machine. Another one, as for several machines, has the same three
methods.
"""

import json
import selectors
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from retain.engine import processes
from retain.errors import RetainError
from retain.tuning.worker import STOP


class TrialRunner(Protocol):
    """Runs one trial in each of its places at a time."""

    def start(self, place: int, task: Mapping[str, Any]) -> None:
        """Start a trial in a free place: an entry of params.yaml, and a cell."""

    def messages(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Wait for messages of trials, and yield those that have come, with their places."""

    def answer(self, place: int, stop: bool) -> None:
        """Answer a trial that has reported an epoch: whether it ends."""


def messages(runner: TrialRunner) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the messages of trials, with their places, without end.

    Raises:
        RuntimeError: a trial ended with an error of retain.
    """
    while True:
        for place, message in runner.messages():
            if "defect" in message:
                raise RuntimeError(f"a trial ended with an error of retain:\n{message['defect']}")
            yield place, message


class Processes:
    """A process for each place, with the libraries imported, from which its trials are forked.

    It is started with the first task of the place.
    """

    def __init__(self, root: Path, name: str, mode: str):
        self._words = ["-m", "retain.tuning.worker", str(root.resolve()), name, mode]
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
        if place not in self._processes:
            self._processes[place] = process = processes.started(self._words)
            assert process.stdout is not None
            self._selector.register(process.stdout, selectors.EVENT_READ, place)
        self._write(place, json.dumps(task).encode() + b"\n")

    def messages(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """See `TrialRunner`."""
        for key, _ in self._selector.select():
            place: int = key.data
            process = self._processes[place]
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RetainError(
                    f"a process of trials ended with {process.wait()}; its error stands above"
                )
            yield place, json.loads(line)

    def answer(self, place: int, stop: bool) -> None:
        """See `TrialRunner`."""
        self._write(place, STOP if stop else b"go\n")

    def _write(self, place: int, line: bytes) -> None:
        stdin = self._processes[place].stdin
        assert stdin is not None
        with suppress(BrokenPipeError):  # it has ended, as `messages` says
            stdin.write(line)
