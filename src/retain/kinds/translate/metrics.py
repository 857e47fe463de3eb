"""Scores of translations by sacreBLEU: chrF (Popović 2015), BLEU (Papineni et al. 2002), exact.

A score of a corpus is computed from sums over its sentences, not as a mean of their scores. So the
bootstrap of two models draws groups of sentences, the same for both, and adds up their counts
(Koehn 2004).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from retain.evaluation.arrays import Floats
from retain.evaluation.results import Interval
from retain.kinds.translate.config import Evaluation
from retain.kinds.translate.dataset import Ints

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

FEWEST_GROUPS = 20  # of a bootstrap
MEASURES = ("chrf", "bleu")


@cache
def _metrics() -> "dict[str, Metric]":
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    return {"chrf": CHRF(), "bleu": BLEU(effective_order=False)}


def versions() -> dict[str, str]:
    """Return sacreBLEU's signature of each measure: its settings and version."""
    signatures = {}
    for name, metric in _metrics().items():
        metric.corpus_score(["a"], [["a"]])  # a signature names the number of references
        signatures[name] = str(metric.get_signature())
    return signatures


@dataclass(frozen=True)
class Translations:
    """The translations of a model, and what their scores are computed from.

    Attributes:
        texts: a translation of each sentence.
        counts: by measure, n-grams of each sentence: (sentences, counts).
        exact: whether a translation is the reference itself.
    """

    texts: list[str]
    counts: dict[str, Ints]
    exact: Floats

    @classmethod
    def measure(cls, texts: Sequence[str], references: Sequence[str]) -> "Translations":
        """Count the n-grams that translations and references have in common."""
        counts = {
            name: np.array(
                metric._extract_corpus_statistics(texts, [references]),  # what a score sums up
                np.int64,
            )
            for name, metric in _metrics().items()
        }
        exact = np.array([ours == theirs for ours, theirs in zip(texts, references, strict=True)])
        return cls([*texts], counts, exact.astype(np.float64))

    def scores(self, rows: Ints | slice = slice(None)) -> dict[str, float]:
        """Return scores of some of the sentences together, and what they lack of 100."""
        scores = {name: score(name, self.counts[name][rows].sum(0)) for name in MEASURES}
        errors = {f"{name}_error": 100 - value for name, value in scores.items()}
        return {**scores, "exact": 100 * float(self.exact[rows].mean()), **errors}

    def sentence_chrf(self) -> Floats:
        """Return the chrF of each sentence: (sentences,)."""
        return np.array([score("chrf", counts) for counts in self.counts["chrf"]])


def score(measure: str, counts: "Ints | Any") -> float:
    """Compute a measure from sums of counts."""
    return float(_metrics()[measure]._compute_score_from_stats(counts.tolist()).score)


def compare(
    ours: Translations, theirs: Translations, groups: Ints, settings: Evaluation
) -> dict[str, Interval]:
    """Subtract the second model's errors, 100 − chrF and 100 − BLEU, from the first's.

    Args:
        groups: the number of the group of each sentence; sentences of a group resemble each other.
        settings: the draws of the bootstrap and their seed.
    """
    _, numbers = np.unique(groups, return_inverse=True)
    count = int(numbers.max()) + 1
    generator = np.random.Generator(np.random.Philox(settings.seed))
    weights = generator.multinomial(count, np.full(count, 1 / count), settings.bootstrap)
    changes = {}
    for name in MEASURES:
        both = [_sum_groups(model.counts[name], numbers, count) for model in (ours, theirs)]
        change = score(name, both[1].sum(0)) - score(name, both[0].sum(0))
        unit = "groups of sentences"
        if count < FEWEST_GROUPS:
            changes[f"{name}_error"] = Interval.undecided(change, count, FEWEST_GROUPS, unit)
            continue
        mine, yours = (weights @ sums for sums in both)  # (draws, counts)
        drawn = [score(name, b) - score(name, a) for a, b in zip(mine, yours, strict=True)]
        low, high = np.quantile(drawn, [0.025, 0.975])
        changes[f"{name}_error"] = Interval(
            change, float(low), float(high), "paired bootstrap", count, unit
        )
    return changes


def _sum_groups(counts: Ints, numbers: Ints, groups: int) -> Ints:
    sums = np.zeros((groups, counts.shape[1]), np.int64)
    np.add.at(sums, numbers, counts)
    return sums
