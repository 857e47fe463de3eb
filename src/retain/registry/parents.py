"""Warm starts: the champion as the model that the next training starts from, and its ancestors.

`training.parent` of params.yaml has the md5 of a model folder for each cell. DVC tracks that key,
and the files are in DVC's cache or in the registry, so that the same params give the same model.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retain.config import loader
from retain.errors import ParamsError, RegistryError
from retain.project import files, fingerprint, params_file
from retain.project.cache import Cache
from retain.project.layout import Layout
from retain.registry import artifacts, ledger, registry
from retain.tracking import store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


def follow_champion(root: Path, name: str) -> str:
    """Write the champion's md5 into `training.parent` of a problem; return what was done.

    Raises:
        ParamsError: the problem does not start warm, or its entry is no block of lines.
        RegistryError: the champion is not registered here, or its files are gone.
    """
    training = loader.load_problem(root, name).training
    if training.warm_start == "none":
        raise ParamsError(
            f"params.yaml: problems.{name}.training.warm_start is none; write `warm_start: "
            f"champion`, and trainings start from the champion"
        )
    version = _champion(root, name)
    again = "the next training starts from random weights"
    if training.parents:
        again = "the next training starts from the models in training.parent, as before"
    if version is None:
        return f"{name}: there is no champion here; {again}"
    outs = json.loads(version.tags.get("outs", "{}"))
    md5s: dict[str, str] = {}
    for cell in training.cells:
        md5 = outs.get(str(Layout(Path(), name).model(cell)))
        if md5 is None:
            return f"{name}: version {version.version} has no {cell}; {again}"
        with parent_files(root, name, md5, f"the {cell} of {name} version {version.version}"):
            md5s[cell] = md5  # its files are in the cache now
    label = f"version {version.version}, md5 {fingerprint.short(version.tags['model.md5'])}"
    if md5s == training.parents:
        return f"{name}: starts from the champion, {label}, as before"
    params_file.set_parent(root, name, md5s)
    return f"{name}: starts from the champion, {label}; params.yaml has its md5, commit it"


def _champion(root: Path, name: str) -> "ModelVersion | None":
    """Return the champion by the ledger of this branch.

    A store that several clones share may have a newer one, of a branch that nobody has merged: with
    it, a retraining that is repeated before the merge would give another model each time.

    Raises:
        RegistryError: it is not registered here.
    """
    champions = [entry for entry in ledger.read(root, name) if entry.alias == "champion"]
    if not champions:
        return None
    newest = champions[-1]
    version = find_registered(root, name, newest.model, newest.final or None)
    if version is None:
        raise RegistryError(
            f"the champion of {name} by its ledger, md5 {fingerprint.short(newest.model)}, is not "
            f"registered here: `retain rehydrate {name}`"
        )
    return version


@contextmanager
def parent_files(root: Path, name: str, md5: str, label: str) -> Iterator[Path]:
    """Yield a copy of a model folder of this md5, from DVC's cache, its remote or the registry.

    It is in the cache afterwards.

    Args:
        label: what a message calls it.

    Raises:
        RegistryError: it is in none of them.
    """
    cache = Cache(root)
    if not cache.has(md5):
        cache.fetch([md5])
    if not cache.has(md5):
        version = find_registered(root, name, md5)
        if version is None:
            raise RegistryError(
                f"{label}, md5 {fingerprint.short(md5)}, is neither in DVC's cache, nor in its "
                f"remote, nor in the registry: `dvc fetch` it, or take "
                f"problems.{name}.training.parent out of params.yaml"
            )
        with artifacts.downloaded(version) as folder:
            cache.add(folder)
    with files.folder(root, f"parent-{name}") as scratch:
        cache.copy(md5, scratch, label)
        yield scratch


def bring(root: Path, tree: Path, name: str, training: dict[str, Any]) -> None:
    """Copy the models that a training starts from into the cache of a scratch clone.

    Args:
        training: the section of params.yaml in the clone.

    Raises:
        RegistryError: as `parent_files`.
    """
    for cell, md5 in (training.get("parent") or {}).items():
        with parent_files(root, name, md5, f"the model that the {cell} started from") as folder:
            Cache(tree).add(folder)


def find_registered(
    root: Path, name: str, md5: str, final: str | None = None
) -> "ModelVersion | None":
    """Return the first version whose evaluated model has this md5.

    Args:
        final: md5 of its refitted model; None for any.
    """
    if store.is_empty(root):
        return None
    return registry.find_by_md5(store.connect(root), name, md5, final)


def line_of(root: Path, name: str, md5: str | None) -> Iterator[tuple[str, "ModelVersion | None"]]:
    """Yield the ancestors of a model, the nearest first: md5 and version, None for an unknown one.

    Args:
        md5: of the parent; None where the model started from random weights.
    """
    seen: set[str] = set()
    while md5 and md5 not in seen:
        seen.add(md5)
        version = find_registered(root, name, md5)
        yield md5, version
        md5 = None if version is None else version.tags.get("parent.md5")
