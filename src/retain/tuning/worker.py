"""The process that trials are forked from: python -m retain.tuning.worker ROOT NAME MODE.

It imports the libraries once. Each task is a line of JSON on its standard input. A fork of this
process does the task, and writes its messages as lines of JSON, all with the place of the task. The
process stops when its standard input ends.
"""

import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from filelock import FileLock

from retain.config import loader
from retain.config.kind import kind_of
from retain.config.schema import Mode, Problem
from retain.engine import mapping
from retain.engine.worker import end_with_parent, line, own_channels
from retain.errors import RetainError
from retain.project import code_deps, fingerprint
from retain.project.layout import Layout
from retain.training.portable_cpu import pin_cpu_kernels
from retain.words import clipped

if TYPE_CHECKING:
    from retain.config.search import Losses

Send = Callable[[dict[str, Any]], None]


def main() -> None:
    """Import what trials need, and run one after another."""
    root, name, mode = Path(sys.argv[1]), sys.argv[2], cast("Mode", sys.argv[3])
    pin_cpu_kernels(mode)
    asked, answers = own_channels()
    try:
        import_libraries(root, name)
    except RetainError as error:
        answers.write(line({"error": str(error)}))
        return
    while text := asked.readline():
        match json.loads(text):
            case {"place": place, "task": task}:
                send = partial(_send, answers, place)
            case _:  # an answer to a trial that was killed meanwhile
                continue
        child = os.fork()
        if child == 0:
            _run_and_exit(root, name, task, send, asked)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status != 0:  # as where the memory was too small, or nobody asks any more
            with suppress(BrokenPipeError):
                send({"lost": f"exit code {status}"})


def import_libraries(root: Path, name: str) -> None:
    """Import what the trials of a problem need.

    Raises:
        RetainError: params.yaml cannot be used, or a library is missing or damaged.
    """
    kind = kind_of(loader.load_problem(root, name))
    targets = kind.targets("prepare") | kind.targets("train")
    try:
        import_module("retain.training.trainer")
        for target in targets.values():
            import_module(target.partition(":")[0])
    except (ImportError, OSError) as error:
        raise RetainError(
            f"a trial cannot start on {os.uname().nodename}: {clipped(error, 500)}; every node "
            "needs the same installation of retain"
        ) from None


def _send(answers: FileIO, place: int, message: dict[str, Any]) -> None:
    answers.write(line({"place": place} | message))


def _run_and_exit(root: Path, name: str, task: dict[str, Any], send: Send, asked: FileIO) -> None:
    """Run a task in this process, and end it."""

    def stops() -> bool:
        return bool(json.loads(asked.readline())["stop"])

    end_with_parent()
    with open(os.devnull, "w", encoding="utf-8") as nothing:  # noqa: PTH123
        sys.stdout = nothing
        begin = time.process_time()
        try:
            run(root, name, task, send, stops)
        except BaseException as error:
            if isinstance(error, RetainError) or needs_memory(error):
                send({"failed": str(error), "seconds": time.process_time() - begin})
            else:
                import traceback

                send({"defect": traceback.format_exc()})
    os._exit(0)


def needs_memory(error: BaseException) -> bool:
    """Return whether an error says that the memory is too small; torch's is any RuntimeError."""
    said = str(error).lower()
    out = "out of memory" in said or "can't allocate memory" in said
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and out)


def run(root: Path, name: str, task: dict[str, Any], send: Send, stops: Callable[[], bool]) -> None:
    """Do a task: prepare the data, or run a trial and send the score of each epoch.

    Args:
        stops: waits for the answer to an epoch: whether the trial ends.
    """
    from retain.training import trainer
    from retain.training.setup import Epoch

    problem = loader.parse(name, task["entry"])
    prepared = prepare(root, name, problem, as_it_is="cell" not in task)
    if "cell" not in task:
        send({"prepared": fingerprint.folder_md5(prepared)})
        return
    begin = time.process_time()
    kind, cell = kind_of(problem), task["cell"]
    trainer.seed_everything(problem.training)
    if kind.trial is None:
        trial, setup = None, kind.training.load(problem, prepared, cell)
    else:
        trial = kind.trial.load(problem, prepared, cell, task.get("earlier", 0))
        setup = trial.setup
    send({"epochs": trainer.epochs_of(setup, problem.training)})
    least = math.inf
    losses: Losses | None = None  # of the best epoch

    def stop(row: Epoch) -> bool:
        nonlocal least, losses
        scored = row.validation_loss if trial is None else trial.score()
        if "earlier" in task and trial is not None and row.validation_loss < least:
            least, losses = row.validation_loss, trial.losses()
        send({"epoch": row.epoch + 1, "loss": row.validation_loss, "score": scored})
        return stops()

    trainer.fit(setup, problem.training, cell, f"{name} {cell}", stop=stop)
    extra = {"losses": losses} if "earlier" in task else {}
    send({"done": True, "seconds": time.process_time() - begin, **extra})


def prepare(root: Path, name: str, problem: Problem, as_it_is: bool = False) -> Path:
    """Return the folder with the prepared data of a problem, whose `data` a trial may change.

    They are a function of the raw table, the section `data` and the code, by whose md5 they are
    found again.

    Args:
        as_it_is: whether the problem is that of params.yaml, which is prepared before any trial: if
            it is another than before, what was prepared before is removed.
    """
    kind, content = kind_of(problem), problem.model_dump(mode="json")["data"]
    raw = root / str(content["path"])
    table = fingerprint.path_md5(raw) if raw.exists() else ""
    inputs = [content, table, code_deps.code_list(root, kind, "prepare")]
    md5 = fingerprint.text_md5(json.dumps(inputs, sort_keys=True))
    target = Layout(root, name).trials / md5
    target.parent.mkdir(parents=True, exist_ok=True)

    def make(scratch: Path) -> None:
        scratch.mkdir()
        kind.prepare.load(problem, root, scratch)

    with FileLock(target.with_suffix(".lock")):
        for left in target.parent.glob(f".*.{md5}"):  # by a kill
            shutil.rmtree(left, ignore_errors=True)
        if not target.is_dir():
            for old in target.parent.iterdir() if as_it_is else ():
                if old.is_dir():
                    shutil.rmtree(old, ignore_errors=True)
            mapping.write(target, make)
    return target


if __name__ == "__main__":
    main()
