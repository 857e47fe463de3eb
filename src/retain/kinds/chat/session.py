"""A conversation with a model in the terminal: `retain chat`."""

from pathlib import Path

import pandas as pd
from torch import nn

from retain.errors import ModelError
from retain.kinds.chat import memory
from retain.kinds.chat.network import BOT, YOU
from retain.kinds.chat.predictor import Predictor, Words, load


class Session:
    """A conversation: the state of the cell, and the words that were read.

    The replies depend on the state alone; the words are kept for `held`.
    """

    def __init__(self, predictor: Predictor):
        self._predictor = predictor
        self.forget()

    def forget(self) -> None:
        """Begin another conversation, from the empty state."""
        self._state = self._predictor.network.begin()
        self._tokens: Words = [YOU]
        self._ends: list[int] = []  # the place of the last word of each turn

    def reply(self, line: str) -> str:
        """Reply to a line.

        Raises:
            DataError: it has no word, or one that the model does not know; the state stays.
        """
        words = self._predictor.read_line(line)
        said, self._state = self._predictor.reply(words, self._state)
        self._tokens += [*words, BOT, *said, YOU]
        self._ends.append(len(self._tokens) - 1)
        return self._predictor.write(said)

    def held(self) -> pd.DataFrame:
        """Return what the cell holds of each fact's word that was said, in the order of the words.

        Returns:
            Columns turn, by (`you` or `bot`), word, fact (what kind of word it is), written and
            left, as amounts of `memory.left`, and share, of both.

        Raises:
            ModelError: the model has no LSTM.
        """
        predictor = self._predictor
        if not isinstance(predictor.network.cell, nn.LSTM):
            cell = predictor.config["cell"]
            raise ModelError(f"the model has the cell {cell}, not an lstm with its gates")
        vocabulary = predictor.schema.vocabulary
        facts = {value: fact for fact, values in predictor.schema.facts.items() for value in values}
        places = [n for n, word in enumerate(self._tokens) if vocabulary[word] in facts]
        amounts = memory.left(predictor.network, self._tokens, places)
        rows = []
        for place, row in zip(places, amounts, strict=True):
            turn = next(number for number, end in enumerate(self._ends) if place <= end)
            first = self._ends[turn - 1] if turn else 0
            word = vocabulary[self._tokens[place]]
            side = "bot" if BOT in self._tokens[first:place] else "you"
            written, left = float(row[place]), float(row[-1])
            share = left / written if written else 0.0
            rows.append((turn + 1, side, word, facts[word], written, left, share))
        columns = ["turn", "by", "word", "fact", "written", "left", "share"]
        return pd.DataFrame(rows, columns=columns)


def open_session(folder: Path) -> Session:
    """Begin a conversation with the model in a folder."""
    return Session(load(folder))
