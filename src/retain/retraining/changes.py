"""What changed since the models were trained, as DVC sees it, and since the last commit."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retain.errors import RetainError
from retain.project import fingerprint
from retain.project.dvc import lock_entry

CODE = re.compile(r"(src|pipelines)(/|$)")
MADE = re.compile(r"(data/code|data/prepared|models|reports)/")  # by stages
LISTED = re.compile(r"data/code/\w+/(\w+)\.txt")  # which modules a stage runs


@dataclass
class Changes:
    """What a problem's stages would read that is not what they read last, and what is not here."""

    data: set[str] = field(default_factory=set)
    params: set[str] = field(default_factory=set)
    code: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)  # by an earlier stage, after a run was stopped
    missing: set[str] = field(default_factory=set)  # outputs
    first: bool = False  # they have never run

    def __bool__(self) -> bool:
        """Whether there is something for the pipeline to do."""
        return bool(self.missing or self.sentences())

    def sentences(self) -> list[str]:
        """Each kind of change in words, but for what only is not here."""
        if self.first:
            return ["there is no model yet"]
        said = []
        for name, found in (("data", self.data), ("params", self.params), ("code", self.code)):
            if found:
                said.append(f"{name}: {_some(sorted(found))}")
        if self.made and not said:
            said.append("an earlier run was stopped before its end")
        return said


def status(root: Path, name: str) -> Changes:
    """What DVC would do something about in the stages of one problem.

    Raises:
        RetainError: DVC cannot tell: no such problem, dvc.yaml is wrong.
    """
    changes = Changes(first=not lock_entry(_lock(root), f"register@{name}"))
    for stage, entries in _status(root, f"register@{name}").items():
        for entry in entries:
            if isinstance(entry, str):  # the command itself
                changes.code.add("dvc.yaml")
                continue
            for kind, paths in entry.items():
                for path, state in paths.items():
                    if stage.endswith(".dvc") and state == "modified":  # a table, by hand
                        changes.data.add(path)
                    else:
                        _sort(changes, kind, path, state)
    return changes


def is_checked_out(root: Path, file: str) -> bool:
    """Whether a table is here as its .dvc file says."""
    return not _status(root, file)


def _status(root: Path, target: str) -> dict[str, Any]:
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            return dict(repo.status(targets=[target], with_deps=True))
    except DvcException as error:
        raise RetainError(f"DVC cannot tell what changed: {' '.join(str(error).split())}") from None


def _sort(changes: Changes, kind: str, path: str, state: Any) -> None:
    if kind == "changed outs":
        changes.missing.add(path)
    elif isinstance(state, dict):  # of a file of parameters, by key
        changes.params.update(state)
    elif CODE.match(path):
        changes.code.add(path)
    elif listed := LISTED.fullmatch(path):
        changes.code.add(f"what {listed[1]} runs")
    else:
        (changes.made if MADE.match(path) else changes.data).add(path)


@dataclass(frozen=True)
class Since:
    """How dvc.lock differs from that of the last commit, for one problem."""

    data: list[str]
    params: dict[str, tuple[Any, Any]]  # before and now, None where there was none
    code: list[str]
    first: bool  # the last commit has no such outputs


def since_commit(root: Path, name: str) -> Since:
    """What the present outputs were made of that those of the last commit were not."""
    before = fingerprint.git(root, "show", "HEAD:./dvc.lock")
    now = _lock(root)
    data: set[str] = set()
    code: set[str] = set()
    params: dict[str, tuple[Any, Any]] = {}
    for stage in _stages(now, name):
        was, entry = lock_entry(before, stage), lock_entry(now, stage)
        old = _md5s(was.get("deps", ()))
        for path, md5 in _md5s(entry.get("deps", ())).items():
            if old.get(path) == md5:
                continue
            if listed := LISTED.fullmatch(path):
                code.add(f"what {listed[1]} runs")
            elif not MADE.match(path):
                (code if CODE.match(path) else data).add(path)
        known = _values(was)
        for key, value in _values(entry).items():
            if known.get(key) != value:
                params |= _leaves(key, known.get(key), value)
    first = not any(lock_entry(before, stage) for stage in _stages(now, name))
    return Since(sorted(data), dict(sorted(params.items())), sorted(code), first)


def absent(root: Path, name: str) -> list[str]:
    """Inputs and outputs of a problem's stages that dvc.lock names and that are not here."""
    lock = _lock(root)
    entries = [lock_entry(lock, stage) for stage in _stages(lock, name)]
    each = [item for entry in entries for key in ("deps", "outs") for item in entry.get(key, ())]
    return sorted({item["path"] for item in each if not (root / item["path"]).exists()})


def is_committed(root: Path, name: str) -> bool:
    """Whether the last commit has the problem's part of dvc.lock as it is."""
    before = fingerprint.git(root, "show", "HEAD:./dvc.lock")
    now = _lock(root)
    return all(lock_entry(before, stage) == lock_entry(now, stage) for stage in _stages(now, name))


def _lock(root: Path) -> str:
    path = root / "dvc.lock"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _stages(lock: str, name: str) -> Iterable[str]:
    # The lists of modules are left out: what they say to a stage is what counts.
    stages = re.findall(rf"^  (\w+@{re.escape(name)}(?:-\w+)?):$", lock, re.MULTILINE)
    return [stage for stage in stages if not stage.startswith("code@")]


def _md5s(deps: Iterable[dict[str, str]]) -> dict[str, str]:
    return {dep["path"]: dep.get("md5", "") for dep in deps}


def _values(stage: dict[str, Any]) -> dict[str, Any]:
    return {key: value for file in stage.get("params", {}).values() for key, value in file.items()}


def _leaves(key: str, before: Any, now: Any) -> dict[str, tuple[Any, Any]]:
    """The keys below `key` whose values differ."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return {key: (before, now)}
    found: dict[str, tuple[Any, Any]] = {}
    for inner in (*now, *(old for old in before if old not in now)):
        if before.get(inner) != now.get(inner):
            found |= _leaves(f"{key}.{inner}", before.get(inner), now.get(inner))
    return found


def _some(paths: list[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
