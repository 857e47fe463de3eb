"""Run something in a process of its own, bounded in time and memory, and judge how it ends."""

import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psutil

from tests.forkserver import Forked

from ..conftest import environment

SECONDS = 60.0  # of a command, also on a busy machine; longer is a hang
MEMORY = 1 << 30  # bytes beyond what the process has at its start
LONGEST = 8_000  # characters of a sentence that a person reads
REFUSED = (1, 2)  # exit codes


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended: done, sentence, traceback or hang; and what it printed."""

    end: str
    detail: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing broke."""
        return self.end not in ("traceback", "hang")


def attempt(action: Callable[[], object], log: Path, seconds: float = SECONDS) -> Outcome:
    """Run an action in a fork of this process.

    Args:
        log: a file for what it prints.
        seconds: after which it is killed.
    """
    sys.stdout.flush()
    child = os.fork()
    if not child:
        _be(action, log)
    end = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return Outcome("hang", read(log))
        time.sleep(0.01)
    return judge(os.waitstatus_to_exitcode(status), read(log))


def begin(words: list[str], folder: Path, log: Path, seconds: float) -> Outcome:
    """Return how a command begins, forked from a process that has imported everything.

    One that still runs after so many seconds is killed, and is as it should be.
    """
    bound = ("tests.system.breakin.attempts:bound", [])
    with log.open("wb") as output:
        command = Forked(words, folder, environment(), output, bound)
    select.select([command._server], [], [], seconds)
    command.kill(signal.SIGKILL)
    code = command.wait()
    return Outcome("done") if code == -signal.SIGKILL else judge(code, read(log))


def bound() -> None:
    """Bound the memory of this process."""
    most = psutil.Process().memory_info().data + MEMORY
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def judge(code: int, printed: str) -> Outcome:
    """Judge an exit code, and what was printed with it."""
    if code == 0:
        return Outcome("traceback" if "Traceback" in printed else "done", printed)
    sentence = "error: " in printed and "Traceback" not in printed and len(printed) <= LONGEST
    return Outcome("sentence" if code in REFUSED and sentence else "traceback", printed)


def _be(action: Callable[[], object], log: Path) -> NoReturn:
    """Run the action, and end."""
    code = 70
    try:
        os.setsid()
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # pytest has others
        bound()
        action()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def read(log: Path) -> str:
    """Return what was printed; empty where there is no file."""
    return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
