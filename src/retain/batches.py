"""The batches of an epoch, in an order that is a function of seed and epoch alone."""

import math
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Examples(Protocol):
    """Training examples that are fetched a batch at a time, by number."""

    def __len__(self) -> int: ...

    def batch(self, numbers: NDArray[np.int64], /) -> Any:
        """The examples of these numbers, as tensors."""
        ...


class Batches:
    """All examples, batch by batch: shuffled by (seed, epoch) if there is a seed, else in order.

    Of several devices each takes every n-th example of a batch, so that the batches are the same
    whatever their number. Lightning keeps and restores the position through `state_dict`.
    """

    def __init__(self, examples: Examples, size: int, seed: int | None):
        self.examples, self.size, self.seed = examples, size, seed
        self.epoch = 0  # set by the module; an iteration reads it when its first batch is asked for
        self.rank, self.world = 0, 1
        self._first = 0  # batch of the next iteration to begin with
        self._done = 0  # batches of this iteration that were handed out

    def __len__(self) -> int:
        return math.ceil(len(self.examples) / self.size)

    def __iter__(self) -> Iterator[Any]:
        count = len(self.examples)
        order = np.arange(count)
        if self.seed is not None:
            generator = np.random.Generator(np.random.Philox(key=(self.seed, self.epoch)))
            order = generator.permutation(count)
        first, self._first = self._first, 0
        for number in range(first, len(self)):
            numbers = order[number * self.size : (number + 1) * self.size]
            # An empty share would leave the other devices waiting: then take the first example.
            share = numbers[self.rank :: self.world]
            self._done = number + 1
            yield self.examples.batch(share if len(share) else numbers[:1])

    def state_dict(self) -> dict[str, int]:
        """Where in which epoch the iteration is."""
        return {"epoch": self.epoch, "done": self._done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Have the next iteration go on from there."""
        self.epoch, self._first = state["epoch"], state["done"]
