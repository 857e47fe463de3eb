"""A text as numbers: its units, the vocabulary, the three parts, on disk; knows NumPy alone."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retain.errors import DataError
from retain.kinds.text.config import Data
from retain.kinds.text.files import normal

PARTS = ("train", "validation", "test")
UNKNOWN = "<unk>"  # the unit of number 0
FEWEST = 100  # units of a part
WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]|\n+")
CLOSES = re.compile(r" ([.,;:!?)\]}’”\n])")
Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Schema:
    """What the numbers mean."""

    unit: str
    lower: bool
    blanks: str
    vocabulary: tuple[str, ...]
    digest: str  # md5 of what was read

    def cut(self, text: str) -> list[str]:
        """A text's units, as a request has it."""
        return units(normal(text, self.lower, self.blanks), self.unit)

    def joined(self, numbers: Iterable[int]) -> str:
        """The text that units of these numbers make."""
        parts = [self.vocabulary[number] for number in numbers]
        return "".join(parts) if self.unit == "letter" else CLOSES.sub(r"\1", " ".join(parts))


@dataclass(frozen=True)
class Corpus:
    """All units of a text, one after another, and where its parts end."""

    schema: Schema
    tokens: NDArray[np.uint16]  # (all units,)
    ends: tuple[int, int, int]

    def part(self, name: str) -> Tokens:
        """The units of a part."""
        number = PARTS.index(name)
        first = self.ends[number - 1] if number else 0
        return self.tokens[first : self.ends[number]].astype(np.int64)


def units(text: str, unit: str) -> list[str]:
    """Letters are single characters, blanks too; words are words, and signs by themselves."""
    return list(text) if unit == "letter" else WORD.findall(text)


def encode(data: Data, text: str, digest: str) -> Corpus:
    """Cut a text, and number its units by what the training part has.

    Raises:
        DataError: a part is too short.
    """
    parts = units(text, data.unit)
    count = len(parts)
    first = round(count * (1 - data.validation_share - data.test_share))
    second = round(count * (1 - data.test_share))
    for name, length in zip(PARTS, (first, second - first, count - second), strict=True):
        if length < FEWEST:
            raise DataError(
                f"{data.path}: {count:,} {data.unit}s are too short a text: the {name} part has "
                f"{length:,}, and needs {FEWEST}; give more text, or other shares in data"
            )
    seen = Counter(parts[:first])
    most = sorted(seen, key=lambda part: (-seen[part], part))
    kept = most[: data.words] if data.unit == "word" else most
    vocabulary = (UNKNOWN, *sorted(kept))
    if len(vocabulary) > np.iinfo(np.uint16).max:
        raise DataError(f"{data.path}: {len(vocabulary):,} letters are too many to tell apart")
    numbers = {part: number for number, part in enumerate(vocabulary)}
    tokens = np.fromiter((numbers.get(part, 0) for part in parts), np.uint16, count)
    schema = Schema(data.unit, data.lower, data.blanks, vocabulary, digest)
    return Corpus(schema, tokens, (first, second, count))


def save(corpus: Corpus, folder: Path) -> None:
    """Write into an existing folder."""
    np.save(folder / "tokens.npy", corpus.tokens)
    content = {**asdict(corpus.schema), "ends": corpus.ends}
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (folder / "schema.json").write_text(text + "\n", encoding="utf-8")


def load(folder: Path) -> Corpus:
    """Read what `save` wrote."""
    content = json.loads((folder / "schema.json").read_text(encoding="utf-8"))
    first, second, third = content["ends"]
    tokens = np.load(folder / "tokens.npy", allow_pickle=False)
    return Corpus(schema_of(content), tokens, (first, second, third))


def schema_of(content: dict[str, Any]) -> Schema:
    """A schema from JSON."""
    return Schema(
        content["unit"],
        content["lower"],
        content["blanks"],
        tuple(content["vocabulary"]),
        content["digest"],
    )
