"""Calibration: quantiles that increase and hold, widths of series, and a mean without bias."""

from typing import Any

import numpy as np
import pytest
import torch

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.config import DECILES
from retain.kinds.forecast.model.calibration import (
    Calibration,
    Forecast,
    Target,
    apply,
    calibrated,
    mean_weights,
)
from retain.kinds.forecast.model.conformal import Residuals, fit

NAN = float("nan")
LEVELS = (0.1, 0.5, 0.9)
MEDIAN = DECILES.index(0.5)
TARGET, FEW = Target(DECILES, None), Target(LEVELS, None)
COUNTS = Target(DECILES, 0.0)


def residuals_of(values: Floats, truth: Floats, **keys: Any) -> Residuals:
    """Windows of one series in units of the data, one a horizon."""
    windows, horizon = truth.shape
    ones = np.ones(windows)
    parts = {
        "base": np.zeros(truth.shape),
        "scale": ones[:, None],
        "deviation": ones,
        "series": ones.astype(np.int64),
        "origin": np.arange(windows) * horizon,
    }
    return Residuals(values, truth, **{**parts, **keys})


def forecast_of(residuals: Residuals, calibration: Calibration, target: Target = TARGET) -> Floats:
    """Quantiles and mean in units of the data: (windows, horizon, levels + 1)."""
    raw = Forecast(*map(torch.from_numpy, (residuals.values, residuals.base, residuals.scale)))
    return apply(raw, calibration, torch.from_numpy(residuals.series), target).numpy()


def crossing(windows: int, horizon: int, seed: int = 0) -> Residuals:
    """Increasing quantiles, far too wide, beside a skewed truth: offsets make them cross."""
    draw = np.random.default_rng(seed)
    centre = draw.normal(size=(windows, horizon, 1))
    steps = draw.exponential(size=(windows, horizon, 9))
    values = centre + 0.7 * (np.cumsum(steps, -1) - steps.sum(-1, keepdims=True) / 2)
    noise = draw.gamma(1.5, size=(windows, horizon)) * np.linspace(0.5, 2, horizon)
    return residuals_of(values, centre[..., 0] + noise)


def shares(truth: Floats, quantiles: Floats) -> Floats:
    return np.asarray((truth[..., None] <= quantiles[..., :9]).mean(0))  # (horizon, levels)


# --- quantiles ---


@pytest.mark.parametrize("outputs", [1, 9])
def test_quantiles_increase_strictly_whatever_the_offsets(outputs: int) -> None:
    draw = torch.Generator().manual_seed(0)
    values = torch.randn(50, 4, outputs, generator=draw).sort(dim=-1).values
    offsets = torch.randn(4, 9, generator=draw)
    quantiles = calibrated(values, torch.full((50, 1), 0.3), offsets, DECILES)
    assert quantiles.shape == (50, 4, 9)
    assert (quantiles.diff(dim=-1) > 0).all()


def test_without_a_calibration_quantiles_stay_as_they_are() -> None:
    residuals = crossing(20, 3)
    quantiles = forecast_of(residuals, Calibration.none(1, 3, 9))
    np.testing.assert_allclose(quantiles[..., :9], residuals.values, atol=1e-12)


@pytest.mark.parametrize("windows", [100, 1000])
def test_every_quantile_has_its_share_although_they_cross(windows: int) -> None:
    residuals = crossing(windows, 6)
    fitted = fit(residuals, TARGET, 1)
    offset = residuals.values + fitted.offsets.numpy()
    assert (np.diff(offset, axis=-1) < 0).any(-1).mean() > 0.3  # sorting has much to do
    below = shares(residuals.truth, forecast_of(residuals, fitted))
    assert np.abs(below.mean(0) - DECILES).max() < 0.01
    assert np.abs(below - DECILES).max() < {100: 0.1, 1000: 0.06}[windows]  # of each step


def test_the_median_is_calibrated_too() -> None:
    residuals = crossing(200, 3)
    point = forecast_of(residuals, fit(residuals, TARGET, 1))[..., MEDIAN]
    assert abs((residuals.truth <= point).mean() - 0.5) < 0.01
    assert (residuals.truth <= residuals.values[..., MEDIAN]).mean() < 0.4


def test_few_windows_borrow_from_all_steps() -> None:
    horizon, windows = 24, 12
    draw = np.random.default_rng(3)
    spread = np.linspace(1, 3, horizon)
    truth = draw.normal(size=(windows, horizon)) * spread
    offsets = fit(residuals_of(np.zeros((windows, horizon, 1)), truth), TARGET, 1).offsets.numpy()
    wanted = 1.2816 * spread  # of a normal distribution
    alone = np.quantile(truth, 0.9, axis=0, method="weibull")
    error, error_alone = (np.abs(found - wanted).mean() for found in (offsets[:, 8], alone))
    assert error < 0.6 * error_alone
    assert offsets[-6:, 8].mean() > 1.4 * offsets[:6, 8].mean()  # the spread grows with the step


def test_missing_truths_count_for_nothing_and_a_step_without_any_has_that_of_all() -> None:
    truth = np.random.default_rng(0).normal(size=(400, 3))
    truth[:100, 0] = NAN
    truth[:, 1] = NAN
    offsets = fit(residuals_of(np.zeros((400, 3, 1)), truth), FEW, 1).offsets.numpy()
    assert np.isfinite(offsets).all()
    assert abs(offsets[1, 2] - 1.28) < 0.3
    nothing = fit(residuals_of(np.zeros((400, 3, 1)), np.full((400, 3), NAN)), FEW, 1)
    assert not nothing.offsets.any()
    assert not nothing.mean_offsets.any()


# --- series ---


def panel_of(deviations: Floats, windows: int = 40, horizon: int = 5) -> Residuals:
    """A point forecast of series whose errors have these deviations."""
    count = len(deviations) * windows
    series = np.repeat(np.arange(len(deviations)), windows)
    truth = np.random.default_rng(0).normal(size=(count, horizon)) * deviations[series][:, None]
    origin = np.tile(np.arange(windows) * horizon, len(deviations))
    return residuals_of(np.zeros((count, horizon, 1)), truth, series=series + 1, origin=origin)


def test_each_series_has_intervals_of_its_own_width() -> None:
    residuals = panel_of(np.array([0.5, 1.0, 2.0]))
    fitted = fit(residuals, TARGET, 4)  # the fourth has no window
    quantiles = forecast_of(residuals, fitted)
    inside = (residuals.truth >= quantiles[..., 0]) & (residuals.truth <= quantiles[..., 8])
    for number in (1, 2, 3):
        assert abs(inside[residuals.series == number].mean() - 0.8) < 0.06
    assert fitted.widths[0] == fitted.widths[4] == 1
    assert 3 < fitted.widths[3] / fitted.widths[1] < 5


def test_a_constant_series_has_a_narrow_interval() -> None:
    residuals = panel_of(np.array([0.0, 1.0, 1.0]))
    quantiles = forecast_of(residuals, fit(residuals, TARGET, 3))
    width = (quantiles[..., 8] - quantiles[..., 0]).mean(1)
    assert width[residuals.series == 1].max() < 0.05 * width[residuals.series == 2].min()


def test_few_observations_say_little_of_a_series() -> None:
    many, few = panel_of(np.array([0.2, 1.0, 1.0])), panel_of(np.array([0.2, 1.0, 1.0]), 1, 1)
    widths = [float(fit(residuals, TARGET, 3).widths[1]) for residuals in (many, few)]
    assert widths[0] < 0.35
    assert 0.6 < widths[1] < 1
    # The same forty windows, one a step: they share most of what they observe.
    again = many._replace(origin=np.tile(np.arange(40), 3))
    assert fit(again, TARGET, 3).widths[1] > widths[0]


def test_what_a_network_knows_of_a_series_is_not_counted_twice() -> None:
    residuals = panel_of(np.array([0.5, 1.0, 2.0]), windows=200)
    normal = np.array([-1.28, -0.84, -0.52, -0.25, 0, 0.25, 0.52, 0.84, 1.28])
    known = normal * np.repeat([0.5, 1.0, 2.0], 200)[:, None, None]
    values = np.broadcast_to(known, (*residuals.truth.shape, 9)).copy()
    widths = fit(residuals._replace(values=values), TARGET, 3).widths
    assert np.abs(widths.numpy() - 1).max() < 0.1


# --- the mean ---


def intermittent(windows: int = 2000, horizon: int = 4) -> Residuals:
    """Nothing on seven of ten days, and now and then much; the forecast is of its quantiles."""
    draw = np.random.default_rng(0)
    truth = np.where(draw.random((windows, horizon)) < 0.3, draw.gamma(1, 5, (windows, horizon)), 0)
    values = np.broadcast_to(np.quantile(truth, DECILES), (windows, horizon, 9)).copy()
    return residuals_of(values, truth)


def test_the_mean_of_intermittent_data_has_no_bias() -> None:
    residuals = intermittent()
    forecast = forecast_of(residuals, fit(residuals, COUNTS, 1), COUNTS)
    assert forecast[..., MEDIAN].mean() < 0.05
    assert forecast[..., 9].mean() == pytest.approx(residuals.truth.mean(), rel=1e-3)
    assert (forecast >= 0).all()


def test_the_mean_is_unbiased_where_the_bound_cuts_it() -> None:
    residuals = intermittent()
    lower = residuals._replace(values=residuals.values - 3 * (np.arange(2000) % 2)[:, None, None])
    forecast = forecast_of(lower, fit(lower, COUNTS, 1), COUNTS)
    assert (forecast >= 0).all()
    assert forecast[..., 9].mean() == pytest.approx(residuals.truth.mean(), rel=0.01)


def test_a_nearly_flat_window_does_not_rule_the_mean() -> None:
    truth = np.full((100, 2), 1.0)
    truth[0] = 1000.0  # in units of a window that is a thousand times as flat as the others
    scale = np.r_[1e-3, np.ones(99)][:, None]
    fitted = fit(residuals_of(np.zeros((100, 2, 1)), truth, scale=scale), FEW, 1)
    mean = fitted.offsets[:, 1] + fitted.mean_offsets
    assert mean.max() < 2


@pytest.mark.parametrize("levels", [LEVELS, DECILES, (0.1, 0.25, 0.5, 0.9, 0.99)])
def test_the_mean_of_a_symmetric_quantile_function(levels: tuple[float, ...]) -> None:
    assert sum(mean_weights(levels)) == pytest.approx(1)
    assert all(weight > 0 for weight in mean_weights(levels))
