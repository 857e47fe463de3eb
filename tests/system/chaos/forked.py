"""Training stages that start in no time, and end themselves where they are told to."""

import time
from collections.abc import Callable
from dataclasses import asdict

from tests.forkserver import Forked

from ..conftest import environment
from .kills import ANY_TIME, Kill
from .project import Project

Start = Callable[[Project, Kill | None], tuple[int, str]]  # answers with exit code and output
TRAIN = ("python", "pipelines/train.py", "small", "lstm")
REFIT = ("python", "pipelines/refit.py", "small")


def forked(project: Project, kill: Kill | None, stage: tuple[str, ...] = TRAIN) -> tuple[int, str]:
    """Run a training stage of a project."""
    before = None
    if kill is not None:
        before = ("tests.system.chaos.armed:arm", [asdict(kill), project.last_step])
    log = project.folder / ".git" / "stage.log"  # where nothing else looks
    with log.open("wb") as output:
        stage = Forked(list(stage), project.folder, environment(), output, before)
    if kill is not None and kill.point == ANY_TIME:
        time.sleep(kill.seconds)
        stage.kill(kill.signal)
    return stage.wait(), log.read_text()
