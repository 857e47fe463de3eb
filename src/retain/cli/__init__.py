"""The commands of `retain`: everything that is not a DVC stage.

Commands import what they need when they run, so that `retain --help` answers at once.
"""

from typing import Annotated, NoReturn

import typer

from retain import __version__, errors
from retain.cli import (
    add,
    data,
    export,
    models,
    monitoring,
    plan,
    predict,
    project,
    retraining,
    sequences,
    trust,
    tune,
)

app = typer.Typer(
    name="retain",
    help="Train LSTM models of sequences, compare them, and use and retrain the best one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
GROUPS = (
    project,
    add,
    data,
    predict,
    sequences,
    models,
    trust,
    monitoring,
    retraining,
    tune,
    plan,
    export,
)
for group in GROUPS:
    app.add_typer(group.app)  # without a name: its commands are added to this one


def main() -> NoReturn:
    """The console script: an error of the input is one sentence and exit code 2."""
    errors.run(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"retain {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass
