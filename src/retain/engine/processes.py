"""The engines `local` and `ray`: parts are sent to processes, which say when each is done.

For `ray` it is one process that speaks with the cluster, so that a cluster that is lost ends that
process, and not the stage. Processes are kept for the next map of this process.
"""

import atexit
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from retain.engine import choice, worker
from retain.engine.choice import Engine
from retain.engine.mapping import Job, Part
from retain.errors import RetainError

TRIES = 3  # of a part whose process ends
PROGRAMS = {
    "local": ["-m", "retain.engine.worker"],
    "ray": ["-m", "retain.engine.ray_driver"],
}
LATE = 10.0  # seconds until a file system of several nodes shows what one of them wrote
_KEPT: dict[tuple[Engine, str], "Pool"] = {}


def started(
    words: Sequence[str], environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start Python in a process that is spoken with by its standard input and output."""
    return subprocess.Popen(
        # -P: a module in the project's folder is not taken for one of a library.
        [sys.executable, "-P", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,  # Ctrl-C reaches this process alone, which ends them
        env=environment,
    )


def unreachable(code: str) -> str:
    """Say that no cluster could be connected with; `code` is that of the process that tried."""
    where = os.environ.get("RAY_ADDRESS", "of this machine")
    return f"the Ray cluster {where} cannot be reached ({code})"


def kill(process: "subprocess.Popen[bytes]") -> None:
    """End such a process, and those that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@dataclass(eq=False)
class Worker:
    """A process, and the numbers of the parts that it has."""

    process: "subprocess.Popen[bytes]"
    slots: int = 0  # until it says how many parts it takes
    parts: set[int] = field(default_factory=set)


class Pool:
    """The processes of an engine."""

    def __init__(self, engine: Engine):
        self.engine, self.workers = engine, list[Worker]()
        self._selector = selectors.DefaultSelector()

    def start(self) -> None:
        """Start the processes that are missing."""
        while len(self.workers) < self.engine.count:
            environment = os.environ | {choice.VARIABLE: "local"}
            process = started(PROGRAMS[self.engine.name], environment)
            assert process.stdout is not None
            self.workers.append(Worker(process))
            self._selector.register(process.stdout, selectors.EVENT_READ, self.workers[-1])

    def send(self, which: Worker, number: int, task: worker.Message) -> None:
        """Give a part to a worker."""
        which.parts.add(number)
        assert which.process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, as `messages` says
            which.process.stdin.write(worker.line(task))

    def messages(self) -> Iterator[tuple[Worker, worker.Message | None]]:
        """Wait for messages; None is that of a worker that has ended."""
        for key, _ in self._selector.select():
            which: Worker = key.data
            assert which.process.stdout is not None
            text = which.process.stdout.readline()
            if not text:
                self._selector.unregister(which.process.stdout)
                self.workers.remove(which)
                which.process.communicate()
            yield which, json.loads(text) if text else None

    def close(self) -> None:
        """End all processes."""
        for which in self.workers:
            kill(which.process)
        self.workers.clear()
        self._selector.close()


def run(
    engine: Engine, function: str, parts: Iterable[Part], job: Job
) -> Generator[Path, None, None]:
    """Do all parts, and yield their outputs in order; see `engine.map`."""
    key = engine, os.environ.get("RAY_ADDRESS", "")
    if key not in _KEPT:
        _KEPT[key] = Pool(engine)
        atexit.register(_KEPT[key].close)
    pool, clean = _KEPT[key], False
    try:
        yield from _Run(pool, function, parts, job).outputs()
        clean = True
    finally:
        if not clean:  # its workers may still be at a part of this job
            del _KEPT[key]
            pool.close()


class _Run:
    """One map: which parts are with a worker, done, or failed."""

    def __init__(self, pool: Pool, function: str, parts: Iterable[Part], job: Job):
        self.pool, self.function, self.job = pool, function, job
        self.source: Iterator[Part] | None = iter(parts)
        self.parts = dict[int, Part]()  # those that are not yielded yet
        self.made = 0
        self.waiting = deque[int]()
        self.tries = dict[int, int]()
        self.done, self.failed = set[int](), dict[int, BaseException]()

    def outputs(self) -> Iterator[Path]:
        """Yield the outputs in order."""
        self._give()
        number = 0
        while True:
            while number not in self.done and number not in self.failed:
                if self.source is None and number >= self.made:
                    return
                for which, message in self.pool.messages():
                    self._take(which, message)
                self._give()
            if number in self.failed:
                raise self.failed[number]
            part = self.parts.pop(number)
            self.done.remove(number)
            yield part.output
            number += 1

    def _take(self, which: Worker, message: worker.Message | None) -> None:
        if message is None:
            self._lost(which)
        elif "part" not in message:
            if "error" in message:
                raise RetainError(message["error"])
            which.slots = message["slots"]
        else:
            number = message["part"]
            which.parts.discard(number)
            if "failed" in message:
                self.failed[number] = worker.failure(message)
            elif not _appeared(self.parts[number].output):
                self.failed[number] = RetainError(
                    f"{self.parts[number].output} was written by {message.get('node', 'a worker')}"
                    " and is not here: that node has another file system at this path; every node "
                    "needs the project's folder on one that all share"
                )
            else:
                self.done.add(number)

    def _lost(self, which: Worker) -> None:
        code = which.process.returncode
        if self.pool.engine.name == "ray" and not which.slots:
            raise RetainError(unreachable(f"exit code {code}"))
        if self.pool.engine.name == "ray":
            raise RetainError(
                f"the Ray cluster was lost in {self.job} (its driver ended with {code}; see above);"
                " what is done is kept: start the cluster and run the same again"
            )
        if not which.slots:
            raise RetainError(f"a worker could not start (exit code {code}); see above")
        for number in sorted(which.parts):
            self.tries[number] = self.tries.get(number, 0) + 1
            if self.tries[number] == TRIES:
                self.failed[number] = RetainError(
                    f"the process of part {number + 1} of {self.job} ended {TRIES} times (exit "
                    f"code {code}); -9 is a kill, as where memory was too small: use fewer "
                    "processes"
                )
            else:
                self.waiting.append(number)

    def _give(self) -> None:
        """Give parts to workers that have a free slot, as far as there are any."""
        while True:
            full = len(self.pool.workers) == self.pool.engine.count
            if full and not any(len(w.parts) < w.slots for w in self.pool.workers):
                return
            number = self._next()
            if number is None:
                return
            self.pool.start()
            free = [w for w in self.pool.workers if len(w.parts) < w.slots]
            if not free:
                self.waiting.appendleft(number)
                return
            part = self.parts[number]
            task = {
                "part": number,
                "function": self.function,
                "output": str(part.output),
                "arguments": part.arguments,
                "root": str(self.job.root.resolve()),
            }
            self.pool.send(min(free, key=lambda w: len(w.parts)), number, task)

    def _next(self) -> int | None:
        """Return the next part to do; None if there is none, or an earlier one has failed."""
        first_failed = min(self.failed, default=self.made)
        while self.waiting:
            if (number := self.waiting.popleft()) < first_failed:
                return number
        while self.source is not None and not self.failed:
            number = self.made
            try:
                part = next(self.source)
                if not part.done and part.write_input is not None:
                    part.write_input()
            except StopIteration:
                self.source = None
                return None
            except Exception as error:  # after the parts before it, as one process would
                self.source, self.failed[number] = None, error
                return None
            self.parts[number], self.made = part, number + 1
            if not part.done:
                return number
            self.done.add(number)
        return None


def _appeared(path: Path) -> bool:
    """Return whether an output is here; another node's may take a while to be seen."""
    limit = time.monotonic() + LATE
    while not path.exists():
        if time.monotonic() > limit:
            return False
        with suppress(OSError):
            os.listdir(path.parent)  # noqa: PTH208 - asks the server anew
        time.sleep(0.1)
    return True
