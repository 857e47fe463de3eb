"""`retain rehydrate`: the registry, rebuilt from the ledger, git's history and DVC's cache.

The ledger says what was registered and decided, in which order. The files of each registration come
out of DVC's cache by their md5, into a scratch clone at the commit whose dvc.lock names them. Only
what was registered before there was a ledger is judged again.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from retain.config import loader
from retain.errors import GitError, ModelError, RegistryError, RetainError
from retain.evaluation.quality_gate import MODEL, CheckResult
from retain.evaluation.results import read_metrics
from retain.project import files, fingerprint
from retain.project.cache import Cache
from retain.project.git import Git
from retain.project.layout import Layout
from retain.registry import claim, ledger, lookup, manifest, promotion, registry
from retain.registry.ledger import GATE, UNKNOWN, Entry
from retain.registry.registry import Decision
from retain.registry.version_tags import SINCE
from retain.tracking import runs, store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

UNFINISHED = "rehydrating"  # a registered model's tag until it is rebuilt whole


class NothingRebuiltError(RegistryError):
    """Every version was left out: its files are gone, or today's code cannot read them."""


def rehydrate(root: Path, name: str, dry_run: bool = False) -> Iterator[str]:
    """Rebuild one model of the registry, and yield, line by line, what is done.

    If the registry has no version of it, every entry of the ledger is repeated. If it has, only the
    missing versions are added, and the aliases stay as they are.

    Raises:
        RegistryError: the store does not answer.
        NothingRebuiltError: nothing could be rebuilt.
    """
    git = Git(root)
    if git.find("HEAD") is None:
        raise RegistryError("the registry is rebuilt from git's history, and there is no commit")
    if git.run("rev-parse", "--is-shallow-repository") == "true":
        yield "this clone lacks a part of the history: fetch it with `git fetch --unshallow`"
    entries = ledger.read(root, name)
    if not entries and name not in loader.load(root):
        raise RegistryError(
            f"there is no problem {name}, nor was there one in this branch's history"
        )
    if not entries:
        yield f"{name}: this branch has no ledger of it, and no dvc.lock of its history names it"
    elif dry_run:
        yield from _describe(root, name, entries)
    else:
        yield from _rebuild(root, name, entries)


def _registrations(entries: Iterable[Entry]) -> list[Entry]:
    """Return the first registration of each content."""
    first: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        if entry.by == GATE:
            first.setdefault(entry.content, entry)
    return [*first.values()]


def _describe(root: Path, name: str, entries: Sequence[Entry]) -> Iterator[str]:
    """Yield what would be done."""
    registrations, cache = _registrations(entries), Cache(root)
    client = None if store.is_empty(root) else store.connect(root)
    yield from _each(registrations, lambda entry: _plan(root, client, cache, name, entry))
    decisions = sum(entry.by != GATE for entry in entries)
    yield f"{name}: {len(registrations)} registrations, {decisions} decisions of people"


def _rebuild(root: Path, name: str, entries: Sequence[Entry]) -> Iterator[str]:
    """Repeat the entries of a ledger, or the missing registrations, and yield what is done."""
    registrations, cache = _registrations(entries), Cache(root)
    client = store.connect(root)
    whole = _begin(client, name)
    missing = [entry for entry in registrations if _version_of(client, name, entry) is None]
    judged: dict[Entry, Entry] = {}
    unknown: list[Entry] = []
    with files.folder(root, f"rehydrate-{name}") as scratch:
        clone = Git(root).clone(scratch / "clone")

        def redo(entry: Entry) -> str:
            if entry.by != GATE:
                return _promote(client, name, entry)
            tree = _restore(root, clone, cache, name, entry)
            _compare(tree, name, entry)
            if not entry.sha256 and entry in missing:
                unknown.append(entry)
            with _store_of(root):
                decision = _register(tree, client, name, entry, whole)
            if entry.alias == UNKNOWN and not decision.kept:
                found = {"why": decision.why, "final": decision.final_md5}
                judged[entry] = replace(entry, alias=decision.alias, **found)
            return decision.sentence

        yield from _each(entries if whole else missing, redo)
    if not Layout(root, name).ledger.is_file():
        ledger.write(root, name, [judged.get(entry, entry) for entry in entries])
    if unknown:
        of = f"{len(unknown)} of {len(missing)} registrations"
        yield f"{of} have no sha256 in the ledger: md5 alone was compared"
    yield _finish(client, name, len(registrations) - len(missing), whole)


def _each(entries: Iterable[Entry], act: Callable[[Entry], str]) -> Iterator[str]:
    """Do something about each entry, and yield what was done; what cannot be done is skipped."""
    for entry in entries:
        try:
            sentence = act(entry)
        except (RegistryError, GitError):
            raise  # the store went away, or no clone can be made
        except (RetainError, FileNotFoundError, KeyError, TypeError, ValueError) as error:
            sentence = f"skipped: {' '.join(str(error).split()) or type(error).__name__}"
        yield f"{entry.at[:10]}  {sentence}"


def _plan(root: Path, client: "MlflowClient | None", cache: Cache, name: str, entry: Entry) -> str:
    """Say what would be done; neither the store nor the cache is touched."""
    version = _version_of(client, name, entry) if client is not None else None
    if version is not None:
        return f"is {name} version {version.version}"
    _, md5s = _locked(root, name, entry)
    missing = ", ".join(path for path, md5 in md5s.items() if not cache.has(md5))
    fetched = f"; not in the cache, to fetch: {missing}" if missing else ""
    return f"to register: model {fingerprint.short(entry.model)}{fetched}"


def _version_of(client: "MlflowClient", name: str, entry: Entry) -> "ModelVersion | None":
    """Return the version of an entry; what git's history says names no refitted model."""
    version = registry.find_by_md5(client, name, *entry.content)
    if version is None and not entry.final:
        version = registry.find_by_md5(client, name, entry.model, None)
    return version


def _promote(client: "MlflowClient", name: str, entry: Entry) -> str:
    version = _version_of(client, name, entry)
    if version is None:
        raise ModelError(
            f"{entry.by} made a model @champion ({entry.why}) that is in no commit, or was "
            f"skipped: {fingerprint.short(entry.model)}"
        )
    with claim.held(client, name) as holder:
        return promotion.move(holder, version, entry)


def _locked(root: Path, name: str, entry: Entry) -> tuple[str, dict[str, str]]:
    """Find the commit whose dvc.lock has a registration; return it and the md5 by path.

    Raises:
        ModelError: none has.
    """
    either = "|".join(filter(None, (entry.metrics, entry.final)))
    for commit, _ in ledger.commits(root, "-m", f"-S{either}", "--pickaxe-regex"):
        md5s = ledger.locked_md5s(root, commit, f"register@{name}")
        if ledger.holds(md5s, name, entry):
            return commit, md5s
    raise ModelError(
        f"model {fingerprint.short(entry.model)} is in no dvc.lock of this branch's history"
    )


def _restore(root: Path, clone: Git, cache: Cache, name: str, entry: Entry) -> Path:
    """Make the clone what the project was, git's files and DVC's; return its folder there.

    Raises:
        ModelError: a file is not in the cache, or is not what its md5 says.
    """
    git, (commit, md5s) = Git(root), _locked(root, name, entry)
    tree = clone.root / git.run("rev-parse", "--show-prefix")
    if commit:
        clone.check_out(commit)
    else:
        patch = fingerprint.patch(root).get("code.patch", "")
        clone.check_out(git.run("rev-parse", "HEAD"), patch)
        shutil.copy(root / "dvc.lock", tree / "dvc.lock")
    report = ledger.locked_md5s(tree, "", f"evaluate@{name}")  # and the other cells
    cache.fetch([*md5s.values(), *report.values()])
    same = ledger.registered(report, name)[1] == entry.metrics
    if same and all(map(cache.has, report.values())):
        md5s = report | md5s
    for path, md5 in md5s.items():
        cache.copy(md5, files.inside(tree, path), path)
    return tree


def _compare(tree: Path, name: str, entry: Entry) -> None:
    """Compare the restored files with the sha256 of the ledger, if it has one.

    Raises:
        ModelError: they are others, although their md5 is right.
    """
    cell = read_metrics(Layout(tree, name).metrics).get("model", MODEL)
    if entry.sha256 and (found := manifest.content_of_tree(tree, name, cell)) != entry.sha256:
        raise ModelError(
            f"model {fingerprint.short(entry.model)} has the md5 that was recorded, but other "
            f"files: their sha256 is {found}, and the ledger says {entry.sha256}; it is not "
            f"registered. Someone may have put them into DVC's cache or remote on purpose"
        )


def _register(tree: Path, client: "MlflowClient", name: str, entry: Entry, whole: bool) -> Decision:
    """Register what the tree holds, and give it the alias of the entry, if aliases are to move."""
    problem = loader.load_problem(tree, name)
    paths = Layout(tree, name)
    metrics = read_metrics(paths.metrics)
    verdict = json.loads(paths.verdict.read_text(encoding="utf-8"))
    checks = {check["check"]: CheckResult(**check) for check in verdict["checks"]}
    checks |= ledger.checks_of(entry.why)
    version, is_new = registry.add(tree, name, problem, metrics, entry.at)
    if not whole:
        sentence = f"{name} version {version.version} was missing; aliases stay as they are"
        if is_new:
            client.set_model_version_tag(name, version.version, "verdict", sentence)
        decision = Decision(entry.model, str(version.version), "", sentence, kept=True)
    elif entry.alias == UNKNOWN:
        decision = registry.judge(tree, name, problem, version, list(checks.values()))
    else:
        with claim.held(client, name) as holder:
            decision = registry.decide(holder, version, entry.alias, list(checks.values()))
    if is_new and (paths.reports / "report.md").is_file():
        cells = sorted(folder.name for folder in paths.models.glob("*/"))
        runs.log_evaluation(tree, name, problem, [c for c in cells if c in problem.training.cells])
    return decision


@contextmanager
def _store_of(root: Path) -> Iterator[None]:
    """Make what works in a clone use the store of `root`, as DVC's experiments do."""
    before = os.environ.get("DVC_ROOT")
    os.environ["DVC_ROOT"] = before or str(root.resolve())
    try:
        yield
    finally:
        if before is None:
            del os.environ["DVC_ROOT"]


def _begin(client: "MlflowClient", name: str) -> bool:
    """Return whether every entry is to be repeated; mark the model until its rebuild is complete.

    One that was killed begins again without its versions. What others registered meanwhile stays;
    if that is the champion, the aliases stay, too.
    """
    known = {model.name: model for model in client.search_registered_models(f"name = '{name}'")}
    versions = lookup.versions(client, name)
    if versions and UNFINISHED not in known[name].tags:
        return False
    own = [number for number, version in versions.items() if SINCE in version.tags]
    if len(own) < len(versions):
        for number in own:
            client.delete_model_version(name, str(number))
        return registry.alias_version(client, name, "champion") is None
    if name in known:
        client.delete_registered_model(name)
    client.create_registered_model(name, tags={UNFINISHED: "true"})
    return True


def _finish(client: "MlflowClient", name: str, known: int, whole: bool) -> str:
    """Close the rebuilding, and return the last line.

    Raises:
        NothingRebuiltError: nothing could be rebuilt.
    """
    versions = lookup.versions(client, name)
    if not versions:
        client.delete_registered_model(name)
        raise NothingRebuiltError(f"no version of {name} could be rebuilt: see above")
    model = client.get_registered_model(name)
    if UNFINISHED in model.tags:
        client.delete_registered_model_tag(name, UNFINISHED)
    aliases = sorted(model.aliases.items())
    state = ", ".join(f"@{alias} is version {number}" for alias, number in aliases)
    kept = f", {known} of the history were there" if not whole else ""
    return f"{name}: {len(versions)} versions{kept}; {state or 'no alias'}"
