"""`retain run`: `dvc repro` with stages that are forked from one process with their libraries.

DVC records the same: its command runs, and each stage is a process with the same script, arguments,
folder and environment. Starting Python and importing torch, Lightning and MLflow for each stage
would take most of the time of a small problem.
"""

import copy
import gc
import multiprocessing
import os
import runpy
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from multiprocessing import connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retain.config.kind import STAGES, kind_of
from retain.engine import choice
from retain.engine.choice import Engine
from retain.errors import Terminated, terminate_with_parent
from retain.project import code_deps, dvc
from retain.tracking import empty_store
from retain.training.portable_cpu import NUMPY, TORCH, pin_cpu_kernels

if TYPE_CHECKING:
    from retain.config.schema import Problem

# Modules that stages import, besides the parts of their kind.
LIBRARIES = (
    "retain.training.trainer",
    "retain.tracking.runs",
    "retain.registry.registry",
    "mlflow",
    "mlflow.pyfunc",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
)
HEAVY = ("train", "refit", "evaluate", "register")  # the stages that need them
LISTING = ("code", "train", "refit")  # the stages that list the modules of a stage


def run(problems: "Mapping[str, Problem]", options: list[str], engine: Engine) -> int:
    """Run the stages of problems that have changed; return DVC's exit code.

    With `local:N`, up to N problems run at once, each by a DVC of its own, and share the N
    processes: DVC locks the project while it looks and writes, but not while a stage runs. Where
    one fails, no further one begins.
    """
    slots = min(engine.count, len(problems)) if engine.name == "local" else 1
    if slots < 2:
        return repro(problems, options)
    context, share = multiprocessing.get_context("fork"), f"local:{engine.count // slots}"
    waiting, running, code = list(problems), list[Any](), 0
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of them
    try:
        while running or (waiting and not code):
            while waiting and not code and len(running) < slots:
                name = waiting.pop(0)
                one = {name: problems[name]}
                process = context.Process(target=_alone, args=(one, options, share))
                # A signal in the middle of a start would leave a process that nobody ends.
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
                try:
                    process.start()
                    running.append(process)
                finally:
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            connection.wait([process.sentinel for process in running])
            for process in [each for each in running if not each.is_alive()]:
                running.remove(process)
                code = code or process.exitcode
    except BaseException:
        for process in running:
            process.terminate()
        for process in running:
            process.join()
        raise
    finally:
        signal.signal(signal.SIGINT, handler)
    return int(code)


def _alone(problems: "Mapping[str, Problem]", options: list[str], share: str) -> None:
    """Run the stages of one of several problems in this process, and end it."""
    terminate_with_parent()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ[choice.VARIABLE] = share
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        sys.exit(repro(problems, options, "--wait-for-lock"))
    except Terminated:  # of which multiprocessing would print a traceback
        sys.exit(143)


def repro(problems: "Mapping[str, Problem]", options: list[str], *of_dvc: str) -> int:
    """Run the stages of problems that have changed, one after another; return DVC's exit code.

    Stages of problems that need other CPU instructions than the first one are started as DVC does.

    Args:
        options: of `dvc repro`.
        of_dvc: options of `dvc` itself.
    """
    from dvc.cli import main
    from dvc.stage import run
    from dvc.utils.serialize import _yaml

    _yaml.parse_yaml = _remembering(_yaml.parse_yaml)
    mode = next(iter(problems.values())).training.reproducible
    inherited = dict(os.environ)
    with suppress(RuntimeError):  # NumPy is imported already: then nothing is forked
        pin_cpu_kernels(mode)
        same = {
            name: problem
            for name, problem in problems.items()
            if problem.training.reproducible == mode and problem.training.world == 1
        }
        pinned = mode == "portable"
        run._run = partial(_run, run._run, _Stages(same, pinned), inherited)
    targets = [f"register@{name}" for name in problems]
    return int(main([*of_dvc, "repro", *options, *targets]) or 0)


def _remembering(parse: Callable[..., Any]) -> Callable[..., Any]:
    """Parse a text once: for each stage DVC parses all of params.yaml and dvc.lock anew."""
    known: dict[str, Any] = {}

    def parsed(text: str, path: str, typ: str = "safe") -> Any:
        if typ != "safe":
            return parse(text, path, typ)
        if text not in known:
            known[text] = parse(text, path)
        return copy.deepcopy(known[text])

    return parsed


class _Stages:
    """The commands that can be forked, and the libraries for them."""

    def __init__(self, problems: "Mapping[str, Problem]", pinned: bool):
        self._problems, self._pinned, self._imported = problems, pinned, set[str]()

    def script(self, command: str, label: str) -> list[str] | None:
        """Return script and arguments of a stage that can be forked; import what it needs."""
        words = [label if word == "$DVC_STAGE" else word for word in shlex.split(command)]
        if len(words) < 3 or words[0] != "python":
            return None
        stage, named = Path(words[1]).stem, dvc.STAGE.fullmatch(words[2])
        name = named[2] if named else words[2]
        name = name.rpartition("-")[0] if named and stage == "train" else name
        if name not in self._problems:
            return None
        kind = kind_of(self._problems[name])
        if stage == "prepare" and not self._pinned:  # it pins, before NumPy is imported
            return None
        if stage in LISTING:  # what it will parse is parsed here, once for all stages
            for each in STAGES if stage == "code" else (stage,):
                code_deps.code_list(Path(), kind, each)
        if stage in HEAVY:
            targets = {target.partition(":")[0] for target in kind.targets(stage).values()}
            os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when mlflow is imported
            empty_store.create(Path())
            with _no_collection():
                for module in {*LIBRARIES, *targets} - self._imported:
                    import_module(module)
                    self._imported.add(module)
        return words[1:]


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep what a block makes out of garbage collection, also in the processes forked later.

    What libraries leave at import lives as long as the process. Looking through it again and again
    takes a fifth of the time of the imports, and copies its memory into each forked process.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _run(
    start: Callable[..., None],
    stages: _Stages,
    inherited: dict[str, str],
    executable: str | None,
    command: str,
    *,
    cwd: str,
    env: dict[str, str],
    **options: Any,
) -> None:
    """Run a stage's command, instead of `dvc.stage.run._run`.

    Raises:
        StageCmdFailedError: its exit code is not 0.
    """
    from dvc.stage.exceptions import StageCmdFailedError

    words = stages.script(command, env.get("DVC_STAGE", ""))
    if words is None:
        kept = {key: value for key, value in env.items() if key not in {*NUMPY, *TORCH}}
        kept |= {key: value for key, value in inherited.items() if key in {*NUMPY, *TORCH}}
        start(executable, command, cwd=cwd, env=kept, **options)
        return
    process = multiprocessing.get_context("fork").Process(target=_be, args=(words, cwd, env))
    process.start()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the stage itself
    try:
        process.join()
    except BaseException:
        process.terminate()
        process.join()
        raise
    finally:
        signal.signal(signal.SIGINT, before)
    if process.exitcode != 0:
        raise StageCmdFailedError(command, process.exitcode)


def _be(words: list[str], folder: str, environ: dict[str, str]) -> None:
    """Run the script of a stage in this process."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = words
    sys.path.insert(0, str(Path(words[0]).parent.resolve()))
    runpy.run_path(words[0], run_name="__main__")
