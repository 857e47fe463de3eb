"""A trained chat model: replies to the lines of a conversation."""

import difflib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from retain.errors import DataError
from retain.kinds.chat import dataset
from retain.kinds.chat.config import Model, Problem
from retain.kinds.chat.dataset import SPECIAL, Schema
from retain.kinds.chat.network import BOT, YOU, ChatModel
from retain.kinds.chat.turns import LONGEST_LINE, split_words
from retain.kinds.tokens import inspect_gates, inspect_lstm, read_column
from retain.model_files import check_same, reading
from retain.networks.recurrent import State
from retain.words import clipped

if TYPE_CHECKING:
    from retain.evaluation.lstm_gates import Inspection

COLUMN = "conversation"
EXAMPLES, LINES = 3, 6  # conversations in an example, and lines of each
Words = list[int]


@dataclass(frozen=True)
class Predictor:
    """A loaded model folder."""

    network: ChatModel
    schema: Schema
    config: dict[str, Any]

    @cached_property
    def fingerprint(self) -> bytes:
        """The SHA-256 of all weights."""
        digest = hashlib.sha256()
        for weights in self.network.state_dict().values():
            digest.update(weights.numpy().tobytes())
        return digest.digest()

    @property
    def words(self) -> tuple[str, ...]:
        """The words that it knows."""
        return tuple(self._numbers)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: n for n, word in enumerate(self.schema.vocabulary) if word not in SPECIAL}

    def check_fits(self, schema: Schema, where: str) -> None:
        """Raise ModelError, naming what differs, unless it can read conversations of `schema`."""
        check_same(self.schema, schema, ("source", "vocabulary"), where)

    def input_columns(self) -> list[str]:
        """Return the columns that a table of conversations must have."""
        return [COLUMN]

    def trained_on(self) -> str:
        """Describe its training data in a few words."""
        return f"conversations of {len(self._numbers):,} different words"

    def example(self, prepared: Path) -> pd.DataFrame:
        """Return the first lines of test conversations as a request, of words that it knows."""
        texts: list[str] = []
        for turns in dataset.load(prepared, "test"):
            lines = [turn.you for turn in turns if self._numbers.keys() >= {*split_words(turn.you)}]
            texts += ["\n".join(lines[:LINES])] if lines and len(texts) < EXAMPLES else []
        return pd.DataFrame({COLUMN: texts or [next(iter(self._numbers))]})

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        """Reply to each line of each conversation of a table.

        Returns:
            `reply`, to the last line, and `replies`, to all lines, a line for each.

        Raises:
            DataError: the table has other columns than `conversation`, or a conversation has no
                line, or a word that the model was not trained on.
        """
        # One at a time, so that an answer does not depend on the other rows of the table.
        conversations, rows = read_column(table, COLUMN, self.read), []
        for lines in conversations:
            replies, _ = self.converse(lines, self.network.begin())
            rows.append({"reply": replies[-1], "replies": "\n".join(replies)})
        return pd.DataFrame(rows)

    def reply(self, line: Words, state: State) -> tuple[Words, State]:
        """Reply to a line; return the words, and the state after them."""
        (words,), state = self.network.reply([line], state)
        return words, state

    def converse(self, lines: Iterable[Words], state: State) -> tuple[list[str], State]:
        """Reply to lines, one after another; return the replies, and the state after them."""
        replies = []
        for line in lines:
            words, state = self.reply(line, state)
            replies.append(self.write(words))
        return replies, state

    def write(self, words: Words) -> str:
        """Return words as text."""
        return " ".join(self.schema.vocabulary[word] for word in words)

    def read(self, text: Any) -> list[Words]:
        """Return the lines of a conversation as numbers.

        Raises:
            DataError: it is no text, has no line, or has a word that is not known.
        """
        lines = (
            [line for line in text.splitlines() if line.strip()] if isinstance(text, str) else []
        )
        if not lines:
            raise DataError(f"{text!r} is no conversation; give a line or several")
        return [self.read_line(line) for line in lines]

    def read_line(self, line: str) -> Words:
        """Return the words of a line as numbers.

        Raises:
            DataError: it has no word, too many, or words that are not known, which it names.
        """
        words = split_words(line)
        if not words:
            raise DataError(f"{clipped(line)!r} has no word; write a line")
        if len(words) > LONGEST_LINE:
            raise DataError(
                f"a line of {len(words):,} words; at most {LONGEST_LINE:,} are read: cut it"
            )
        unknown = tuple(dict.fromkeys(word for word in words if word not in self._numbers))
        if unknown:
            names = clipped(tuple(f"'{clipped(word, 40)}'" for word in unknown))
            near = difflib.get_close_matches(unknown[0], self._numbers, n=1, cutoff=0.75)
            hint = f"did you mean '{near[0]}'?" if near else "say it in other words"
            raise DataError(
                f"the bot does not know the word{'s' * (len(unknown) > 1)} {names}, and did not "
                f"read this line; {hint}"
            )
        return [self._numbers[word] for word in words]

    def transcript(self, lines: Iterable[Words]) -> Words:
        """Return all words of a conversation, the lines and the bot's replies."""
        state, tokens = self.network.begin(), [YOU]
        for line in lines:
            words, state = self.reply(line, state)
            tokens += [*line, BOT, *words, YOU]
        return tokens

    def inspect(self, title: str, text: str) -> "Inspection":
        """Return the gates of the LSTM; a step is a word of a line or of the bot's reply."""
        lines = self.read(text.replace(" / ", "\n"))
        return self.inspect_words(title, self.transcript(lines))

    def inspect_words(self, title: str, tokens: Words) -> "Inspection":
        """Return the gates on all words of a conversation."""
        note = "Each step of the cell reads a word, of a line or of the reply behind <bot>."
        labels = [self.schema.vocabulary[word] for word in tokens]
        inputs = self.network.embedding(torch.tensor(tokens)).unsqueeze(0)  # (1, steps, features)
        return inspect_lstm(self.network.cell, inputs, title, note, labels)


def load(folder: Path) -> Predictor:
    """Load a model folder.

    Raises:
        ModelError: a file is missing or damaged, or the weights do not fit the config.
    """
    with reading(folder) as (config, weights):
        schema = dataset.parse_schema(config["schema"])
        model = Model(**config["model"])
        words = len(schema.vocabulary)
        network = ChatModel(config["cell"], config["hidden_size"], words, model)
        network.load_state_dict(weights)
    return Predictor(network.eval(), schema, config)


def inspect(
    problem: Problem, name: str, root: Path, folder: Path, what: str | None, at: str | None
) -> "Inspection":
    """Show the gates of a model in a conversation; see `inspect_gates`."""
    example = "my name is anna / it rains today / what is my name"
    return inspect_gates(load(folder), folder, name, "conversation", what, at, example)
