"""Do the parts of a stage, each at most once: its output appears by an atomic rename.

A part whose output exists is done, so that a run that was stopped continues, a lost worker costs
one part, and a part that is done twice changes nothing. Outputs are yielded in the order of the
parts, so that what a caller sums has the same bits wherever they were done. How a stage is cut into
parts must depend on its data alone, never on the engine.
"""

import functools
import itertools
import json
import pkgutil
import shutil
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from retain.engine import choice
from retain.errors import RetainError
from retain.project import files

# Names, not imports: a change of one of them concerns no stage, and needs no new training.
BACK_ENDS = {
    "local": "retain.engine.processes:run",
    "ray": "retain.engine.processes:run",
    "command": "retain.engine.command:run",
}


@dataclass(frozen=True)
class Part:
    """One part of a stage.

    Attributes:
        output: an absolute path, of a file or a folder.
        arguments: keywords of the function, which JSON can hold; every path is absolute.
        write_input: writes the files that only this part reads, before another process does it.
        here: does the part in this process without these files, as the function would.
    """

    output: Path
    arguments: Mapping[str, Any] = field(default_factory=dict)
    write_input: Callable[[], None] | None = None
    here: Callable[[Path], None] | None = None

    @property
    def done(self) -> bool:
        """Whether its output is there."""
        return self.output.exists()


@dataclass(frozen=True)
class Job:
    """What the parts belong to: a stage, and the name of a problem or of an output.

    Attributes:
        root: the project's folder, which every worker must see at the same path.
    """

    stage: str
    name: str
    root: Path

    def __str__(self) -> str:
        return f"{self.stage} of {self.name}"

    def folder(self, recipe: Mapping[str, Any]) -> Path:
        """Return the folder of the outputs of parts, made if it is missing.

        Args:
            recipe: what the outputs depend on besides the code; its md5 names the folder.
        """
        content = json.dumps([recipe, code_md5()], sort_keys=True, default=str)
        md5 = files.md5(content.encode())
        every = self.root.resolve() / "scratch" / "parts"
        folder = every / f"{self.stage}-{self.name}-{md5[:16]}"
        for other in every.glob(f"{self.stage}-{self.name}-*"):
            if other.is_dir() and len(other.name) == len(folder.name) and other != folder:
                shutil.rmtree(other, ignore_errors=True)  # of older data, params or code
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@functools.cache
def code_md5() -> str:
    """Return the md5 of all modules of this package: quick, and any change of them counts."""
    package = Path(__file__).parents[1]
    modules = sorted(package.rglob("*.py"))
    return files.md5(b"".join(module.read_bytes() for module in modules))


def project_of(path: Path) -> Path:
    """Return the project's folder that a path lies in, or the folder above where there is none."""
    path = path.resolve()
    projects = (folder for folder in path.parents if (folder / "dvc.yaml").is_file())
    return next(projects, path.parent)


def map(function: str, parts: Iterable[Part], job: Job) -> Generator[Path, None, None]:
    """Do all parts with the chosen engine, and yield their outputs in order.

    A caller closes what this returns (`contextlib.closing`), so that processes that are still at a
    part end where the caller stops early.

    Args:
        function: "module:name" of a function that is called with the path to write to, which does
            not exist, and a part's arguments as keywords.
        parts: made one after another, as workers become free.

    Raises:
        RetainError: the earliest part failed with it; a worker is lost or cannot see a path; with
            `command`, parts are missing, and the text says what to run.
        OSError: the earliest part failed with it, as where the disk is full.
        RuntimeError: the earliest part failed in another process by a defect; the text is its
            traceback. In this process the error is raised as it is.
    """
    engine = choice.chosen()
    if engine == choice.Engine():
        return _here(function, parts)
    some, source = _begun(parts)
    if len(some) < 2:  # one part needs no other process
        return _here(function, itertools.chain(some, source))
    run = pkgutil.resolve_name(BACK_ENDS[engine.name])
    return cast(
        "Generator[Path, None, None]", run(engine, function, itertools.chain(some, source), job)
    )


def _begun(parts: Iterable[Part]) -> tuple[list[Part], Iterator[Part]]:
    """Return the first two parts, and the others; an error comes after the parts before it."""
    some, source = list[Part](), iter(parts)
    try:
        while len(some) < 2:
            some.append(next(source))
    except StopIteration:
        pass
    except RetainError as error:
        return some, _raising(error)
    return some, source


def _raising(error: RetainError) -> Iterator[Part]:
    raise error
    yield


def _here(function: str, parts: Iterable[Part]) -> Generator[Path, None, None]:
    for part in parts:
        if not part.done:
            if part.here is not None:
                write(part.output, part.here)
            else:
                do(function, part.output, part.arguments)
        yield part.output


def do(function: str, output: Path, arguments: Mapping[str, Any]) -> None:
    """Do one part in this process, unless it is done."""
    if not output.exists():
        call = pkgutil.resolve_name(function)
        write(output, lambda scratch: call(scratch, **arguments))


def write(output: Path, call: Callable[[Path], object]) -> None:
    """Write an output to a scratch path, and rename it.

    Raises:
        RetainError: nothing was written.
    """
    scratch = output.with_name(f".{uuid.uuid4().hex}.{output.name}")  # of the same ending
    try:
        call(scratch)
        if not scratch.exists():
            raise RetainError(f"{output}: its part wrote nothing")
        try:
            scratch.replace(output)
        except OSError:
            if not output.is_dir():  # a folder that another worker has made meanwhile
                raise
    finally:
        if scratch.is_dir():
            shutil.rmtree(scratch, ignore_errors=True)
        else:
            scratch.unlink(missing_ok=True)


def ranges(count: int, size: int) -> list[tuple[int, int]]:
    """Return the bounds of ranges of `size`, the last of which may be shorter.

    >>> ranges(5, 2)
    [(0, 2), (2, 4), (4, 5)]
    """
    return [(begin, min(begin + size, count)) for begin in range(0, count, size)]
