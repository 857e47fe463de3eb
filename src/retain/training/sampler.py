"""The batches of an epoch, in an order that is a function of seed and epoch alone.

The order is computed in chunks and never stored whole, so that memory does not grow with the number
of examples, and resuming in the middle of an epoch costs nothing.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

ROUNDS = 6
AHEAD = 1 << 15  # examples whose order is computed at once
BLOCK = 512  # examples of several batches that are made at once


class Examples(Protocol):
    """Training examples that are fetched in batches, by number."""

    def __len__(self) -> int: ...

    def batch(self, numbers: NDArray[np.int64], /) -> Any:
        """Return the examples of these numbers, as tensors."""
        ...


@runtime_checkable
class DrawnExamples(Examples, Protocol):
    """Examples that are generated, and may be others in each epoch."""

    def at(self, epoch: int, /) -> Examples:
        """Return the examples of an epoch."""
        ...


@runtime_checkable
class JoinedExamples(Examples, Protocol):
    """Examples of which several batches are made at once, where a small one is mostly overhead."""

    def batches(self, numbers: Sequence[NDArray[np.int64]], /) -> Iterable[Any]:
        """Return a batch for each array of numbers."""
        ...


class ResumableSampler:
    """All examples, batch by batch: shuffled by (seed, epoch) if there is a seed, else in order.

    With several devices, each takes every n-th example of a batch, so that the batches do not
    depend on the number of devices. Lightning keeps and restores the position through `state_dict`.

    Args:
        examples: to take the batches from.
        size: examples per batch.
        seed: of the order; without one the examples are in order.
        most: the most batches per epoch; each epoch samples other examples.
    """

    def __init__(self, examples: Examples, size: int, seed: int | None, most: int | None = None):
        self.examples, self.size, self.seed, self.most = examples, size, seed, most
        self.epoch = 0  # set by the module; an iteration reads it at its first batch
        self.rank, self.world = 0, 1
        self._first = 0  # first batch of the next iteration
        self._done = 0  # batches of this iteration that were yielded

    def __len__(self) -> int:
        whole = math.ceil(len(self.examples) / self.size)
        return whole if self.most is None else min(whole, self.most)

    def __iter__(self) -> Iterator[Any]:
        first, self._first = self._first, 0
        examples = self.examples
        if isinstance(examples, DrawnExamples):
            examples = examples.at(self.epoch)
        # Blocks are the same wherever an epoch resumes, and so are the bits of its batches.
        size = max(1, BLOCK // self.size) if isinstance(examples, JoinedExamples) else 1
        begin = first - first % size
        shares = self._shares(begin)
        while block := list(islice(shares, size)):
            if isinstance(examples, JoinedExamples):
                batches = examples.batches(block)
            else:
                batches = map(examples.batch, block)
            for number, batch in enumerate(batches, start=begin):
                if number >= first:
                    self._done = number + 1
                    yield batch
            begin += size

    def _shares(self, first: int) -> Iterator[NDArray[np.int64]]:
        """Yield the numbers of this device's examples of each batch, from the given batch on."""
        for numbers in self._numbers(first):
            # An empty share would make the other devices wait: then take the first example.
            share = numbers[self.rank :: self.world]
            yield share if len(share) else numbers[:1]

    def _numbers(self, first: int) -> Iterator[NDArray[np.int64]]:
        """Yield the numbers of the examples of each batch, from the given batch on."""
        count, ahead = len(self.examples), max(AHEAD // self.size, 1) * self.size
        keys = None
        if self.seed is not None:
            generator = np.random.Generator(np.random.Philox(key=(self.seed, self.epoch)))
            keys = generator.integers(0, 2**64, ROUNDS, dtype=np.uint64)
        end = min(len(self) * self.size, count)
        for begin in range(first * self.size, end, ahead):
            numbers = np.arange(begin, min(begin + ahead, end))
            if keys is not None:
                numbers = shuffled(numbers, count, keys)
            for place in range(0, len(numbers), self.size):
                yield numbers[place : place + self.size]

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and how many of its batches are done."""
        return {"epoch": self.epoch, "done": self._done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Resume at this position in the next iteration."""
        self.epoch, self._first = state["epoch"], state["done"]


def shuffled(places: NDArray[np.int64], count: int, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Compute which of `count` examples are at these positions of the order that the keys define.

    A Feistel network over a rectangle that contains the numbers; a number outside the range is
    permuted again until it is inside (Black & Rogaway 2002): each number occurs once, whatever the
    keys.
    """
    width = np.uint64(math.isqrt(count - 1) + 1)
    height = (np.uint64(count) + width - np.uint64(1)) // width
    numbers = places.astype(np.uint64)
    outside = np.arange(len(numbers))
    while len(outside):
        row, column = np.divmod(numbers[outside], width)
        for number, key in enumerate(keys):
            if number % 2:
                row = (row + _mixed(column + key) % height) % height
            else:
                column = (column + _mixed(row + key) % width) % width
        numbers[outside] = row * width + column
        outside = outside[numbers[outside] >= count]
    return numbers.astype(np.int64)


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix bits, so that each output bit depends on every input bit."""
    for _ in range(2):
        bits = (bits ^ (bits >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return bits ^ (bits >> np.uint64(32))
