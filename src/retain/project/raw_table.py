"""A raw table in the project: where it lies, a copy if need be, who keeps it, its state before."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML

from retain.errors import DataError, DvcError
from retain.project import dvc
from retain.project.git import Git


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


def kept_by(root: Path, path: str) -> str:
    """`git`, the .dvc file of the table or of a folder it lies in, or nothing."""
    if Git(root).knows(path):
        return "git"
    outs = [Path(path), *Path(path).parents[:-1]]
    files = [f"{out.as_posix()}.dvc" for out in outs]
    return next((file for file in files if (root / file).is_file()), "")


def check_recoverable(root: Path, path: str) -> None:
    """Raise DataError unless git, or git and DVC, can bring back what the table is now."""
    if "://" in path:
        raise DataError(f"{path} is not in the project: nothing can be added to it here")
    keeper = kept_by(root, path)
    if not keeper:
        raise DataError(f"{path}: neither git nor DVC keeps it; run `dvc add {path}` and commit it")
    file = path if keeper == "git" else keeper
    if Git(root).run("status", "--porcelain", "--", file):
        raise DataError(
            f"{path}: no commit has it as it is now, so that it could not be brought back; commit "
            f"{file} first"
        )
    if keeper == "git":
        return
    if "deps" in YAML(typ="safe").load(root / keeper):
        raise DataError(
            f"{path} is imported from elsewhere: bring it up with `dvc update {keeper}`"
        )
    if dvc.status(root, keeper):
        raise DataError(
            f"{path} is not what {keeper} says: `dvc checkout {path}` takes its changes back, "
            f"`dvc add {path}` and a commit keep them"
        )


def track(root: Path, path: str) -> bool:
    """Give the table to DVC, unless git or DVC has it: clones and queued experiments need it."""
    if kept_by(root, path):
        return False
    record(root, path)
    return True


def record(root: Path, path: str) -> str:
    """Have DVC keep what the table is now, unless git does; the file to commit.

    Raises:
        DataError: DVC refuses.
    """
    keeper = kept_by(root, path)
    if keeper == "git":
        return path
    whole = keeper.removesuffix(".dvc") or path
    try:
        dvc.run(root, "add", whole)  # --quiet would swallow the reason too
    except DvcError as error:
        raise DataError(f"{path}: {error}") from None
    return f"{whole}.dvc"
