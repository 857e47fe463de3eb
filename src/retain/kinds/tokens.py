"""Code that `recall` and `text` share: a request's column, the gates of a sequence, their figure.

No training depends on this module. Plotting code is imported where it is used, so that a model
answers without it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from retain.errors import DataError, ModelError, ParamsError, clipped, read_rows

if TYPE_CHECKING:
    import pandas as pd

    from retain.evaluation.lstm_gates import Inspection
    from retain.evaluation.report import Figure

Read = TypeVar("Read")


class Predictor(Protocol):
    """A loaded model that can be inspected."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The content of config.json."""

    def inspect(self, title: str, text: str) -> "Inspection":
        """Return the gates of its LSTM at each step of a text."""


def inspect_gates(
    model: Predictor,
    folder: Path,
    name: str,
    noun: str,
    what: str | None,
    at: str | None,
    example: str,
) -> "Inspection":
    """Return the gates of a model at each step of a text.

    Args:
        model: the model in `folder`.
        name: of the problem.
        noun: the word for a text in messages.
        what: the text.
        at: None, since a text has no time stamps.
        example: a text that the model can read.

    Raises:
        ModelError: the model has no LSTM.
        DataError: there is no text, or the model cannot read it.
        ParamsError: `at` is given.
    """
    if at is not None:
        raise ParamsError(f"--at {at!r} is of tables; {name} reads the {noun} that you give")
    if (cell := model.config["cell"]) != "lstm":
        raise ModelError(f"the model in {folder} has the cell {cell}, not an lstm with its gates")
    if what is None:
        raise DataError(f'give a {noun} to read: retain gates {name} "{example}"')
    return model.inspect(f"{name}: {what}", what)


def read_column(table: "pd.DataFrame", name: str, read: Callable[[Any], Read]) -> list[Read]:
    """Read the values of a request's table of one column, each by `read`.

    Raises:
        DataError: the table has another column than `name`, or no row; or as `read_rows`.
    """
    if list(table.columns) != [name]:
        raise DataError(f"expected one column, {name!r}, and found {clipped(tuple(table.columns))}")
    if table.empty:
        raise DataError("the table has no row")
    return read_rows(table[name], name, read)


def gates_figure(inspection: "Inspection", sequence: str) -> "Figure":
    """Draw the gates on a sequence of the test part for a report; `sequence` describes it."""
    from retain.evaluation.lstm_gates import heat_maps
    from retain.evaluation.report import Figure

    caption = (
        f"{inspection.note} {sequence} stands below; gates are between 0, closed, and 1, open. Of "
        "the units those that change most at the marked step come first; the half-life is after "
        "how many steps half of what a unit holds is forgotten."
    )
    return Figure("gates", "What the cell does", caption, heat_maps(inspection))
