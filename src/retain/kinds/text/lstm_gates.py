"""What the cell of a reader does with a sentence: `retain gates`."""

from pathlib import Path

import torch
from torch import nn

from retain.errors import DataError, ModelError, ParamsError
from retain.evaluation.lstm_gates import Inspection
from retain.kinds.text import predictor
from retain.kinds.text.config import Problem
from retain.kinds.text.predictor import Predictor
from retain.networks import recurrent
from retain.networks.recurrent import Gates


def inspect(
    problem: Problem, name: str, root: Path, folder: Path, what: str | None, at: str | None
) -> Inspection:
    """The gates of the steps in which a model reads a sentence, a letter or a word each.

    Of several layers it is the last one.

    Args:
        problem: that the model is of; `name` is its name, `root` the project's folder.
        folder: of the model.
        what: the sentence.
        at: is None, since a sentence has no other place than its own.

    Raises:
        ModelError: the model has no LSTM.
        DataError: there is no sentence, or a letter in it is not known.
        ParamsError: `at` is given.
    """
    if at is not None:
        raise ParamsError(f"--at {at!r} is of tables; {name} reads the sentence that you give")
    if what is None:
        raise DataError(f'give a sentence to read: retain gates {name} "my name is"')
    served = predictor.load(folder)
    if not isinstance(served.network.cell, nn.LSTM):
        raise ModelError(
            f"the model in {folder} has the cell {served.config['cell']}, not an lstm with its "
            f"gates"
        )
    return inspection(served, f"{name}: {what}", served.read(what), served.schema.cut(what))


def inspection(served: Predictor, title: str, tokens: list[int], labels: list[str]) -> Inspection:
    """The gates of the steps in which an LSTM reads units of these numbers."""
    cell = served.network.cell
    assert isinstance(cell, nn.LSTM)
    with torch.inference_mode():
        inputs = served.network.embedding(torch.tensor(tokens)).unsqueeze(0)  # (1, steps, …)
        gates = Gates(*(part[0] for part in recurrent.gates(cell, inputs)))
    return Inspection(
        title=title,
        note=f"Each step of the cell reads a {served.schema.unit}."
        + (f" Shown is the last of {cell.num_layers} layers." if cell.num_layers > 1 else ""),
        steps=tuple(labels),
        gates=gates,
    )
