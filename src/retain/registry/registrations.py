"""The registrations that git's history holds, and their files out of DVC's cache.

A registration is what the stage `register` read and left, as a dvc.lock names it: md5 by path. Its
files are put into a scratch clone, at the commit they belong to, and each is checked by its md5: of
a cache in which files were exchanged, nothing is read.
"""

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from retain.errors import DvcError, ModelError
from retain.evaluation.quality_gate import MODEL
from retain.project import dvc, fingerprint
from retain.project.git import Git

NEEDED = (
    ("data/prepared", ""),
    ("models", f"/{MODEL}"),
    ("reports", "/metrics.json"),
    ("reports", "/verdict.json"),
)


@dataclass(frozen=True)
class Registration:
    """One registration, as a dvc.lock holds it: md5 by path."""

    commit: str  # empty: in the working tree
    at: str  # of the commit, ISO; empty in the working tree
    needed: dict[str, str]  # what the stage `register` read, and its verdict
    others: dict[str, str]  # what else is told of the model: its report, the other cells

    @property
    def label(self) -> str:
        """Where it was found, in words."""
        return f"{self.commit[:9]}  {self.at[:10]}" if self.commit else "working tree         "

    @property
    def model(self) -> str:
        """The md5 of the model."""
        return next(md5 for path, md5 in self.needed.items() if path.startswith("models/"))


def read(root: Path, name: str) -> Iterator[Registration]:
    """Every registration that the history holds, the oldest first, each once."""
    log = ("log", "--reverse", "--topo-order", "--format=%H %cI", "HEAD", "--", "dvc.lock")
    git = Git(root)
    found = [tuple(line.split()) for line in git.run(*log).splitlines()]
    locks = [(commit, at, git.show(commit, "dvc.lock") or "") for commit, at in found]
    if (root / "dvc.lock").is_file():
        locks.append(("", "", (root / "dvc.lock").read_text(encoding="utf-8")))
    seen: list[dict[str, str]] = []
    for commit, at, text in locks:
        needed = _paths(text, f"register@{name}")
        wanted = {f"{place}/{name}{rest}" for place, rest in NEEDED}
        if wanted <= needed.keys() and needed not in seen:
            seen.append(needed)
            others = _paths(text, f"evaluate@{name}")
            metrics = f"reports/{name}/metrics.json"
            same = others.get(metrics) == needed[metrics]  # else it is of another model
            yield Registration(commit, at, needed, others if same else {})


def _paths(lock: str, stage: str) -> dict[str, str]:
    """What a stage read and left, of what DVC keeps: md5 by path."""
    entry = dvc.locked(lock, stage)
    each = [*entry.get("deps", ()), *entry.get("outs", ())]
    kept = ("data/prepared/", "models/", "reports/")
    return {e["path"]: e["md5"] for e in each if e["path"].startswith(kept) and "md5" in e}


def fetch(root: Path, wanted: Iterable[Registration]) -> tuple[Path, str]:
    """The folder of DVC's cache; what it lacks comes from the remote, or the reason why not.

    By md5, from the remote of today: `dvc fetch` asks of each commit for the remote that it names.
    """
    cache = dvc.cache_folder(root)
    each = {md5 for one in wanted for md5 in (*one.needed.values(), *one.others.values())}
    try:
        dvc.pull(root, [md5 for md5 in each if not _place(cache, md5).is_file()])
        files = {md5 for listing in each for md5 in _listed(cache, listing).values()}
        dvc.pull(root, [md5 for md5 in files if not _place(cache, md5).is_file()])
    except (DvcError, OSError) as error:  # no remote, or it does not answer
        return cache, " ".join(str(error).split())
    return cache, ""


def _listed(cache: Path, md5: str) -> dict[str, str]:
    """The md5 of each file of a folder; empty for a file, and where the cache lacks the folder.

    A listing that is not what its name says is passed over: `_copy` refuses it.
    """
    place = _place(cache, md5)
    if not md5.endswith(".dir") or not place.is_file():
        return {}
    if fingerprint.file_md5(place) + ".dir" != md5:
        return {}
    return {entry["relpath"]: entry["md5"] for entry in json.loads(place.read_bytes())}


def complete(cache: Path, md5: str) -> bool:
    """Whether the cache has a file, or a folder with all that it lists."""
    files = [md5, *_listed(cache, md5).values()]
    return all(_place(cache, each).is_file() for each in files)


def _place(cache: Path, md5: str) -> Path:
    return cache / md5[:2] / md5[2:]


def restore(root: Path, clone: Git, cache: Path, state: Registration) -> Path:
    """Make the clone what the project was, git's files and DVC's; answers with its folder there.

    Raises:
        ModelError: a file is not in the cache, or is not what its name there says.
    """
    git = Git(root)
    tree = clone.root / git.run("rev-parse", "--show-prefix")
    if state.commit:
        clone.check_out(state.commit)
    else:
        patch = fingerprint.patch(root).get("code.patch", "")
        clone.check_out(git.run("rev-parse", "HEAD"), patch)
        shutil.copy(root / "dvc.lock", tree / "dvc.lock")
    for path, md5 in state.needed.items():
        _copy(cache, md5, tree / path, path)
    if all(complete(cache, md5) for md5 in state.others.values()):
        for path, md5 in state.others.items() - state.needed.items():
            _copy(cache, md5, tree / path, path)
    return tree


def _copy(cache: Path, md5: str, target: Path, path: str) -> None:
    """Copy a file or folder out of the cache; what is not what its name says is refused."""
    if not complete(cache, md5):
        raise ModelError(
            f"{path}, md5 {fingerprint.short(md5)}, is neither in DVC's cache nor its remote"
        )
    files = {target: md5}
    if md5.endswith(".dir"):
        _compare(_place(cache, md5), md5.removesuffix(".dir"), path)  # before its names are used
        files = {target / name: each for name, each in _listed(cache, md5).items()}
    for file, recorded in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_place(cache, recorded), file)
        _compare(file, recorded, path, _place(cache, recorded))


def _compare(file: Path, recorded: str, path: str, cached: Path | None = None) -> None:
    found = fingerprint.file_md5(file)
    if found != recorded:
        raise ModelError(
            f"DVC's cache has other files than were recorded of {path}: the md5 of "
            f"{cached or file} is {found}; nothing of it is read. Remove that file, and "
            f"`dvc fetch` brings it again"
        )
