"""The model that a server answers with: the champion, and the next one once it is champion."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pandas as pd

from retain.config.kind import Predictor, find_kind, require
from retain.errors import ModelError, RetainError
from retain.model_files import load_model
from retain.registry import artifacts, registry, version_tags
from retain.tracking import store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from retain.serving.endpoint import BuildEndpoint

P_co = TypeVar("P_co", bound=Predictor, covariant=True)  # the class of the kind's predictors

Load = Callable[[Path], Predictor]
LINEAGE = ("data.md5", "params.md5", "git.commit", "git.dirty")  # tags of a version

log = logging.getLogger("retain.serving")


@dataclass(frozen=True)
class LoadedChampion(Generic[P_co]):
    """A version of the registry in memory."""

    name: str  # of the problem
    version: str
    md5: str  # of the folder of the model that answers; its files were compared with it
    kind: str
    origin: dict[str, Any]  # its verdict, test metrics and lineage
    predictor: P_co
    example: pd.DataFrame
    build_endpoint: "BuildEndpoint"

    @property
    def identity(self) -> dict[str, str]:
        """Return the model's identity for each answer."""
        return {"name": self.name, "version": self.version, "md5": self.md5}


class ChampionHolder:
    """Holds the current champion of a problem.

    Args:
        root: the project's folder.
        name: the problem, which is also the name of the registered model.
        load: loads a model folder.

    Raises:
        RegistryError: there is no champion, or the registry does not answer.
    """

    def __init__(self, root: Path, name: str, load: Load = load_model):
        self._name, self._load = name, load
        self._client = store.connect(root)
        self.registry_error = ""  # why the champion could not be loaded last time
        self.champion = _load(registry.champion(self._client, name), load)

    def refresh(self) -> None:
        """Load the current champion, if it is another version or has other content.

        Every error is logged and stored in `registry_error`; the server keeps its model, and the
        next call tries again. A rebuilt registry has new numbers and may give a known number to
        other content, so both are compared.
        """
        try:
            version = registry.champion(self._client, self._name)
            known = self.champion.version, self.champion.md5
            if (str(version.version), version_tags.forecasting_md5(version)) != known:
                self.champion = _load(version, self._load, self.champion.kind)
                log.info("swapped", extra={"version": self.champion.version})
            self.registry_error = ""
        except Exception as error:  # an unexpected error must not stop the checks
            is_known = isinstance(error, RetainError)
            sentence = str(error) if is_known else f"{type(error).__name__}: {error}"
            sentence = store.shown(sentence)  # /health shows it to everybody
            if sentence != self.registry_error:
                log.warning("the model stays: %s", sentence, exc_info=not is_known)
            self.registry_error = sentence


def _load(
    version: "ModelVersion", load: Load, kind: str | None = None
) -> LoadedChampion[Predictor]:
    """Load a version that can be served, of `kind` if given, since paths and page depend on it."""
    with artifacts.trusted(version) as copy:
        predictor, example = load(copy.forecasting), copy.example()
    manifest = find_kind(predictor.config["kind"])
    assert manifest is not None, "the model was loaded by it"
    label = artifacts.label(version)
    if kind not in (None, manifest.name):
        raise ModelError(
            f"{label} is of kind {manifest.name}, not {kind}: start `retain serve` anew"
        )
    build_endpoint = require(
        manifest.endpoint,
        f"`retain serve` cannot ask models of kind {manifest.name}: ask {label} with "
        f"`{manifest.command} {version.name} …`, or serve it with `mlflow models serve`",
    )
    predictor.predict(example)  # the first call is slow, and a model must answer before it is used
    tags = version.tags
    origin = {
        "verdict": tags.get("verdict", ""),
        "metrics": version_tags.test_metrics(version),
        "lineage": {key: tags[key] for key in LINEAGE if key in tags},
    }
    return LoadedChampion(
        name=str(version.name),
        version=str(version.version),
        md5=version_tags.forecasting_md5(version),
        kind=manifest.name,
        origin=origin,
        predictor=predictor,
        example=example,
        build_endpoint=build_endpoint,
    )
