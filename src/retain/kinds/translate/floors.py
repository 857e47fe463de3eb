"""What needs no network: the nearest trained sentence, and a dictionary word by word."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from retain.evaluation.arrays import Floats
from retain.kinds.translate.dataset import Corpus, Ints, Pair
from retain.kinds.translate.prepare import WORD, split_words

ROUNDS = 5  # of expectation maximisation
TOKEN = re.compile(rf"{WORD.pattern}|[^\w\s]")
CLOSES = re.compile(r" ([.,;:!?%)\]}])")
AT_ONCE = 256  # sentences that are compared with all of the training part
EMPTY = "<empty>"  # the source of words that translate none


def nearest(corpus: Corpus, pairs: Ints) -> list[str]:
    """Return for each pair the target of the trained pair whose source is most like its source.

    Likeness is the cosine of the pieces and of their pairs of neighbours, each weighted by how rare
    it is (tf-idf; Spärck Jones 1972).
    """
    train = corpus.part("train")
    known, asked = _features(corpus, train), _features(corpus, pairs)
    present = np.asarray((known > 0).sum(0)).ravel()
    rarity = np.log((1 + len(train)) / (1 + present))
    known, asked = (_unit_length(matrix.multiply(rarity).tocsr()) for matrix in (known, asked))
    chosen: list[int] = []
    for begin in range(0, len(pairs), AT_ONCE):
        likeness = (asked[begin : begin + AT_ONCE] @ known.T).toarray()
        chosen += likeness.argmax(1).tolist()
    return [corpus.pairs[train[number]].target for number in chosen]


def _features(corpus: Corpus, pairs: Ints) -> Any:
    """Count pieces and pairs of neighbouring pieces of sources: (pairs, pieces · (1 + buckets))."""
    size = len(corpus.schema.source)
    rows, columns = [], []
    for row, pair in enumerate(pairs.tolist()):
        pieces = corpus.source_of(pair)
        # A pair of neighbours has a number of its own, up to collisions in 2^20.
        after = [size + (a * 2654435761 + b) % 2**20 for a, b in pairwise(pieces)]
        columns += [*pieces, *after]
        rows += [row] * (len(pieces) + len(after))
    shape = (len(pairs), size + 2**20)
    return sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)


def _unit_length(matrix: Any) -> Any:
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(1)).ravel())
    return sparse.diags(1 / np.maximum(norms, 1e-12)) @ matrix


def word_by_word(train: Sequence[Pair], sources: Sequence[str]) -> list[str]:
    """Translate each word by the likeliest one of a dictionary, in the order of the source.

    The dictionary is model 1 of Brown et al. (1993), which is learned from pairs of sentences
    alone. A word that is not in it stays as it is.
    """
    dictionary = _learn(train)
    written = []
    for source in sources:
        words = [dictionary.get(token.lower(), token) for token in TOKEN.findall(source)]
        text = CLOSES.sub(r"\1", " ".join(filter(None, words)))
        written.append(text[:1].upper() + text[1:])
    return written


def _learn(train: Sequence[Pair]) -> dict[str, str]:
    """Return the likeliest translation of each word, in the case in which it is most frequent."""
    sources, targets = _Numbers(), _Numbers()
    links: list[tuple[int, int, int]] = []  # pair, word of the source, word of the target
    cases: dict[str, Counter[str]] = {}
    for number, pair in enumerate(train):
        ours = [sources[EMPTY], *(sources[word] for word in split_words(pair.source))]
        for token in TOKEN.findall(pair.target)[1:]:  # the first is upper case by its place
            cases.setdefault(token.lower(), Counter())[token] += 1
        for position, word in enumerate(split_words(pair.target)):
            links += [(number << 10 | position, one, targets[word]) for one in ours]
    places, one, other = np.array(links, np.int64).reshape(-1, 3).T
    kinds, kind = np.unique(one * len(targets.words) + other, return_inverse=True)
    _, place = np.unique(places, return_inverse=True)
    given = kinds // len(targets.words)
    shares: Floats = np.ones(len(kinds))
    for _ in range(ROUNDS):
        weights = shares[kind]
        weights = weights / np.bincount(place, weights)[place]
        expected = np.bincount(kind, weights)
        shares = expected / np.bincount(given, expected)[given]
    order = np.lexsort((kinds, shares))  # the likeliest of each word comes last
    words = [*targets.words]
    names = [*sources.words]
    found = {names[given[n]]: words[kinds[n] % len(words)] for n in order.tolist()}
    found.pop(EMPTY, None)
    return {
        word: cases[other].most_common(1)[0][0] if other in cases else other
        for word, other in found.items()
    }


class _Numbers:
    """Numbers of words, in the order in which they are met."""

    def __init__(self) -> None:
        self.words: dict[str, int] = {}

    def __getitem__(self, word: str) -> int:
        return self.words.setdefault(word, len(self.words))
