"""Find the version of a model to forecast with: the champion, one by its number, or the newest."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retain.config import loader
from retain.errors import RegistryError
from retain.evaluation import choice
from retain.project import files, fingerprint
from retain.project.layout import Layout
from retain.registry import registry, version_tags
from retain.registry.artifacts import trusted
from retain.tracking import store
from retain.words import clipped

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


ADDRESS = re.compile(r"models:/(?P<name>[^/@]+)(@(?P<alias>\w+)|/(?P<version>\d+))")


@contextmanager
def forecasting_folder(
    root: Path, name: str, number: int | None = None
) -> Iterator[tuple[Path, str | None]]:
    """Yield the model folder of a version, and what a person must know of it, None of a champion.

    It is version `number`; if None, the champion or, where there is none, the newest version.

    Raises:
        RegistryError: there is no such version, or none at all, or it may not be used.
    """
    client = store.connect(root)
    champion = registry.alias_version(client, name, "champion")
    known = {} if champion is not None and number is None else versions(client, name)
    if number is not None:
        version, which = find_version(known, name, number), f"version {number} of {name}"
    elif known:
        version, which = (
            known[max(known)],
            f"no version of {name} is @champion; version {max(known)}",
        )
    else:
        version, which = registry.champion(client, name), ""
    warning = None
    if champion is None or champion.version != version.version:
        warning = _warning(which, version)
    with trusted(version) as copy:
        yield copy.forecasting, warning


@contextmanager
def registered_folder(root: Path, address: str) -> Iterator[Path]:
    """Yield the model folder that forecasts of `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Raises:
        RegistryError: it is no such address, or there is no such version, or it may not be used.
    """
    parts = ADDRESS.fullmatch(address)
    if parts is None:
        shown = clipped(repr(address))
        raise RegistryError(f"{shown}: write models:/NAME@champion or models:/NAME/3")
    client, name = store.connect(root), parts["name"]
    with trusted(resolve(client, name, parts["alias"], parts["version"])) as copy:
        yield copy.forecasting


def resolve(
    client: "MlflowClient", name: str, alias: str | None, version: str | None
) -> "ModelVersion":
    """Return the version that has an alias or else a number, as ADDRESS names them.

    Raises:
        RegistryError: there is no such version.
    """
    if alias is None:
        return find_version(versions(client, name), name, int(version or 0))
    aliased = registry.alias_version(client, name, alias)
    if aliased is None:
        raise RegistryError(f"no version of {name} is @{alias}")
    return aliased


def decision(root: Path, name: str) -> dict[str, Any] | None:
    """Return the registry's decision about the model in the working tree, as decision.json has it.

    None if this clone did not register the model, or registered another one since.
    """
    layout, found = Layout(root, name), recorded_decision(root, name)
    model = layout.model(choice.judged(layout.metrics))
    final = fingerprint.folder_md5(layout.refitted) if layout.refitted else ""
    known = (found.get("model_md5"), found.get("final_md5", ""))
    if not model.is_dir() or known != (fingerprint.folder_md5(model), final):
        return None
    return found


def recorded_decision(root: Path, name: str) -> dict[str, Any]:
    """Return what decision.json holds, whatever model it is about; empty where there is no file."""
    return files.read_json(Layout(root, name).decision, _again(name))


def not_registered(name: str) -> str:
    """Return the sentence about a model without a decision, and what to type."""
    return f"this model was not registered last; do so with {_again(name)}"


def _again(name: str) -> str:
    return f"`dvc repro -f -s register@{name}`"


def versions(client: "MlflowClient", name: str) -> "dict[int, ModelVersion]":
    """Return the versions of a model by number; none of a name that no problem can have."""
    if not loader.NAME.fullmatch(name):  # it could have a quote, which ends the name in the filter
        return {}
    found = client.search_model_versions(f"name = '{name}'", max_results=10_000)
    return {int(version.version): version for version in found}


def number_of(root: Path, name: str, md5: str) -> int:
    """Return the number of the newest version that forecasts with the model folder of this md5."""
    known = versions(store.connect(root), name)
    numbers = [number for number in known if version_tags.forecasting_md5(known[number]) == md5]
    if not numbers:
        raise RegistryError(f"no version of {name} has a model folder of the md5 {md5}")
    return max(numbers)


def find_version(known: "dict[int, ModelVersion]", name: str, number: int) -> "ModelVersion":
    """Return one of the versions of a model; RegistryError, with those that there are, if none."""
    if not known:
        raise RegistryError(
            f"no version of {name} is registered: make one with `retain run {name}`"
        )
    if number not in known:
        there = ", ".join(map(str, sorted(known)))
        raise RegistryError(f"{name} has no version {number}; there is {there}")
    return known[number]


def _warning(which: str, version: "ModelVersion") -> str:
    """Return what a version is that is not champion, why, and how it becomes champion."""
    tags = version.tags
    verdict = tags.get("verdict") or f"gate {tags.get('gate', 'not run yet')}"
    return (
        f"{which} is used; it is a challenger, not the champion. "
        f"When it was registered: {verdict}\n"
        f"To make it the champion: "
        f'`retain promote {version.name} --version {version.version} --reason "…"`'
    )
