"""Examples as tensors, in batches of one length where that is possible."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from retain.kinds.recall.dataset import Ints, Sequences

CLASSES = 12  # of lengths that training sequences of many lengths are sorted into
CHUNK = 250  # sequences that are answered at once


class Batch(NamedTuple):
    """Sequences that end together; those that are shorter begin later, with nothing before."""

    tokens: Tensor  # (steps, batch), -1 where there is none
    values: Tensor  # (steps, batch), or (0, batch) where tokens say all
    targets: Tensor  # (batch,)


class Examples:
    """The examples of one part, fetched by number.

    A batch of training has examples of one class of lengths, that of its first number: one long
    sequence among many short ones would have them all wait. So short and long gaps take turns from
    the first step on, and what is learned of the short ones helps with the long.
    """

    def __init__(self, source: Sequences, part: str):
        self.source, self.training = source, part == "train"
        self.numbers = source.part(part)
        lengths = source.index[self.numbers, 3]
        several = len(np.unique(lengths)) > CLASSES
        order = np.argsort(lengths, kind="stable")
        parts = np.array_split(order, CLASSES) if several and self.training else _equal(lengths)
        self.classes = [np.sort(each) for each in parts if len(each)]
        self._class_of = np.empty(len(self.numbers), dtype=np.int64)
        for number, each in enumerate(self.classes):
            self._class_of[each] = number

    def __len__(self) -> int:
        return len(self.numbers)

    def batch(self, numbers: Ints) -> list[Batch]:
        """The examples of these numbers, those of each class together."""
        if self.training:
            own = self.classes[self._class_of[numbers[0]]]
            return [self._gathered(own[numbers % len(own)])]
        classes = self._class_of[numbers]
        return [self._gathered(numbers[classes == each]) for each in np.unique(classes)]

    def chunks(self) -> Iterator[tuple[Ints, Batch]]:
        """All examples, with their numbers in the source, each class by itself."""
        for own in self.classes:
            for begin in range(0, len(own), CHUNK):
                chosen = own[begin : begin + CHUNK]
                yield self.numbers[chosen], self._gathered(chosen)

    def _gathered(self, own: Ints) -> Batch:
        tokens, values = self.source.gathered(self.numbers[own])
        targets = self.source.targets[self.numbers[own]]
        return Batch(torch.from_numpy(tokens), torch.from_numpy(values), torch.from_numpy(targets))


def _equal(lengths: Ints) -> list[Ints]:
    """The places of each length."""
    return [np.flatnonzero(lengths == length) for length in np.unique(lengths)]
