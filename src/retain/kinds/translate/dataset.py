"""Pairs of sentences as numbers, on disk and in groups of similar length; needs only NumPy.

The pieces of all sentences lie one after another in `source.npy` and `target.npy`; a row of
`index.npy` has the place of a pair. Only batches need torch, which is imported when one is made.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retain.kinds.translate.pieces import BEGIN, END, PAD, Pieces

if TYPE_CHECKING:
    from torch import Tensor

PARTS = ("train", "validation", "test")
PART, GROUP, SOURCE, SOURCE_LENGTH, TARGET, TARGET_LENGTH = range(6)  # columns of the index
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Schema:
    """The meaning of the numbers."""

    languages: tuple[str, str]
    source: Pieces
    target: Pieces
    digest: str  # md5 of the files that were read

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON, with the text of both tokenizer.json."""
        return {
            "languages": self.languages,
            "source": self.source.text,
            "target": self.target.text,
            "digest": self.digest,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Schema":
        """Return what `to_dict` gave."""
        source, target = content["languages"]
        pieces = Pieces(content["source"]), Pieces(content["target"])
        return cls((source, target), *pieces, content["digest"])


class Pair(NamedTuple):
    """A sentence and its translation."""

    source: str
    target: str


class Batch(NamedTuple):
    """Pairs whose sources are equally long; targets are padded at their end."""

    source: "Tensor"  # (source steps, batch)
    inputs: "Tensor"  # (target steps, batch), from BEGIN
    targets: "Tensor"  # (target steps, batch), to END


@dataclass(frozen=True)
class Corpus:
    """All pairs of all parts."""

    schema: Schema
    source: NDArray[np.uint16]  # (all pieces,)
    target: NDArray[np.uint16]
    index: Ints  # (pairs, 6)
    folder: Path | None = None

    def part(self, name: str) -> Ints:
        """Return the numbers of the pairs of a part, in the order of the file."""
        return np.flatnonzero(self.index[:, PART] == PARTS.index(name))

    def source_of(self, pair: int) -> list[int]:
        """Return the pieces of a pair's source."""
        start, length = self.index[pair, SOURCE : SOURCE_LENGTH + 1]
        pieces: list[int] = self.source[start : start + length].tolist()
        return pieces

    @cached_property
    def pairs(self) -> list[Pair]:
        """Read the sentences themselves."""
        assert self.folder is not None
        lines = (self.folder / "pairs.tsv").read_text(encoding="utf-8").split("\n")[:-1]
        return [Pair(*line.split("\t")) for line in lines]

    def batch(self, pairs: Ints) -> Batch:
        """Return pairs whose sources are equally long as tensors."""
        import torch

        rows = self.index[pairs]
        steps = np.arange(rows[0, SOURCE_LENGTH])[:, None]
        source = self.source[rows[:, SOURCE] + steps].astype(np.int64)
        lengths = rows[:, TARGET_LENGTH]
        steps = np.arange(lengths.max())[:, None]
        places = np.minimum(rows[:, TARGET] + steps, len(self.target) - 1)
        inside = steps < lengths
        pieces = np.where(inside, self.target[places].astype(np.int64), PAD)
        inputs = np.vstack([np.full(len(rows), BEGIN), pieces])
        targets = np.vstack([pieces, np.full(len(rows), PAD)])
        targets[lengths, np.arange(len(rows))] = END
        return Batch(*(torch.from_numpy(array) for array in (source, inputs, targets)))


class Groups:
    """Groups of a part's pairs: sources of one length, targets of similar length.

    A source is never padded, so that an encoder needs no mask.

    Args:
        size: pairs of a group, at most.
    """

    def __init__(self, corpus: Corpus, part: str, size: int):
        self.corpus = corpus
        self.groups = list(by_length(corpus, corpus.part(part), size))

    def __len__(self) -> int:
        return len(self.groups)

    def batch(self, numbers: Ints) -> list[Batch]:
        """Return the groups of these numbers."""
        return [self.corpus.batch(self.groups[number]) for number in numbers]


def by_length(corpus: Corpus, pairs: Ints, size: int) -> Iterator[Ints]:
    """Yield groups of pairs whose sources are equally long, and whose targets nearly are."""
    # A file may be sorted: neighbours, which resemble each other, are drawn apart.
    chance = np.random.Generator(np.random.Philox(0)).permutation(len(pairs))
    sources, targets = corpus.index[pairs][:, [SOURCE_LENGTH, TARGET_LENGTH]].T
    order = np.lexsort((chance, targets, sources))
    borders = np.flatnonzero(np.diff(sources[order])) + 1
    for same in np.split(pairs[order], borders):
        for begin in range(0, len(same), size):
            yield same[begin : begin + size]


def save(corpus: Corpus, pairs: list[Pair], folder: Path) -> None:
    """Write into an existing folder."""
    for name in ("source", "target", "index"):
        np.save(folder / f"{name}.npy", getattr(corpus, name))
    text = "".join(f"{pair.source}\t{pair.target}\n" for pair in pairs)
    (folder / "pairs.tsv").write_text(text, encoding="utf-8", newline="")
    content = corpus.schema.to_dict()
    for side in ("source", "target"):
        (folder / f"tokenizer_{side}.json").write_text(content.pop(side) + "\n", encoding="utf-8")
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (folder / "schema.json").write_text(text + "\n", encoding="utf-8")


def load(folder: Path) -> Corpus:
    """Read what `save` wrote."""
    content = json.loads((folder / "schema.json").read_text(encoding="utf-8"))
    for side in ("source", "target"):
        text = (folder / f"tokenizer_{side}.json").read_text(encoding="utf-8")
        content[side] = text.removesuffix("\n")
    source, target, index = (
        np.load(folder / f"{name}.npy", allow_pickle=False)
        for name in ("source", "target", "index")
    )
    return Corpus(Schema.from_dict(content), source, target, index, folder)
