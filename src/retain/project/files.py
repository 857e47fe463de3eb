"""Write outputs atomically: into a scratch folder, then rename them into place.

A stage that is killed leaves at most a folder under `scratch/`, which DVC ignores and the next run
of the same stage removes.
"""

import hashlib
import io
import json
import math
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from retain.errors import ModelError, RetainError

LEFT_OUT = "left-out.txt"  # the only file in the folder of a model that is not trained

IN_CACHE = re.compile(r"/[0-9a-f]{2}/[0-9a-f]{30}$")  # a file of DVC's cache, by its md5


@contextmanager
def folder(root: Path, stage: str) -> Iterator[Path]:
    """Make an empty scratch folder for one stage, and remove it at the end.

    Raises:
        RetainError: another process runs the same stage, for example because `dvc` was killed but
            its child process was not.
    """
    from filelock import FileLock, Timeout

    scratch = root / "scratch" / stage
    scratch.parent.mkdir(exist_ok=True)
    try:
        lock = FileLock(scratch.with_suffix(".lock")).acquire(timeout=0)
    except Timeout:
        raise RetainError(f"another process runs {stage} in this folder; wait, or end it") from None
    with lock:
        try:
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def checkpoint_folder(root: Path, stage: str, recipe: str) -> Path:
    """Return the folder of the checkpoints of a stage and recipe, which DVC ignores."""
    return root / "scratch" / "checkpoints" / stage / recipe


def publish(scratch: Path, target: Path) -> None:
    """Move the scratch folder to `target`, and replace what was there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    before = scratch.with_name(f"{scratch.name}.before")
    shutil.rmtree(before, ignore_errors=True)
    if target.exists():  # moved first, since a kill could leave it half removed
        target.rename(before)
    scratch.rename(target)
    shutil.rmtree(before, ignore_errors=True)


def leave_out(root: Path, stage: str, target: Path, why: str) -> None:
    """Write a folder with a sentence for a model that is not trained; DVC requires the output."""
    with folder(root, stage) as scratch:
        (scratch / LEFT_OUT).write_text(f"{why}\n", encoding="utf-8")
        publish(scratch, target)


def inside(folder: Path, name: str) -> Path:
    """Return the path of `name` in a folder; names may come from untrusted files.

    Raises:
        ModelError: the path is outside the folder, through `..`, a leading slash or a link; or the
            name has a null byte, which no system's path has.
    """
    if "\0" in name:
        raise ModelError(f"{name!r} has a null byte, so it is no path; not written")
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ModelError(f"{name!r} lies outside of the folder that it is recorded in; not written")
    return path


def remove(folder: Path) -> None:
    """Remove a folder atomically: after a kill, a remaining part has another name."""
    gone = folder.with_name(f"{folder.name}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    if folder.exists():
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def publish_each(scratch: Path, target: Path) -> None:
    """Move everything in the scratch folder into `target`, and keep other stages' files there."""
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(scratch.iterdir()):
        place = target / entry.name
        if place.is_dir():
            shutil.rmtree(place)
        entry.replace(place)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to; the written file replaces `path` atomically.

    A link stays, and the file that it names is replaced, unless that is one of DVC's cache. The
    mode stays, unless it is that of a file that may not be written, as those of the cache.
    """
    if path.is_symlink() and path.is_file():
        linked = path.resolve()
        path = path if IN_CACHE.search(linked.as_posix()) else linked
    scratch = path.with_name(f".{os.getpid()}.{path.name}")  # of the same ending
    try:
        yield scratch
        if path.is_file() and path.stat().st_mode & stat.S_IWUSR:
            shutil.copymode(path, scratch)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with replacing(path) as scratch:
        scratch.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8 atomically."""
    write_bytes(path, text.encode())


def read_to_edit(path: Path) -> str:
    r"""Return the text of a file in UTF-8, for `write_edited`; with \n where all lines end in \r\n.

    So that what is edited sees one line end, and all other bytes stay.
    """
    text = path.read_bytes().decode()
    return text.replace("\r\n", "\n") if _has_crlf(text) else text


def write_edited(path: Path, text: str) -> None:
    """Write the text of a file that is there atomically, with the line ends that the file has."""
    crlf = _has_crlf(path.read_bytes().decode())
    write_text(path, text.replace("\n", "\r\n") if crlf else text)


def _has_crlf(text: str) -> bool:
    return "\r\n" in text and text.count("\r\n") == text.count("\n")


def md5(content: bytes | io.BufferedIOBase) -> str:
    """Return the md5 of bytes, or of the content of an open file."""
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def read_json(path: Path, again: str) -> dict[str, Any]:
    """Return the object in a JSON file; an empty one where there is no file.

    Args:
        again: the command that writes the file again.

    Raises:
        RetainError: the file is damaged.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise RetainError(f"{path} is damaged ({error}); write it again: {again}") from None
    if not isinstance(content, dict):
        raise RetainError(f"{path} is damaged (no object); write it again: {again}")
    return content


def to_json(content: Any) -> str:
    """Return JSON, the same bytes for the same content: six significant digits, null for NaN."""
    return json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
