"""Kills the training stage wherever it could hurt, and looks whether it ends as if left alone.

python -m tests.pipeline.chaos --kills 300

A trial is a chain of kills and a last start that is left alone. To start Python and its libraries
takes seconds, so most stages are forked from a process that has imported everything (`serve`); the
others are started cold, by `dvc repro`, and killed together with it.
"""

import argparse
import functools
import gc
import itertools
import json
import os
import pkgutil
import random
import runpy
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from retain import lineage, store

from .conftest import PARAMS as THREE_EPOCHS
from .conftest import REPOSITORY, environment, run, small_table, write_project

STAGE = "train-small-lstm"
MODEL = Path("models/small/lstm")
TRAIN = ("dvc", "repro", "-f", "-s", "train@small-lstm")
# So many epochs that early stopping, and not their number, ends the training.
PARAMS = THREE_EPOCHS.replace(
    "max_epochs: 3",
    "max_epochs: 12\n      patience: 2\n      checkpoint_every: 2",
).replace("learning_rate: 0.01", "learning_rate: 0.05")
SIGNALS = (signal.SIGTERM, signal.SIGKILL)
STORE_IS_MADE = "while MLflow's store is made"  # a trial with this begins without a store
ANY_TIME = "at any time"
COLD = "in a cold `dvc repro`, after an epoch"
COLD_ANY_TIME = "in a cold `dvc repro`, at any time"
FULL_DISK = "disk full"  # kills nobody: from a checkpoint on there is no room


@dataclass(frozen=True)
class Point:
    """A call in the stage's process, and the side of it on which the stage is killed.

    Args:
        place: what is called, as `module:name`.
        counts: whether a call counts, from the last step of an undisturbed training and the
            arguments.
        most: the kill comes at a call drawn from the first so many that count.
        harm: what else happens, given the arguments.
    """

    side: str
    place: str
    counts: Callable[..., bool] = lambda last, *args: True
    most: int = 1
    harm: Callable[..., object] = lambda *args: None


def _is_part(last: int, path: Path, *args: Any) -> bool:
    return path.suffix == ".part"


def _is_output(last: int, path: Path, *args: Any) -> bool:
    return path.name == STAGE and path.parent.name == "scratch"


def _is_weights(last: int, path: Path, *args: Any) -> bool:
    return path.name == "weights.safetensors"


def _are_checkpoints(last: int, path: Path, *args: Any) -> bool:
    return path.name == STAGE and path.parent.name == "checkpoints"


def _makes_a_table(last: int, dialect: Any, cursor: Any, statement: str, *args: Any) -> bool:
    return statement.lstrip().startswith("CREATE TABLE")


def _halve(path: Path, *args: Any) -> None:
    os.truncate(path, path.stat().st_size // 2)


STEP = "retain.training:Module.training_step"
SQL = "sqlalchemy.engine.default:DefaultDialect"
POINTS = {
    STORE_IS_MADE: Point("after", f"{SQL}.do_execute", _makes_a_table, most=90),
    "when the run is made": Point("after", "retain.journal:_find_or_create"),
    "in the first batch": Point("before", STEP),
    "in some batch": Point("before", STEP, most=30),
    "in the middle of an epoch": Point(
        "before",
        STEP,
        lambda last, module, batch, number: number == len(module.batches[0]) // 2,
        most=3,
    ),
    "in the last batch of all": Point(
        "before", STEP, lambda last, module, *args: module.global_step == last - 1
    ),
    "in validation": Point("before", "retain.training:Module.validation_step", most=3),
    "while averaged weights are in": Point("after", "retain.training:Average.swap"),
    "when an epoch ends": Point("before", "retain.training:Journal.on_train_epoch_end", most=3),
    "before MLflow's store commits": Point("before", f"{SQL}.do_commit", most=20),
    "when a curve was told": Point("after", "retain.journal:Run.log", most=3),
    "while a checkpoint is half written": Point(
        "before", "pathlib:Path.replace", _is_part, most=4, harm=_halve
    ),
    "before a checkpoint is renamed": Point("before", "pathlib:Path.replace", _is_part, most=4),
    "before older ones are removed": Point("after", "pathlib:Path.replace", _is_part, most=4),
    "trained, before the model is written": Point("before", "retain.training:write_model"),
    "while the model is half written": Point("after", "pathlib:Path.write_bytes", _is_weights),
    "written, before MLflow is told": Point("before", "retain.journal:Run.tag"),
    "told, before publishing": Point("before", "retain.outputs:publish"),
    "when the old model is away": Point("before", "pathlib:Path.rename", _is_output),
    "published, the old model still there": Point("after", "pathlib:Path.rename", _is_output),
    "published, before the run is closed": Point("before", "retain.journal:Run.end"),
    "closed, before checkpoints are removed": Point(
        "before", "pathlib:Path.rename", _are_checkpoints
    ),
    "while checkpoints are removed": Point("after", "os:unlink", lambda last, path: path == "run"),
}


@dataclass(frozen=True)
class Kill:
    """How a stage is killed: at which call of a point, or after so many seconds."""

    point: str
    signal: int
    number: int = 1
    seconds: float = 0.0

    def __str__(self) -> str:
        if self.point in POINTS:
            where = f"{self.point}, call {self.number}"
        else:
            where = f"{self.point}, {self.seconds:.3f} s"
        return f"{signal.Signals(self.signal).name} {where}"


@dataclass(frozen=True)
class Recorded:
    """What the tracking store says of a run."""

    status: str
    tags: dict[str, str]
    curves: list[tuple[str, int, float]]


@dataclass(frozen=True)
class Project:
    """A project and what an undisturbed training makes of it."""

    folder: Path
    template: Path  # what a trial begins with
    md5: str
    older_md5: str  # of the model that a trial begins with
    lock: bytes
    runs: dict[str, Recorded]  # by id; the undisturbed training's
    last_step: int
    epochs: int

    @property
    def undisturbed(self) -> Recorded:
        (only,) = self.runs.values()
        return only

    def model_md5(self) -> str | None:
        """The md5 of the model's folder, if there is one."""
        model = self.folder / MODEL
        return lineage.folder_md5(model) if model.exists() else None

    def new_runs(self) -> list[Recorded]:
        """The runs that came since the undisturbed training."""
        return [found for key, found in _runs(self.folder).items() if key not in self.runs]

    def checkpoints(self) -> list[Path]:
        """The checkpoints that a stopped training has left, the newest first."""
        kept = self.folder / "scratch" / "checkpoints" / STAGE
        return sorted(kept.glob("*/*.checkpoint"), reverse=True)

    def restore(self) -> None:
        """Make the project what it was before its training, with an older model in place."""
        for name in ("scratch", "mlruns", "models"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.copytree(self.template, self.folder, dirs_exist_ok=True)


def _runs(folder: Path) -> dict[str, Recorded]:
    path = folder / "mlruns" / "mlflow.db"
    if not path.exists():
        return {}
    # Not by MLflow's client: it keeps connections to files that a trial replaces.
    with closing(sqlite3.connect(path)) as base:
        made = dict(base.execute("SELECT run_uuid, status FROM runs").fetchall())
        tags = base.execute("SELECT run_uuid, key, value FROM tags").fetchall()
        points = base.execute("SELECT run_uuid, key, step, value FROM metrics").fetchall()
    return {
        run_id: Recorded(
            status,
            {key: value for owner, key, value in tags if owner == run_id},
            sorted((key, step, value) for owner, key, step, value in points if owner == run_id),
        )
        for run_id, status in made.items()
    }


def make_project(folder: Path) -> Project:
    """A project in an empty folder, with its undisturbed training."""
    place, template = folder / "project", folder / "template"
    write_project(place, small_table(), PARAMS)
    run(place, "dvc", "repro", "prepare@small")
    template.mkdir()
    shutil.copy(place / "dvc.lock", template)
    run(place, *TRAIN)
    for name in ("models", "mlruns"):
        shutil.copytree(place / name, template / name)
    with (template / MODEL / "history.csv").open("a") as file:
        file.write("older\n")
    rows = (place / MODEL / "history.csv").read_text().splitlines()
    return Project(
        folder=place,
        template=template,
        md5=lineage.folder_md5(place / MODEL),
        older_md5=lineage.folder_md5(template / MODEL),
        lock=(place / "dvc.lock").read_bytes(),
        runs=_runs(place),
        last_step=int(rows[-1].split(",")[1]),
        epochs=len(rows) - 1,
    )


# --- the stage's process ---


def serve(warm: str) -> None:
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

    import retain.forecast.task
    import retain.tracking
    import retain.training  # noqa: F401

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

    _patch("retain.checkpoints:write", wrapped)


# --- trials ---

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
        [sys.executable, "-m", "tests.pipeline.chaos", "--serve", str(warm)],
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


def cold(project: Project, kill: Kill | None) -> tuple[int, str]:
    """Start a `dvc repro` of its own and kill it with all that it started."""
    process = subprocess.Popen(
        TRAIN,
        cwd=project.folder,
        env=environment() | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    said = ""
    if kill is not None:
        if kill.point == COLD:
            while ": epoch " not in said and (line := process.stdout.readline()):
                said += line
        time.sleep(kill.seconds)
        os.killpg(process.pid, kill.signal)
    said += process.communicate()[0]  # ends when the last process of the group has
    return process.returncode, said


def trial(project: Project, start: Start, kills: list[Kill]) -> Iterator[Kill]:
    """Kill a training again and again, let it finish, and check it; yields the kills that hit.

    Raises:
        AssertionError: something is not as it would be without kills.
    """
    project.restore()
    if any(kill.point == STORE_IS_MADE for kill in kills):
        shutil.rmtree(project.folder / "mlruns")
    story, overs = "", 0
    for kill in [*kills, None]:
        resumes = bool(project.checkpoints())
        code, said = start(project, kill)
        story += f"\n{kill or 'left alone'}: exit code {code}\n{said}"
        assert "does not answer" not in said, f"the store: {story}"
        dropped = said.count("Exception ignored in")  # a signal in the middle of a finaliser
        assert said.count("Traceback") == dropped, f"a traceback: {story}"
        if kill is None or code == 0:  # it came to its end before the kill
            assert code == 0, f"exit code: {story}"
            assert ("goes on from step" in said) == resumes, f"begins where? {story}"
            check_finished(project, start is cold, 1 + overs, story)
            return
        yield kill
        check_killed(project, kill, code, story)
        overs += is_over(project, overs)


def check_killed(project: Project, kill: Kill, code: int, story: str) -> None:
    """What must be true after every kill."""
    expected = {-kill.signal}
    if kill.signal == signal.SIGTERM:
        expected = {143}
        if kill.point not in POINTS:  # it may come before the stage's first line
            expected |= {-kill.signal}
    assert code in expected, f"exit code: {story}"
    models = {None, project.older_md5, project.md5}
    if kill.point == COLD:  # DVC has removed it
        models -= {project.older_md5}
    assert project.model_md5() in models, f"the model is neither old nor new: {story}"
    for made in project.new_runs():
        if made.status == "FINISHED":
            assert made.tags["model.md5"] == project.md5, f"a wrong model is finished: {story}"
            assert project.model_md5() != project.older_md5, f"finished too early: {story}"


def is_over(project: Project, overs: int) -> bool:
    """Whether the training was done but for its process: the next start is a new training."""
    if (project.folder / "scratch" / "checkpoints" / STAGE).exists():
        return False
    return sum(made.status == "FINISHED" for made in project.new_runs()) > overs


def check_finished(project: Project, by_dvc: bool, runs: int, story: str) -> None:
    """What must be true in the end."""
    assert project.model_md5() == project.md5, f"another model: {story}"
    if by_dvc:
        assert (project.folder / "dvc.lock").read_bytes() == project.lock, f"dvc.lock: {story}"
    scratch = project.folder / "scratch"
    left = [*scratch.glob(f"{STAGE}*/"), *scratch.glob(f"checkpoints/{STAGE}*")]
    left += project.folder.glob("mlruns/pending/*")
    assert not left, f"left behind: {left}: {story}"
    made = project.new_runs()
    assert [each.status for each in made] == ["FINISHED"] * runs, f"{made}: {story}"
    for each in made:
        assert each.tags["model.md5"] == project.md5, f"another model in MLflow: {story}"
        assert each.curves == project.undisturbed.curves, f"other curves: {each.curves}: {story}"


# --- many trials ---

Tally = Counter[tuple[str, int]]  # kills by point and signal


def draw(generator: random.Random, point: str, sent: int, seconds: float) -> Kill:
    """A kill at a point, at a call or a time that is drawn."""
    if point in POINTS:
        return Kill(point, sent, generator.randint(1, POINTS[point].most))
    return Kill(point, sent, seconds=generator.uniform(0, seconds))


def deck(generator: random.Random, seconds: float) -> list[Kill]:
    """Each point with each signal, and half as many kills again at any time, shuffled."""
    points = [*POINTS, *[ANY_TIME] * (len(POINTS) // 2)]
    kills = [draw(generator, point, sent, seconds) for point in points for sent in SIGNALS]
    generator.shuffle(kills)
    return kills


def cold_kills(generator: random.Random, count: int, seconds: float) -> list[Kill]:
    """Kills for a `dvc repro`, after an epoch and at any time."""
    latest = {COLD: 0.2, COLD_ANY_TIME: seconds}
    points = generator.choices([COLD, COLD_ANY_TIME], k=count)
    return [draw(generator, point, generator.choice(SIGNALS), latest[point]) for point in points]


def timed(project: Project, start: Start) -> float:
    """Seconds that a start takes that is left alone."""
    project.restore()
    began = time.monotonic()
    code, said = start(project, None)
    assert code == 0, said
    return time.monotonic() - began


def torment(project: Project, kills: int, seed: int) -> tuple[Tally, Tally]:
    """Spend so many kills; answers with those that hit, and those of trials with nothing wrong."""
    generator = random.Random(seed)  # noqa: S311 - no secrets
    hits, harmless, colds = Tally(), Tally(), 0
    waiting: list[Kill] = []
    with forked(project) as fast:
        cold_seconds = timed(project, cold)
        while hits.total() < kills:
            count = min(generator.randint(1, 4), kills - hits.total())
            start = cold if colds < hits.total() // 10 else fast
            if start is cold:
                chain = cold_kills(generator, count, cold_seconds)
            else:
                if len(waiting) < count:
                    waiting += deck(generator, timed(project, fast))
                chain, waiting = waiting[:count], waiting[count:]
            hit = Tally()
            try:
                for kill in trial(project, start, list(chain)):
                    hit[kill.point, kill.signal] += 1
                    chain.remove(kill)
                harmless += hit
            except AssertionError as error:
                print(f"WRONG: {error}", flush=True)
            hits += hit
            if start is cold:
                colds += hit.total()
            else:  # a point that was passed already has another try, in another chain
                waiting += [kill for kill in chain if kill.point != ANY_TIME]
            print(f"{hits.total()} kills, {harmless.total()} harmless", file=sys.stderr, flush=True)
    return hits, harmless


def table(hits: Tally, harmless: Tally) -> Iterator[str]:
    """Kills by point and signal, and how many of them changed nothing, as Markdown."""
    yield "| killed | SIGTERM | SIGKILL | same result |"
    yield "|---|---:|---:|---:|"
    points = [*POINTS, ANY_TIME, COLD, COLD_ANY_TIME]
    for name, rows in [*[(point, [point]) for point in points], ("**together**", points)]:
        counts = [sum(hits[point, sent] for point in rows) for sent in SIGNALS]
        same = sum(harmless[point, sent] for point in rows for sent in SIGNALS)
        yield f"| {name} | {counts[0]} | {counts[1]} | {same} |"


def main() -> None:
    """Print the table of many trials."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DVC_SITE_CACHE_DIR"] = f"{folder}/site"
        project = make_project(Path(folder))
        hits, harmless = torment(project, options.kills, options.seed)
    print(f"{project.epochs} epochs of {project.last_step // project.epochs} batches\n")
    print("\n".join(table(hits, harmless)))
    sys.exit(0 if hits == harmless else 1)


if __name__ == "__main__":
    main()
