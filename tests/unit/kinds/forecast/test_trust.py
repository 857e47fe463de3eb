"""The fewer horizons a calibration has seen, the less of its centre, width and shape is applied."""

import numpy as np
import pytest
import torch

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.config import DECILES
from retain.kinds.forecast.model.calibration import Target
from retain.kinds.forecast.model.conformal import Residuals, fit
from retain.kinds.forecast.model.trust import (
    HALF_WIDTH,
    WIDENED,
    Trust,
    distances,
    half_width,
    laplace,
)

TARGET, MEDIAN = Target(DECILES, None), DECILES.index(0.5)
HALF_OF_LAPLACE = np.log(5)  # of its 80 % interval


def spread_of(truth: Floats, values: Floats | None = None) -> Residuals:
    """Return residuals of one series, of forecasts of 0 where no quantiles are given."""
    windows, horizon = truth.shape
    ones = np.ones(windows)
    flat = np.zeros(truth.shape)
    series, origin = ones.astype(np.int64), np.arange(windows) * horizon
    values = flat[..., None] if values is None else values
    return Residuals(values, truth, flat, ones[:, None], ones, series, origin)


def test_intervals_of_few_horizons_and_series_are_wider_and_their_centre_is_not_believed() -> None:
    few, more, most = (Trust.of(*of, on_base=False) for of in ((3, 1), (3, 4), (1e6, 100)))
    assert few.spread == pytest.approx(1.886 / 1.2816, abs=1e-3)  # t, 2 degrees of freedom
    assert few.spread > more.spread == pytest.approx(1.476 / 1.2816, abs=1e-3)  # 5
    assert few.centre == more.centre == pytest.approx(3 / 23)
    assert (most.centre, most.spread) == pytest.approx((1, 1), abs=1e-4)
    assert Trust.of(0.5, 1, False).spread == few.spread  # no fewer than 2 degrees of freedom
    assert few.own == 1


def test_with_few_horizons_the_median_stays_and_the_interval_keeps_its_width() -> None:
    truth = 5 + np.random.default_rng(0).normal(size=(200, 3))
    moved, halfway, kept = (
        fit(spread_of(truth), TARGET, 1, Trust(centre=share)) for share in (1.0, 0.5, 0.0)
    )
    assert moved.offsets[:, MEDIAN].mean() == pytest.approx(5, abs=0.2)
    torch.testing.assert_close(halfway.offsets[:, MEDIAN], moved.offsets[:, MEDIAN] / 2)
    assert not kept.offsets[:, MEDIAN].any()
    assert not kept.mean_offsets.any()
    for other in (halfway, kept):
        torch.testing.assert_close(
            other.offsets[:, -1] - other.offsets[:, 0], moved.offsets[:, -1] - moved.offsets[:, 0]
        )


@pytest.mark.parametrize("size", [0.3, 5.0])
def test_on_a_base_the_width_of_few_rehearsals_is_drawn_to_that_of_its_training(
    size: float,
) -> None:
    errors = spread_of(size * np.random.default_rng(3).laplace(size=(400, 2)))
    halves = []
    for horizons in (1, WIDENED, 1e6):
        fitted = fit(errors, TARGET, 1, Trust.of(horizons, 1, on_base=True))
        applied = fitted.offsets.numpy(), fitted.widths.numpy()
        halves.append(half_width(*applied, errors, DECILES))
    own = size * HALF_OF_LAPLACE
    assert halves[2] == pytest.approx(own, rel=0.1)
    assert halves[1] == pytest.approx(np.sqrt(own * HALF_WIDTH), rel=0.1)
    little = (own / HALF_WIDTH) ** (1 / (1 + WIDENED))
    assert halves[0] == pytest.approx(HALF_WIDTH * little, rel=0.02)


def test_on_a_base_the_deciles_of_few_rehearsals_are_drawn_to_those_of_laplace() -> None:
    errors = spread_of(np.random.default_rng(4).exponential(size=(400, 2)))  # skewed
    shapes = []
    for own in (0.0, 0.5, 1.0):
        fitted = fit(errors, TARGET, 1, Trust(own=own))
        found = distances(fitted.offsets.numpy(), errors, DECILES).mean(axis=(0, 1))
        assert found[MEDIAN] == pytest.approx(fitted.offsets[:, MEDIAN].mean())
        shapes.append((found - found[MEDIAN]) / (found[-1] - found[0]) * 2)
    assert shapes[0] == pytest.approx(laplace(DECILES))
    assert shapes[1] == pytest.approx((shapes[0] + shapes[2]) / 2)
    skewed = -np.log(2 - 2 * np.array(DECILES))
    assert shapes[2] == pytest.approx(skewed / (skewed[-1] - skewed[0]) * 2, abs=0.1)


def test_the_quantiles_of_a_network_on_a_base_keep_their_differences_between_windows() -> None:
    rng = np.random.default_rng(5)
    width = rng.uniform(0.5, 2, (300, 1, 1))
    values = np.repeat(width, 2, axis=1) * np.linspace(-1, 1, len(DECILES))
    residuals = spread_of(width[..., 0] * rng.uniform(-1.25, 1.25, (300, 2)), values)
    fitted = fit(residuals, TARGET, 1, Trust(own=0.2))
    found = distances(fitted.offsets.numpy(), residuals, DECILES)
    reach = found[..., -1] - found[..., 0]
    assert np.corrcoef(reach[:, 0], width[:, 0, 0])[0, 1] == pytest.approx(1)


def test_a_base_that_forecasts_exactly_keeps_an_interval_of_no_width() -> None:
    fitted = fit(spread_of(np.zeros((50, 2))), TARGET, 1, Trust(own=0.5))
    assert not fitted.offsets.any()
    assert fitted.widths.tolist() == [1, 1]
