"""A trained text model: predicts the next units of a text."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from retain.errors import DataError
from retain.evaluation.arrays import Floats
from retain.kinds.text import dataset
from retain.kinds.text.config import Model, Problem
from retain.kinds.text.dataset import Schema
from retain.kinds.text.network import LanguageModel
from retain.kinds.tokens import inspect_gates, inspect_lstm, read_column
from retain.model_files import check_same, reading
from retain.networks.recurrent import State
from retain.words import clipped

if TYPE_CHECKING:
    from retain.evaluation.lstm_gates import Inspection

COLUMN = "text"
NEXT = 3  # likeliest units in an answer
LENGTH = {"letter": 60, "word": 15}  # units of a continuation
TEMPERATURE, SEED = 0.5, 1


@dataclass(frozen=True)
class Predictor:
    """A loaded model folder."""

    network: LanguageModel
    schema: Schema
    config: dict[str, Any]

    def check_fits(self, schema: Schema, where: str) -> None:
        """Raise ModelError, naming what differs, unless it can read units of `schema`."""
        check_same(self.schema, schema, ("unit", "lower", "blanks", "vocabulary"), where)

    def input_columns(self) -> list[str]:
        """Return the columns that a table of texts must have."""
        return [COLUMN]

    def trained_on(self) -> str:
        """Describe its training data in a few words."""
        return f"a text of {len(self.schema.vocabulary) - 1:,} different {self.schema.unit}s"

    def example(self, prepared: Path) -> pd.DataFrame:
        """Return the first words of the test part as a request."""
        source = dataset.load(prepared)
        length = LENGTH[self.schema.unit]
        known: list[int] = []
        for part in ("test", "train"):  # of another text it may know no unit
            known = known or [int(token) for token in source.part(part) if token][: 3 * length]
        parts = [known[begin : begin + length] for begin in range(0, len(known), length)]
        return pd.DataFrame({COLUMN: [self.schema.joined(part) for part in parts]})

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        """Predict the next units of each text of a table.

        Returns:
            `next_1` to `next_3`, the likeliest units, with `probability_1` to `probability_3`, and
            `continued`, which is drawn from a fixed seed.

        Raises:
            DataError: the table has other columns than `text`, or a text is empty or has a letter
                that the model was not trained on.
        """
        texts, rows = read_column(table, COLUMN, self.read), []
        # One at a time, so that an answer does not depend on the other texts of the table.
        for tokens in texts:
            row: dict[str, Any] = {}
            for number, (unit, share) in enumerate(self.following(tokens)[:NEXT], start=1):
                row |= {f"next_{number}": unit, f"probability_{number}": share}
            length = LENGTH[self.schema.unit]
            rows.append(row | {"continued": self.continued(tokens, length, TEMPERATURE, SEED)})
        return pd.DataFrame(rows)

    def read(self, text: Any) -> list[int]:
        """Return a text as numbers; an unknown word has number 0, as in training.

        Raises:
            DataError: it is no text, is empty, or has a letter that is not known.
        """
        units = self.schema.cut(text) if isinstance(text, str) else []
        if not units:
            raise DataError(f"{text!r} is no text to continue; give some letters")
        known = {unit: number for number, unit in enumerate(self.schema.vocabulary) if number}
        if self.schema.unit == "letter":
            for place, unit in enumerate(units, start=1):
                if unit not in known:
                    raise DataError(
                        f"letter {place}, {unit!r}, is none that the model was trained on: "
                        f"{clipped(''.join(known))!r}"
                    )
        return [known.get(unit, 0) for unit in units]

    def following(self, tokens: list[int]) -> list[tuple[str, float]]:
        """Return all units that may come next, with their probabilities, the likeliest first."""
        scores, _ = self._scores(tokens, None)
        shares = _shares(scores)
        order = np.argsort(-shares, kind="stable")
        return [(self.schema.vocabulary[n], float(shares[n])) for n in order if n]

    def continued(self, tokens: list[int], length: int, temperature: float, seed: int) -> str:
        """Generate a continuation unit by unit; the same for the same seed.

        Args:
            tokens: of the text so far.
            length: units to draw.
            temperature: 1 draws by the network's probabilities; below 1, likelier units more often.
            seed: of the draws.
        """
        generator = np.random.Generator(np.random.Philox(seed))
        state, unread, drawn = None, tokens, []
        for number in generator.random(length):
            scores, state = self._scores(unread, state)
            sums = np.cumsum(_shares(scores / temperature))
            unread = [min(int(np.searchsorted(sums, number, side="right")), len(sums) - 1)]
            drawn += unread
        text, whole = self.schema.joined(tokens), self.schema.joined([*tokens, *drawn])
        return whole[len(text) :]

    @torch.inference_mode()
    def _scores(self, tokens: list[int], state: State | None) -> tuple[Floats, State | None]:
        """Return the scores of the next unit, (units,), without `<unk>`, and the state."""
        last, state = self.network.last(torch.tensor(tokens).unsqueeze(1), state)
        scores = last[0].double().numpy()
        scores[0] = -np.inf
        return scores, state

    def inspect(self, title: str, text: str) -> "Inspection":
        """Return the gates of the LSTM's last layer; a step is a unit."""
        return self.inspect_tokens(title, self.read(text), self.schema.cut(text))

    def inspect_tokens(self, title: str, tokens: list[int], labels: list[str]) -> "Inspection":
        """Return the gates on a text of numbers, with a label for each."""
        note = f"Each step of the cell reads a {self.schema.unit}."
        inputs = self.network.embedding(torch.tensor(tokens)).unsqueeze(0)  # (1, steps, features)
        return inspect_lstm(self.network.cell, inputs, title, note, labels)


def _shares(scores: Floats) -> Floats:
    """Return scores as probabilities."""
    shares: Floats = torch.from_numpy(scores).softmax(0).numpy()
    return shares


def load(folder: Path) -> Predictor:
    """Load a model folder.

    Raises:
        ModelError: a file is missing or damaged, or the weights do not fit the config.
    """
    with reading(folder) as (config, weights):
        schema = dataset.parse_schema(config["schema"])
        network = LanguageModel(
            config["cell"],
            config["hidden_size"],
            len(schema.vocabulary),
            Model(**config["model"]),
        )
        network.load_state_dict(weights)
    return Predictor(network.eval(), schema, config)


def complete(
    folder: Path, text: str, length: int, temperature: float, seed: int
) -> tuple[list[tuple[str, float]], str]:
    """Continue a text with the model in a folder: the likeliest next units, and a continuation."""
    predictor = load(folder)
    tokens = predictor.read(text)
    following = predictor.following(tokens)
    return following, predictor.continued(tokens, length, temperature, seed)


def inspect(
    problem: Problem, name: str, root: Path, folder: Path, what: str | None, at: str | None
) -> "Inspection":
    """Show the gates of a model in a sentence; see `inspect_gates`."""
    return inspect_gates(load(folder), folder, name, "sentence", what, at, "my name is")
