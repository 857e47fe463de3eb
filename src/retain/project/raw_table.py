"""A raw table in the project: its path, its copy, and its state in git or DVC."""

import shutil
from pathlib import Path

from retain.errors import DataError, DvcError
from retain.project import dvc, fingerprint
from retain.project.files import read_to_edit, write_edited
from retain.project.git import Git
from retain.words import clipped


def place(path: str, root: Path) -> tuple[str, str | None]:
    """Return a table's path for params.yaml, or its absolute path and the path to copy it to."""
    if "://" in path:
        return path, None
    try:
        absolute = Path(path).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a byte 0
        raise DataError(f"{clipped(path, 300)!r} cannot be read: {clipped(error, 300)}") from None
    if absolute.is_relative_to(root):
        return absolute.relative_to(root).as_posix(), None
    return str(absolute), f"data/raw/{absolute.name}"


def copy(source: Path, target: Path) -> bool:
    """Copy a table, a file or a folder, into the project; return False if it is there already.

    Raises:
        DataError: `target` is another table.
    """
    if target.exists():
        if fingerprint.path_md5(target) == fingerprint.path_md5(source):
            return False
        raise DataError(
            f"{target} exists already, and {source} has other content; rename one of the two"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")  # of a copy that was killed, perhaps
    _delete(part)
    try:
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, part)
        part.rename(target)
    finally:
        _delete(part)
    return True


def written_by_dvc(root: Path, path: str) -> tuple[Path, ...]:
    """Return the files that `dvc add` writes for a table, beside its cache."""
    if "://" in path:
        return ()
    table = root / path
    return table.with_name(f"{table.name}.dvc"), table.with_name(".gitignore")


def path_of(problem: object) -> str:
    """Return the path of a problem's table; empty where its kind has none."""
    return str(getattr(getattr(problem, "data", None), "path", ""))


def dvc_file(root: Path, path: str) -> str:
    """Return the .dvc file of a table, or of a folder that contains it; empty if there is none."""
    if "://" in path:
        return ""
    files = (f"{place.as_posix()}.dvc" for place in (Path(path), *Path(path).parents[:-1]))
    return next((file for file in files if (root / file).is_file()), "")


def card(root: Path, path: str) -> str:
    """Return the file that describes a raw table: NAME.md or a README in its folder."""
    table = Path(path)
    card = table.with_name(f"{table.name.partition('.')[0]}.md")
    for candidate in (card, table / "README.md", table.parent / "README.md"):
        if (root / candidate).is_file():
            return str(candidate)
    return f"none; write one as {card}"


def is_imported(root: Path, file: str) -> bool:
    """Whether a .dvc file names the source of its table."""
    from retain.project.params_file import read_yaml

    return "deps" in read_yaml(root / file)


def check_recoverable(root: Path, path: str) -> None:
    """Raise DataError unless git, or git and DVC, can restore the current table."""
    if "://" in path:
        raise DataError(f"{path} is not in the project: nothing can be added to it here")
    git, file = Git(root), dvc_file(root, path)
    if not file and not git.knows(path):
        raise DataError(f"{path}: neither git nor DVC keeps it; run `dvc add {path}` and commit it")
    if git.run("status", "--porcelain", "--", file or path):
        raise DataError(
            f"{path}: no commit has it as it is now, so that it could not be brought back; commit "
            f"{file or path} first"
        )
    if not file:
        return
    if is_imported(root, file):
        raise DataError(f"{path} is imported from elsewhere: bring it up with `dvc update {file}`")
    if dvc.status(root, file):
        raise DataError(
            f"{path} is not what {file} says: `dvc checkout {path}` takes its changes back, "
            f"`dvc add {path}` and a commit keep them"
        )


def track(root: Path, path: str) -> bool:
    """Add a table to DVC, unless git or DVC tracks it: clones and queued experiments need it."""
    if "://" in path or dvc_file(root, path) or Git(root).knows(path):
        return False
    record(root, path)
    return True


def record(root: Path, path: str) -> str:
    """Add the current table to DVC, unless git tracks it; return the file to commit.

    Raises:
        DataError: DVC fails.
    """
    file = dvc_file(root, path)
    if not file and Git(root).knows(path):
        return path
    whole = file.removesuffix(".dvc") or path
    try:
        dvc.run(root, "add", whole)  # --quiet would suppress the reason, too
    except DvcError as error:
        raise DataError(f"{path}: {error}") from None
    return f"{whole}.dvc"


def delete(root: Path, path: str) -> None:
    """Delete a table with its .dvc file; git and DVC's cache keep their copies."""
    table, (file, ignored) = root / path, written_by_dvc(root, path)
    file.unlink(missing_ok=True)
    drop_line(ignored, f"/{table.name}")
    _delete(table)


def _delete(table: Path) -> None:
    if table.is_dir():
        shutil.rmtree(table)
    else:
        table.unlink(missing_ok=True)


def drop_line(file: Path, line: str) -> None:
    """Remove a line from a .gitignore, and the file with its last line."""
    if not file.is_file():
        return
    lines = read_to_edit(file).splitlines()
    kept = [other for other in lines if other != line]
    if not kept:
        file.unlink()
    elif kept != lines:
        write_edited(file, "\n".join(kept) + "\n")
