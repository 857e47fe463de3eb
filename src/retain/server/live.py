"""The model that a server answers with: the champion, and the next one once it is champion."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from retain import lineage, params, registry, store
from retain.errors import RegistryError, RetainError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger("retain.server")


@dataclass(frozen=True)
class Loaded:
    """A version of the registry in memory."""

    name: str
    version: str
    md5: str
    served: Any  # what the kind's room `serving` loads
    tags: dict[str, str]
    example: pd.DataFrame

    def described(self) -> dict[str, Any]:
        """Version, lineage and metrics."""
        numbers = {
            key.removeprefix("test."): float(value)
            for key, value in self.tags.items()
            if key.startswith("test.")
        }
        known = ("data.md5", "params.md5", "git.commit", "git.dirty")
        return {
            "name": self.name,
            "version": self.version,
            "md5": self.md5,
            "verdict": self.tags.get("verdict", ""),
            "metrics": numbers,
            "lineage": {key: self.tags[key] for key in known if key in self.tags},
            **self.served.described(),
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
        self._root, self._name = root, name
        self._client = store.connect(root)
        self.trouble = ""  # why the registry could not be asked last time
        champion = registry.alias_version(self._client, name, "champion")
        if champion is None:
            raise RegistryError(
                f"no version of `{name}` is @champion: train and register one with "
                f"`dvc repro register@{name}`"
            )
        self.model = _load(champion)

    def refresh(self) -> bool:
        """Take the champion that there is now; whether it is another one.

        Whatever goes wrong, the server goes on with the model that it has.
        """
        try:
            with store.answering(self._root):
                champion = registry.alias_version(self._client, self._name, "champion")
            if champion is None:
                raise RegistryError(f"no version of {self._name} is @champion any more")
            changed = str(champion.version) != self.model.version
            if changed:
                self.model = _load(champion)
                log.info("swapped", extra={"version": self.model.version})
        except RetainError as error:
            if str(error) != self.trouble:
                log.warning("the model stays: %s", error)
            self.trouble = str(error)
            return False
        self.trouble = ""
        return changed


def _load(version: "ModelVersion") -> Loaded:
    with registry.downloaded(version) as folder:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["kind"]
        served = params.room_of(kind, "serving").load(folder)
        md5 = lineage.folder_md5(folder)
    example = registry.example(version)
    served.answer(example)  # the first call is slow, and a model that cannot answer is not taken
    return Loaded(version.name, str(version.version), md5, served, dict(version.tags), example)
