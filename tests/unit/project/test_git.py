"""What git refuses is raised with its words; only where there is no repository there is nothing."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from retain.config.loader import parse
from retain.errors import GitError, NoRepositoryError
from retain.project import fingerprint
from retain.project.fingerprint import training_tags
from retain.project.git import Git

DATA = {"path": "t.csv", "horizon": 1, "context_length": 1}
PROBLEM = parse("sales", {"kind": "forecast", "preset": "fast", "data": DATA, "gate": []})


@pytest.fixture(autouse=True)
def _no_settings_of_a_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


@pytest.fixture
def repository(tmp_path: Path) -> Git:
    git = Git(tmp_path / "repo", "-c", "user.name=a", "-c", "user.email=a@b.c")
    git.root.mkdir()
    (git.root / "known.txt").write_text("one\n\n")
    git.run("init", "-q")
    git.run("add", ".")
    git.run("commit", "-q", "-m", "first")
    return git


@pytest.fixture
def foreign(repository: Git, monkeypatch: pytest.MonkeyPatch) -> Git:
    """A repository of another user, as a project mounted into a container is."""
    if os.geteuid() == 0:
        for path in (repository.root, *repository.root.rglob("*")):
            os.chown(path, 12345, 12345)
    else:
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    return repository


@pytest.mark.parametrize(
    "ask",
    [
        lambda git: git.find("HEAD"),
        lambda git: git.show("HEAD", "known.txt"),
        lambda git: git.knows("known.txt"),
        lambda git: training_tags(git.root, "sales", PROBLEM, "lstm"),  # before a training
        lambda git: fingerprint.patch(git.root),
    ],
)
def test_a_repository_of_another_user_is_an_error_that_says_what_to_do(
    foreign: Git, ask: Callable[[Git], object]
) -> None:
    with pytest.raises(GitError) as error:
        ask(foreign)
    assert not isinstance(error.value, NoRepositoryError)
    assert "detected dubious ownership in repository" in str(error.value)
    assert f"git config --global --add safe.directory {foreign.root}" in str(error.value)


def test_a_repository_that_is_damaged_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    with pytest.raises(GitError, match=r"failed: fatal: not a git repository: /nowhere"):
        Git(tmp_path).find("HEAD")


def test_without_a_repository_there_is_nothing_to_find(tmp_path: Path) -> None:
    git = Git(tmp_path)
    assert git.find("HEAD") is None
    assert git.show("HEAD", "known.txt") is None
    assert not git.knows("known.txt")
    assert git.config("user.name") == ""
    with pytest.raises(NoRepositoryError, match="`git status --short …` failed: fatal: not a git"):
        git.run("status", "--short")


def test_without_git_there_is_nothing_to_find(
    repository: Git, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert repository.find("HEAD") is None
    with pytest.raises(NoRepositoryError, match="git is not installed"):
        repository.run("status")


def test_what_is_in_no_commit_is_not_found(repository: Git, tmp_path: Path) -> None:
    commit = repository.find("HEAD")
    assert commit is not None
    assert repository.find(f"{commit[:8]}^{{commit}}") == commit
    assert repository.find("1" * 40 + "^{commit}") is None
    assert repository.find("elsewhere^{commit}") is None
    assert repository.show("HEAD", "known.txt") == "one\n"  # without the last line break
    assert repository.show("HEAD", "unknown.txt") is None
    empty = Git(tmp_path / "empty")
    empty.root.mkdir()
    empty.run("init", "-q")
    assert empty.find("HEAD") is None


def test_a_file_is_known_or_not_or_outside(repository: Git) -> None:
    (repository.root / "new.txt").write_text("-")
    known = {path: repository.knows(path) for path in ("known.txt", ".", "new.txt", "../else.csv")}
    assert known == {"known.txt": True, ".": True, "new.txt": False, "../else.csv": False}


def test_a_refusal_names_the_command(repository: Git) -> None:
    with pytest.raises(GitError, match=r"^`git checkout nothing …` failed: error: pathspec"):
        repository.run("checkout", "nothing")


def test_a_clone_becomes_a_commit_with_a_patch(repository: Git, tmp_path: Path) -> None:
    commit = repository.find("HEAD")
    assert commit is not None
    (repository.root / "known.txt").write_text("two\n")
    patch = fingerprint.patch(repository.root)["code.patch"]
    clone = repository.clone(tmp_path / "clone")
    clone.check_out(commit, patch)
    (clone.root / "left").write_text("-")
    assert (clone.root / "known.txt").read_text() == "two\n"
    clone.check_out(commit)
    assert [path.name for path in clone.root.iterdir() if path.name != ".git"] == ["known.txt"]
    assert (clone.root / "known.txt").read_text() == "one\n\n"
