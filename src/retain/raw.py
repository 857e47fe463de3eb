"""Brings a raw table into the project: where it lies, a copy if need be, and DVC's word for it."""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from retain.errors import DataError


def place(path: str, root: Path) -> tuple[str, str | None]:
    """A table's path as params.yaml will say it, or its absolute path and where to copy it."""
    if "://" in path:
        return path, None
    absolute = Path(path).resolve()
    if absolute.is_relative_to(root):
        return absolute.relative_to(root).as_posix(), None
    return str(absolute), f"data/raw/{absolute.name}"


@contextlib.contextmanager
def copied(source: Path, target: Path | None) -> Iterator[None]:
    """A copy of the table in the project, taken away again where what follows fails."""
    if target is None:
        yield
        return
    if target.exists():
        raise DataError(f"{target} exists already; rename one of the two")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
        yield
    except BaseException:
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
        raise


def track(root: Path, path: str) -> bool:
    """Give the table to DVC, unless git or DVC has it: clones and queued experiments need it."""
    known = subprocess.run(
        ["git", "ls-files", "--error-unmatch", path], cwd=root, capture_output=True, check=False
    )
    outs = [Path(path), *Path(path).parents[:-1]]  # the file, or a folder it lies in
    if known.returncode == 0 or any((root / f"{out}.dvc").is_file() for out in outs):
        return False
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "add", path],  # --quiet would swallow the reason too
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reasons = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        reason = " ".join(reasons).removeprefix("ERROR: ") or done.stderr.strip()
        raise DataError(f"{path}: `dvc add` failed: {reason}")
    return True
