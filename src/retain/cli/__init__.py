"""`retain …`: everything a person does that is not a DVC stage.

Commands import what they need when they run, so that `retain --help` answers at once.
"""

from typing import NoReturn

import typer

from retain import errors
from retain.cli import add, data, models, predict, project, retraining

app = typer.Typer(
    name="retain",
    help="LSTM models of sequences that can be retrained, compared and proved.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for group in (project, add, data, predict, models, retraining):
    app.add_typer(group.app)  # without a name: its commands are commands of this one


def main() -> NoReturn:
    """The console script: an error of the input is one sentence and exit code 2."""
    errors.run(app)


@app.callback()
def _root() -> None:  # one command alone would make Typer drop its name
    pass
