"""The prepared examples of a recall problem on disk; knows NumPy alone.

All sequences lie one after another in `tokens.npy`; a row of `index.npy` says where one begins.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PARTS = ("train", "validation", "test")
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Schema:
    """What the tokens and targets mean."""

    source: str
    vocabulary: tuple[str, ...]
    answers: tuple[str, ...]  # empty where the answer is a number
    gaps: tuple[int, ...]  # of the test, increasing
    digest: str  # md5 of what was read; empty where examples are made
    groups: tuple[str, ...] = ()  # that the examples belong to, if they are told apart

    @property
    def features(self) -> int:
        """Numbers that a step has: one for each token, and a value where answers are numbers."""
        return len(self.vocabulary) + (not self.answers)


@dataclass(frozen=True)
class Sequences:
    """Examples of all parts, one after another."""

    schema: Schema
    tokens: NDArray[np.uint16]  # (all steps,)
    values: NDArray[np.float32]  # (all steps,), or (0,) where tokens say all
    index: Ints  # (examples, 5): part, gap, first step, steps, number of the group
    targets: NDArray[np.float32]  # (examples,): the number of the answer, or the answer

    def part(self, name: str) -> Ints:
        """The numbers of the examples of a part."""
        return np.flatnonzero(self.index[:, 0] == PARTS.index(name))

    def gathered(self, numbers: Ints) -> tuple[Ints, NDArray[np.float32]]:
        """Tokens and values of examples, (steps, examples) both; −1 and 0 before shorter ones."""
        start, length = self.index[numbers, 2], self.index[numbers, 3]
        steps = int(length.max())
        behind = np.arange(steps)[:, None] - (steps - length)
        place = np.where(behind >= 0, start + behind, 0)
        tokens = np.where(behind >= 0, self.tokens[place].astype(np.int64), -1)
        if not len(self.values):
            return tokens, np.zeros((0, len(numbers)), dtype=np.float32)
        return tokens, np.where(behind >= 0, self.values[place], np.float32(0))


@dataclass(frozen=True)
class Example:
    """One example as a source gives it."""

    part: str
    gap: int
    tokens: NDArray[np.uint16]
    target: float
    values: NDArray[np.float32] | None = None
    group: int = 0


def join(schema: Schema, examples: list[Example]) -> Sequences:
    """Examples as they go to disk."""
    lengths = np.array([len(each.tokens) for each in examples])
    starts = np.concatenate([[0], lengths[:-1].cumsum()])
    parts = [PARTS.index(each.part) for each in examples]
    gaps = [each.gap for each in examples]
    groups = [each.group for each in examples]
    values = [each.values for each in examples if each.values is not None]
    return Sequences(
        schema,
        np.concatenate([each.tokens for each in examples]),
        np.concatenate(values) if values else np.zeros(0, dtype=np.float32),
        np.stack([parts, gaps, starts, lengths, groups], axis=1).astype(np.int64),
        np.array([each.target for each in examples], dtype=np.float32),
    )


def save(made: Sequences, folder: Path) -> None:
    """Write into an existing folder."""
    for name in ("tokens", "values", "index", "targets"):
        np.save(folder / f"{name}.npy", getattr(made, name))
    text = json.dumps(asdict(made.schema), indent=1, ensure_ascii=False)
    (folder / "schema.json").write_text(text + "\n", encoding="utf-8")


def load(folder: Path) -> Sequences:
    """Read what `save` wrote."""
    arrays: list[Any] = [
        np.load(folder / f"{name}.npy", allow_pickle=False)
        for name in ("tokens", "values", "index", "targets")
    ]
    return Sequences(schema_of(json.loads((folder / "schema.json").read_text("utf-8"))), *arrays)


def schema_of(content: dict[str, Any]) -> Schema:
    """A schema from JSON."""
    return Schema(
        content["source"],
        tuple(content["vocabulary"]),
        tuple(content["answers"]),
        tuple(content["gaps"]),
        content["digest"],
        tuple(content["groups"]),
    )
