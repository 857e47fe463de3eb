"""A trained translation model: translates sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from retain.errors import DataError
from retain.kinds.tokens import inspect_gates, inspect_lstm, read_column
from retain.kinds.translate import beam_search, dataset
from retain.kinds.translate.beam_search import Hypothesis
from retain.kinds.translate.config import Model, Problem
from retain.kinds.translate.dataset import Ints, Schema
from retain.kinds.translate.network import Translator
from retain.kinds.translate.pieces import END, MOST_PIECES, SPECIAL
from retain.model_files import check_same, reading

if TYPE_CHECKING:
    from retain.config.sequences import Translation
    from retain.evaluation.lstm_gates import Inspection

COLUMN = "source"
BEAM = 5
EXAMPLES = 5  # test sentences in an example of a request


@dataclass(frozen=True)
class Predictor:
    """A loaded model folder."""

    network: Translator
    schema: Schema
    config: dict[str, Any]

    def check_fits(self, schema: Schema, where: str) -> None:
        """Raise ModelError, naming what differs, unless it can read sentences of `schema`."""
        check_same(self.schema, schema, ("languages", "source", "target"), where)

    def input_columns(self) -> list[str]:
        """Return the columns that a table of sentences must have."""
        return [COLUMN]

    def trained_on(self) -> str:
        """Describe its training data in a few words."""
        source, target = self.schema.languages
        return f"pairs of sentences, {source} to {target}"

    def example(self, prepared: Path) -> pd.DataFrame:
        """Return test sentences as a request."""
        corpus = dataset.load(prepared)
        readable: list[int] = []
        for part in ("test", "train"):  # of a small test part it may know no sentence whole
            pairs = corpus.part(part)
            readable = readable or [n for n in pairs if self._reads(corpus.source_of(n))]
        chosen = readable[:: max(len(readable) // EXAMPLES, 1)][:EXAMPLES]
        return pd.DataFrame({COLUMN: [corpus.pairs[pair].source for pair in chosen]})

    @staticmethod
    def _reads(pieces: Sequence[int]) -> bool:
        return min(pieces) > END and len(pieces) <= MOST_PIECES

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        """Translate each sentence of a table: `translation`, and its `probability`.

        Raises:
            DataError: the table has other columns than `source`, or a sentence is no text, is
                empty, is too long, or has a letter that the model was not trained on.
        """
        # One at a time, so that an answer does not depend on the other sentences of the table.
        rows = []
        for pieces in read_column(table, COLUMN, self.read):
            best = self.hypotheses(pieces, BEAM)[0]
            text, probability = self.write(best), float(np.exp(best.log_probability))
            rows.append({"translation": text, "probability": probability})
        return pd.DataFrame(rows)

    def read(self, text: Any) -> list[int]:
        """Return a sentence as pieces.

        Raises:
            DataError: it is no text, is empty, is too long, or has a letter that is not known.
        """
        if not isinstance(text, str):
            raise DataError(f"{text!r} is no sentence to translate; give some words")
        if special := next((word for word in SPECIAL if word in text), None):
            raise DataError(f"the sentence has {special!r}, which is no text; leave it out")
        pieces = self.schema.source.read(text)
        if len(pieces) > MOST_PIECES:
            raise DataError(
                f"the sentence has {len(pieces):,} pieces of words; at most {MOST_PIECES} are "
                "read: cut it into sentences"
            )
        return pieces

    def hypotheses(self, pieces: list[int], beam: int) -> list[Hypothesis]:
        """Return `beam` translations of a sentence of pieces, the best first."""
        return beam_search.search(self.network, torch.tensor(pieces).unsqueeze(1), beam)[0]

    def write(self, hypothesis: Hypothesis) -> str:
        """Return a translation as text."""
        return self.schema.target.join(hypothesis.pieces)

    def translate(self, text: str, beam: int) -> "list[Translation]":
        """Return translations of a sentence, no two alike, the best first.

        Raises:
            DataError: as `read`.
        """
        from retain.config.sequences import Translation

        pieces = self.read(text)
        source = self.schema.source.labels(pieces)
        different: dict[str, Translation] = {}
        for each in self.hypotheses(pieces, beam):
            written = self.write(each)
            if written not in different:
                target = self.schema.target.labels(each.pieces)
                different[written] = Translation(
                    written, float(np.exp(each.log_probability)), source, target, each.attention
                )
        return [*different.values()]

    def translate_part(self, corpus: dataset.Corpus, pairs: Ints, beam: int) -> list[Hypothesis]:
        """Return the best translation of the source of each pair of prepared data."""
        best = beam_search.translate_all(self.network, corpus, pairs, beam)
        return [best[pair] for pair in pairs.tolist()]

    def inspect(self, title: str, text: str) -> "Inspection":
        """Return the gates of the encoder's last layer; a step is a piece of a word."""
        return self.inspect_pieces(title, self.read(text))

    def inspect_pieces(self, title: str, pieces: Sequence[int]) -> "Inspection":
        """Return the gates of the encoder on pieces, in the order in which it reads them."""
        network = self.network
        read = [*pieces][::-1] if network.reverse else [*pieces]
        note = "Each step of the encoder reads a piece of a word"
        note += ", from the end of the sentence." if network.reverse else "."
        inputs = network.embed_source(torch.tensor(read)).unsqueeze(0)  # (1, steps, features)
        return inspect_lstm(network.encoder, inputs, title, note, self.schema.source.labels(read))


def load(folder: Path) -> Predictor:
    """Load a model folder.

    Raises:
        ModelError: a file is missing or damaged, or the weights do not fit the config.
    """
    with reading(folder) as (config, weights):
        schema = Schema.from_dict(config["schema"])
        sizes = len(schema.source), len(schema.target)
        network = Translator(config["cell"], config["hidden_size"], sizes, Model(**config["model"]))
        network.load_state_dict(weights)
    return Predictor(network.eval(), schema, config)


def translate(folder: Path, text: str, beam: int) -> "Sequence[Translation]":
    """Translate a sentence with the model in a folder; see `Predictor.translate`."""
    return load(folder).translate(text, beam)


def inspect(
    problem: Problem, name: str, root: Path, folder: Path, what: str | None, at: str | None
) -> "Inspection":
    """Show the gates of a model's encoder in a sentence; see `inspect_gates`."""
    return inspect_gates(load(folder), folder, name, "sentence", what, at, "…")
