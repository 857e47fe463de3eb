"""The provenance of a registered version as an in-toto statement, in the words of SLSA.

The statement names the files of the model by sha256, and what they were made of. It is not signed:
whoever attests it signs it. https://slsa.dev/spec/v1.0/provenance has the meaning of its fields.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from retain.errors import RegistryError
from retain.project.layout import Layout
from retain.registry import artifacts, manifest
from retain.registry.provenance import Provenance

STATEMENT, PREDICATE = "https://in-toto.io/Statement/v1", "https://slsa.dev/provenance/v1"
BUILD, BUILDER = "urn:x-retain:pipeline:1", "urn:x-retain:unverified"  # SLSA asks for URIs


def statement(model: Provenance) -> dict[str, Any]:
    """Return the statement about a registered version, whose files are compared first.

    Raises:
        RegistryError: the model is not registered, has no manifest, or its files are others.
    """
    if model.version is None or model.run is None:
        raise RegistryError(
            f"{model.label} has no statement: name a registered version, as in "
            f"models:/{model.name}@champion"
        )
    with artifacts.fetched(model.version) as copy:
        content = artifacts.listed(copy)
    folders = tuple(f"{path}/" for path in content["folders"].values())
    info = model.run.info
    times = {"startedOn": info.start_time, "finishedOn": info.end_time}
    return {
        "_type": STATEMENT,
        "subject": [
            {"name": path, "digest": {"sha256": digest}}
            for path, digest in content["files"].items()
            if path.startswith(folders)
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": {
                    "name": model.name,
                    "version": str(model.version.version),
                    "cell": model.cell,
                    "params": dict(sorted(model.params.items())),
                },
                "internalParameters": dict(sorted(model.environment.items())),
                "resolvedDependencies": list(_dependencies(model, content)),
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"retain": content["retain"]["version"]}},
                "metadata": {
                    "invocationId": info.run_id,
                    **{key: _iso(value) for key, value in times.items() if value},
                },
            },
        },
    }


def _dependencies(model: Provenance, content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what the model was made of, each with a digest."""
    if model.commit:
        changed = {"annotations": {"changed": True}} if model.patch else {}
        yield {"name": "commit", "digest": {"gitCommit": model.commit}, **changed}
    if raw := model.tags.get("raw.md5"):
        path = model.params.get("data.path", "raw data")
        yield {"name": path, "digest": {"md5": raw.removesuffix(".dir")}}
    prepared = Layout(Path(), model.name).prepared.as_posix()
    for path, digest in content["prepared"].items():
        yield {"name": f"{prepared}/{path}", "digest": {"sha256": digest}}
    for path, digest in content["code"].items():
        yield {"name": path, "digest": {"sha256": digest}}
    whole = {
        "params": content["params"],
        "dvc.lock": content["dvc.lock"],
        "requirements.lock": content["requirements.lock"],
        "retain wheel": content["retain"]["wheel"],
        manifest.SBOM: content["files"][manifest.SBOM],
    }
    for name, digest in whole.items():
        if digest:
            yield {"name": name, "digest": {"sha256": digest}}


def _iso(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
