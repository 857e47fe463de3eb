"""Conversations as numbered words: the vocabulary, parts on disk, and batches.

Only batches need torch, which is imported when one is made.
"""

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retain.kinds.chat.turns import Conversation, Turn

if TYPE_CHECKING:
    from torch import Tensor

PARTS = ("train", "validation", "test")
YOU, BOT, UNKNOWN = "<you>", "<bot>", "<unk>"  # the words of numbers 0 to 2
SPECIAL = (YOU, BOT, UNKNOWN)
UNKNOWN_NUMBER = SPECIAL.index(UNKNOWN)
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Schema:
    """The meaning of the numbers.

    Attributes:
        facts: the words that are values of each fact, by its name.
        digest: md5 of the files that were read; empty where conversations are generated.
    """

    source: str
    vocabulary: tuple[str, ...]
    facts: dict[str, tuple[str, ...]]
    digest: str


class Batch(NamedTuple):
    """Conversations that begin together; shorter ones are padded at the end with weight 0."""

    tokens: "Tensor"  # (steps, batch): <you> line <bot> reply <you> line …
    weights: "Tensor"  # (steps - 1, batch): of each word in the loss, except the first


class Encoder:
    """Numbers the words of conversations.

    Args:
        vocabulary: the words in the order of their numbers.
        fact_weight: of the word that is asked for, in the loss.
    """

    def __init__(self, vocabulary: Sequence[str], fact_weight: float = 1.0):
        self.numbers = {word: number for number, word in enumerate(vocabulary)}
        self.fact_weight = fact_weight

    def words(self, text: str) -> list[int]:
        """Return the numbers of the words of a line."""
        return [self.numbers.get(word, UNKNOWN_NUMBER) for word in text.split()]

    def conversation(self, turns: Conversation) -> tuple[list[int], list[float]]:
        """Return the numbers of all words, and the weight of each: (steps,) both."""
        tokens, weights = [0], [0.0]
        for turn in turns:
            line, reply = self.words(turn.you), self.words(turn.bot)
            tokens += [*line, 1, *reply, 0]
            weights += [0.0] * (len(line) + 1)
            fact = self.numbers.get(turn.value, -1) if turn.event == "asked" else -1
            weights += [self._weight(word, fact) for word in reply]
            weights.append(1.0)
        return tokens, weights

    def _weight(self, word: int, fact: int) -> float:
        # Training never has the number of unknown words, and no reply can have it: the loss of such
        # a word in the validation part would only hide that of the others.
        if word == UNKNOWN_NUMBER:
            return 0.0
        return self.fact_weight if word == fact else 1.0

    def batch(self, conversations: Iterable[Conversation]) -> Batch:
        """Return conversations as one batch."""
        import torch

        encoded = [self.conversation(turns) for turns in conversations]
        steps = max(len(tokens) for tokens, _ in encoded)
        tokens = np.zeros((steps, len(encoded)), dtype=np.int64)
        weights = np.zeros((steps, len(encoded)), dtype=np.float32)
        for column, (words, counts) in enumerate(encoded):
            tokens[: len(words), column] = words
            weights[: len(words), column] = counts
        return Batch(torch.from_numpy(tokens), torch.from_numpy(weights[1:]))


def save(schema: Schema, parts: dict[str, Sequence[Conversation]], folder: Path) -> None:
    """Write into an existing folder: schema.json, and a row for each turn of a part."""
    text = json.dumps(asdict(schema), indent=1, ensure_ascii=False)
    (folder / "schema.json").write_text(text + "\n", encoding="utf-8")
    for part, conversations in parts.items():
        with (folder / f"{part}.tsv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE)
            rows.writerow(("conversation", *Turn._fields))
            for number, turns in enumerate(conversations):
                rows.writerows((number, *turn[:-1], int(turn.changed)) for turn in turns)


class Draws(NamedTuple):
    """What generates the training conversations: a seed, and the least and the most turns."""

    seed: int
    turns: tuple[int, int]


def save_draws(draws: Draws, folder: Path) -> None:
    """Write into an existing folder."""
    (folder / "train.json").write_text(json.dumps(draws._asdict()) + "\n", encoding="utf-8")


def load_draws(folder: Path) -> Draws | None:
    """Read what `save_draws` wrote; None where training conversations were read."""
    path = folder / "train.json"
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    least, most = content["turns"]
    return Draws(content["seed"], (least, most))


def load_schema(folder: Path) -> Schema:
    """Read the schema that `save` wrote."""
    return parse_schema(json.loads((folder / "schema.json").read_text(encoding="utf-8")))


def parse_schema(content: dict[str, Any]) -> Schema:
    """Return a schema from JSON."""
    facts = {fact: tuple(words) for fact, words in content["facts"].items()}
    return Schema(**content | {"vocabulary": tuple(content["vocabulary"]), "facts": facts})


def load(folder: Path, part: str) -> list[Conversation]:
    """Read the conversations of a part that `save` wrote."""
    conversations: list[list[Turn]] = []
    with (folder / f"{part}.tsv").open(encoding="utf-8", newline="\n") as file:
        next(file)
        for line in file:  # whose fields may be longer than those that the module csv reads
            number, you, bot, event, fact, value, since, changed = line[:-1].split("\t")
            if int(number) == len(conversations):
                conversations.append([])
            turn = Turn(you, bot, event, fact, value, int(since), changed == "1")
            conversations[-1].append(turn)
    return [tuple(turns) for turns in conversations]
