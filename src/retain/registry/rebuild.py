"""`retain rehydrate`: the registry, rebuilt from git's history, dvc.lock and DVC's cache.

Each registration that dvc.lock has held, in the history of this branch and in the working tree, is
put together again (`registrations.py`) and registered by what the stage `register` calls. So what
the gate decided is decided again, from the same figures; what a person decided is read from
promotions.csv (`promotion.py`) and done again at its place between two registrations. Aliases
themselves are in no history, since no stage may leave what hangs on the state of a registry.
"""

import json
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from retain.config import loader
from retain.errors import GitError, RegistryError, RetainError
from retain.evaluation.quality_gate import CheckResult
from retain.project import files, fingerprint
from retain.project.git import Git
from retain.registry import promotion, registrations, registry
from retain.registry.listing import SINCE
from retain.registry.promotion import Promotion
from retain.registry.registrations import Registration
from retain.tracking import runs, store

if TYPE_CHECKING:
    from mlflow import MlflowClient

UNFINISHED = "rehydrating"  # a registered model's tag while it is rebuilt: a kill is made good
SOURCE = "rehydrated"  # a version's tag: the commit whose dvc.lock it was rebuilt from


def rehydrate(root: Path, name: str, dry_run: bool = False) -> Iterator[str]:
    """Rebuild one model of the registry; says, line by line, what is done.

    Where the registry has no version of it, versions come in the order of the history, and aliases
    with them. Where it has, only missing versions are added, and the aliases stay as they are.

    Raises:
        RegistryError: the store does not answer, or nothing could be rebuilt.
    """
    git = Git(root)
    if git.find("HEAD") is None:
        raise RegistryError("the registry is rebuilt from git's history, and there is no commit")
    if git.run("rev-parse", "--is-shallow-repository") == "true":
        yield "this clone has not the whole history: `git fetch --unshallow` brings it"
    states = list(registrations.read(root, name))
    if not states and name not in loader.load(root):
        raise RegistryError(
            f"there is no problem {name}, nor was there one in this branch's history"
        )
    if not states:
        yield f"{name}: not registered in any dvc.lock of this branch's history"
        return
    if dry_run:
        yield from _plan(root, name, states)
        return
    client = store.connect(root)
    whole = _begin(client, name)
    new = [s for s in states if whole or not registry.find_by_md5(client, name, s.model)]
    decided = deque(promotion.ledger(root, name) if whole else ())
    if new:
        yield from _rebuild(root, client, name, new, decided, whole)
    yield from _decide(client, name, decided, None)
    yield _finish(client, name, len(states) - len(new), whole)


def _rebuild(
    root: Path,
    client: "MlflowClient",
    name: str,
    states: list[Registration],
    decided: deque[Promotion],
    whole: bool,
) -> Iterator[str]:
    """Register each in turn, and do after each what people then decided."""
    cache, reason = registrations.fetch(root, states)
    if reason:
        yield f"DVC's cache lacks files, and they cannot be fetched: {reason}"
    with files.folder(root, f"rehydrate-{name}") as scratch:
        clone = Git(root).clone(scratch / "clone")
        for state in states:
            try:
                tree = registrations.restore(root, clone, cache, state)
                sentence = _register(root, tree, client, name, state, judge=whole)
            except (RegistryError, GitError):
                raise  # the store went away, or no clone can be made
            except (RetainError, KeyError, TypeError, ValueError) as error:
                said = " ".join(str(error).split()) or type(error).__name__
                yield f"{state.label}  skipped: {said}"
                continue
            yield f"{state.label}  {sentence}"
            yield from _decide(client, name, decided, state.model)


def _plan(root: Path, name: str, states: list[Registration]) -> Iterator[str]:
    """What would be done; neither the store nor the cache is touched."""
    client = None if store.is_empty(root) else store.connect(root)
    cache, _ = registrations.fetch(root, ())
    for state in states:
        md5 = state.model
        known = registry.find_by_md5(client, name, md5) if client is not None else None
        if known is not None:
            yield f"{state.label}  is {name} version {known.version}"
            continue
        away = [
            path for path, md5 in state.needed.items() if not registrations.complete(cache, md5)
        ]
        fetched = f"; not in the cache, to fetch: {', '.join(away)}" if away else ""
        yield f"{state.label}  to register: model {fingerprint.short(md5)}{fetched}"
    count = len(promotion.ledger(root, name))
    yield f"{name}: {len(states)} registrations, {count} decisions of people"


def _register(
    root: Path, tree: Path, client: "MlflowClient", name: str, state: Registration, judge: bool
) -> str:
    """Register what the tree holds, as its stage did; without an alias, where none is to move."""
    problem = loader.load_problem(tree, name)
    reports = tree / "reports" / name
    metrics = json.loads((reports / "metrics.json").read_text(encoding="utf-8"))
    verdict = json.loads((reports / "verdict.json").read_text(encoding="utf-8"))
    checks = [CheckResult(**check) for check in verdict["checks"]]
    new = registry.find_by_md5(client, name, state.model) is None
    with _store_of(root):
        if judge:
            said = registry.register(tree, name, problem, metrics, checks).sentence
        version = registry.add(tree, name, problem, metrics)
        if not judge:
            said = f"{name} version {version.version} was missing; aliases stay as they are"
        if new and (reports / "report.md").is_file():
            there = sorted(folder.name for folder in (tree / "models" / name).glob("*/"))
            cells = set(problem.training.cells)
            runs.log_evaluation(tree, name, problem, [c for c in there if c in cells])
    tags = {SOURCE: state.commit or "working tree", "verdict": said}
    tags |= {SINCE: state.at} if state.at else {}
    for key, value in tags.items() if SOURCE not in version.tags else ():
        client.set_model_version_tag(name, version.version, key, value)
    return said


@contextmanager
def _store_of(root: Path) -> Iterator[None]:
    """Have the store of `root` used by what works in a clone, as DVC's experiments do."""
    before = os.environ.get("DVC_ROOT")
    os.environ["DVC_ROOT"] = before or str(root.resolve())
    try:
        yield
    finally:
        if before is None:
            del os.environ["DVC_ROOT"]


def _decide(
    client: "MlflowClient", name: str, decided: deque[Promotion], newest: str | None
) -> Iterator[str]:
    """Do again what people decided while `newest` was the newest; all that is left, if None."""
    while any(newest in (None, each.newest) for each in decided):
        each = decided.popleft()
        version = registry.find_by_md5(client, name, each.champion)
        if version is None:
            yield (
                f"{each.at[:10]}  skipped: {each.by} made a model @champion ({each.why}) that is "
                f"in no commit, or was skipped: {fingerprint.short(each.champion)}"
            )
            continue
        before = registry.find_by_md5(client, name, each.previous)
        yield f"{each.at[:10]}  {promotion.move(client, each, version, before)}"


def _begin(client: "MlflowClient", name: str) -> bool:
    """Whether the model is rebuilt from nothing; marks it, so that a kill is made good."""
    known = {model.name: model for model in client.search_registered_models(f"name = '{name}'")}
    if name not in known:
        client.create_registered_model(name, tags={UNFINISHED: "true"})
        return True
    if client.search_model_versions(f"name = '{name}'") and UNFINISHED not in known[name].tags:
        return False
    client.set_registered_model_tag(name, UNFINISHED, "true")
    for alias in ("champion", "challenger", "previous"):
        client.delete_registered_model_alias(name, alias)
    client.delete_registered_model_tag(name, registry.MOVED)
    return True


def _finish(client: "MlflowClient", name: str, there: int, whole: bool) -> str:
    """Close the rebuilding; the last line.

    Raises:
        RegistryError: nothing could be rebuilt.
    """
    found = client.search_model_versions(f"name = '{name}'")
    if not found:
        client.delete_registered_model(name)
        raise RegistryError(f"no version of {name} could be rebuilt: see above")
    if whole:
        client.delete_registered_model_tag(name, UNFINISHED)
    aliases = client.get_registered_model(name).aliases.items()
    said = ", ".join(f"@{alias} is version {number}" for alias, number in sorted(aliases))
    kept = f", {there} of the history were there" if not whole else ""
    return f"{name}: {len(found)} versions{kept}; {said or 'no alias'}"
