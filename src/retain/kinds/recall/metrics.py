"""How well networks of several seeds remember, and how far two cells are apart."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.bootstrap import Interval

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Answers:
    """What the networks of one cell, one a seed, answered in the test."""

    right: Flags  # (seeds, sequences)
    losses: Floats  # (seeds, sequences)
    gaps: NDArray[np.int64]  # (sequences,)
    groups: NDArray[np.int64]  # (sequences,)

    def by_gap(self, gap: int, group: int | None = None) -> Floats:
        """The share of right answers at a gap, of a group: (seeds,); NaN where none is asked."""
        own = (self.gaps == gap) & (group is None or self.groups == group)
        counts: Floats = self.right[:, own].sum(1)
        return counts / own.sum() if own.any() else counts * np.nan

    def horizons(self, gaps: tuple[int, ...], threshold: float) -> list[int]:
        """The longest of the gaps at which each seed is right often enough; 0 without one."""
        shares = np.stack([self.by_gap(gap) for gap in gaps])  # (gaps, seeds)
        return [
            max(
                (gap for gap, share in zip(gaps, own, strict=True) if share >= threshold), default=0
            )
            for own in shares.T
        ]

    def scores(self, gaps: tuple[int, ...], threshold: float) -> dict[str, Any]:
        """The figures of metrics.json; each gap counts as much as any other."""
        horizons = self.horizons(gaps, threshold)
        accuracy = np.mean([self.by_gap(gap).mean() for gap in gaps])
        return {
            "accuracy": float(accuracy),
            "error": float(1 - accuracy),
            "memory_horizon": min(horizons),
            "success_rate": float(np.mean([horizon == gaps[-1] for horizon in horizons])),
            "loss": float(np.mean([self.losses[:, self.gaps == gap].mean() for gap in gaps])),
            **{f"accuracy_at_{gap}": float(self.by_gap(gap).mean()) for gap in gaps},
            "not_finite": int((~np.isfinite(self.losses)).sum()),
        }


def difference(ours: Answers, theirs: Answers, draws: int, seed: int) -> Interval:
    """Error of `ours` minus error of `theirs`, with the interval of a bootstrap in two stages.

    Seeds are drawn with replacement, for each cell its own, and the test sequences of each gap, the
    same for both. Of few seeds the interval is narrower than it should be.
    """
    generator = np.random.Generator(np.random.Philox(seed))
    gaps = np.unique(ours.gaps)
    drawn = [np.zeros((draws, len(each.right))) for each in (ours, theirs)]
    for gap in gaps:
        own = ours.gaps == gap
        count = int(own.sum())
        times = generator.multinomial(count, np.full(count, 1 / count), draws).astype(np.float64)
        for number, each in enumerate((ours, theirs)):
            # Sums of whole numbers, which every processor gets the same.
            drawn[number] += times @ (~each.right[:, own]).T.astype(np.float64) / count / len(gaps)
    means = []
    for sums in drawn:
        seeds = generator.integers(0, sums.shape[1], sums.shape)
        means.append(np.take_along_axis(sums, seeds, axis=1).mean(1))
    low, high = np.quantile(means[0] - means[1], [0.025, 0.975])
    value = np.mean([(ours.by_gap(g).mean() - theirs.by_gap(g).mean()) for g in gaps])
    return Interval(float(-value) + 0.0, float(low), float(high))
