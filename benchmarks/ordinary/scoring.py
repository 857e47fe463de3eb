"""The windows of the test part and the scores on them: the same for retain and for its peers.

MASE is by one scale for all: the mean absolute difference to the natural season before (12 months,
52 weeks, 7 days, 24 hours) in what precedes the test part, whatever season retain chose.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.kinds.forecast.data import folds, panel
from retain.kinds.forecast.data.cycles import natural
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.evaluation.metrics import MetricSums

Floats = NDArray[np.float64]
DECILES = tuple(round(0.1 * number, 1) for number in range(1, 10))
KEPT = ("mae", "mase", "crps", "coverage_80", "bias")


@dataclass(frozen=True)
class Test:
    """The test part of a prepared table.

    Attributes:
        names: of the series.
        y: of each series, from its step in `first` on; NaN where missing.
        series, step, fold: of each window; `step` is that of the first value to forecast.
        begins: the step at which each fold begins.
        scale: of the MASE, of each series; NaN where it has none.
    """

    names: list[str]
    y: list[Floats]
    first: NDArray[np.int64]
    series: NDArray[np.int64]
    step: NDArray[np.int64]
    fold: NDArray[np.int64]
    begins: list[int]
    scale: Floats
    horizon: int
    season: int
    frequency: str
    origin: str

    @property
    def truth(self) -> Floats:
        """What came: (windows, horizon)."""
        rows = zip(self.series.tolist(), self.step.tolist(), strict=True)
        return np.stack(
            [self.y[s][o - self.first[s] : o - self.first[s] + self.horizon] for s, o in rows]
        )


def load(prepared: Path, count: int) -> Test:
    """Read the windows that an evaluation scores, in `count` folds."""
    source = panel.load(prepared)
    schema, index = source.schema, source.index
    found = folds.find(schema, count)
    parts = [Windows(folds.cut(source, fold), (fold.test_step, fold.reach)) for fold in found]
    first = index["first_step"].to_numpy()
    ends = (index["start"] + index["length"]).tolist()
    begins = index["start"].tolist()
    y = [np.array(source.values[b:e, 0], dtype=float) for b, e in zip(begins, ends, strict=True)]
    season = next(iter(natural(schema.frequency)), 1)
    return Test(
        names=[str(name) for name in index["unique_id"]],
        y=y,
        first=first,
        series=np.concatenate([part.series for part in parts]),
        step=np.concatenate([part.step for part in parts]),
        fold=np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
        begins=[fold.test_step for fold in found],
        scale=_scales(y, first, schema.test_step, season),
        horizon=int(schema.data["horizon"]),
        season=season,
        frequency=schema.frequency,
        origin=schema.origin,
    )


def _scales(y: list[Floats], first: NDArray[np.int64], end: int, season: int) -> Floats:
    """Return the MASE scale of each series by its values before grid step `end`."""
    scales = np.full(len(y), np.nan)
    for number, values in enumerate(y):
        known = values[: max(end - first[number], 0)]
        change = np.abs(known[season:] - known[:-season])
        change = change[np.isfinite(change)]
        if len(change) and change.mean() > 0:
            scales[number] = change.mean()
    return scales


def score(test: Test, levels: tuple[float, ...], forecasts: Floats) -> dict[str, float]:
    """Score a peer's forecasts: (windows, horizon, levels); a point alone has no CRPS."""
    sums = MetricSums(
        int(test.step.min()), int(np.ptp(test.step)) + 1, test.horizon, len(test.names), DECILES
    )
    truth, whole = test.truth, levels == DECILES
    quantiles = forecasts if whole else np.repeat(forecasts, len(DECILES), axis=2)
    point = quantiles[..., [DECILES.index(0.5)]]  # for the mean, which peers do not say
    scales = np.stack([test.scale, np.full_like(test.scale, np.nan)], axis=1)[test.series]
    sums.add(test.step, test.series, truth, np.concatenate([quantiles, point], axis=2), scales)
    scores = sums.scores()
    if not whole:
        scores |= {"crps": np.nan, "coverage_80": np.nan}
    return {key: scores[key] for key in KEPT}


def rescore(test: Test, metrics: dict[str, Any], by_series: str) -> dict[str, dict[str, float]]:
    """Return the scores of an evaluation by model, with the MASE by the scale of all.

    Args:
        by_series: the content of its plots/error_by_series.csv.
    """
    table = pd.read_csv(io.StringIO(by_series), dtype={"unique_id": str})
    maes = table.pivot(index="unique_id", columns="model", values="mae")
    seen = np.isfinite(test.truth).sum(1)
    counts = np.bincount(test.series, weights=seen, minlength=len(test.names))
    weights = pd.Series(np.where(np.isfinite(test.scale), counts, 0.0), index=test.names)
    scale = pd.Series(test.scale, index=test.names)
    found = {}
    for name, scores in metrics["models"].items():
        mae = maes[name].reindex(test.names)
        mase = float((weights * mae / scale).sum() / weights.sum())
        found[name] = {key: scores.get(key, np.nan) for key in KEPT} | {"mase": mase}
    return found
