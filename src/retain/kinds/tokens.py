"""Code that the kinds of sequences share: requests, evaluation, and the gates of an LSTM.

No training depends on this module. torch and plotting code are imported where they are used, so
that a model answers without what it does not need.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, TypeVar

from retain.errors import DataError, IncomparableError, ModelError, ParamsError, read_rows
from retain.words import clipped

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor, nn

    from retain.evaluation.lstm_gates import Inspection
    from retain.evaluation.report import Figure, Table
    from retain.evaluation.results import Difference, Interval, Metrics

Read = TypeVar("Read")
T = TypeVar("T")


class Predictor(Protocol):
    """A loaded model that can be inspected."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The content of config.json."""

    @property
    def schema(self) -> Any:
        """The meaning of its numbers; `digest` is the md5 of the files that it was trained on."""

    def check_fits(self, schema: Any, where: str) -> None:
        """Raise ModelError, naming what differs, unless it can read data of `schema`."""

    def inspect(self, title: str, text: str) -> "Inspection":
        """Return the gates of its LSTM at each step of a text."""


P = TypeVar("P", bound=Predictor)


class Judged(TypedDict):
    """Keys of metrics.json that depend on no kind."""

    differences: dict[str, dict[str, "Difference"]]
    model: str
    validation_loss: dict[str, float]


def load_models(load: Callable[[Path], P], models: Mapping[str, Path], schema: Any) -> dict[str, P]:
    """Load the model of each cell.

    Raises:
        ModelError: a model does not fit prepared data of `schema`.
    """
    predictors = {cell: load(folder) for cell, folder in models.items()}
    for cell, model in predictors.items():
        model.check_fits(schema, str(models[cell]))
    return predictors


def judge(
    register: str,
    models: Mapping[str, Path],
    scored: Mapping[str, T],
    compare: Callable[[T, T], Mapping[str, "Interval"]],
) -> Judged:
    """Choose the judged cell, and compare the models with each other.

    Args:
        register: the value of this key in params.yaml.
        models: the folder of each cell.
        scored: what `compare` takes, of each cell and of each baseline.
        compare: subtracts the metrics of its second argument from those of its first.
    """
    from retain.evaluation.choice import choose
    from retain.evaluation.quality_gate import differences

    chosen = choose(register, models)
    return Judged(differences=differences(scored, compare, chosen["model"]), **chosen)


def load_comparable(
    load: Callable[[Path], P], champion: Path, schema: Any, what: str = "data"
) -> P:
    """Load the champion, to compare it with another model on a test part of `schema`.

    Args:
        what: the word for what a model is trained on.

    Raises:
        IncomparableError: it cannot be read, does not fit the data, or was trained on other data.
    """
    from retain.model_files import load_champion

    old = load_champion(load, champion, schema)
    if old.schema.digest != schema.digest:
        raise IncomparableError(
            f"it was trained on other {what}, and some of today's test part may be among them"
        )
    return old


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


def inspect_lstm(
    cell: "nn.Module",
    inputs: "Tensor",
    title: str,
    note: str,
    labels: Sequence[str],
    marked: int | None = None,
) -> "Inspection":
    """Return the gates of an LSTM's last layer in one sequence.

    Args:
        cell: the LSTM.
        inputs: (1, steps, features).
        title, note, labels, marked: as `Inspection` has them; a label for each step.
    """
    import torch
    from torch import nn

    from retain.evaluation.lstm_gates import Inspection
    from retain.networks import recurrent

    assert isinstance(cell, nn.LSTM), "inspect_gates refuses other cells"
    with torch.inference_mode():
        gates = recurrent.gates(cell, inputs)
    if cell.num_layers > 1:
        note += f" Shown is the last of {cell.num_layers} layers."
    whole = recurrent.Gates(*(part[0] for part in gates))
    return Inspection(title, note, tuple(labels), whole, marked=marked)


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


def differences_table(
    metrics: "Metrics",
    label: Callable[[str], str],
    title: str,
    note: str,
    *,
    digits: str = ".4g",
    judged: str = "the first is",
    names: Mapping[str, str] | None = None,
) -> "Table":
    """Return the differences between the models of metrics.json, with confidence intervals.

    Args:
        label: returns a model's display name.
        note: about the figures; `{methods}` in it becomes the methods of the intervals.
        digits: of a difference, as a format.
        judged: head of the column of judgements.
        names: the display names of several measures, for a column that says which one is compared.
    """
    from retain.evaluation.quality_gate import difference_rows, methods_of
    from retain.evaluation.report import Table

    rows = difference_rows(metrics, label, digits)
    return Table(
        title,
        (
            "difference",
            *(("of",) if names else ()),
            "value",
            "95\N{NO-BREAK SPACE}% interval",
            judged,
        ),
        tuple(
            (models, *((names[metric],) if names else ()), *rest) for models, metric, *rest in rows
        ),
        note=note.format(methods=methods_of(metrics)),
    )


def percent(share: float | None, digits: str = ".1f") -> str:
    """Write a share as per cent; a dash where there is none."""
    if share is None or math.isnan(share):
        return "–"
    return f"{100 * share:{digits}}\N{NO-BREAK SPACE}%"
