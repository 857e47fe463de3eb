"""The commands of `retain`: everything that is not a DVC stage.

Commands import what they need when they run, so that `retain --help` answers at once.
"""

import os
from typing import Annotated, NoReturn
from urllib.parse import urlsplit

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

_TRACKING_URI = "MLFLOW_TRACKING_URI"
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
    errors.run(_run)


def _run() -> None:
    """Run the command, unless the address of the tracking store is none that MLflow could parse.

    Raises:
        ParamsError: it is none.
        KeyboardInterrupt: Ctrl-C ended the command.
    """
    if address := os.environ.get(_TRACKING_URI):
        try:
            urlsplit(address)
        except ValueError as error:
            from retain.tracking import store

            raise errors.ParamsError(
                f"{_TRACKING_URI} is {store.shown(address)!r}, which is no URL: {error}"
            ) from None
    try:
        app()
    except SystemExit as stop:  # Typer's, also of Ctrl-C, whose sentence is in the cause
        cause = getattr(stop.__context__, "__cause__", None)
        if isinstance(cause, KeyboardInterrupt):
            raise cause from None
        raise


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
