"""A trained recaller at work: sequences in, answers with their probabilities out."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from retain.errors import DataError, clipped
from retain.kinds.recall import agreement, babi, dataset, synthetic
from retain.kinds.recall.batches import CHUNK, Batch
from retain.kinds.recall.dataset import Schema
from retain.kinds.recall.network import GapClassifier
from retain.model_files import check_same, read_column, reading

COLUMN = "sequence"
WORDS = {"babi": babi.words, "agreement": agreement.words}  # how a request's text is cut
NUMBER = re.compile(r"(\+?)(\d+(?:\.\d+)?|\.\d+)")  # no two ways to read the same digits


@dataclass(frozen=True)
class Predictor:
    """A model folder, read: networks of several seeds, and config.json as it stands.

    Asked for an answer, they are asked together: their probabilities, or numbers, are averaged.
    """

    network: GapClassifier
    schema: Schema
    config: dict[str, Any]

    @property
    def chosen(self) -> int:
        """Which of the learning rates was kept."""
        return int(self.network.chosen)

    def check_fits(self, schema: Schema, where: str) -> None:
        """Raise ModelError, naming what differs, unless sequences of `schema` can be put in."""
        check_same(self.schema, schema, ("source", "vocabulary", "answers"), where)

    def span(self) -> str:
        """What it was trained on, in a few words."""
        return f"{self.schema.source}, {len(self.schema.vocabulary)} words"

    def tried(self) -> pd.DataFrame:
        """What each seed came to with each learning rate, on the validation part."""
        network = self.network
        return pd.DataFrame(
            [
                {
                    "seed": seed,
                    "learning_rate": rate,
                    "loss": float(network.losses[row, column]),
                    "accuracy": float(network.accuracies[row, column]),
                    "kept": column == self.chosen,
                }
                for row, seed in enumerate(self.config["seeds"])
                for column, rate in enumerate(self.config["learning_rates"])
            ]
        )

    def columns(self) -> list[str]:
        """The columns that a table of questions must have."""
        return [COLUMN]

    def example(self, prepared: Path) -> pd.DataFrame:
        """The first test sequences, as a request has them."""
        source = dataset.load(prepared)
        return pd.DataFrame({COLUMN: [self.written(source, n) for n in source.part("test")[:3]]})

    def written(self, source: dataset.Sequences, number: int) -> str:
        """One example as text."""
        start, length = source.index[number, 2:4]
        tokens = source.tokens[start : start + length]
        if len(source.values):
            values = source.values[start : start + length]
            marks = ("+" if self.schema.vocabulary[t] == synthetic.MARKED else "" for t in tokens)
            return " ".join(f"{mark}{value:.6f}" for mark, value in zip(marks, values, strict=True))
        return " ".join(self.schema.vocabulary[token] for token in tokens)

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        """Answer each sequence of a table: `answer`, `probability`, and one column an answer.

        Where answers are numbers there is `answer` alone.

        Raises:
            DataError: the table has not the column `sequence` alone, or a sequence is no text, is
                empty, or has a word that the model does not know.
        """
        read = read_column(table, COLUMN, self.read)
        said = np.concatenate(
            [self._said(read[begin : begin + CHUNK]) for begin in range(0, len(read), CHUNK)]
        )
        if not np.isfinite(said).all():
            raise DataError("sequence: the numbers are too large for a finite answer")
        if not self.schema.answers:
            return pd.DataFrame({"answer": said[:, 0]})
        best = said.argmax(1)
        answers = np.array(self.schema.answers, dtype=object)
        return pd.DataFrame(
            {"answer": answers[best], "probability": said[np.arange(len(said)), best]}
            | {f"p({name})": said[:, number] for number, name in enumerate(answers)}
        )

    def ask(self, sequence: str) -> list[tuple[str, float | None]]:
        """The answers to one sequence with their probabilities, the likeliest first.

        Raises:
            DataError: as `predict`.
        """
        row = self.predict(pd.DataFrame({COLUMN: [sequence]})).iloc[0]
        if not self.schema.answers:
            return [(f"{row['answer']:.4f}", None)]
        shares = {name: float(row[f"p({name})"]) for name in self.schema.answers}
        return [(name, shares[name]) for name in sorted(shares, key=lambda name: -shares[name])]

    def _said(self, read: list[tuple[list[int], list[float]]]) -> NDArray[np.float64]:
        """Mean probabilities, or numbers, of the seeds: (sequences, answers)."""
        answers = []
        for tokens, values in read:  # one at a time: an answer does not hang on its neighbours
            batch = Batch(
                torch.tensor(tokens).unsqueeze(1),
                torch.tensor(values).reshape(-1, 1),
                torch.zeros(1),
            )
            with torch.inference_mode():
                said = self.network(batch).double()
                said = said.softmax(-1) if self.schema.answers else said
                answers.append(said.mean(0)[0].numpy())
        return np.stack(answers)

    def read(self, text: Any) -> tuple[list[int], list[float]]:
        """Tokens and values of a request's sequence.

        Raises:
            DataError: it is no text, is empty, or has a word that is not known.
        """
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{text!r} is no text; give words with blanks between")
        if not self.schema.answers:
            return _numbers(text)
        known = {word: number for number, word in enumerate(self.schema.vocabulary)}
        parts = WORDS.get(self.schema.source, str.split)(text)
        for place, word in enumerate(parts, start=1):
            if word not in known:
                raise DataError(
                    f"word {place}, {word!r}, is none that the model knows: "
                    f"{clipped(self.schema.vocabulary)}"
                )
        return [known[word] for word in parts], []


def _numbers(text: str) -> tuple[list[int], list[float]]:
    """Marks and numbers of a sequence whose answer is a sum."""
    parts = [(part, NUMBER.fullmatch(part)) for part in text.split()]
    if wrong := [part for part, match in parts if not match]:
        raise DataError(f"{wrong[0]!r} is no number such as 0.25, or +0.25 where it is to be added")
    found = [match for _, match in parts if match]
    marks = [int(bool(match[1])) for match in found]
    if sum(marks) != 2:
        raise DataError(f"mark two numbers with +, not {sum(marks)}")
    return marks, [float(match[2]) for match in found]


def load(folder: Path) -> Predictor:
    """Read a model folder.

    Raises:
        ModelError: a file is missing or damaged, or the weights do not fit the config.
    """
    with reading(folder) as (config, weights):
        schema = dataset.schema_of(config["schema"])
        rates, seeds = len(config["learning_rates"]), tuple(config["seeds"])
        network = GapClassifier(
            config["cell"],
            config["hidden_size"],
            schema,
            seeds,
            rates,
            None,
            config["objective"] == "words",
        )
        network.keep(0)
        network.load_state_dict(weights)
    return Predictor(network.eval(), schema, config)


def ask(folder: Path, sequence: str) -> list[tuple[str, float | None]]:
    """Answer a sequence with the model in a folder; see `Predictor.ask`."""
    return load(folder).ask(sequence)
