"""What `recall` and `text` share: the gates of a sequence, and parts of their evaluations.

Nothing that is trained depends on this module. What draws is imported where it is used, so that a
model answers without it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pandas as pd

from retain.errors import DataError, ModelError, ParamsError
from retain.evaluation.bootstrap import Interval
from retain.evaluation.quality_gate import MODEL
from retain.evaluation.results import Difference

if TYPE_CHECKING:
    from retain.evaluation.lstm_gates import Inspection
    from retain.evaluation.report import Figure

T = TypeVar("T")


class Predictor(Protocol):
    """A loaded model that can be inspected."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The content of config.json."""

    def inspect(self, title: str, text: str) -> "Inspection":
        """Return the gates in the steps in which it reads a text."""


M = TypeVar("M", bound=Predictor)


def inspect_gates(
    load: Callable[[Path], M],
    folder: Path,
    name: str,
    noun: str,
    what: str | None,
    at: str | None,
    example: Callable[[M], str],
) -> "Inspection":
    """Return the gates of the model in a folder in the steps in which it reads a text.

    Args:
        load: loads the model.
        name: of the problem.
        noun: what a text is called in messages.
        what: the text.
        at: None, since a text has no time stamps.
        example: returns a text that the model can read.

    Raises:
        ModelError: the model has no LSTM.
        DataError: there is no text, or the model cannot read it.
        ParamsError: `at` is given.
    """
    if at is not None:
        raise ParamsError(f"--at {at!r} is of tables; {name} reads the {noun} that you give")
    model = load(folder)
    if (cell := model.config["cell"]) != "lstm":
        raise ModelError(f"the model in {folder} has the cell {cell}, not an lstm with its gates")
    if what is None:
        raise DataError(f'give a {noun} to read: retain gates {name} "{example(model)}"')
    return model.inspect(f"{name}: {what}", what)


def differences(
    metric: str, scored: Mapping[str, T], difference: Callable[[T, T], Interval]
) -> dict[str, dict[str, Difference]]:
    """Return how much the judged model differs from each other, as metrics.json has it."""
    return {
        f"{MODEL}_minus_{name}": {metric: difference(scored[MODEL], other).to_dict()}
        for name, other in scored.items()
        if name != MODEL
    }


def plots(
    tables: Mapping[str, pd.DataFrame], plotted: Mapping[str, tuple[str, str]]
) -> dict[str, pd.DataFrame]:
    """Return tables as `dvc plots` compares them: a column for each model, of means.

    Args:
        plotted: by table, the columns of x and y.
    """
    return {
        name: tables[name]
        .pivot_table(index=x, columns="model", values=y, dropna=False)
        .reset_index()
        for name, (x, y) in plotted.items()
    }


def stack(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the tables of several models as one, with a column `model`."""
    named = [table.assign(model=model) for model, table in tables.items()]
    return pd.concat(named, ignore_index=True)


def stack_histories(folders: Mapping[str, Path]) -> pd.DataFrame:
    """Return the histories of the training of several models as one table."""
    return stack({cell: pd.read_csv(folder / "history.csv") for cell, folder in folders.items()})


def gates_figure(inspection: "Inspection", sequence: str) -> "Figure":
    """Draw the gates in a sequence of the test part for a report; name what that sequence is."""
    from retain.evaluation.lstm_gates import heat_maps
    from retain.evaluation.report import Figure

    caption = (
        f"{inspection.note} {sequence} stands below; gates are between 0, closed, and 1, open. Of "
        "the units those that change most at the marked step come first; the half-life is after "
        "how many steps half of what a unit holds is forgotten."
    )
    return Figure("gates", "What the cell does", caption, heat_maps(inspection))
