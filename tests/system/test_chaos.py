"""Killed anywhere, by whatever, a training ends with the same bits, in the same run."""

import os
import random
import signal
from collections.abc import Iterator

import pytest

from .chaos import trials
from .chaos.forked import Start, forked
from .chaos.kills import ANY_TIME, COLD, FULL_DISK, POINTS, SIGNALS, Kill
from .chaos.project import Project, make_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("chaos"))


@pytest.fixture(scope="module")
def start(project: Project) -> Iterator[Start]:
    with forked(project) as start:
        yield start


def test_early_stopping_ends_the_training_that_is_killed(project: Project) -> None:
    assert 3 < project.epochs < 12


@pytest.mark.parametrize("point", POINTS)
def test_killed_with_both_signals(project: Project, start: Start, point: str) -> None:
    number = (POINTS[point].most + 1) // 2
    kills = [Kill(point, signal.SIGTERM, number), Kill(point, signal.SIGKILL)]
    assert list(trials.trial(project, start, kills)) == kills


@pytest.mark.parametrize("seed", range(2))
def test_killed_four_times_at_any_time(project: Project, start: Start, seed: int) -> None:
    generator = random.Random(seed)  # noqa: S311 - no secrets
    kills = [
        Kill(ANY_TIME, generator.choice(SIGNALS), seconds=generator.uniform(0, 1)) for _ in range(4)
    ]
    assert set(trials.trial(project, start, kills)) <= set(kills)


def test_killed_with_the_dvc_that_started_it(project: Project) -> None:
    kills = [Kill(COLD, sent) for sent in (*SIGNALS, signal.SIGKILL)]
    assert list(trials.trial(project, trials.cold, kills)) == kills


def test_a_disk_that_fills_up_ends_it_with_a_sentence_and_it_goes_on_from_there(
    project: Project, start: Start
) -> None:
    project.restore()
    code, said = start(project, Kill(FULL_DISK, 0, number=3))
    assert code == 2, said
    assert "error: no checkpoint can be written into scratch/checkpoints/train-small-lstm" in said
    assert "Traceback" not in said
    assert project.model_md5() == project.older_md5
    assert [made.status for made in project.new_runs()] == ["FAILED"]
    code, said = start(project, None)
    assert code == 0, said
    assert "goes on from step 4" in said
    trials.check_finished(project, False, 1, said)


@pytest.mark.parametrize(("damaged", "goes_on"), [(1, "from step 6"), (2, "")])
def test_checkpoints_cut_in_half_are_not_taken(
    project: Project, start: Start, damaged: int, goes_on: str
) -> None:
    project.restore()
    code, said = start(project, Kill("in some batch", signal.SIGKILL, number=9))
    assert code == -signal.SIGKILL, said
    for path in project.checkpoints()[:damaged]:
        os.truncate(path, path.stat().st_size // 2)
    code, said = start(project, None)
    assert code == 0, said
    assert said.count("is damaged: the checkpoint before it is taken") == damaged
    assert f"goes on {goes_on}" in said or not goes_on
    trials.check_finished(project, False, 1, said)
