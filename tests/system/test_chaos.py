"""Killed anywhere, by whatever, a training ends with the same bits, in the same run."""

import itertools
import os
import random
import shutil
import signal

import pytest

from retain.project import fingerprint

from .chaos import trials
from .chaos.forked import REFIT, Start, forked
from .chaos.kills import ANY_TIME, COLD, FULL_DISK, POINTS, SIGNALS, STORE_IS_MADE, Kill
from .chaos.project import Project, make_project

# One kill of each story, in every run of the tests.
QUICK = {
    STORE_IS_MADE: 45,
    "in some batch": 7,
    "while averaged weights are in": 1,
    "while a checkpoint is half written": 2,
    "while the model is half written": 1,
    "published, before the run is closed": 1,
}
# Kills one after another, each at the n-th call of its point after the start; signals take turns.
STORIES = {
    "while it starts": {
        STORE_IS_MADE: 45,
        "when the run is made": 1,
        "in the first batch": 1,
        "in some batch": 15,
    },
    "while it learns": {
        "in the middle of an epoch": 3,
        "in the last batch of all": 1,
        "in validation": 1,
        "while averaged weights are in": 1,
        "when an epoch ends": 1,
    },
    "while it writes down how far it is": {
        "before MLflow's store commits": 10,
        "when a curve was sent": 2,
        "while a checkpoint is half written": 2,
        "before a checkpoint is renamed": 2,
        "before older ones are removed": 2,
    },
    "while it writes the model": {
        "trained, before the model is written": 1,
        "while the model is half written": 1,
        "written, before the run has its md5": 1,
        "the run has its md5, before publishing": 1,
        "when the old model is away": 1,
        "published, the old model still there": 1,
    },
    "when it is done": {
        "published, before the run is closed": 1,
        "closed, before checkpoints are removed": 1,
        "while checkpoints are removed": 1,
    },
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("chaos"))


def test_early_stopping_ends_the_training_that_is_killed(project: Project) -> None:
    assert 3 < project.epochs < 12


@pytest.mark.long
@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(QUICK, id="from its start to its end"),
        *(pytest.param(kills, id=name) for name, kills in STORIES.items()),
    ],
)
def test_killed_again_and_again(project: Project, kills: dict[str, int]) -> None:
    chain = [
        Kill(point, sent, number)
        for (point, number), sent in zip(kills.items(), itertools.cycle(SIGNALS), strict=False)
    ]
    assert list(trials.trial(project, forked, chain)) == chain


def test_every_point_is_in_a_story() -> None:
    assert [point for kills in STORIES.values() for point in kills] == list(POINTS)


@pytest.mark.long
@pytest.mark.parametrize("point", POINTS)
def test_killed_with_both_signals(project: Project, point: str) -> None:
    number = (POINTS[point].most + 1) // 2
    kills = [Kill(point, signal.SIGTERM, number), Kill(point, signal.SIGKILL)]
    assert list(trials.trial(project, forked, kills)) == kills


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 1])
def test_killed_four_times_at_any_time(project: Project, seed: int) -> None:
    generator = random.Random(seed)  # noqa: S311 - no secrets
    kills = [
        Kill(ANY_TIME, generator.choice(SIGNALS), seconds=generator.uniform(0, 1)) for _ in range(4)
    ]
    assert set(trials.trial(project, forked, kills)) <= set(kills)


@pytest.mark.parametrize(
    "start", [trials.by_dvc, pytest.param(trials.cold, marks=pytest.mark.long)]
)
def test_killed_with_the_dvc_that_started_it(project: Project, start: Start) -> None:
    kills = [Kill(COLD, sent) for sent in (*SIGNALS, signal.SIGKILL)]
    assert list(trials.trial(project, start, kills)) == kills


def test_a_disk_that_fills_up_ends_it_with_a_sentence_and_it_goes_on_from_there(
    project: Project,
) -> None:
    project.restore()
    code, said = forked(project, Kill(FULL_DISK, 0, number=3))
    assert code == 2, said
    assert "error: no checkpoint can be written into scratch/checkpoints/train-small-lstm" in said
    assert "Traceback" not in said
    assert project.model_md5() == project.older_md5
    assert [made.status for made in project.new_runs()] == ["FAILED"]
    code, said = forked(project, None)
    assert code == 0, said
    assert "resumes at step 4" in said
    trials.check_finished(project, False, 1, said)


@pytest.mark.long
def test_a_refit_that_is_killed_ends_with_the_same_bits_in_the_same_run(project: Project) -> None:
    models = project.folder / "models/small"
    final = models / "final"

    def restore() -> None:
        project.restore()
        shutil.copytree(models / "lstm", models / "rnn")  # the loss of each cell is read

    restore()
    code, said = forked(project, None, REFIT)
    assert code == 0, said
    undisturbed = fingerprint.folder_md5(final)
    (whole,) = project.new_runs()
    restore()
    for sent, expected in ((signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)):
        code, said = forked(project, Kill("in some batch", sent, number=9), REFIT)
        assert code == expected, said
        assert not final.exists()
    code, said = forked(project, None, REFIT)
    assert code == 0, said
    assert "resumes at step" in said
    assert fingerprint.folder_md5(final) == undisturbed
    (made,) = project.new_runs()
    assert (made.status, made.tags["model.md5"]) == ("FINISHED", undisturbed)
    assert made.curves == whole.curves
    assert not (project.folder / "scratch/checkpoints/refit-small").exists()


# With one damaged, test_resume.py looks in every run at which is taken.
@pytest.mark.parametrize(
    ("damaged", "resumes"), [pytest.param(1, "at step 6", marks=pytest.mark.long), (2, "")]
)
def test_checkpoints_cut_in_half_are_not_taken(
    project: Project, damaged: int, resumes: str
) -> None:
    project.restore()
    code, said = forked(project, Kill("in some batch", signal.SIGKILL, number=9))
    assert code == -signal.SIGKILL, said
    for path in project.checkpoints()[:damaged]:
        os.truncate(path, path.stat().st_size // 2)
    code, said = forked(project, None)
    assert code == 0, said
    assert said.count("is damaged: the checkpoint before it is taken") == damaged
    assert f"resumes {resumes}" in said or not resumes
    trials.check_finished(project, False, 1, said)
