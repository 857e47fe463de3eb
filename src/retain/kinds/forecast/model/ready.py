"""Training windows that are normalised in blocks of several batches.

A batch of 64 windows is mostly overhead of its many small operations, and what they compute does
not change in a training.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retain.kinds.forecast.data.windows import Batch, Windows
from retain.kinds.forecast.model.forecaster import Forecaster
from retain.kinds.forecast.model.segrnn import Normalised


class Ready(NamedTuple):
    """A batch, and the same as its network reads it."""

    batch: Batch
    window: Normalised


class ReadyWindows:
    """Windows, normalised as a network does, on its device."""

    def __init__(self, windows: Windows, network: Forecaster):
        self.windows, self.network = windows, network

    def __len__(self) -> int:
        return len(self.windows)

    def batch(self, numbers: NDArray[np.int64]) -> Batch:
        """Return the windows of the given numbers, not normalised."""
        return self.windows.batch(numbers)

    def batches(self, numbers: Sequence[NDArray[np.int64]]) -> list[Ready]:
        """Return a batch for each array of numbers."""
        device = self.network.column_means.device
        found = self.windows.batch(np.concatenate(numbers))
        batch = Batch(*(values.to(device) for values in found))
        with torch.no_grad():
            block = Ready(batch, self.network.normalise(batch))
        return _split(block, [len(some) for some in numbers])


class Together:
    """Windows of several panels: a batch is one of each.

    Args:
        least: the least number of examples; windows are repeated to reach it.
    """

    def __init__(self, parts: Sequence[Windows | ReadyWindows], least: int = 0):
        self.parts, self._count = tuple(parts), max(least, *map(len, parts))

    def __len__(self) -> int:
        return self._count

    def batch(self, numbers: NDArray[np.int64]) -> tuple[Batch, ...]:
        """Return the windows of the given numbers, modulo the number of windows."""
        return tuple(part.batch(numbers % len(part)) for part in self.parts)

    def batches(self, numbers: Sequence[NDArray[np.int64]]) -> Iterator[tuple[Batch | Ready, ...]]:
        """Return a batch for each array of numbers."""
        parts: list[Sequence[Batch | Ready]] = []
        for part in self.parts:
            own = [some % len(part) for some in numbers]
            if isinstance(part, ReadyWindows):
                parts.append(part.batches(own))
            else:
                parts.append([part.batch(some) for some in own])
        return zip(*parts, strict=True)


def _split(block: Any, sizes: list[int]) -> list[Any]:
    """Divide tensors, and tuples of them, into batches of these sizes."""
    if block is None or isinstance(block, Tensor):
        return [None] * len(sizes) if block is None else list(block.split(sizes))
    fields = (_split(field, sizes) for field in block)
    return [type(block)(*values) for values in zip(*fields, strict=True)]
