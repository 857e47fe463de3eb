"""Where and how a training stage is killed."""

import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STAGE = "train-small-lstm"
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


def _are_checkpoints(last: int, path: Path, *args: Any) -> bool:
    return path.name == STAGE and path.parent.name == "checkpoints"


def _makes_a_table(last: int, dialect: Any, cursor: Any, statement: str, *args: Any) -> bool:
    return statement.lstrip().startswith("CREATE TABLE")


def _halve(path: Path, *args: Any) -> None:
    os.truncate(path, path.stat().st_size // 2)


MODULE = "retain.training.lightning_module:Module"
AVERAGE = "pytorch_lightning.callbacks.weight_averaging:WeightAveraging"
SQL = "sqlalchemy.engine.default:DefaultDialect"
POINTS = {
    STORE_IS_MADE: Point("after", f"{SQL}.do_execute", _makes_a_table, most=90),
    "when the run is made": Point("after", "retain.tracking.offline_run:_find_or_create"),
    "in the first batch": Point("before", f"{MODULE}.training_step"),
    "in some batch": Point("before", f"{MODULE}.training_step", most=30),
    "in the middle of an epoch": Point(
        "before",
        f"{MODULE}.training_step",
        lambda last, module, batch, number: number == len(module.trainer.train_dataloader) // 2,
        most=3,
    ),
    "in the last batch of all": Point(
        "before",
        f"{MODULE}.training_step",
        lambda last, module, *args: module.global_step == last - 1,
    ),
    "in validation": Point("before", f"{MODULE}.validation_step", most=3),
    "while averaged weights are in": Point("after", f"{AVERAGE}._swap_models"),
    "when an epoch ends": Point(
        "before", "retain.training.callbacks:History.on_train_epoch_end", most=3
    ),
    "before MLflow's store commits": Point("before", f"{SQL}.do_commit", most=20),
    "when a curve was sent": Point("after", "retain.tracking.offline_run:OfflineRun.log", most=3),
    "while a checkpoint is half written": Point(
        "before", "pathlib:Path.replace", _is_part, most=4, harm=_halve
    ),
    "before a checkpoint is renamed": Point("before", "pathlib:Path.replace", _is_part, most=4),
    "before older ones are removed": Point("after", "pathlib:Path.replace", _is_part, most=4),
    "trained, before the model is written": Point("before", "retain.model_files:write_model"),
    "while the model is half written": Point("after", "retain.model_files:_write_weights"),
    "written, before the run has its md5": Point(
        "before", "retain.tracking.offline_run:OfflineRun.tag"
    ),
    "the run has its md5, before publishing": Point("before", "retain.project.files:publish"),
    "when the old model is away": Point("before", "pathlib:Path.rename", _is_output),
    "published, the old model still there": Point("after", "pathlib:Path.rename", _is_output),
    "published, before the run is closed": Point(
        "before", "retain.tracking.offline_run:OfflineRun.end"
    ),
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
