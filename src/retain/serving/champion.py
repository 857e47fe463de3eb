"""The model that a server answers with: the champion, and the next one once it is champion."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from retain.config.kind import find_kind
from retain.errors import ModelError, RetainError
from retain.model_files import load_model
from retain.registry import artifacts, registry
from retain.tracking import store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from retain.serving.endpoint import Service

log = logging.getLogger("retain.serving")


@dataclass(frozen=True)
class Loaded:
    """A version of the registry in memory."""

    registered: "ModelVersion"
    served: Any  # what the kind's room `serving` loads
    example: pd.DataFrame

    @property
    def name(self) -> str:
        """Of the problem."""
        return str(self.registered.name)

    @property
    def version(self) -> str:
        """Its number."""
        return str(self.registered.version)

    @property
    def md5(self) -> str:
        """Of its folder, with which its files were compared."""
        return str(self.registered.tags["model.md5"])

    @property
    def endpoint(self) -> "type[Service]":
        """How it is asked over HTTP."""
        kind = find_kind(self.kind)
        assert kind is not None, "it was loaded by it"
        assert kind.endpoint is not None, "it is checked when a model is loaded"
        return kind.endpoint.load

    @property
    def kind(self) -> str:
        """Of the problem."""
        return str(self.served.config["kind"])

    def described(self) -> dict[str, Any]:
        """Version, lineage and metrics."""
        tags = self.registered.tags
        known = ("data.md5", "params.md5", "git.commit", "git.dirty")
        return {
            "name": self.name,
            "version": self.version,
            "md5": self.md5,
            "verdict": tags.get("verdict", ""),
            "metrics": registry.test_metrics(self.registered),
            "lineage": {key: tags[key] for key in known if key in tags},
        }


class Live:
    """The present champion of a problem.

    Args:
        root: the project's folder.
        name: the problem, which is also the name of the registered model.

    Raises:
        RegistryError: there is no champion, or the registry does not answer.
    """

    def __init__(self, root: Path, name: str):
        self._name = name
        self._client = store.connect(root)
        self.trouble = ""  # why the registry could not be asked last time
        self.model = _load(registry.champion(self._client, name))

    def refresh(self) -> bool:
        """Take the champion that there is now; whether it is another one.

        Whatever goes wrong, the server goes on with the model that it has.
        """
        try:
            champion = registry.champion(self._client, self._name)
            changed = str(champion.version) != self.model.version
            if changed:
                self.model = _load(champion, self.model.kind)
                log.info("swapped", extra={"version": self.model.version})
        except RetainError as error:
            if str(error) != self.trouble:
                log.warning("the model stays: %s", error)
            self.trouble = str(error)
            return False
        self.trouble = ""
        return changed


def _load(version: "ModelVersion", kind: str | None = None) -> Loaded:
    """A version that can be served; of `kind`, if given, since paths and page are the kind's."""
    with artifacts.downloaded(version) as folder:
        served = load_model(folder)
    own, label = served.config["kind"], f"{version.name} version {version.version}"
    if kind not in (None, own):
        raise ModelError(f"{label} is of kind {own}, not {kind}: start `retain serve` anew")
    found = find_kind(own)
    assert found is not None, "the model was loaded by it"
    if found.endpoint is None:
        raise ModelError(
            f"`retain serve` cannot ask models of kind {own}: ask {label} with "
            f"`{found.command} {version.name} …`, or serve it with `mlflow models serve`"
        )
    example = artifacts.example(version)
    served.predict(example)  # the first call is slow, and a model that cannot answer is not taken
    return Loaded(version, served, example)
