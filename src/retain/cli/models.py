"""The commands of `retain` that look at the registry and change it."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from retain.config import loader
from retain.errors import ParamsError
from retain.project import fingerprint
from retain.project.layout import Layout

app = typer.Typer()
Name = Annotated[str, typer.Argument(help="Of the problem, which is that of the model.")]
By = Annotated[str, typer.Option(help="Who decides; if not given, whom git knows.")]
Model = Annotated[
    str, typer.Argument(help="models:/NAME@champion, models:/NAME/3, or NAME in the working tree.")
]


@app.command()
def results(
    names: Annotated[list[str] | None, typer.Argument(help="Problems; all if none.")] = None,
) -> None:
    """Print how each problem's models compare, the verdict, and where the report is."""
    from rich.console import Console
    from rich.markdown import Markdown

    root = loader.find_root()
    known = loader.load(root)
    console = Console(width=None if sys.stdout.isatty() else 110)
    for name in names or known:
        if name not in known:
            raise ParamsError(f"params.yaml: no problem `{name}`; there is {', '.join(known)}")
        folder = Layout(root, name).reports
        if not (folder / "report.md").is_file():
            typer.echo(f"{name}: no results yet; make them with `dvc repro register@{name}`")
            continue
        console.print(Markdown((folder / "report.md").read_text(encoding="utf-8")))
        typer.echo(f"registry: {_decision(root, name)}")
        typer.echo(f"report:   {(folder / 'report.html').relative_to(root)}")


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="Of one model; all if none.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines, with all tags.")] = False,
) -> None:
    """List registered versions: aliases, test metrics, age, data trained on, verdict."""
    from rich.console import Console

    from retain.registry import listing

    found = listing.rows(loader.find_root(), name)
    if as_json:
        typer.echo(json.dumps(listing.plain(found), indent=2, ensure_ascii=False))
        return
    Console(width=None if sys.stdout.isatty() else 160).print(listing.table(found))


@app.command()
def promote(
    name: Name,
    version: Annotated[int, typer.Option(min=1, help="To make the champion.")],
    reason: Annotated[str, typer.Option(help="Why; it is written down with who and when.")],
    by: By = "",
) -> None:
    """Make a version @champion, whatever the gate said; the one before becomes @previous."""
    from retain.registry import promotion

    root = loader.find_root()
    typer.echo(promotion.promote(root, name, version, reason, by))
    typer.echo(_commit(name))


@app.command()
def rollback(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why; it is written down.")] = "rolled back",
    by: By = "",
) -> None:
    """Make @previous the champion again, and the champion @previous."""
    from retain.registry import promotion

    typer.echo(promotion.rollback(loader.find_root(), name, reason, by))
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

    root = loader.find_root()
    for name in names or loader.load(root):
        for line in rebuild.rehydrate(root, name, dry_run):
            typer.echo(line)


@app.command()
def trace(model: Model) -> None:
    """Print where a model comes from: version, run, commit, stage, params, data, raw file."""
    from retain.registry import provenance

    root = loader.find_root()
    lines = provenance.trace(root, provenance.find(root, model))
    for label, text in lines:
        typer.echo(f"{label:<8} {text}")


@app.command()
def prove(
    model: Model,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Install the versions locked at its commit first.")
    ] = False,
    wheels: Annotated[
        Path | None, typer.Option(help="A folder with files of that lock, besides wheels/.")
    ] = None,
) -> None:
    """Make a model anew from what is recorded of it, in a scratch clone, and compare.

    Exit code 0: identical. 3: different within the tolerance of params. 1: different.
    """
    from retain.registry import provenance, reproduce

    root = loader.find_root()
    origin = provenance.find(root, model)
    found = reproduce.prove(root, origin, fresh, wheels)
    typer.echo(f"\n{origin.label}, made anew at commit {origin.commit[:9]}")
    for line in found.lines():
        typer.echo(f"  {line}")
    raise typer.Exit(found.code)


@app.command()
def sync() -> None:
    """Send the tracking store what was kept while it did not answer."""
    from retain.tracking import runs

    told = runs.sync(loader.find_root())
    typer.echo("\n".join(told) or "nothing is pending")


def _decision(root: Path, name: str) -> str:
    """What became of the present model in the registry, if it was registered here."""
    from retain.evaluation import choice

    layout = Layout(root, name)
    path, model = layout.decision, layout.model(choice.judged(layout.metrics))
    decision = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    final = fingerprint.folder_md5(layout.refitted) if layout.refitted else ""
    known = (decision.get("model_md5"), decision.get("final_md5", ""))
    if not model.is_dir() or known != (fingerprint.folder_md5(model), final):
        return f"this model was not registered last; do so with `dvc repro -f -s register@{name}`"
    return str(decision["sentence"])


def _commit(name: str) -> str:
    return f"written to models/{name}/ledger.csv: commit it, and `retain rehydrate` knows it too"
