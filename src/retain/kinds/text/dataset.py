"""A text as numbers: units, vocabulary and the three parts, on disk; needs only NumPy."""

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
from retain.kinds.word_pattern import compose, joined_words

PARTS = ("train", "validation", "test")
UNKNOWN = "<unk>"  # the unit of number 0
FEWEST = 100  # units of a part
BLANKS = re.compile(r"\s+")
WORD = re.compile(joined_words(r"\w", "'’") + r"|[^\w\s]|\n+")
CLOSES = re.compile(r" ([.,;:!?)\]}’”\n])")
Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Schema:
    """The meaning of the numbers."""

    unit: str
    lower: bool
    blanks: str
    vocabulary: tuple[str, ...]
    digest: str  # md5 of the files that were read

    def cut(self, text: str) -> list[str]:
        """Return the units of a text of a request."""
        return split_units(normalise(text, self.lower, self.blanks), self.unit)

    def joined(self, numbers: Iterable[int]) -> str:
        """Return the text of units of these numbers."""
        parts = [self.vocabulary[number] for number in numbers]
        return "".join(parts) if self.unit == "letter" else CLOSES.sub(r"\1", " ".join(parts))


@dataclass(frozen=True)
class Corpus:
    """All units of a text in order, and the ends of its parts."""

    schema: Schema
    tokens: NDArray[np.uint16]  # (all units,)
    ends: tuple[int, int, int]

    def part(self, name: str) -> Tokens:
        """Return the units of a part."""
        number = PARTS.index(name)
        first = self.ends[number - 1] if number else 0
        return self.tokens[first : self.ends[number]].astype(np.int64)


def normalise(text: str, lower: bool, blanks: str) -> str:
    """Return a text in the form that the networks read."""
    text = text.lower() if lower else text
    return BLANKS.sub(" ", text) if blanks == "one" else text


def split_units(text: str, unit: str) -> list[str]:
    """Split a text into letters, that is characters, or into words and punctuation marks."""
    return list(text) if unit == "letter" else WORD.findall(compose(text))


def encode(data: Data, text: str, digest: str) -> Corpus:
    """Split a text into units, and number them by the vocabulary of the training part.

    Raises:
        DataError: a part is too short.
    """
    units = split_units(text, data.unit)
    count = len(units)
    first = round(count * (1 - data.validation_share - data.test_share))
    second = round(count * (1 - data.test_share))
    for name, length in zip(PARTS, (first, second - first, count - second), strict=True):
        if length < FEWEST:
            raise DataError(
                f"{data.path}: {count:,} {data.unit}s are too short a text: the {name} part has "
                f"{length:,}, and needs {FEWEST}; give more text, or other shares in data"
            )
    counts = Counter(units[:first])
    most_frequent = sorted(counts, key=lambda unit: (-counts[unit], unit))
    known = most_frequent[: data.words] if data.unit == "word" else most_frequent
    vocabulary = (UNKNOWN, *sorted(known))
    if len(vocabulary) > np.iinfo(np.uint16).max:
        raise DataError(f"{data.path}: {len(vocabulary):,} letters are too many to tell apart")
    numbers = {unit: number for number, unit in enumerate(vocabulary)}
    tokens = np.fromiter((numbers.get(unit, 0) for unit in units), np.uint16, count)
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
    first, second, third = content.pop("ends")
    tokens = np.load(folder / "tokens.npy", allow_pickle=False)
    return Corpus(parse_schema(content), tokens, (first, second, third))


def parse_schema(content: dict[str, Any]) -> Schema:
    """Return a schema from JSON."""
    return Schema(**content | {"vocabulary": tuple(content["vocabulary"])})
