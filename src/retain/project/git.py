"""Scratch clones: what a commit held, to be looked at or made again beside the working tree."""

import subprocess
from pathlib import Path

from retain.errors import GitError
from retain.project import fingerprint


def clone(root: Path, place: Path) -> Path:
    """A clone that borrows this one's objects: it costs next to nothing, and has every commit.

    Raises:
        GitError: git refuses.
    """
    top = fingerprint.git(root, "rev-parse", "--show-toplevel")
    _git(root, "clone", "-q", "--shared", "--no-checkout", top, str(place))
    return place


def check_out(clone: Path, commit: str, patch: str = "") -> None:
    """Make the clone's tree what a commit, and a patch upon it, say; nothing else stays there.

    Raises:
        GitError: git refuses.
    """
    _git(clone, "clean", "-qffdx")
    _git(clone, "checkout", "-q", "--force", "--detach", commit)
    if patch:
        _git(clone, "apply", "--whitespace=nowarn", "-", given=patch)


def _git(folder: Path, *words: str, given: str | None = None) -> None:
    done = subprocess.run(
        ["git", *words], cwd=folder, input=given, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise GitError(f"`git {' '.join(words[:3])} …` failed: {done.stderr.strip()}")
