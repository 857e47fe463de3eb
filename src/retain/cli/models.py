"""The commands of `retain` that look at the registry and change it; `cli.py` takes them in."""

import json
import sys
from typing import Annotated

import typer

from retain.config import schema

app = typer.Typer()
Name = Annotated[str, typer.Argument(help="Of the problem, which is that of the model.")]


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="Of one model; all if none.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines, with all tags.")] = False,
) -> None:
    """List registered versions: aliases, test metrics, age, data trained on, verdict."""
    from rich.console import Console

    from retain.registry import listing

    found = listing.rows(schema.find_root(), name)
    if as_json:
        typer.echo(json.dumps(listing.plain(found), indent=2, ensure_ascii=False))
        return
    Console(width=None if sys.stdout.isatty() else 160).print(listing.table(found))


@app.command()
def promote(
    name: Name,
    version: Annotated[int, typer.Option(min=1, help="To make the champion.")],
    reason: Annotated[str, typer.Option(help="Why; it is written down with who and when.")],
) -> None:
    """Make a version @champion, whatever the gate said; the one before becomes @previous."""
    from retain.registry import promotion

    root = schema.find_root()
    typer.echo(promotion.promote(root, name, version, reason))
    typer.echo(_commit(name))


@app.command()
def rollback(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why; it is written down.")] = "rolled back",
) -> None:
    """Make @previous the champion again, and the champion @previous."""
    from retain.registry import promotion

    typer.echo(promotion.rollback(schema.find_root(), name, reason))
    typer.echo(_commit(name))


@app.command()
def rehydrate(
    names: Annotated[list[str] | None, typer.Argument(help="Problems; all if none.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
) -> None:
    """Rebuild the registry from git's history, dvc.lock and DVC's cache or remote."""
    from retain.registry import rebuild

    root = schema.find_root()
    for name in names or schema.load(root):
        for line in rebuild.rehydrate(root, name, dry_run):
            typer.echo(line)


def _commit(name: str) -> str:
    return (
        f"written to models/{name}/promotions.csv: commit it, and `retain rehydrate` knows it too"
    )
