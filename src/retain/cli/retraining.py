"""The commands of `retain` about new data and retraining; `cli.py` takes them in."""

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from retain.config import schema
from retain.errors import ParamsError
from retain.project import files, raw_table
from retain.training import portable_cpu

app = typer.Typer()
Name = Annotated[str, typer.Argument(help="Of the problem.")]


@app.command()
def append(
    name: Name,
    path: Annotated[Path, typer.Argument(help="New rows, written as the table is.")],
) -> None:
    """Add new rows to a problem's table; rows that it has are passed over, conflicts refused."""
    root = schema.find_root()
    problem = schema.load_problem(root, name)
    if not schema.has_room(problem, "appending"):
        raise ParamsError(f"{name} is of kind {problem.kind}, which has no table to add rows to")
    table = problem.data.path  # type: ignore[attr-defined]
    raw_table.check_recoverable(root, table)
    done = schema.room(problem, "appending").append(problem.data, root, path)  # type: ignore[attr-defined]
    if not done.added:
        typer.echo(f"nothing added: {table} has all {done.known:,} rows of {path}")
        return
    also = f", {done.known:,} it had already" if done.known else ""
    typer.echo(f"{done.added:,} rows added to {table}, which reaches to {done.last}{also}")
    typer.echo(f"commit {raw_table.record(root, table)}, then retrain: make retrain")


@app.command()
def replay(
    name: Name,
    start: Annotated[str, typer.Option("--from", help="The first date to retrain at.")],
    every: Annotated[str, typer.Option(help="From one date to the next, such as 30d.")] = "30d",
) -> None:
    """Walk through the past as if retraining had run then: error and cost of each policy.

    Writes reports/NAME/replay.md, .csv and .svg. Stopped, it goes on where it was.
    """
    root = schema.find_root()
    problem = schema.load_problem(root, name)
    if not schema.has_room(problem, "replay"):
        raise ParamsError(f"{name} is of kind {problem.kind}, whose data have no dates to replay")
    try:
        begin = dt.datetime.fromisoformat(start)
    except ValueError:
        raise ParamsError(f"--from is {start!r}: give a date, such as 2024-01-31") from None
    portable_cpu.pin_cpu_kernels(problem.training.reproducible)
    found = schema.room(problem, "replay").replay(problem, name, root, every, begin)
    folder = root / "reports" / name
    folder.mkdir(parents=True, exist_ok=True)
    table = found.table()
    figure = schema.room(problem, "figures").replay(table)
    text = found.markdown(name, every)
    files.write_text(folder / "replay.csv", table.to_csv(index=False, float_format="%.6g"))
    files.write_text(folder / "replay.svg", figure)
    files.write_text(folder / "replay.md", f"{text}\n\n![Error over time](replay.svg)\n")
    typer.echo(f"\n{text}\n\nwritten: {folder.relative_to(root)}/replay.md, .csv, .svg")


@app.command()
def changes(
    base: Annotated[
        str, typer.Argument(envvar="BASE", help="A commit or branch to compare with.")
    ] = "origin/main",
) -> None:
    """Say what the pipeline would run, and how params and metrics differ from another commit."""
    from retain.retraining import changes, steps

    steps.say(changes.markdown(schema.find_root(), base))
