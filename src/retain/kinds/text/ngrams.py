"""Counts of what followed the last few units: the yardstick that needs no network.

Of each order the estimate of Witten & Bell (1991): what was counted, mixed with the estimate of the
order below the more, the more different units were seen to follow.
"""

import numpy as np
from numpy.typing import NDArray

from retain.kinds.text.dataset import Tokens

Floats = NDArray[np.float64]
ORDERS = {1: "unigram", 2: "bigram", 3: "trigram", 5: "fivegram"}


def probabilities(train: Tokens, test: Tokens, units: int) -> dict[str, Floats]:
    """How likely each unit of `test` but the first is, by order: (test − 1,) each.

    Args:
        train: what is counted.
        test: what is scored; nothing is known of what stands before it.
        units: size of the vocabulary.
    """
    estimate = np.full(len(test), 1 / units)
    # The number of the n-gram that ends at each place; -1 where none was counted.
    ends = np.zeros(len(train), dtype=np.int64), np.zeros(len(test), dtype=np.int64)
    contexts, found = 1, {}
    for order in range(1, max(ORDERS) + 1):
        before = [np.concatenate([[0 if order == 1 else -1], each[:-1]]) for each in ends]
        counted, asked = (
            np.where(context >= 0, context * units + tokens, -1)
            for context, tokens in zip(before, (train, test), strict=True)
        )
        known, counts = np.unique(counted[counted >= 0], return_counts=True)
        behind = known // units  # the context of each known n-gram
        seen = np.bincount(behind, weights=counts, minlength=contexts)
        kinds = np.bincount(behind, minlength=contexts)
        own, there = _places(known, asked)
        context = np.maximum(before[1], 0)
        some = (before[1] >= 0) & (seen[context] > 0)
        count = np.where(there, counts[own], 0)
        mixed = (count + kinds[context] * estimate) / np.maximum(seen + kinds, 1)[context]
        estimate = np.where(some, mixed, estimate)
        if order in ORDERS:
            found[ORDERS[order]] = estimate[1:]
        train_own, _ = _places(known, counted)
        ends = np.where(counted >= 0, train_own, -1), np.where(there, own, -1)
        contexts = len(known)
    return found


def _places(known: Tokens, keys: Tokens) -> tuple[Tokens, NDArray[np.bool_]]:
    """Where each key stands among the known ones, which are sorted, and whether it does."""
    own = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return own, known[own] == keys
