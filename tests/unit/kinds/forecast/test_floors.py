"""Forecasts by a series' own values: what the methods are in the textbook, with their intervals."""

import numpy as np
import pytest

from retain.kinds.forecast.predict import floors

LEVELS = (0.1, 0.5, 0.9)
NORMAL = np.array([-1.2815516, 0.0, 1.2815516])
NAN = float("nan")


def fill(past: list[float], method: str, steps: int = 3, season: int = 1) -> tuple[np.ndarray, str]:
    found = floors.fill(np.array(past), steps, season, LEVELS, method)
    assert found is not None
    return found


def test_the_seasonal_naive_forecast_widens_with_each_season() -> None:
    past = [1.0, 5.0, 2.0, 6.0, 1.0, 7.0]  # errors of 1, 1, -1, 1
    quantiles, used = fill(past, "seasonal_naive", steps=5, season=2)
    assert used == "seasonal_naive"
    mean, deviation = np.array([1.0, 7, 1, 7, 1]), np.sqrt([1.0, 1, 2, 2, 3])
    np.testing.assert_allclose(quantiles, mean[:, None] + deviation[:, None] * NORMAL, rtol=1e-6)


@pytest.mark.parametrize("method", ["theta", "seasonal_naive"])
def test_a_series_too_short_gets_the_naive_forecast(method: str) -> None:
    quantiles, used = fill([4.0, 6.0], method, season=7)
    assert used == f"naive, 2 steps being too few for {method}"
    mean, deviation = np.full(3, 6.0), 2 * np.sqrt([1.0, 2, 3])
    np.testing.assert_allclose(quantiles, mean[:, None] + deviation[:, None] * NORMAL, rtol=1e-6)


def test_one_value_is_too_few_for_any() -> None:
    assert floors.fill(np.array([4.0]), 3, 1, LEVELS, "theta") is None


def test_theta_follows_half_the_slope_and_smoothes() -> None:
    generator = np.random.default_rng(1)
    past = 10 + 2 * np.arange(60) + generator.normal(size=60)
    quantiles, used = fill(past.tolist(), "theta", steps=4)
    assert used == "theta"
    assert np.diff(quantiles[:, 1]) == pytest.approx(1.0, abs=0.05)  # half of 2 a step
    assert quantiles[0, 1] == pytest.approx(past[-1] + 1.5, abs=3)
    widths = quantiles[:, 2] - quantiles[:, 0]
    assert (np.diff(widths) > 0).all()
    assert 2 * 1.28 * 0.5 < widths[0] < 2 * 1.28 * 3


def test_theta_repeats_the_season() -> None:
    generator = np.random.default_rng(1)
    season = np.array([10.0, 20, 30, 40, 50, 60, 70])
    past = np.tile(season, 8) + generator.normal(size=56)
    quantiles, _ = fill(past.tolist(), "theta", steps=7, season=7)
    np.testing.assert_allclose(quantiles[:, 1], season, rtol=0.15)


def test_gaps_are_interpolated() -> None:
    filled, _ = fill([1.0, NAN, 3.0, 4.0], "seasonal_naive")
    whole, _ = fill([1.0, 2.0, 3.0, 4.0], "seasonal_naive")
    np.testing.assert_array_equal(filled, whole)


def test_a_constant_series_stays_so() -> None:
    quantiles, _ = fill([5.0] * 30, "theta", season=7)
    np.testing.assert_array_equal(quantiles, 5.0)
