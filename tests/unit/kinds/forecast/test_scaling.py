"""What is fitted block by block is what is fitted to each series by itself."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from retain.kinds.forecast.data import quality, scaling

Series = tuple[NDArray[np.float32], pd.DataFrame]
VALIDATION, SEASON, REACH = 30, 7, 5
NAN = float("nan")


@pytest.fixture(params=[1, 50, 10**6])
def many(request: Any, monkeypatch: pytest.MonkeyPatch) -> Series:
    """Forty series of their own spans with gaps, in blocks of one, a few and all."""
    monkeypatch.setattr(scaling, "BLOCK", request.param)
    noise = np.random.default_rng(0)
    length = noise.integers(9, 60, 40)
    first_step = noise.integers(0, 10, 40)
    index = pd.DataFrame(
        {"first_step": first_step, "start": REACH + np.cumsum(length) - length, "length": length}
    )
    index.insert(0, "unique_id", [f"s{number}" for number in range(40)])
    values = noise.normal(100, 5, (REACH + length.sum(), 2)).astype(np.float32)
    values[noise.random(len(values)) < 0.2, 0] = np.nan
    values[noise.random(len(values)) < 0.1, 1] = np.nan
    values[:REACH] = np.nan
    return values, index


def training(many: Series, column: int) -> list[NDArray[np.float64]]:
    values, index = many
    return [
        values[start : start + min(length, VALIDATION - first), column].astype(np.float64)
        for start, length, first in zip(
            index["start"], index["length"], index["first_step"], strict=True
        )
    ]


def test_blocks_are_whole_series_in_order(many: Series) -> None:
    values, index = many
    found = list(scaling.blocks(index))
    assert [number for series, _ in found for number in range(40)[series]] == list(range(40))
    rows = np.concatenate([np.arange(len(values))[rows] for _, rows in found])
    assert rows.tolist() == list(range(REACH, len(values)))


def test_scales_are_bit_for_bit_those_of_each_series_alone(many: Series) -> None:
    found = scaling.target_scales(*many, VALIDATION, SEASON, 5)
    for part, row in zip(training(many, 0), found.itertuples(), strict=True):
        season = np.abs(part[SEASON:] - part[:-SEASON])
        season, seen = season[np.isfinite(season)], part[np.isfinite(part)]
        assert (row.mean, row.std) == (seen.mean(), seen.std())
        if len(season):
            assert row.mase_scale == season.mean()
        else:
            assert np.isnan(row.mase_scale)
        steps = np.diff(part) ** 2
        steps = steps[np.isfinite(steps)]
        assert row.rmsse_scale == steps.mean()


def test_a_season_longer_than_all_series_leaves_no_scale(many: Series) -> None:
    assert scaling.target_scales(*many, VALIDATION, 10_000, 5)["mase_scale"].isna().all()


def test_the_rmsse_scale_begins_with_the_first_value_that_is_not_zero() -> None:
    y = [0, 0, 3, 0, 1, NAN, 1, 9, 9]  # of the first series 3 → 0 → 1 and, after a gap, 1 → 9
    values = np.array([*y, 0, 0, 0, 0, 2, 2], dtype=np.float32)[:, None]
    index = pd.DataFrame({"first_step": [0, 0, 0], "start": [0, 9, 13], "length": [9, 4, 2]})
    found = scaling.target_scales(values, index, 8, 1, 5)["rmsse_scale"]
    assert found[0] == pytest.approx((9 + 1 + 64) / 3)
    assert found[1:].isna().all()  # nothing but zeros, and a constant


def test_moments_are_those_of_all_training_values(many: Series) -> None:
    pooled = np.concatenate(training(many, 1))
    pooled = pooled[np.isfinite(pooled)]
    found = scaling.column_moments(many[0], 1, many[1], VALIDATION)
    assert found == pytest.approx((pooled.mean(), pooled.std()), rel=1e-12)


def test_a_column_without_values_has_mean_0_and_deviation_1(many: Series) -> None:
    values = np.full_like(many[0], np.nan)
    assert scaling.column_moments(values, 1, many[1], VALIDATION) == (0.0, 1.0)


def test_the_longest_gap_is_the_first_of_its_length_in_whichever_block(many: Series) -> None:
    values, index = many
    gaps: list[tuple[int, int, int]] = []
    for number, row in enumerate(index.itertuples()):
        missing = np.isnan(values[row.start : row.start + row.length, 0])
        edges = np.flatnonzero(np.diff(np.r_[False, missing, False]))
        for begin, end in edges.reshape(-1, 2):
            gaps.append((int(end - begin), number, int(row.first_step + begin)))
    count = int(np.isnan(values[REACH:, 0]).sum())
    assert quality.gaps(values, index) == (count, max(gaps, key=lambda gap: gap[0]))
