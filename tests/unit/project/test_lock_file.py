"""A dvc.lock that a kill cut off is put back; one with the marks of a merge is named."""

import subprocess
from pathlib import Path

import pytest

from retain.errors import DvcError
from retain.project import lock_file

LOCK = """\
schema: '2.0'
stages:
  prepare@small:
    cmd: python pipelines/prepare.py small
    outs:
    - path: data/prepared/small
      hash: md5
      md5: {md5}.dir
      size: 9
"""
OLDER, NEWER = LOCK.format(md5="a" * 32), LOCK.format(md5="b" * 32)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


def write(project: Path, text: str) -> None:
    (project / "dvc.lock").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("length", [0, 1, 20, 60, 150, len(NEWER) - 1])
def test_a_lock_that_was_cut_off_is_that_of_the_last_stage_again(
    project: Path, length: int
) -> None:
    for text in (OLDER, NEWER):
        write(project, text)
        lock_file.keep(project)
    write(project, NEWER[:length])
    assert "could not be read" in lock_file.mend(project)
    assert (project / "dvc.lock").read_text() == NEWER
    assert (project / "scratch" / lock_file.DAMAGED).read_text() == NEWER[:length]
    assert lock_file.mend(project) == ""


def test_a_copy_that_was_taken_while_dvc_wrote_is_not_put_back(project: Path) -> None:
    for text in (OLDER, NEWER[:20]):
        write(project, text)
        lock_file.keep(project)
    assert "earlier run" in lock_file.mend(project)
    assert (project / "dvc.lock").read_text() == OLDER


def test_without_a_copy_it_is_that_of_the_last_commit(project: Path) -> None:
    write(project, OLDER)
    git = ["git", "-C", str(project), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "add", "dvc.lock"], check=True)
    subprocess.run([*git, "commit", "-qm", "a"], check=True)
    write(project, "")
    assert "last commit" in lock_file.mend(project)
    assert (project / "dvc.lock").read_text() == OLDER


def test_with_nothing_to_put_back_it_is_removed(project: Path) -> None:
    write(project, "")
    assert "checks every stage" in lock_file.mend(project)
    assert not (project / "dvc.lock").exists()


def test_a_lock_that_is_whole_stays(project: Path) -> None:
    assert lock_file.mend(project) == ""  # there is none
    write(project, OLDER)
    lock_file.keep(project)
    write(project, NEWER)
    assert lock_file.mend(project) == ""
    assert (project / "dvc.lock").read_text() == NEWER


def test_the_marks_of_a_merge_are_named(project: Path) -> None:
    write(project, f"<<<<<<< HEAD\n{OLDER}=======\n{NEWER}>>>>>>> other\n")
    with pytest.raises(DvcError, match="git checkout --ours"):
        lock_file.mend(project)
