"""Python, DVC and `retain` as processes that start in no time.

Starting Python and importing the libraries of a stage takes seconds. So the commands of the tests'
projects are forked from one process that has imported everything; all workers of a test run share
it. The programs in a folder `bin`, the first of a command's PATH, ask it for a process with their
arguments, environment, folder and open files. They pass signals on to it and end with its exit
code; it is killed when they are. Python is forked for a script, `-c` and `-m dvc`; with any other
option it is Python itself.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

from retain.training.portable_cpu import NUMPY, TORCH

REPOSITORY = Path(__file__).parents[1]
PLACE = "RETAIN_TEST_FORKS"  # the folder of the server that runs, for workers and commands
PROGRAMS = ("python", "dvc", "retain")
# Before these are imported: a fork takes one thread along, and no other.
SINGLE_THREADED = {
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
ALSO = (  # what they import when it is used
    "git",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "mlflow.pyfunc.scoring_server",
    "mlflow.store.model_registry.sqlalchemy_store",
    "networkx",
    "pyarrow.dataset",
    "pyarrow.pandas_compat",
    "pygit2",
    "rich.markdown",
)
CLIENT = """\
#!{python} -IS
import json, os, signal, socket, sys
name, *words = sys.argv
name = os.path.basename(name)
if words[:1] == ["-u"]:
    os.environ["PYTHONUNBUFFERED"] = "1"
    del words[0]
if name == "python" and words[:2] == ["-m", "dvc"]:
    name, words = "dvc", words[2:]
elif name == "python" and not (words and (words[0].endswith(".py") or words[0] == "-c")):
    os.execv({python!r}, [{python!r}, *words])
request = {{"program": name, "words": words, "folder": os.getcwd(), "environ": dict(os.environ)}}
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
socket.send_fds(server, [b"r"], [0, 1, 2])
server.sendall(json.dumps(request).encode() + b"\\n")
answers = server.makefile()
process = int(answers.readline())
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, lambda number, _: os.killpg(process, number))
status = int(answers.readline())
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
"""


def start() -> "subprocess.Popen[bytes]":
    """Start the server, which imports nothing before it is asked for something."""
    place = Path(tempfile.mkdtemp(prefix="retain-forks-"))
    os.environ[PLACE] = str(place)
    (place / "bin").mkdir()
    text = CLIENT.format(python=sys.executable, address=str(place / "socket"))
    for name in PROGRAMS:
        program = place / "bin" / name
        program.write_text(text, "utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with socket.socket(socket.AF_UNIX) as listener, (place / "log").open("wb") as log:
        listener.bind(str(place / "socket"))
        listener.listen(100)
        return subprocess.Popen(
            [sys.executable, "-m", "tests.forkserver", str(place), str(listener.fileno())],
            cwd=REPOSITORY,
            env=os.environ | NUMPY | TORCH | SINGLE_THREADED,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )


def stop(server: "subprocess.Popen[bytes]") -> None:
    """End the server and all that it forked."""
    server.terminate()
    server.wait()
    shutil.rmtree(os.environ.pop(PLACE))


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Run the server for a program that pytest does not start, with a folder for what it makes."""
    os.environ |= NUMPY | TORCH  # a stage that is not forked computes as those that are
    server = start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["DVC_SITE_CACHE_DIR"] = f"{folder}/site"
            yield Path(folder)
    finally:
        stop(server)


def programs() -> Path:
    """The folder with the programs, for a PATH."""
    return Path(os.environ[PLACE]) / "bin"


def store_template() -> Path:
    """A store of MLflow whose tables are made and empty: its file."""
    Forked(["nothing"], Path(), {}).wait()
    return Path(os.environ[PLACE]) / "mlruns" / "mlflow.db"


class Forked:
    """A command that was forked, started without a program in between.

    Args:
        before: what it calls before anything else, as `module:function`, and the arguments.
        given: what it reads as its standard input.
    """

    def __init__(
        self,
        words: list[str],
        folder: Path,
        environ: dict[str, str],
        output: IO[Any] | None = None,
        before: tuple[str, list[Any]] | None = None,
        given: IO[Any] | None = None,
    ) -> None:
        program, *rest = words
        request = {"program": program, "words": rest, "folder": str(folder), "environ": environ}
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(str(Path(os.environ[PLACE]) / "socket"))
        with Path(os.devnull).open("r+b") as nothing:
            files = [given or nothing, output or nothing, output or nothing]
            socket.send_fds(self._server, [b"r"], [file.fileno() for file in files])
        self._server.sendall(json.dumps(request | {"before": before}).encode() + b"\n")
        self._answers = self._server.makefile()
        self.pid = int(self._answers.readline())

    def kill(self, number: int) -> None:
        """Send it a signal, unless it has ended: its number may be another's then."""
        if not select.select([self._server], [], [], 0)[0]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self) -> int:
        """Its exit code; minus the signal that ended it."""
        code = int(self._answers.readline())
        self._answers.close()
        self._server.close()
        return code


# --- the server ---


class _Server:
    """One thread that forks for who asks, and says how it ended."""

    def __init__(self, place: Path, listener: socket.socket):
        self._place, self._listener = place, listener
        self._asked: dict[socket.socket, int] = {}  # by who asked, the process
        self._woken, wakes = os.pipe()
        os.set_blocking(wakes, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._end)
        signal.set_wakeup_fd(wakes)
        self._files = (self._woken, wakes)

    def run(self) -> None:
        """Serve until SIGTERM; in a forked process, be what was asked for."""
        select.select([self._listener], [], [])
        _import_everything(self._place)
        while True:
            ready, _, _ = select.select([self._listener, self._woken, *self._asked], [], [])
            for each in ready:
                if each == self._woken:
                    os.read(self._woken, 4096)
                    self._tell_who_ended()
                elif each is self._listener:
                    self._fork()
                elif each in self._asked:  # who asked is gone
                    self._kill(self._asked[each])

    def _fork(self) -> None:
        asking, _ = self._listener.accept()
        try:
            _, files, _, _ = socket.recv_fds(asking, 1, 3)
            with asking.makefile("rb") as stream:
                request = json.loads(stream.readline())
        except (OSError, ValueError):  # it was killed while it asked
            asking.close()
            return
        process = os.fork()
        if process == 0:
            signal.set_wakeup_fd(-1)
            for other in (self._listener, asking, *self._asked):
                other.close()
            for number in self._files:
                os.close(number)
            _be(files, **request)
        for number in files:
            os.close(number)
        self._asked[asking] = process
        with contextlib.suppress(OSError):
            asking.sendall(f"{process}\n".encode())

    def _tell_who_ended(self) -> None:
        while self._asked:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                return
            (asking,) = [each for each, number in self._asked.items() if number == process]
            del self._asked[asking]
            with contextlib.suppress(OSError):
                asking.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
            asking.close()

    @staticmethod
    def _kill(process: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)

    def _end(self, *_: object) -> None:
        for process in self._asked.values():
            self._kill(process)
        os._exit(0)


def _import_everything(place: Path) -> None:
    """Import and parse what commands do; a store that is opened is a template besides."""
    import psutil
    import torch
    from dvc.cli.parser import get_main_parser
    from mlflow.tracking._model_registry import utils as registry_utils
    from mlflow.utils import requirements_utils

    from retain.config.kind import BUILT_IN, STAGES, find_kind
    from retain.project import code_deps
    from retain.registry import sbom
    from retain.tracking import store

    torch.set_num_threads(1)
    for package in ("retain", "dvc"):
        for module in pkgutil.walk_packages(
            importlib.import_module(package).__path__, package + "."
        ):
            # run_onnx, a script that an export holds, imports what starts threads.
            if not module.name.endswith(("__main__", ".testing", ".run_onnx")):
                with contextlib.suppress(ImportError):  # of libraries that are no part of this
                    importlib.import_module(module.name)
    for name in ALSO:
        importlib.import_module(name)
    get_main_parser()
    for kind in filter(None, map(find_kind, BUILT_IN)):
        for stage in STAGES:
            code_deps.code_list(REPOSITORY, kind, stage)  # so each module has been parsed
    sbom.build()  # what a registration learns of the environment: it stays as it is
    requirements_utils._init_packages_to_modules_map()
    store.connect(place)
    registry_utils.set_registry_uri(None)  # as in a process that has opened no store
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        del os.environ[name]  # MLflow hands its store's address on to other processes
    assert psutil.Process().num_threads() == 1, "a fork would leave the other threads behind"
    atexit._clear()  # a command's end runs what the command has registered
    gc.collect()
    gc.freeze()  # a collection in a forked process would copy all memory


def _be(
    files: list[int],
    program: str,
    words: list[str],
    folder: str,
    environ: dict[str, str],
    before: tuple[str, list[Any]] | None = None,
) -> NoReturn:
    """Be a command, and end with its exit code."""
    os.setsid()
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # though the tests run in background
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ | NUMPY | TORCH)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering="PYTHONUNBUFFERED" in environ or stream.isatty())
    if words[:1] != ["-c"]:  # a worker of pytest starts what has to be Python itself
        sys.executable = str(Path(environ.get(PLACE, sys.prefix)) / "bin" / "python")
    code = 0
    try:
        if before is not None:
            pkgutil.resolve_name(before[0])(*before[1])
        _run(program, words)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)  # for Python to tidy up would copy all memory


def _run(program: str, words: list[str]) -> None:
    sys.path[0] = str(Path(words[0]).parent) if words[:1] != ["-c"] and program == "python" else ""
    sys.path[1:1] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    if program == "python":
        sys.argv = words
        if words[0] == "-c":
            sys.argv = ["-c", *words[2:]]
            exec(words[1], {"__name__": "__main__"})  # noqa: S102 - as Python does
        else:
            runpy.run_path(words[0], run_name="__main__")
    elif program != "nothing":
        sys.argv = [program, *words]
        sys.exit(pkgutil.resolve_name(f"{program}.cli:main")())


if __name__ == "__main__":
    _Server(Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))).run()
