"""The windows that a report shows: chosen by their errors, over all folds."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.evaluation import details

HORIZON = 3


class Some:
    """Windows whose series and steps a test gives."""

    horizon = HORIZON

    def __init__(self, series: NDArray[np.int64], step: NDArray[np.int64]):
        self.series, self.step = series, step

    def __len__(self) -> int:
        return len(self.series)

    def places(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return self.series[numbers], self.step[numbers]


def parts(*windows: Some) -> Sequence[details.Part]:
    return cast("Any", [SimpleNamespace(windows=each) for each in windows])


def by_hand(errors: Floats, series: list[int], step: list[int]) -> list[tuple[str, int]]:
    """Look at every window of all folds, one by one."""
    far = np.abs(errors - np.median(errors))
    best = sorted(range(len(errors)), key=lambda at: errors[at])
    typical = sorted(range(len(errors)), key=lambda at: far[at])
    found: list[tuple[str, int]] = []
    for title, ranked in (("typical", typical), ("best", best), ("worst", best[::-1])):
        own = 0
        for at in ranked:
            apart = (series[at] != series[no] or abs(step[at] - step[no]) >= HORIZON
                     for _, no in found)  # fmt: skip
            if own < 2 and all(apart):
                found.append((title, at))
                own += 1
    return found


@pytest.mark.parametrize("at_once", [1, 7, 512])
def test_windows_to_look_at_are_chosen_over_all_folds(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(details, "CHUNK", at_once)
    noise = np.random.default_rng(0)
    for _ in range(20):
        # Of three series, the second fold begins where the first ends.
        folds = [
            Some(np.repeat(np.arange(3), 8), np.tile(np.arange(first, first + 8), 3))
            for first in (10, 18)
        ]
        errors = np.round(noise.random(48), 1)  # many are equal
        series = np.concatenate([fold.series for fold in folds]).tolist()
        step = np.concatenate([fold.step for fold in folds]).tolist()
        chosen = list(details._choose(errors, parts(*folds)))
        assert chosen == by_hand(errors, series, step)
        assert len(chosen) == 6


def test_of_windows_that_all_overlap_one_is_chosen() -> None:
    close = Some(np.zeros(2_000, np.int64), np.arange(2_000) // 1_000)
    assert len(list(details._choose(np.arange(2_000.0), parts(close)))) == 1
