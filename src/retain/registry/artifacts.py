"""A registered version's files in MLflow: copied, and compared with what was registered."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from retain.errors import RegistryError
from retain.project import files, fingerprint
from retain.project.layout import Layout
from retain.registry import ledger, manifest, signing
from retain.tracking import store

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class Fetched:
    """A copy of a version's model folders; the files are those that were registered.

    Attributes:
        place: the copy, with the paths of the store.
        folders: of the models `model` and, where there is one, `final`.
        content: of the manifest; None for a version that was registered without one.
    """

    version: "ModelVersion"
    place: Path
    folders: Mapping[str, Path]
    content: dict[str, Any] | None

    @property
    def forecasting(self) -> Path:
        """The folder of the model that forecasts: the refitted one where there is one."""
        return self.folders.get("final", self.folders["model"])

    def file(self, path: str) -> bytes:
        """Return another file of the version.

        Raises:
            RegistryError: it is missing, or is not the one that was registered.
        """
        with TemporaryDirectory() as scratch, _readable(self.version) as uri:
            local = fetch(uri, path, Path(scratch))
            if self.content is not None:
                manifest.check(self.content, Path(scratch), path, label(self.version))
            return local.read_bytes()

    def example(self) -> "pd.DataFrame":
        """Return the example of a request that was registered."""
        import pandas as pd

        content = json.loads(self.file("input_example.json"))
        return pd.DataFrame(content["data"], columns=content["columns"])


@contextmanager
def fetched(version: "ModelVersion") -> Iterator[Fetched]:
    """Yield a copy of a version's model folders, which is removed at the end of the block.

    Raises:
        RegistryError: the store no longer has its files, or has others than were registered.
    """
    which, recorded = label(version), version.tags.get(manifest.TAG)
    with TemporaryDirectory() as scratch:
        place = Path(scratch) / version.name
        with _readable(version) as uri:
            if recorded:
                bytes_ = fetch(uri, manifest.NAME, place).read_bytes()
                content: dict[str, Any] | None = manifest.read(bytes_, recorded, which)
                fetch(uri, manifest.ARTIFACTS, place)
            else:
                content, folders = None, _unlisted_folders(uri, place)
        if content is not None:
            paths = content["folders"].items()
            folders = {key: files.inside(place, path) for key, path in paths}
        for key in ("model", "final"):
            md5 = fingerprint.folder_md5(folders[key]) if key in folders else ""
            if md5 != (then := version.tags.get(f"{key}.md5", "")):
                raise RegistryError(
                    f"the files of {which} are not those that were registered: their md5 is {md5}, "
                    f"and the version's tag {key}.md5 says {then}; nothing of them is read. Move "
                    f"the tracking store away and build it anew from DVC's cache: "
                    f"`retain rehydrate {version.name}`"
                )
        if content is not None:
            manifest.check(content, place, manifest.ARTIFACTS, which)
        yield Fetched(version, place, folders, content)


def _unlisted_folders(uri: str, place: Path) -> dict[str, Path]:
    """Copy the model folders of a version that was registered before there were manifests."""
    import mlflow

    flavor = mlflow.models.get_model_info(uri).flavors["python_function"]
    return {key: fetch(uri, entry["path"], place) for key, entry in flavor["artifacts"].items()}


@contextmanager
def trusted(version: "ModelVersion") -> Iterator[Fetched]:
    """Yield a copy of a version as `fetched`, to forecast with it.

    Raises:
        RegistryError: as `fetched`, or the environment requires a signature (`signing.REQUIRED`)
            and the version has no valid one.
    """
    with fetched(version) as copy:
        if key := signing.required_key():
            check_signature(copy, key)
        yield copy


@contextmanager
def downloaded(version: "ModelVersion", final: bool = False) -> Iterator[Path]:
    """Yield the folder of a version's evaluated model, or of the one that forecasts (`final`).

    Raises:
        RegistryError: as `fetched`.
    """
    with fetched(version) as copy:
        yield copy.forecasting if final else copy.folders["model"]


def signature(copy: Fetched) -> bytes | None:
    """Return the signature that lies beside a version, if one does."""
    import mlflow

    with _readable(copy.version) as uri:
        there = {file.path for file in mlflow.artifacts.list_artifacts(uri)}
    return copy.file(manifest.SIGNATURE) if manifest.SIGNATURE in there else None


def add_signature(copy: Fetched, content: bytes) -> None:
    """Put a signature beside a version, in place of the one that it had."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    with TemporaryDirectory() as scratch, _readable(copy.version):
        path = Path(scratch) / manifest.SIGNATURE
        path.write_bytes(content)
        # Not by MLflow's client, which remembers where a model of this id was in another store.
        get_artifact_repository(str(copy.version.source)).log_artifact(str(path))


def check_signature(copy: Fetched, key: Path) -> None:
    """Check the signature of a version with a public key.

    Raises:
        RegistryError: it has none, or none of this key for these files.
        ParamsError: the key cannot be used, or model-signing is not installed.
    """
    version = copy.version
    given = (str(version.name), str(version.version))
    signing.check(copy.place, signature(copy), key, *given, copy.content)


def listed(copy: Fetched) -> dict[str, Any]:
    """Return the content of a version's manifest; RegistryError where it has none."""
    if copy.content is None:
        raise RegistryError(
            f"{label(copy.version)} has no manifest: it was registered before there were "
            f"manifests. Train it anew, or move the tracking store away and rebuild it with "
            f"`retain rehydrate {copy.version.name}`"
        )
    return copy.content


def check_all(copy: Fetched) -> int:
    """Compare all files of a version with its manifest, also those that only MLflow reads.

    Returns:
        How many files they are.

    Raises:
        RegistryError: it has no manifest, or a file was changed, added or removed.
    """
    content = listed(copy)
    with TemporaryDirectory() as scratch, _readable(copy.version) as uri:
        manifest.check(content, fetch(uri, "", Path(scratch)), "", label(copy.version))
    return len(content["files"])


def check_ledger(root: Path, copy: Fetched, is_champion: bool) -> str:
    """Compare a version with the ledger, which is in git and not in the store.

    Returns:
        What was compared.

    Raises:
        RegistryError: the version has other files than the ledger recorded, or it is champion and
            the ledger's last decision made another model champion.
    """
    version = copy.version
    name, which = str(version.name), label(version)
    path = Layout(Path(), name).ledger
    entries = ledger.read(root, name)
    own = (version.tags.get("model.md5", ""), version.tags.get("final.md5", ""))
    recorded, sentences = ledger.sha256s_of(entries, own), []
    if recorded:
        if (found := manifest.content_of_version(listed(copy))) not in recorded:
            raise RegistryError(
                f"{which} has the md5 of a model in {path}, but other files: the ledger says "
                f"sha256 {' or '.join(recorded)}, and it is {found}. Do not use it; move the "
                f"store away and build it anew with `retain rehydrate {name}`"
            )
        sentences.append("the files are those that were registered")
    else:
        sentences.append("it has no sha256 of this version, whose files are not compared")
    if is_champion:
        last = ledger.champion(entries)
        if last is not None and last.content != own:
            raise RegistryError(
                f"{which} is @champion, but by the last decision in {path} another model is: md5 "
                f"{fingerprint.short(last.model)}, {last.at[:10]}, by {last.by}. If another "
                f"machine decided since, pull its commit; if not, the alias was moved without "
                f"retain: look at `retain models {name}`, and make one champion with `retain "
                f"promote`"
            )
        unknown = "it does not say which version is @champion"
        sentences.append(unknown if last is None else f"it was made @champion by {last.by}")
    return f"{path}: {'; '.join(sentences)}"


def label(version: "ModelVersion") -> str:
    """Return what a message calls a version."""
    return f"{version.name} version {version.version}"


def fetch(uri: str, path: str, place: Path) -> Path:
    """Copy a file or folder of a logged model, or all of it (empty path), and return the copy.

    The copy has the same path below `place`.
    """
    import mlflow

    address = f"{uri}/{path}" if path else uri
    return Path(mlflow.artifacts.download_artifacts(address, dst_path=str(place)))


@contextmanager
def _readable(version: "ModelVersion") -> Iterator[str]:
    """Yield the address of a version; RegistryError where its files cannot be reached."""
    try:
        yield f"models:/{version.name}/{version.version}"
    except store.client_errors() as error:
        store.raise_full_disk(error)
        raise RegistryError(
            f"the files of {label(version)} cannot be read from {version.source}: {error}"
        ) from None
