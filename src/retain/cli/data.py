"""The commands of `retain` about problems and their tables."""

from pathlib import Path
from typing import Annotated

import typer

from retain.config import kind as manifest
from retain.config import loader
from retain.errors import ParamsError

Name = Annotated[str, typer.Argument(help="Of the problem.")]

app = typer.Typer()


@app.command()
def check(name: Name) -> None:
    """Read and validate a problem's table, without training, and say what was found."""
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
    kind_names = manifest.kind_names()
    for wanted in kind or ():
        if wanted not in kind_names:
            raise ParamsError(f"--kind is {wanted!r}; expected one of {', '.join(kind_names)}")
    for name, problem in loader.load(loader.find_root()).items():
        if not kind or problem.kind in kind:
            typer.echo(name)


@app.command()
def append(
    name: Name,
    path: Annotated[Path, typer.Argument(help="File with new rows, in the form of the table.")],
) -> None:
    """Add new rows to a problem's table; it ignores rows that are there and refuses conflicts."""
    from retain.project import raw_table

    root = loader.find_root()
    problem = loader.load_problem(root, name)
    add_rows = manifest.require(
        manifest.kind_of(problem).append,
        f"{name} is of kind {problem.kind}, which has no table to add rows to",
    )
    done = add_rows(problem, root, path)
    if not done.added:
        typer.echo(f"nothing added: {done.table} has all {done.known:,} rows of {path}")
        return
    also = f", {done.known:,} it had already" if done.known else ""
    typer.echo(f"{done.added:,} rows added to {done.table}, which reaches to {done.last}{also}")
    typer.echo(f"commit {raw_table.record(root, done.table)}, then retrain: make retrain")
