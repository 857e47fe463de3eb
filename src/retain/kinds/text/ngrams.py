"""N-gram counts: the baseline without a network.

The estimate of each order is that of Witten & Bell (1991): the counted frequencies, mixed with the
estimate of the order below, whose weight grows with the number of different units that followed.
"""

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats
from retain.kinds.text.dataset import Tokens

ORDERS = {1: "unigram", 2: "bigram", 3: "trigram", 5: "fivegram"}


def probabilities(train: Tokens, test: Tokens, units: int) -> dict[str, Floats]:
    """Return the probability of each unit of `test` except the first, by order: (test − 1,).

    Args:
        train: the units to count.
        test: the units to score, without any context before them.
        units: size of the vocabulary.
    """
    estimate = np.full(len(test), 1 / units)
    # The number of the n-gram that ends at each position; -1 if it was not counted.
    train_ends, test_ends = (
        np.zeros(len(train), dtype=np.int64),
        np.zeros(len(test), dtype=np.int64),
    )
    context_count, estimates = 1, {}
    for order in range(1, max(ORDERS) + 1):
        first = [0 if order == 1 else -1]
        train_contexts = np.concatenate([first, train_ends[:-1]])
        test_contexts = np.concatenate([first, test_ends[:-1]])
        train_keys = np.where(train_contexts >= 0, train_contexts * units + train, -1)
        test_keys = np.where(test_contexts >= 0, test_contexts * units + test, -1)
        known, counts = np.unique(train_keys[train_keys >= 0], return_counts=True)
        contexts = known // units  # of each known n-gram
        seen = np.bincount(contexts, weights=counts, minlength=context_count)
        different = np.bincount(contexts, minlength=context_count)
        places, is_known = _find(known, test_keys)
        context = np.maximum(test_contexts, 0)
        count = np.where(is_known, counts[places], 0)
        mixed = (count + different[context] * estimate) / np.maximum(seen + different, 1)[context]
        estimate = np.where((test_contexts >= 0) & (seen[context] > 0), mixed, estimate)
        if order in ORDERS:
            estimates[ORDERS[order]] = estimate[1:]
        train_ends = np.where(train_keys >= 0, _find(known, train_keys)[0], -1)
        test_ends = np.where(is_known, places, -1)
        context_count = len(known)
    return estimates


def _find(known: Tokens, keys: Tokens) -> tuple[Tokens, NDArray[np.bool_]]:
    """Return the index of each key in the sorted known keys, and whether it is there."""
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return places, known[places] == keys
