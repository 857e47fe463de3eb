"""The prepared examples of a recall problem, on disk and in batches.

All sequences are stored one after another in `tokens.npy`; a row of `index.npy` has the start of
one. A batch has sequences of the same length where possible. Only batches need torch, which is
imported when one is made.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

PARTS = ("train", "validation", "test")
PART, GAP, START, STEPS, GROUP = range(5)  # columns of the index
ARRAYS = ("tokens", "values", "index", "targets")
LENGTH_CLASSES = 12  # classes of lengths for training sequences
CHUNK = 250  # sequences that are answered at once
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Schema:
    """The meaning of tokens and targets."""

    source: str
    vocabulary: tuple[str, ...]
    answers: tuple[str, ...]  # empty where the answer is a number
    gaps: tuple[int, ...]  # of the test, increasing
    digest: str  # md5 of the files that were read; empty where examples are generated
    groups: tuple[str, ...] = ()  # of the examples, if they are scored by group

    @property
    def features(self) -> int:
        """Input features of a step: one for each token, and a value if answers are numbers."""
        return len(self.vocabulary) + (not self.answers)


class Batch(NamedTuple):
    """Sequences aligned at their end; shorter ones are padded at the beginning."""

    tokens: "Tensor"  # (steps, batch), -1 before a sequence begins
    values: "Tensor"  # (steps, batch), or (0, batch) where there are only tokens
    targets: "Tensor"  # (batch,)


@dataclass(frozen=True)
class Sequences:
    """Examples of all parts, one after another."""

    schema: Schema
    tokens: NDArray[np.uint16]  # (all steps,)
    values: NDArray[np.float32]  # (all steps,), or (0,) where there are only tokens
    index: Ints  # (examples, 5): part, gap, first step, steps, number of the group
    targets: NDArray[np.float32]  # (examples,): the number of the answer, or the answer

    def part(self, name: str) -> Ints:
        """Return the numbers of the examples of a part."""
        return np.flatnonzero(self.index[:, PART] == PARTS.index(name))

    def batch(self, numbers: Ints) -> Batch:
        """Return the examples of these numbers; shorter ones are padded with −1 and 0."""
        import torch

        start, length = self.index[numbers, START], self.index[numbers, STEPS]
        steps = int(length.max())
        position = np.arange(steps)[:, None] - (steps - length)  # in the sequence, if not negative
        places = np.where(position >= 0, start + position, 0)
        tokens = np.where(position >= 0, self.tokens[places].astype(np.int64), -1)
        values = np.zeros((0, len(numbers)), dtype=np.float32)
        if len(self.values):
            values = np.where(position >= 0, self.values[places], np.float32(0))
        return Batch(*map(torch.from_numpy, (tokens, values, self.targets[numbers])))


@dataclass(frozen=True)
class Example:
    """One example of a source."""

    part: str
    gap: int
    tokens: NDArray[np.uint16]
    target: float
    values: NDArray[np.float32] | None = None
    group: int = 0


def join(schema: Schema, examples: list[Example]) -> Sequences:
    """Return examples in the arrays that are saved."""
    lengths = np.array([len(example.tokens) for example in examples])
    starts = np.concatenate([[0], lengths[:-1].cumsum()])
    parts = [PARTS.index(example.part) for example in examples]
    gaps = [example.gap for example in examples]
    groups = [example.group for example in examples]
    values = [example.values for example in examples if example.values is not None]
    return Sequences(
        schema,
        np.concatenate([example.tokens for example in examples]),
        np.concatenate(values) if values else np.zeros(0, dtype=np.float32),
        np.stack([parts, gaps, starts, lengths, groups], axis=1).astype(np.int64),
        np.array([example.target for example in examples], dtype=np.float32),
    )


def save(sequences: Sequences, folder: Path) -> None:
    """Write into an existing folder."""
    for name in ARRAYS:
        np.save(folder / f"{name}.npy", getattr(sequences, name))
    text = json.dumps(asdict(sequences.schema), indent=1, ensure_ascii=False)
    (folder / "schema.json").write_text(text + "\n", encoding="utf-8")


def load(folder: Path) -> Sequences:
    """Read what `save` wrote."""
    schema = parse_schema(json.loads((folder / "schema.json").read_text(encoding="utf-8")))
    arrays: list[Any] = [np.load(folder / f"{name}.npy", allow_pickle=False) for name in ARRAYS]
    return Sequences(schema, *arrays)


def parse_schema(content: dict[str, Any]) -> Schema:
    """Return a schema from JSON, which has lists in place of tuples."""
    fields: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
    return Schema(**fields)


class Examples:
    """The examples of one part, by number.

    A training batch has examples of one class of lengths, that of its first number: otherwise many
    short sequences would be padded to a long one. So short and long gaps alternate from the first
    step on, and learning the short ones helps to learn the long ones.
    """

    def __init__(self, source: Sequences, part: str):
        self.source, self.training = source, part == "train"
        self.numbers = source.part(part)
        lengths = source.index[self.numbers, STEPS]
        distinct = np.unique(lengths)
        if self.training and len(distinct) > LENGTH_CLASSES:
            by_length = np.array_split(np.argsort(lengths, kind="stable"), LENGTH_CLASSES)
            self.classes = [np.sort(places) for places in by_length]
        else:
            self.classes = [np.flatnonzero(lengths == length) for length in distinct]
        self._class_of = np.empty(len(self.numbers), dtype=np.int64)
        for number, places in enumerate(self.classes):
            self._class_of[places] = number

    def __len__(self) -> int:
        return len(self.numbers)

    def batch(self, numbers: Ints) -> list[Batch]:
        """Return the examples of these numbers, a batch for each class."""
        classes = self._class_of[numbers]
        if self.training:
            same = self.classes[classes[0]]
            return [self.source.batch(self.numbers[same[numbers % len(same)]])]
        return [
            self.source.batch(self.numbers[numbers[classes == number]])
            for number in np.unique(classes)
        ]

    def chunks(self) -> Iterator[tuple[Ints, Batch]]:
        """Yield all examples, class by class, with their numbers in the source."""
        for places in self.classes:
            for begin in range(0, len(places), CHUNK):
                numbers = self.numbers[places[begin : begin + CHUNK]]
                yield numbers, self.source.batch(numbers)
