"""`retain upgrade`: a project's managed files and lock, as this release of retain has them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from retain.config import loader, plugins, release
from retain.errors import NoRepositoryError, ParamsError, RetainError
from retain.project import files, managed, scaffold
from retain.project.git import Git
from retain.project.layout import Layout
from retain.retraining import changes
from retain.words import several

OLDEST = "0.1"  # of the releases whose projects this one can upgrade


@dataclass
class Upgrade:
    """What an upgrade does to the files of a project, by path.

    Attributes:
        written: new texts.
        beside: those of files that a person changed: they go beside them.
        removed: files that are no longer a part of projects.
        scripts: the files of pipelines/, as they will be.
        wheel: the file to add to the folder wheels, if the project has one.
    """

    before: str
    written: dict[str, str] = field(default_factory=dict)
    beside: dict[str, str] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    scripts: dict[str, str] = field(default_factory=dict)
    wheel: Path | None = None


def plan(root: Path, wheel: Path | None = None) -> Upgrade:
    """Find what is to be done, and check that it can be.

    Raises:
        ParamsError: the project is newer than this release, or much older, or of a checkout; or
            git could not take the upgrade back.
    """
    before = release.of_project(root)
    _check_release(before)
    line, kept = _lock_line(root, wheel)
    todo = Upgrade(before, wheel=kept if (root / "wheels").is_dir() else None)
    loader.read(root)  # makes known what `plugins.folders` returns
    new = managed.texts(line, plugins.folders())
    for name, text in new.items():
        path = root / name
        old = path.read_text(encoding="utf-8") if path.is_file() else None
        if old is None:
            todo.written[name] = text
        elif managed.is_untouched(old):
            whole = managed.split(text)[0] + managed.split(old)[1]
            if whole != old:
                todo.written[name] = whole
        elif managed.digest(old) != managed.digest(text):
            todo.beside[name] = text
        if name.startswith("pipelines/"):
            todo.scripts[name] = old if name in todo.beside and old is not None else text
    todo.removed = [
        name
        for name in managed.marked(root)
        if name not in new and managed.is_untouched((root / name).read_text(encoding="utf-8"))
    ]
    _check_can_be_undone(root, [*todo.written, *todo.removed])
    return todo


def _check_release(before: str) -> None:
    """Raise ParamsError unless this release can upgrade a project of the release `before`."""
    here = release.version()
    if not before:
        raise ParamsError(
            "this folder was not made by `retain init`: a checkout of retain is upgraded by git"
        )
    if release.newer(before, here):
        raise ParamsError(
            f"this project is of retain {before}, which is newer than {here}: `make setup` "
            f"installs what its requirements.lock names"
        )
    if release.newer(OLDEST, before):
        raise ParamsError(
            f"this project is of retain {before}, and {here} upgrades from {OLDEST} on: go there "
            f"first, by `retain upgrade --to {OLDEST}`"
        )


def carry_out(root: Path, todo: Upgrade) -> None:
    """Write the files of a plan."""
    for name, text in todo.written.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        files.write_text(root / name, text)
    for name, text in todo.beside.items():
        files.write_text(root / f"{name}.new", text)
    for name in todo.removed:
        (root / name).unlink()
    if todo.wheel is not None and not (root / "wheels" / todo.wheel.name).exists():
        shutil.copy(todo.wheel, root / "wheels")


def describe(root: Path, todo: Upgrade, dry_run: bool) -> Iterator[str]:
    """Yield what was done, or would be, and what will run anew, and why."""
    will = "would be " if dry_run else ""
    yield f"from retain {todo.before} to {release.version()}"
    for name in todo.written:
        yield f"  {name}: {will}rewritten"
    for name in todo.removed:
        yield f"  {name}: {will}removed; projects have no such file any more"
    for name in todo.beside:
        yield f"  {name}: changed here, and stays; the new one {will or 'is '}{name}.new"
    if not (todo.written or todo.removed or todo.beside):
        yield "  no file is other than it was"
    with files.folder(root, "upgrade") as scratch:
        (scratch / "pipelines").mkdir()
        for name, text in todo.scripts.items():
            (scratch / name).write_text(text, encoding="utf-8")
        for name in loader.load(root):
            yield from _reruns(root, name, scratch)


def install(root: Path, version: str, dry_run: bool, wheels: Path | None) -> int:
    """Run the upgrade of another release, which is fetched into a scratch folder; its exit code.

    This environment stays as it is: `make setup` installs what the new lock names.
    """
    folder = wheels or root / "wheels"
    links = ["--find-links", str(folder.resolve())] if folder.is_dir() else []
    with files.folder(root, "upgrade-to") as scratch:
        here = any(folder.glob(f"retain-{version}-*.whl"))
        source = ["--no-index"] if here else ["--only-binary", ":all:"]
        wanted = [*source, *links, f"retain=={version}"]
        _pip("download", "--no-deps", "--dest", str(scratch), *wanted)
        (wheel,) = scratch.glob("retain-*.whl")
        site = scratch / "site"
        _pip("install", "--no-deps", "--no-index", "--target", str(site), str(wheel))
        program = "from retain.cli import main; main()"
        words = ["upgrade", "--wheel", str(wheel.resolve()), *["--dry-run"] * dry_run]
        paths = filter(None, [str(site.resolve()), os.environ.get("PYTHONPATH")])
        env = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        command = [sys.executable, "-c", program, *words]
        return subprocess.run(command, cwd=root, env=env, check=False).returncode


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", words[0], "-q", "--disable-pip-version-check"]
    done = subprocess.run([*command, *words[1:]], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        raise RetainError(f"`pip {words[0]}` failed: {' '.join(reason) or done.stderr.strip()}")


def _lock_line(root: Path, wheel: Path | None) -> tuple[str, Path | None]:
    """Return what the lock says of retain: as installed, or as it says already."""
    path = root / "requirements.lock"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    line = scaffold.LINE.search(text)
    if wheel is None and line is not None and line["version"] == release.version():
        return line[0], None
    return scaffold.lock_line(wheel)


def _check_can_be_undone(root: Path, names: list[str]) -> None:
    """Raise ParamsError unless the last commit has the files as they are."""
    there = [name for name in names if (root / name).exists()]
    try:
        changed = there and Git(root).run("status", "--porcelain", "--", *there)
    except NoRepositoryError:
        changed = "no repository"
    if changed:
        raise ParamsError(
            f"no commit has these files as they are, so that the upgrade could not be taken back: "
            f"{changed}; commit them first"
        )


def _reruns(root: Path, name: str, code: Path) -> Iterator[str]:
    """Yield what the pipeline will run anew for a problem, and why."""
    lists = changes.changed_lists(root, name, code)
    now = changes.status(root, name, lists)
    lists = {} if now.first else lists
    now.code |= {*lists}  # also where DVC sees no change: scripts that the upgrade brings
    yield f"{name}: {'; '.join(now.sentences()) or 'nothing to train anew'}"
    for words, text in lists.items():
        stage = words.split()[1]
        path = Layout(root, name).code / f"{stage}.txt"
        old = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        labels = sorted({line.partition("  ")[2] for line in {*text.splitlines()} ^ {*old}})
        yield f"  {stage}: {several(labels)}"
