"""A chain of kills, a last start that is left alone, and what must be true after each."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator

from ..conftest import environment
from .forked import Start
from .kills import COLD, POINTS, STAGE, STORE_IS_MADE, Kill
from .project import TRAIN, Project


def cold(project: Project, kill: Kill | None, forks: bool = False) -> tuple[int, str]:
    """Start a `dvc repro` of its own and kill it with all that it started."""
    process = subprocess.Popen(
        TRAIN,
        cwd=project.folder,
        env=environment(forks) | {"PYTHONUNBUFFERED": "1"},
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


def by_dvc(project: Project, kill: Kill | None) -> tuple[int, str]:
    """The same, where starting Python and its libraries takes no time."""
    return cold(project, kill, forks=True)


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
            assert ("resumes at step" in said) == resumes, f"begins where? {story}"
            check_finished(project, start in (cold, by_dvc), 1 + overs, story)
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


def check_finished(project: Project, locked: bool, runs: int, story: str) -> None:
    """What must be true in the end."""
    assert project.model_md5() == project.md5, f"another model: {story}"
    if locked:
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
