"""Counts of what followed the last few units: the baseline that needs no network.

The estimate of each order is that of Witten & Bell (1991): the counted frequencies, mixed with the
estimate of the order below, which has the more weight the more different units followed.
"""

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats
from retain.kinds.text.dataset import Tokens

ORDERS = {1: "unigram", 2: "bigram", 3: "trigram", 5: "fivegram"}


def probabilities(train: Tokens, test: Tokens, units: int) -> dict[str, Floats]:
    """Return the probability of each unit of `test` but the first, by order: (test − 1,) each.

    Args:
        train: the units that are counted.
        test: the units that are scored; what stands before them is not known.
        units: size of the vocabulary.
    """
    estimate = np.full(len(test), 1 / units)
    # The number of the n-gram that ends at each place; -1 where none was counted.
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
    """Return the place of each key among the sorted known ones, and whether it is one."""
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return places, known[places] == keys
