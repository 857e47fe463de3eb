"""All calls of DVC; its errors are raised as DvcError with its message."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

from retain.errors import DvcError, ParamsError
from retain.project.files import write_text
from retain.project.git import Git

STAGE = re.compile(r"(?:.*dvc\.yaml:)?(\w+)@(.*)", re.DOTALL)  # as DVC_STAGE names it


def stage_words(given: Sequence[str], names: Sequence[str] = ("PROBLEM",)) -> list[str]:
    """Return the arguments of a stage's script: as a person gives them, or of its name in DVC.

    Args:
        given: the arguments, or the name of the stage alone.
        names: what the arguments are; of two, the second follows the last hyphen of the name.

    Raises:
        ParamsError: there are more or fewer.

    >>> stage_words(["train@traffic-lstm"], ("PROBLEM", "CELL"))
    ['traffic', 'lstm']
    >>> stage_words(["traffic"])
    ['traffic']
    """
    words = list(given)
    stage = STAGE.fullmatch(words[0]) if len(words) == 1 else None
    if stage is not None:
        words = stage[2].rsplit("-", len(names) - 1) if len(names) > 1 else [stage[2]]
    if len(words) != len(names) or not all(words):
        raise ParamsError(
            f"expected {' and '.join(names)} as arguments, and there are {len(words)}; "
            "`retain run` starts every stage with its own"
        )
    return words


def run(root: Path, *words: str) -> str:
    """Run a command and return what it prints.

    Raises:
        DvcError: DVC refuses.
    """
    command = [sys.executable, "-m", "dvc", *words]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        marked = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        reason = " ".join(marked).removeprefix("ERROR: ")
        reason = reason or done.stderr.strip() or done.stdout.strip()
        raise DvcError(f"`dvc {words[0]}` failed: {reason}")
    return done.stdout


def call(root: Path, *words: str) -> int:
    """Run a command, whose output is printed, and return its exit code."""
    return subprocess.run([sys.executable, "-m", "dvc", *words], cwd=root, check=False).returncode


def repro(root: Path, stages: list[str], python: Path, environment: Mapping[str, str]) -> int:
    """Run stages and all before them again, with another interpreter; return the exit code."""
    command = [str(python), "-m", "dvc", "repro", "--force", *stages]
    # A separate process group, since dvc leaves its stage running when it is ended.
    process = subprocess.Popen(command, cwd=root, env=environment, start_new_session=True)
    try:
        return process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise


@contextmanager
def opened(root: Path) -> Iterator[Any]:
    """Open the repository, a `dvc.repo.Repo`, while the block runs.

    Raises:
        DvcError: DVC fails to open it, or fails in the block.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.ERROR)  # it warns of each frozen stage
    try:
        with chdir(root), Repo(".") as repo:  # DVC takes paths from the current folder
            yield repo
    except DvcException as error:
        raise DvcError(" ".join(str(error).split())) from None


def status(root: Path, target: str) -> dict[str, list[Any]]:
    """Return the differences from dvc.lock in a stage and those before it, or in a .dvc file.

    Raises:
        DvcError: there is no such stage, or dvc.yaml is wrong.
    """
    try:
        with opened(root) as repo:
            return dict(repo.status(targets=[target], with_deps=True))
    except DvcError as error:
        raise DvcError(f"DVC cannot determine what changed: {error}") from None


def plan(root: Path, changed: Container[str]) -> dict[str, bool]:
    """Return the stages that `dvc repro` would run, in its order, and whether each is changed.

    One that is not runs if what an earlier stage writes changes. An output that is not here counts
    as that of dvc.lock: `dvc repro --dry` fails without the lists of the stage `code`.

    Args:
        changed: stages that are known to be changed.

    Raises:
        DvcError: dvc.yaml or dvc.lock is wrong.
    """
    from dvc.repo import lock_repo
    from dvc.repo.reproduce import plan_repro

    stages: dict[str, bool] = {}
    with opened(root) as repo, lock_repo(repo):
        graph = repo.index.graph  # from a stage to those that it depends on
        for stage in plan_repro(graph):
            if stage.is_data_source:
                continue
            label, before = stage.addressing, list(graph.successors(stage))
            if label in changed or stage.changed(True, before):
                stages[label] = True
            elif any(
                other.addressing in stages and not other.name.startswith("code@")
                for other in before
            ):
                stages[label] = False
    return stages


def cache_folder(root: Path) -> Path:
    """Return the folder of the cache, in which files are named by their md5."""
    with opened(root) as repo:
        return Path(repo.cache.local.path)


def pull(root: Path, md5s: list[str]) -> None:
    """Download files and listings of folders from the remote into the cache.

    Raises:
        DvcError: there is no remote, or it fails.
    """
    from dvc.output import HashInfo

    if md5s:
        with opened(root) as repo:
            repo.cloud.pull([HashInfo("md5", md5) for md5 in md5s])


def has_remote(root: Path) -> bool:
    """Whether DVC has a default remote."""
    from dvc.config import Config

    return bool(Config(dvc_dir=str(root / ".dvc"), validate=False).get("core", {}).get("remote"))


def read_lock(root: Path, commit: str = "") -> str:
    """Return the text of dvc.lock, here or in a commit; empty where there is none."""
    if commit:
        return Git(root).show(commit, "dvc.lock") or ""
    path = root / "dvc.lock"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def stages_of(lock: str, name: str) -> list[str]:
    """Return the stages of a problem in the text of a dvc.lock, in its order."""
    found = re.findall(rf"^  (\w+@{re.escape(name)}(?:-\w+)?):\n", lock, re.MULTILINE)
    return [str(stage) for stage in found]


def forget(root: Path, stages: list[str]) -> None:
    """Remove stages from dvc.lock, and the file with its last stage."""
    lock = read_lock(root)
    for stage in stages:
        lock = re.sub(rf"^  {re.escape(stage)}:\n(?:    .*\n?)*", "", lock, flags=re.MULTILINE)
    if stages and not re.search(r"^  \S", lock, re.MULTILINE):
        (root / "dvc.lock").unlink()
    elif stages:
        write_text(root / "dvc.lock", lock)


def locked(lock: str, stage: str) -> dict[str, Any]:
    """Return the entry of one stage in the text of a dvc.lock; empty if there is none.

    Only its block is parsed, since a whole dvc.lock takes a third of a second.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    block = re.search(rf"^  {re.escape(stage)}:\n((?:    .*\n?)*)", lock, re.MULTILINE)
    try:
        return YAML(typ="safe").load(textwrap.dedent(block[1])) or {} if block else {}
    except YAMLError:
        return {}  # as after an unfinished merge was committed


def ask_remote(root: Path) -> tuple[str, str, bool]:
    """Return name and address of the default remote, and whether its folder answers."""
    with opened(root) as repo:
        remote = repo.cloud.get_remote()
        try:
            answers = bool(remote.fs.exists(remote.path))
        except Exception:  # of the library for this type of URL
            answers = False
        return str(remote.name), str(remote.config.get("url", remote.path)), answers


def lock_holders(root: Path) -> list[int]:
    """Return the processes that DVC records as reading or writing in this project."""
    path = root / ".dvc" / "tmp" / "rwlock"
    try:
        noted = json.loads(path.read_text(encoding="utf-8") or "{}")
    except (OSError, ValueError):
        return []
    writes = [entry["pid"] for entry in noted.get("write", {}).values()]
    reads = [entry["pid"] for entries in noted.get("read", {}).values() for entry in entries]
    return sorted({*writes, *reads})
