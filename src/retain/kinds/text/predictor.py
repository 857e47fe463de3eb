"""A trained reader at work: a text in, what comes next out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from retain.errors import DataError, clipped
from retain.kinds.text import dataset
from retain.kinds.text.config import Model
from retain.kinds.text.dataset import Schema
from retain.kinds.text.network import LanguageModel
from retain.model_files import check_same, read_column, reading
from retain.networks.recurrent import State

COLUMN = "text"
NEXT = 3  # likeliest units that an answer names
LENGTH = {"letter": 60, "word": 15}  # units that an answer continues with
TEMPERATURE, SEED = 0.5, 1


@dataclass(frozen=True)
class Predictor:
    """A model folder, read: the network, and config.json as it stands."""

    network: LanguageModel
    schema: Schema
    config: dict[str, Any]

    def check_fits(self, schema: Schema, where: str) -> None:
        """Raise ModelError, naming what differs, unless units of `schema` can be put in."""
        check_same(self.schema, schema, ("unit", "lower", "blanks", "vocabulary"), where)

    def span(self) -> str:
        """What it was trained on, in a few words."""
        return f"a text of {len(self.schema.vocabulary) - 1:,} different {self.schema.unit}s"

    def columns(self) -> list[str]:
        """The columns that a table of texts must have."""
        return [COLUMN]

    def example(self, prepared: Path) -> pd.DataFrame:
        """The first words of the test part, as a request has them."""
        source = dataset.load(prepared)
        length = LENGTH[self.schema.unit]
        known = [int(token) for token in source.part("test") if token][: 3 * length]
        parts = [known[begin : begin + length] for begin in range(0, len(known), length)]
        return pd.DataFrame({COLUMN: [self.schema.joined(part) for part in parts]})

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        """What comes next in each text of a table.

        Returns:
            `next_1` to `next_3`, the likeliest units, with `probability_1` to `probability_3`, and
            `continued`, which is drawn from a fixed seed.

        Raises:
            DataError: the table has not the column `text` alone, or a text is empty or has a letter
                that the model does not know.
        """
        read, rows = read_column(table, COLUMN, self.read), []
        for tokens in read:  # one at a time: an answer does not hang on its neighbours
            row: dict[str, Any] = {}
            for number, (unit, share) in enumerate(self.following(tokens)[:NEXT], start=1):
                row |= {f"next_{number}": unit, f"probability_{number}": share}
            length = LENGTH[self.schema.unit]
            rows.append(row | {"continued": self.continued(tokens, length, TEMPERATURE, SEED)})
        return pd.DataFrame(rows)

    def read(self, text: Any) -> list[int]:
        """A text as numbers; a word that is not known is read as such, as in training.

        Raises:
            DataError: it is no text, is empty, or has a letter that is not known.
        """
        parts = self.schema.cut(text) if isinstance(text, str) else []
        if not parts:
            raise DataError(f"{text!r} is no text to continue; give some letters")
        known = {unit: number for number, unit in enumerate(self.schema.vocabulary) if number}
        if self.schema.unit == "letter":
            for place, part in enumerate(parts, start=1):
                if part not in known:
                    raise DataError(
                        f"letter {place}, {part!r}, is none that the model was trained on: "
                        f"{clipped(''.join(known))!r}"
                    )
        return [known.get(part, 0) for part in parts]

    def following(self, tokens: list[int]) -> list[tuple[str, float]]:
        """All units that may come next, with their probabilities, the likeliest first."""
        scores, _ = self._scores(tokens, None)
        shares = _shares(scores)
        order = np.argsort(-shares, kind="stable")
        return [(self.schema.vocabulary[n], float(shares[n])) for n in order if n]

    def continued(self, tokens: list[int], length: int, temperature: float, seed: int) -> str:
        """What follows, drawn unit by unit; the same for the same seed.

        Args:
            tokens: of the text so far.
            length: units to draw.
            temperature: 1 draws as the network says; below it, likelier units more often.
            seed: of the draws.
        """
        generator = np.random.Generator(np.random.Philox(seed))
        state, unread, drawn = None, tokens, []
        for number in generator.random(length):
            scores, state = self._scores(unread, state)
            within = np.cumsum(_shares(scores / temperature))
            unread = [min(int(np.searchsorted(within, number, side="right")), len(within) - 1)]
            drawn += unread
        text, whole = self.schema.joined(tokens), self.schema.joined([*tokens, *drawn])
        return whole[len(text) :]

    def _scores(
        self, tokens: list[int], state: State | None
    ) -> tuple[NDArray[np.float64], State | None]:
        """Scores of what comes next, (units,), with `<unk>` ruled out, and the state."""
        with torch.inference_mode():
            said, state = self.network.last(torch.tensor(tokens).unsqueeze(1), state)
        scores = said[0].double().numpy()
        scores[0] = -np.inf
        return scores, state


def _shares(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores as probabilities."""
    shares: NDArray[np.float64] = torch.from_numpy(scores).softmax(0).numpy()
    return shares


def load(folder: Path) -> Predictor:
    """Read a model folder.

    Raises:
        ModelError: a file is missing or damaged, or the weights do not fit the config.
    """
    with reading(folder) as (config, weights):
        schema = dataset.schema_of(config["schema"])
        model = Model(**config["model"])
        network = LanguageModel(
            config["cell"], config["hidden_size"], len(schema.vocabulary), model
        )
        network.load_state_dict(weights)
    return Predictor(network.eval(), schema, config)


def complete(
    folder: Path, text: str, length: int, temperature: float, seed: int
) -> tuple[list[tuple[str, float]], str]:
    """Continue a text with the model in a folder: the likeliest next units, and what follows."""
    predictor = load(folder)
    tokens = predictor.read(text)
    following = predictor.following(tokens)
    return following, predictor.continued(tokens, length, temperature, seed)
