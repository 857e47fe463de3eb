"""Offsets that give each quantile its share of the residuals."""

import numpy as np
import pytest

from retain.kinds.forecast.model.calibration import conformal_offsets

NAN = float("nan")
LEVELS = (0.1, 0.5, 0.9)
DECILES = tuple(n / 10 for n in range(1, 10))


@pytest.mark.parametrize("count", [9, 99, 999])
def test_offsets_give_each_quantile_its_share_of_its_own_residuals(count: int) -> None:
    residuals = np.random.default_rng(0).normal(size=(count, 3, 9))
    offsets = conformal_offsets(residuals, DECILES)
    assert offsets.shape == (3, 9)
    below = (residuals.astype(np.float32) <= offsets).sum(0)  # (horizon, levels)
    for number, level in enumerate(DECILES):
        if level != 0.5:
            assert below[:, number].tolist() == [round((count + 1) * level)] * 3


def test_the_median_stays_where_it_is() -> None:
    residuals = np.random.default_rng(0).normal(5, 1, size=(50, 2, 9))
    assert not conformal_offsets(residuals, DECILES)[:, DECILES.index(0.5)].any()


def test_an_interval_is_too_wide_rather_than_too_narrow() -> None:
    residuals = np.arange(12.0)[:, None, None]  # 13 · 0.1 = 1.3 and 13 · 0.9 = 11.7
    assert conformal_offsets(residuals, LEVELS).tolist() == [[0, 0, 11]]


def test_few_residuals_give_the_outermost() -> None:
    residuals = np.array([3.0, -1.0])[:, None, None]
    assert conformal_offsets(residuals, LEVELS).tolist() == [[-1, 0, 3]]


def test_a_point_forecast_is_spread_by_its_one_residual() -> None:
    residuals = np.random.default_rng(0).normal(size=(99, 2, 1))
    repeated = np.repeat(residuals, 9, axis=2)
    np.testing.assert_array_equal(
        conformal_offsets(residuals, DECILES), conformal_offsets(repeated, DECILES)
    )


def test_missing_truths_count_for_no_offset() -> None:
    residuals = np.random.default_rng(0).normal(size=(40, 2, 3))
    residuals[:10, 0] = NAN
    residuals[:, 1] = NAN
    offsets = conformal_offsets(residuals, LEVELS)
    np.testing.assert_array_equal(offsets[0], conformal_offsets(residuals[10:, :1], LEVELS)[0])
    assert offsets[1].tolist() == [0, 0, 0]
