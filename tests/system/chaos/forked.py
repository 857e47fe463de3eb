"""Training stages that start in no time: forked from a process that has imported everything."""

import functools
import gc
import itertools
import json
import os
import pkgutil
import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from retain.tracking import store

from ..conftest import REPOSITORY, environment
from .kills import ANY_TIME, FULL_DISK, POINTS, Kill
from .project import Project

Start = Callable[[Project, Kill | None], tuple[int, str]]  # answers with exit code and output


@contextmanager
def forked(project: Project) -> Iterator[Start]:
    """A way to start stages in no time."""
    warm = project.template.with_name("warm")
    shutil.copytree(project.template, warm, dirs_exist_ok=True)
    single_threaded = {
        "OPENBLAS_NUM_THREADS": "1",
        "JE_ARROW_MALLOC_CONF": "background_thread:false",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.system.chaos.forked", str(warm)],
        cwd=REPOSITORY,
        env=environment() | single_threaded,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        asks, answers = server.stdin, server.stdout
        assert answers.readline() == "ready\n"

        def start(project: Project, kill: Kill | None) -> tuple[int, str]:
            log = project.folder / ".git" / "stage.log"  # where nothing else looks
            request = {
                "folder": str(project.folder),
                "log": str(log),
                "kill": None if kill is None else asdict(kill),
                "last_step": project.last_step,
            }
            print(json.dumps(request), file=asks, flush=True)
            answer = answers.readline()
            if not answer:
                raise RuntimeError(f"the process that forks ended with {server.wait()}")
            return int(answer), log.read_text()

        yield start


def _serve(warm: str) -> None:
    """Fork a stage for every line of stdin and answer with its exit code."""
    _import_everything(Path(warm))
    assert psutil.Process().num_threads() == 1, "a fork would leave the other threads behind"
    gc.freeze()  # a collection in a forked process would copy all memory
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            return _be_the_stage(**request)
        kill = request["kill"]
        if kill is not None and kill["point"] == ANY_TIME:
            time.sleep(kill["seconds"])
            os.kill(pid, kill["signal"])
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _import_everything(warm: Path) -> None:
    """Import what a stage does; a store that is opened imports the most."""
    import torch

    torch.set_num_threads(1)
    store.connect(warm)
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        del os.environ[name]  # MLflow hands its store's address on to other processes


def _be_the_stage(folder: str, log: str, kill: dict[str, Any] | None, last_step: int) -> None:
    """Run the stage's script, and end with its exit code."""
    os.chdir(folder)
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(said, 1)
    os.dup2(said, 2)
    if kill is not None and kill["point"] == FULL_DISK:
        _fill_the_disk(kill["number"])
    elif kill is not None and kill["point"] in POINTS:
        _arm(Kill(**kill), last_step)
    sys.argv = ["pipelines/train.py", "small", "lstm"]
    try:
        runpy.run_path("pipelines/train.py", run_name="__main__")
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(int(end.code or 0))  # for Python to tidy up would copy all memory


def _patch(place: str, wrapped: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Put `wrapped(original)` in the place of a function, as `module:name`."""
    module, _, names = place.partition(":")
    *owners, name = names.split(".")
    owner = pkgutil.resolve_name(":".join([module, ".".join(owners)]) if owners else module)
    original = getattr(owner, name)
    setattr(owner, name, functools.wraps(original)(wrapped(original)))


def _arm(kill: Kill, last_step: int) -> None:
    """Have this process kill itself at a point."""
    point, calls = POINTS[kill.point], itertools.count(1)

    def strike(*args: Any) -> None:
        point.harm(*args)
        os.kill(os.getpid(), kill.signal)

    def wrapped(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            due = point.counts(last_step, *args) and next(calls) == kill.number
            if due and point.side == "before":
                strike(*args)
            answer = original(*args, **named)
            if due and point.side == "after":
                strike(*args)
            return answer

        return call

    _patch(point.place, wrapped)


def _fill_the_disk(number: int) -> None:
    """Let no file grow beyond a few bytes while checkpoints from the n-th on are written."""
    import resource

    calls = itertools.count(1)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)

    def wrapped(write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> None:
            if next(calls) >= number:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, unlimited[1]))
            try:
                write(*args)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)

        return call

    _patch("retain.training.checkpoints:write", wrapped)


if __name__ == "__main__":
    _serve(sys.argv[1])
