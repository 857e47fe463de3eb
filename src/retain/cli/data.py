"""The commands of `retain` about problems and their tables."""

from pathlib import Path
from typing import Annotated

import typer

from retain.cli import dialogue
from retain.config import kind as manifest
from retain.config import loader
from retain.errors import ParamsError, stopped_after

Name = Annotated[str, typer.Argument(help="Of the problem.")]

app = typer.Typer()


@app.command()
def check(name: Name) -> None:
    """Read and check a problem's table, without training, and print the findings."""
    root = loader.find_root()
    problem = loader.load_problem(root, name)
    check_table = manifest.require(
        manifest.kind_of(problem).check_table,
        f"`retain check` reads tables; problems.{name} is of kind {problem.kind}",
    )
    path, lines = check_table(problem, root)
    typer.echo(f"{name}: {path}")
    for line in lines:
        typer.echo(f"  {line}")


@app.command()
def problems(
    kind: Annotated[
        list[str] | None, typer.Option(help="Kind of the problems to print; repeat it for more.")
    ] = None,
) -> None:
    """Print the names of the problems, one a line."""
    kinds = loader.kinds(loader.find_root())
    kind_names = manifest.kind_names()
    for wanted in kind or ():
        if wanted not in kind_names:
            raise ParamsError(f"--kind is {wanted!r}; expected one of {', '.join(kind_names)}")
    for name, kind_name in kinds.items():
        if not kind or kind_name in kind:
            typer.echo(name)


@app.command()
def remove(
    name: Name,
    data: Annotated[bool, typer.Option("--data", help="Delete its table, too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a problem: its entry, its stages in dvc.lock, and their outputs."""
    from retain.project import removal

    root = loader.find_root()
    found = removal.plan(root, name)
    if data:
        removal.check_table(root, found)
    goes = [f"problems.{name} in params.yaml", *(f"{folder}/" for folder in found.folders)]
    if found.stages:
        count = len(found.stages)
        goes.append(f"{count} stage{'s' * (count > 1)} in dvc.lock")
    stays = []
    if found.ledger is not None:
        stays.append(f"{found.ledger}, and the registered versions that it lists")
    if found.table:
        (goes if data else stays).append(found.table)
    typer.echo(f"removes: {', '.join(goes)}")
    if stays:
        typer.echo(f"keeps:   {', '.join(stays)}")
    if not dialogue.confirm(f"Remove {name}?", yes, default=False):
        typer.echo("nothing removed")
        raise typer.Exit(1)
    removal.carry_out(root, found, data)
    typer.echo(
        f"removed; commit params.yaml, dvc.yaml and dvc.lock: git commit -am 'Remove {name}'"
    )


@app.command()
def append(
    name: Name,
    path: Annotated[Path, typer.Argument(help="File with new rows, in the format of the table.")],
) -> None:
    """Add new rows to a problem's table, and fill in values that it lacks.

    Known rows are ignored, and conflicts are an error.
    """
    root = loader.find_root()
    problem = loader.load_problem(root, name)
    add_rows = manifest.require(
        manifest.kind_of(problem).append,
        f"{name} is of kind {problem.kind}, which has no table to add rows to",
    )
    done = add_rows(problem, root, path)
    with stopped_after(
        f"{done.table} has its new rows: `dvc add` it unless git keeps it, and commit"
    ):
        _print_appended(root, path, done)


def _print_appended(root: Path, path: Path, done: manifest.AppendedRows) -> None:
    """Record a table that has new values, and print what became of them."""
    from retain.project import raw_table

    if not done.added + done.filled:
        typer.echo(f"nothing added: {done.table} has all {done.known:,} rows of {path}")
        return
    also = f", {done.filled:,} filled in" if done.filled else ""
    also += f", {done.known:,} it had already" if done.known else ""
    typer.echo(f"{done.added:,} rows added to {done.table}, which reaches to {done.last}{also}")
    typer.echo(f"commit {raw_table.record(root, done.table)}, then retrain: make retrain")
