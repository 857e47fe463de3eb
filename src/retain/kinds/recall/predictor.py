"""A trained recall model: answers sequences, with probabilities."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from retain.errors import DataError
from retain.evaluation.arrays import Floats
from retain.kinds.recall import agreement, babi, dataset, synthetic
from retain.kinds.recall.config import Problem
from retain.kinds.recall.dataset import START, STEPS, Batch, Schema
from retain.kinds.recall.network import GapClassifier
from retain.kinds.tokens import inspect_gates, inspect_lstm, read_column
from retain.model_files import check_same, reading
from retain.project.layout import Layout
from retain.words import clipped

if TYPE_CHECKING:
    from retain.evaluation.lstm_gates import Inspection

COLUMN = "sequence"
# How the text of a request is split; by default at blanks.
SPLIT = {"babi": babi.split_words, "agreement": agreement.split_words}
NUMBER = re.compile(r"(\+?)(\d+(?:\.\d+)?|\.\d+)")  # no two ways to read the same digits


@dataclass(frozen=True)
class Predictor:
    """A loaded model folder: networks of several seeds, whose answers are averaged."""

    network: GapClassifier
    schema: Schema
    config: dict[str, Any]

    @property
    def chosen(self) -> int:
        """The index of the learning rate that was kept."""
        return int(self.network.chosen)

    def check_fits(self, schema: Schema, where: str) -> None:
        """Raise ModelError, naming what differs, unless it can read sequences of `schema`."""
        check_same(self.schema, schema, ("source", "vocabulary", "answers"), where)

    def input_columns(self) -> list[str]:
        """Return the columns that a table of sequences must have."""
        return [COLUMN]

    def trained_on(self) -> str:
        """Describe its training data in a few words."""
        return f"{self.schema.source}, {len(self.schema.vocabulary)} words"

    def tried(self) -> pd.DataFrame:
        """Return the scores of each seed with each learning rate, on the validation part."""
        losses, accuracies = self.network.losses.tolist(), self.network.accuracies.tolist()
        return pd.DataFrame(
            [
                (seed, rate, losses[row][column], accuracies[row][column], column == self.chosen)
                for row, seed in enumerate(self.config["seeds"])
                for column, rate in enumerate(self.config["learning_rates"])
            ],
            columns=["seed", "learning_rate", "loss", "accuracy", "kept"],
        )

    def example(self, prepared: Path) -> pd.DataFrame:
        """Return the first test sequences as a request."""
        source = dataset.load(prepared)
        return pd.DataFrame({COLUMN: [self.write(source, n) for n in source.part("test")[:3]]})

    def write(self, source: dataset.Sequences, number: int) -> str:
        """Return one example as text."""
        start, steps = source.index[number, [START, STEPS]]
        words = [self.schema.vocabulary[token] for token in source.tokens[start : start + steps]]
        if len(source.values):
            marks = ("+" if word == synthetic.MARKED else "" for word in words)
            values = source.values[start : start + steps]
            return " ".join(f"{mark}{value:.6f}" for mark, value in zip(marks, values, strict=True))
        return " ".join(words)

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        """Answer each sequence of a table: `answer`, `probability`, and a column for each answer.

        If answers are numbers, there is only `answer`.

        Raises:
            DataError: the table has other columns than `sequence`, or a sequence is not text, is
                empty, or has a word that the model was not trained on.
        """
        # One at a time, so that an answer does not depend on the other sequences of the table.
        shares = np.stack([self._answer(*read) for read in read_column(table, COLUMN, self.read)])
        if not np.isfinite(shares).all():
            raise DataError("sequence: the numbers are too large for a finite answer")
        if not self.schema.answers:
            return pd.DataFrame({"answer": shares[:, 0]})
        answers = np.array(self.schema.answers, dtype=object)
        return pd.DataFrame(
            {"answer": answers[shares.argmax(1)], "probability": shares.max(1)}
            | {f"p({name})": shares[:, number] for number, name in enumerate(answers)}
        )

    def ask(self, sequence: str) -> list[tuple[str, float | None]]:
        """Return the answers to one sequence with their probabilities, the likeliest first.

        Raises:
            DataError: as `predict`.
        """
        row = self.predict(pd.DataFrame({COLUMN: [sequence]})).iloc[0]
        if not self.schema.answers:
            return [(f"{row['answer']:.4f}", None)]
        shares = {name: float(row[f"p({name})"]) for name in self.schema.answers}
        return [(name, shares[name]) for name in sorted(shares, key=lambda name: -shares[name])]

    @torch.inference_mode()
    def _answer(self, tokens: list[int], values: list[float]) -> Floats:
        """Return the mean of the seeds' probabilities, or of their numbers: (answers,)."""
        scores = self.network(_batch_of_one(tokens, values)).double()
        shares = scores.softmax(-1) if self.schema.answers else scores
        mean: Floats = shares.mean(0)[0].numpy()
        return mean

    def read(self, text: Any) -> tuple[list[int], list[float]]:
        """Return tokens and values of a request's sequence.

        Raises:
            DataError: it is no text, is empty, or has a word that is not known.
        """
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{text!r} is no text; give words with blanks between")
        if not self.schema.answers:
            return _read_numbers(text)
        known = {word: number for number, word in enumerate(self.schema.vocabulary)}
        words = SPLIT.get(self.schema.source, str.split)(text)
        for place, word in enumerate(words, start=1):
            if word not in known:
                raise DataError(
                    f"word {place}, {word!r}, is none that the model knows: "
                    f"{clipped(self.schema.vocabulary)}"
                )
        return [known[word] for word in words], []

    def inspect(self, title: str, text: str, marked: int | None = None) -> "Inspection":
        """Return the gates of the first seed's network; a step is a word or a number.

        Args:
            marked: the step that decides the answer, if it is known.
        """
        tokens, values = self.read(text)
        inputs = self.network.inputs(_batch_of_one(tokens, values))[0].transpose(0, 1)
        numbers = [
            f"{'+' * token}{value:.3g}" for token, value in zip(tokens, values, strict=False)
        ]
        words = [self.schema.vocabulary[token] for token in tokens]
        return inspect_lstm(
            self.network.as_lstm(0),
            inputs,
            title,
            f"Each step of the cell reads a {'word' if self.schema.answers else 'number'}. "
            f"Shown is the network of seed {self.config['seeds'][0]}.",
            words if self.schema.answers else numbers,
            marked,
        )


def _batch_of_one(tokens: list[int], values: list[float]) -> Batch:
    return Batch(
        torch.tensor(tokens).unsqueeze(1), torch.tensor(values).reshape(-1, 1), torch.zeros(1)
    )


def _read_numbers(text: str) -> tuple[list[int], list[float]]:
    """Return marks and numbers of a sequence whose answer is a sum."""
    matches = []
    for word in text.split():
        match = NUMBER.fullmatch(word)
        if match is None:
            raise DataError(f"{word!r} is no number such as 0.25, or +0.25 where it is to be added")
        matches.append(match)
    marks = [int(bool(match[1])) for match in matches]
    if sum(marks) != 2:
        raise DataError(f"mark two numbers with +, not {sum(marks)}")
    return marks, [float(match[2]) for match in matches]


def load(folder: Path) -> Predictor:
    """Load a model folder.

    Raises:
        ModelError: a file is missing or damaged, or the weights do not fit the config.
    """
    with reading(folder) as (config, weights):
        schema = dataset.parse_schema(config["schema"])
        network = GapClassifier(
            config["cell"],
            config["hidden_size"],
            schema,
            tuple(config["seeds"]),
            len(config["learning_rates"]),
            None,
            config["objective"] == "words",
        )
        network.keep_rate(0)
        network.load_state_dict(weights)
    return Predictor(network.eval(), schema, config)


def ask(folder: Path, sequence: str) -> list[tuple[str, float | None]]:
    """Answer a sequence with the model in a folder; see `Predictor.ask`."""
    return load(folder).ask(sequence)


def inspect(
    problem: Problem, name: str, root: Path, folder: Path, what: str | None, at: str | None
) -> "Inspection":
    """Return the gates of a model on a sequence of `retain ask`; see `inspect_gates`."""
    model, example = load(folder), ""
    if what is None:
        example = str(model.example(Layout(root, name).prepared)[COLUMN][0])[:200]
    return inspect_gates(model, folder, name, "sequence", what, at, example)
