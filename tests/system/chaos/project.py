"""A project whose training is killed, and what it makes when nobody does."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from retain.project import fingerprint

from ..conftest import PARAMS as THREE_EPOCHS
from ..conftest import run, small_table, write_project
from .kills import STAGE

MODEL = Path("models/small/lstm")
PARENT = "mlflow.parentRunId"
TRAIN = ("dvc", "repro", "-f", "-s", "train@small-lstm")
# So many epochs that early stopping, and not their number, ends the training.
PARAMS = THREE_EPOCHS.replace(
    "max_epochs: 3",
    "max_epochs: 12\n      patience: 2\n      checkpoint_every: 2",
).replace("learning_rate: 0.01", "learning_rate: 0.05")


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
        return fingerprint.folder_md5(model) if model.exists() else None

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
        if (run_id, PARENT) in {(owner, key) for owner, key, _ in tags}  # else it is a pipeline
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
        file.write("\n")  # an older model, which can be read
    rows = (place / MODEL / "history.csv").read_text().splitlines()
    return Project(
        folder=place,
        template=template,
        md5=fingerprint.folder_md5(place / MODEL),
        older_md5=fingerprint.folder_md5(template / MODEL),
        lock=(place / "dvc.lock").read_bytes(),
        runs=_runs(place),
        last_step=int(rows[-1].split(",")[1]),
        epochs=len(rows) - 1,
    )
