"""The commands of `retain` that read and change the registry."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from retain.cli import printing
from retain.config import loader
from retain.errors import ParamsError
from retain.project.layout import Layout

app = typer.Typer()
Name = Annotated[str, typer.Argument(help="Name of the problem and of its model.")]
By = Annotated[
    str,
    typer.Option(
        help="Name of the person who decides; by default the name in git's configuration."
    ),
]
Model = Annotated[
    str,
    typer.Argument(
        help="A registered model, models:/NAME@champion or models:/NAME/3; or NAME alone for the "
        "model in the working tree."
    ),
]


@app.command()
def results(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of problems to show; all if none is given.")
    ] = None,
) -> None:
    """Print the verdict about each problem's model, its tables, and what to do next."""
    from retain.registry import lookup

    root = loader.find_root()
    known = loader.load(root)
    for name in names or known:
        if name not in known:
            raise ParamsError(f"params.yaml: no problem `{name}`; there is {', '.join(known)}")
        folder = Layout(root, name).reports
        if not (folder / "report.md").is_file():
            typer.echo(f"{name}: no results yet; make them with `retain run {name}`")
            continue
        first, rest = printing.split_report((folder / "report.md").read_text(encoding="utf-8"))
        printing.markdown(first)
        decision = lookup.decision(root, name)
        sentence = decision["sentence"] if decision else lookup.not_registered(name)
        typer.echo(f"registry: {sentence}")
        typer.echo(f"report:   {(folder / 'report.html').relative_to(root)}\n")
        printing.markdown(rest)
        printing.next_steps(name, known[name])


@app.command()
def models(
    name: Annotated[
        str | None, typer.Argument(help="Name of a model; all models if none is given.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, with more fields than the table.")
    ] = False,
) -> None:
    """List registered versions: aliases, test metrics, age, data trained on, verdict."""
    from retain.registry import listing

    rows = listing.rows(loader.find_root(), name)
    if as_json:
        typer.echo(json.dumps(listing.plain(rows), indent=2, ensure_ascii=False))
        return
    printing.table(listing.table(rows))


@app.command()
def promote(
    name: Name,
    version: Annotated[
        int, typer.Option(min=1, help="Number of the version that becomes @champion.")
    ],
    reason: Annotated[
        str, typer.Option(help="Why; the ledger keeps it with the person and the time.")
    ],
    by: By = "",
) -> None:
    """Make a version @champion, even if it failed the gate; the champion becomes @previous."""
    from retain.registry import promotion

    root = loader.find_root()
    typer.echo(promotion.promote(root, name, version, reason, by))
    typer.echo(_commit(name))


@app.command()
def rollback(
    name: Name,
    reason: Annotated[
        str, typer.Option(help="Why you go back; the ledger keeps it.")
    ] = "rolled back",
    by: By = "",
) -> None:
    """Make @previous the champion again, and the champion @previous."""
    from retain.registry import promotion

    typer.echo(promotion.rollback(loader.find_root(), name, reason, by))
    typer.echo(_commit(name))


@app.command()
def rehydrate(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of models to rebuild; all if none is given.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, and change nothing.")
    ] = False,
) -> None:
    """Rebuild the registry from git's history, dvc.lock and DVC's cache or remote."""
    from retain.registry import rebuild

    root = loader.find_root()
    for name in names or loader.load(root):
        for line in rebuild.rehydrate(root, name, dry_run):
            typer.echo(line)


@app.command()
def trace(
    model: Model,
    shown: Annotated[
        Literal["text", "intoto"],
        typer.Option(
            "--format", help="intoto: a statement of SLSA provenance in JSON, for a version."
        ),
    ] = "text",
) -> None:
    """Print the origin of a model: version, run, commit, stage, params, data, raw file."""
    from retain.registry import attestation, provenance

    root = loader.find_root()
    origin = provenance.find(root, model)
    if shown == "intoto":
        typer.echo(json.dumps(attestation.statement(origin), indent=2, ensure_ascii=False))
        return
    for label, text in provenance.trace(root, origin):
        typer.echo(f"{label:<8} {text}")


@app.command()
def prove(
    model: Model,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="First install the library versions that its commit locks."),
    ] = False,
    wheels: Annotated[
        Path | None, typer.Option(help="A folder with files of that lock, besides wheels/.")
    ] = None,
    chain: Annotated[
        bool,
        typer.Option("--chain", help="Then each model that it started from, to the first."),
    ] = False,
) -> None:
    """Train a model again from its recorded inputs, in a scratch clone, and compare the files.

    Exit code 0: identical. 3: the test metrics differ within prove.tolerance. 1: they differ more.
    """
    from retain.registry import provenance, reproduce

    root = loader.find_root()
    origin: provenance.Provenance | None = provenance.find(root, model)
    codes = []
    while origin is not None:
        proof = reproduce.prove(root, origin, fresh, wheels)
        typer.echo(f"\n{origin.label}, made anew at commit {origin.commit[:9]}")
        for line in proof.lines():
            typer.echo(f"  {line}")
        codes.append(proof.code)
        origin = provenance.parent(root, origin) if chain else None
    raise typer.Exit(reproduce.DIFFERENT if reproduce.DIFFERENT in codes else max(codes))


@app.command()
def sync() -> None:
    """Send MLflow the runs and scores that are kept on disk because it did not answer."""
    from retain.tracking import runs

    sent = runs.sync(loader.find_root())
    typer.echo("\n".join(sent) or "nothing is pending")


@app.command("runs")
def show_runs(
    address: Annotated[
        str, typer.Option(help="Address at which MLflow's pages are served.")
    ] = "http://127.0.0.1:5000",
) -> None:
    """Print the addresses of the runs and versions of each problem in MLflow's pages."""
    from retain.tracking import store

    root = loader.find_root()
    ids = store.experiment_ids(root)
    for name in loader.load(root):
        if name in ids:
            typer.echo(f"{name}: {address}/#/experiments/{ids[name]}/runs")
    typer.echo(f"registered models: {address}/#/models")


def _commit(name: str) -> str:
    return f"written to models/{name}/ledger.csv: commit it, and `retain rehydrate` knows it too"
