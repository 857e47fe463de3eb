"""`retain doctor`: what a project's commands rest on, what of it is wrong, and how to mend it."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from retain.config import loader, release
from retain.errors import NoRepositoryError, RetainError
from retain.project import dvc, managed
from retain.project.git import Git
from retain.tracking import offline_run, store
from retain.words import several

OK, NOTE, WRONG = "ok", "note", "wrong"
PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", re.MULTILINE)
LEAST, LITTLE = 1, 5  # GiB of free disk: below which it is wrong, and little


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what it is, how it is, and what mends it."""

    topic: str
    state: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{self.state:<6} {self.topic:<14} {self.text}"
        return f"{line}\n{'':<22}{self.remedy}" if self.remedy else line


def examine(root: Path) -> Iterator[Finding]:
    """Yield a finding for each topic; an error of one keeps no other from being looked at."""
    topics: dict[str, Callable[[Path], Finding]] = {
        "Python": _python,
        "retain": _release,
        "versions": _versions,
        "managed files": _managed,
        "params.yaml": _params,
        "git": _git,
        "DVC": _dvc,
        "DVC remote": _remote,
        "MLflow store": _store,
        "disk": _disk,
        "locks": _locks,
    }
    for topic, look in topics.items():
        try:
            found = look(root)
        except (RetainError, OSError) as error:
            found = Finding(topic, WRONG, str(error))
        yield Finding(topic, found.state, found.text, found.remedy)


def _python(root: Path) -> Finding:
    here = ".".join(map(str, sys.version_info[:3]))
    text = f"{here}, {sys.executable}"
    on_path = shutil.which("python")
    if on_path is None or Path(on_path).parent.resolve() != Path(sys.executable).parent.resolve():
        where = f"stages run `python`, which is {on_path or 'not on the PATH'}"
        activate = shlex.quote(f"{Path(sys.prefix)}/bin/activate")
        return Finding("", WRONG, f"{text}; {where}", f". {activate}")
    return Finding("", OK, text)


def _release(root: Path) -> Finding:
    modules = release.content_sha256()
    of = f"a wheel, modules sha256 {modules[:12]}" if modules else "a checkout"
    release.check(root)
    return Finding("", OK, f"{release.version()} of {of}")


def _versions(root: Path) -> Finding:
    path = root / "requirements.lock"
    if not path.is_file():
        return Finding("", WRONG, "there is no requirements.lock", "retain upgrade")
    pins = PIN.findall(path.read_text(encoding="utf-8"))
    other = [text for name, wanted in pins if (text := _other_version(name, wanted))]
    if other:
        return Finding("", WRONG, several(other, 5), "make setup")
    return Finding("", OK, f"the {len(pins)} of requirements.lock")


def _other_version(name: str, wanted: str) -> str:
    try:
        installed = version(name)
    except PackageNotFoundError:
        return f"{name} is not installed"
    same = installed.partition("+")[0] == wanted.partition("+")[0]  # builds for CPU and CUDA
    return "" if same else f"{name} {installed} instead of {wanted}"


def _managed(root: Path) -> Finding:
    if not release.of_project(root):
        return Finding("", OK, "of a checkout: they are its own")
    paths = {name: root / name for name in managed.texts()}
    gone = [name for name, path in paths.items() if not path.is_file()]
    if gone:
        return Finding("", WRONG, f"missing: {', '.join(gone)}", "retain upgrade")
    texts = {name: path.read_text(encoding="utf-8") for name, path in paths.items()}
    changed = [name for name, text in texts.items() if not managed.is_untouched(text)]
    if changed:
        return Finding("", NOTE, f"changed here, and left alone by upgrades: {', '.join(changed)}")
    return Finding("", OK, f"{len(paths)}, as retain wrote them")


def _params(root: Path) -> Finding:
    problems = loader.kinds(root)
    if not problems:
        return Finding("", NOTE, "no problem yet", "retain add NAME TABLE --horizon STEPS")
    return Finding("", OK, ", ".join(problems))


def _git(root: Path) -> Finding:
    git = Git(root)
    try:
        commit = git.find("HEAD")
        git.run("rev-parse", "--git-dir")
    except NoRepositoryError as error:
        return Finding("", WRONG, str(error), "git init && git add -A && git commit")
    missing = [key for key in ("user.name", "user.email") if not git.config(key)]
    if missing:
        commands = " && ".join(f"git config --global {key} '…'" for key in missing)
        return Finding("", WRONG, f"does not know your {' and '.join(missing)}", commands)
    who = f"{git.config('user.name')} <{git.config('user.email')}>"
    if commit is None:
        return Finding("", WRONG, f"{who}, no commit yet", "git add -A && git commit")
    return Finding("", OK, f"{who}, at {commit[:9]}")


def _dvc(root: Path) -> Finding:
    if not (root / ".dvc").is_dir():
        return Finding("", WRONG, "the folder is not DVC's yet", "dvc init")
    with dvc.opened(root) as repo:
        return Finding("", OK, f"{version('dvc')}, {len(repo.index.stages)} stages")


def _remote(root: Path) -> Finding:
    if not dvc.has_remote(root):
        text = "none: data and models are on this machine alone"
        return Finding("", NOTE, text, "dvc remote add --default NAME ADDRESS, then dvc push")
    name, address, answers = dvc.ask_remote(root)
    address = store.shown(address)
    if not answers:
        remedy = f"dvc remote list; dvc push makes a folder; keys: dvc remote modify --local {name}"
        return Finding("", WRONG, f"{name} ({address}) is not there, or refuses", remedy)
    return Finding("", OK, f"{name}, {address}")


def _store(root: Path) -> Finding:
    if store.is_empty(root):
        return Finding("", OK, "none yet; the first training makes mlruns/")
    store.connect(root)
    pending = len([*offline_run.pending(root)])
    if pending:
        return Finding("", NOTE, f"answers; {pending} runs are not sent yet", "retain sync")
    return Finding("", OK, store.shown(store.uri(root)))


def _disk(root: Path) -> Finding:
    free = shutil.disk_usage(root).free / 2**30
    text = f"{free:,.1f} GiB free"
    remedy = "dvc gc --workspace --all-commits removes from .dvc/cache what no commit names"
    if free < LEAST:
        return Finding("", WRONG, text, remedy)
    return Finding("", NOTE, text, remedy) if free < LITTLE else Finding("", OK, text)


def _locks(root: Path) -> Finding:
    from filelock import FileLock, Timeout

    held = []
    for path in sorted((root / "scratch").glob("*.lock")):
        try:
            FileLock(path).acquire(timeout=0).lock.release()
        except Timeout:
            held.append(path.stem)
    busy = dvc.lock_holders(root)
    if held or busy:
        who = [*(f"stage {name}" for name in held), *(f"DVC in process {pid}" for pid in busy)]
        gone = [pid for pid in busy if not _lives(pid)]
        if gone:
            return Finding("", WRONG, f"left by ended processes: {gone}", "rm .dvc/tmp/rwlock")
        return Finding(
            "", NOTE, f"held by {', '.join(who)}: it works here, or hangs", "wait for it"
        )
    return Finding("", OK, "nothing runs here")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
