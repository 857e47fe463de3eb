"""Keep a copy of dvc.lock, and restore it if a kill cut it off.

DVC writes dvc.lock in place: a kill at that moment leaves it empty or cut off, and every later
command fails. So each stage copies it at its start, when DVC has just read it.
"""

from contextlib import suppress
from pathlib import Path

from retain.errors import DvcError
from retain.project import dvc, files
from retain.project.git import Git

NAME = "dvc.lock"
DAMAGED = "dvc.lock.damaged"
COPIES = ("dvc.lock.kept", "dvc.lock.kept-before")  # another `dvc` may write during the copy
CONFLICT = ("<<<<<<<", "=======", ">>>>>>>")


def keep(root: Path) -> None:
    """Keep a copy of dvc.lock under scratch/, and the one before it."""
    path, (newest, before) = root / NAME, (root / "scratch" / name for name in COPIES)
    if not path.is_file():
        return
    content = path.read_bytes()
    with suppress(FileNotFoundError):
        if newest.read_bytes() == content:
            return
    newest.parent.mkdir(exist_ok=True)
    with suppress(FileNotFoundError):  # another stage may move it at the same time
        newest.replace(before)
    files.write_bytes(newest, content)


def mend(root: Path) -> str:
    """Restore the last complete dvc.lock if the current one is cut off.

    Returns:
        A sentence about what was done; empty if nothing was wrong.

    Raises:
        DvcError: dvc.lock has merge conflict marks.
    """
    path = root / NAME
    if not path.is_file():
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    if any(line.startswith(CONFLICT) for line in text.splitlines()):
        raise DvcError(
            f"{NAME} holds the marks of a merge: take one side with `git checkout --ours {NAME}` "
            "or `--theirs`; the next run computes what the other side had"
        )
    if _is_whole(text):
        return ""
    damaged = root / "scratch" / DAMAGED
    damaged.parent.mkdir(exist_ok=True)
    path.replace(damaged)
    done = (
        f"{NAME} could not be read, as after a kill; it is kept as {damaged.relative_to(root)}, and"
    )
    committed = dvc.read_lock(root, "HEAD").rstrip() + "\n" if Git(root).find("HEAD") else ""
    for label, copy in zip(("this", "an earlier"), COPIES, strict=True):
        kept = root / "scratch" / copy
        if kept.is_file() and _is_whole(kept.read_text(encoding="utf-8", errors="replace")):
            files.write_bytes(path, kept.read_bytes())
            return f"{done} the copy of {label} run is put back"
    if _is_whole(committed):
        files.write_text(path, committed)
        return f"{done} the one of the last commit is put back"
    return f"{done} the next run checks every stage again"


def _is_whole(text: str) -> bool:
    """Whether DVC can read the text.

    A file cut at the end of a line may be readable: then DVC runs the missing stages again.
    """
    from dvc.exceptions import DvcException
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from dvc.utils.strictyaml import validate
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if not text.endswith("\n"):
        return False
    try:
        validate(YAML(typ="safe").load(text), COMPILED_LOCKFILE_SCHEMA)
    except (YAMLError, DvcException):
        return False
    return True
