"""Scores of networks of several seeds, and differences between two cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats
from retain.evaluation.results import Interval
from retain.kinds.recall.config import Evaluation


@dataclass(frozen=True)
class Outcomes:
    """Answers of the networks of one cell, one for each seed, to the test sequences."""

    correct: NDArray[np.bool_]  # (seeds, sequences)
    losses: Floats  # (seeds, sequences)
    gaps: NDArray[np.int64]  # (sequences,)
    groups: NDArray[np.int64]  # (sequences,)

    def accuracy(self, gap: int, group: int | None = None) -> Floats:
        """Return the share of right answers at a gap, of a group: (seeds,); NaN if no sequences."""
        chosen = (self.gaps == gap) & (group is None or self.groups == group)
        counts: Floats = self.correct[:, chosen].sum(1)
        return counts / chosen.sum() if chosen.any() else counts * np.nan

    def horizons(self, gaps: tuple[int, ...], threshold: float) -> list[int]:
        """Return for each seed the longest gap with at least that accuracy; 0 if there is none."""
        enough = np.stack([self.accuracy(gap) >= threshold for gap in gaps])  # (gaps, seeds)
        horizons: list[int] = (enough * np.array(gaps)[:, None]).max(0).tolist()
        return horizons

    def by_seed(
        self, seeds: Sequence[int], gaps: tuple[int, ...], threshold: float
    ) -> dict[str, dict[str, Any]]:
        """Return the memory horizon of each seed, and its accuracy by gap."""
        horizons = self.horizons(gaps, threshold)
        by_gap = {str(gap): self.accuracy(gap).tolist() for gap in gaps}
        return {
            str(seed): {
                "memory_horizon": horizons[row],
                "accuracy": {gap: shares[row] for gap, shares in by_gap.items()},
            }
            for row, seed in enumerate(seeds)
        }

    def by_group(self, groups: Sequence[str], gaps: tuple[int, ...]) -> dict[str, dict[str, float]]:
        """Return the accuracy of each group by gap, the mean over the seeds."""
        return {
            group: {str(gap): float(self.accuracy(gap, number).mean()) for gap in gaps}
            for number, group in enumerate(groups)
        }

    def scores(self, gaps: tuple[int, ...], threshold: float) -> dict[str, float]:
        """Return the figures of metrics.json; all gaps have the same weight."""
        horizons = self.horizons(gaps, threshold)
        accuracies = [float(self.accuracy(gap).mean()) for gap in gaps]
        accuracy = np.mean(accuracies)
        return {
            "accuracy": float(accuracy),
            "error": float(1 - accuracy),
            "memory_horizon": min(horizons),
            "success_rate": float(np.mean([horizon == gaps[-1] for horizon in horizons])),
            "loss": float(np.mean([self.losses[:, self.gaps == gap].mean() for gap in gaps])),
            **{f"accuracy_at_{gap}": share for gap, share in zip(gaps, accuracies, strict=True)},
            "not_finite": int((~np.isfinite(self.losses)).sum()),
        }


def compare(ours: Outcomes, theirs: Outcomes, settings: Evaluation) -> dict[str, Interval]:
    """Return the error of `ours` minus that of `theirs`, with a two-stage bootstrap's interval.

    Seeds are resampled for each cell separately, and the test sequences of each gap, the same for
    both cells. With few seeds the interval is narrower than it should be.
    """
    generator = np.random.Generator(np.random.Philox(settings.seed))
    gaps, draws = np.unique(ours.gaps), settings.bootstrap
    errors = [np.zeros((draws, len(outcomes.correct))) for outcomes in (ours, theirs)]
    for gap in gaps:
        chosen = ours.gaps == gap
        count = int(chosen.sum())
        times = generator.multinomial(count, np.full(count, 1 / count), draws).astype(np.float64)
        for number, outcomes in enumerate((ours, theirs)):
            # Sums of integers, which are the same on every processor.
            wrong = (~outcomes.correct[:, chosen]).T.astype(np.float64)
            errors[number] += times @ wrong / count / len(gaps)
    means = []
    for sums in errors:
        seeds = generator.integers(0, sums.shape[1], sums.shape)
        means.append(np.take_along_axis(sums, seeds, axis=1).mean(1))
    low, high = np.quantile(means[0] - means[1], [0.025, 0.975])
    value = np.mean([ours.accuracy(gap).mean() - theirs.accuracy(gap).mean() for gap in gaps])
    method = f"two-stage bootstrap of {len(ours.correct)} and {len(theirs.correct)} seeds and"
    bounds = float(low), float(high)
    change = Interval(float(-value) + 0.0, *bounds, method, len(ours.gaps), "test sequences")
    return {"error": change}
