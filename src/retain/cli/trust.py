"""The commands of `retain` that sign registered versions and check them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retain.cli.models import Name
from retain.config import loader

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

app = typer.Typer()
Number = Annotated[
    int | None, typer.Option(min=1, help="Number of the version; by default @champion.")
]


@app.command()
def sign(
    name: Name,
    key: Annotated[
        Path,
        typer.Option(
            help="File of the private key: an elliptic one, in PEM; RETAIN_KEY_PASSWORD has its "
            "password."
        ),
    ],
    version: Number = None,
) -> None:
    """Sign a version: its model, and all that its manifest names. All files are compared first."""
    from retain.registry import artifacts, signing

    found = _find(name, version)
    with artifacts.fetched(found) as copy:
        count = artifacts.check_all(copy)
        artifacts.add_signature(copy, signing.sign(copy.place, key))
    typer.echo(f"{artifacts.label(found)} is signed: its model, and {count} files by the manifest")


@app.command()
def verify(
    name: Name,
    version: Number = None,
    key: Annotated[
        Path | None,
        typer.Option(help="File of the public key, in PEM; by default RETAIN_REQUIRE_SIGNATURE."),
    ] = None,
) -> None:
    """Compare a version with its manifest and with the ledger, and check its signature."""
    from retain.registry import artifacts, manifest, registry, signing
    from retain.tracking import store

    found, root = _find(name, version), loader.find_root()
    champion = registry.alias_version(store.connect(root), name, "champion")
    is_champion = champion is not None and champion.version == found.version
    with artifacts.fetched(found) as copy:
        count = artifacts.check_all(copy)
        typer.echo(f"{artifacts.label(found)}: {count} files are those of {manifest.NAME}")
        typer.echo(artifacts.check_ledger(root, copy, is_champion))
        public = key or signing.required_key()
        if public is not None:
            artifacts.check_signature(copy, public)
            typer.echo(f"the signature is valid for {public}")
        else:
            signed = artifacts.signature(copy) is not None
            state = "is not checked: give the public key with --key" if signed else "is missing"
            typer.echo(f"the signature {state}")


@app.command()
def sbom(
    name: Name,
    version: Number = None,
) -> None:
    """Print the packages that a version was registered with, as CycloneDX JSON."""
    from retain.registry import artifacts, manifest

    found = _find(name, version)
    with artifacts.fetched(found) as copy:
        artifacts.listed(copy)
        typer.echo(copy.file(manifest.SBOM).decode(), nl=False)


def _find(name: str, number: int | None) -> "ModelVersion":
    """Return a version of the project's store, by default the champion."""
    from retain.registry import lookup, registry
    from retain.tracking import store

    client = store.connect(loader.find_root())
    if number is None:
        return registry.champion(client, name)
    return lookup.find_version(lookup.versions(client, name), name, number)
