"""What the cell of a recaller does with a sequence: `retain gates`, and a figure of the report."""

from pathlib import Path

import numpy as np
import torch

from retain.errors import DataError, ModelError, ParamsError
from retain.evaluation.lstm_gates import Inspection
from retain.kinds.recall import predictor
from retain.kinds.recall.batches import Batch
from retain.kinds.recall.config import Problem
from retain.kinds.recall.dataset import Sequences
from retain.kinds.recall.predictor import Predictor
from retain.networks import recurrent
from retain.networks.recurrent import Gates
from retain.project.layout import Layout


def inspect(
    problem: Problem, name: str, root: Path, folder: Path, what: str | None, at: str | None
) -> Inspection:
    """The gates of the steps in which a model reads a sequence, a word or a number each.

    Args:
        problem: that the model is of; `name` is its name, `root` the project's folder.
        folder: of the model.
        what: the sequence, as `retain ask` takes it.
        at: is None, since a sequence has no other place than its own.

    Raises:
        ModelError: the model has no LSTM.
        DataError: there is no sequence, or a word in it is not known.
        ParamsError: `at` is given.
    """
    if at is not None:
        raise ParamsError(f"--at {at!r} is of tables; {name} reads the sequence that you give")
    served = predictor.load(folder)
    if served.config["cell"] != "lstm":
        raise ModelError(
            f"the model in {folder} has the cell {served.config['cell']}, not an lstm with its "
            f"gates"
        )
    if what is None:
        example = served.example(Layout(root, name).prepared)[predictor.COLUMN][0]
        raise DataError(f'give a sequence to read: retain gates {name} "{example[:200]}"')
    return _inspection(served, f"{name}: {what}", *served.read(what))


def of_a_test(served: Predictor, source: Sequences) -> Inspection:
    """The gates in a test sequence of the shortest gap, if there is one after a change.

    Marked is the step that decides the answer, where its place is known.
    """
    numbers, gap = source.part("test"), source.schema.gaps[0]
    numbers = numbers[source.index[numbers, 1] == gap]
    changed = [n for n, group in enumerate(source.schema.groups) if "changed" in group]
    after = numbers[np.isin(source.index[numbers, 4], changed)]
    chosen = (after if len(after) else numbers)[:1]
    tokens, values = source.gathered(chosen)
    decides = len(tokens) - 2 - gap
    return _inspection(
        served,
        served.written(source, int(chosen[0])),
        tokens[:, 0].tolist(),
        values[:, 0].tolist(),
        decides if source.schema.source in ("copy", "agreement") else None,
    )


def _inspection(
    served: Predictor, title: str, tokens: list[int], values: list[float], marked: int | None = None
) -> Inspection:
    """The gates of the first seed's network."""
    batch = Batch(
        torch.tensor(tokens).unsqueeze(1), torch.tensor(values).reshape(-1, 1), torch.zeros(1)
    )
    with torch.inference_mode():
        inputs = served.network.inputs(batch)[0].transpose(0, 1)  # (1, steps, features)
        read = recurrent.gates(served.network.as_lstm(0), inputs)
    words = [served.schema.vocabulary[token] for token in tokens]
    numbers = [f"{'+' * token}{value:.3g}" for token, value in zip(tokens, values, strict=False)]
    return Inspection(
        title=title,
        note=f"Each step of the cell reads a {'word' if served.schema.answers else 'number'}. "
        f"Shown is the network of seed {served.config['seeds'][0]}.",
        steps=tuple(words if served.schema.answers else numbers),
        gates=Gates(*(part[0] for part in read)),
        marked=marked,
    )
