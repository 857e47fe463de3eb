"""Transforms of the target: fitted to the training part, undone with quantiles and mean."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import boxcox_llf

from retain.errors import DataError
from retain.evaluation.arrays import Floats
from retain.kinds.forecast.config import DECILES, Data
from retain.kinds.forecast.data import panel, tables
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.powers import POWERS, takes_logarithms
from retain.kinds.forecast.model.calibration import Forecast, Target, apply
from retain.kinds.forecast.model.conformal import Residuals, fit
from retain.kinds.forecast.model.transform import IDENTITY, LARGEST, Transform

NAN = float("nan")
TRANSFORMS = [None, -0.5, 0.0, 0.3, 1.0]


@pytest.mark.parametrize("power", TRANSFORMS)
def test_what_is_transformed_comes_back(power: float | None) -> None:
    y = torch.tensor([0.0, 1e-3, 0.5, 1.0, 30.0, 1e4, NAN], dtype=torch.float64)
    there = Transform(power).forward(y)
    assert there[-1].isnan()
    assert (there[:-1].diff() > 0).all()
    torch.testing.assert_close(Transform(power).inverse(there), y, equal_nan=True)


def test_what_they_are() -> None:
    y = torch.tensor([0.0, 3.0], dtype=torch.float64)
    for power, expected in ((None, 3.0), (0.0, np.log(4)), (0.5, 2.0), (1.0, 3.0), (-0.5, 1.0)):
        assert Transform(power).forward(y).tolist() == pytest.approx([0.0, expected])
    assert Transform(None).forward(-y)[1] == -3
    assert Transform(0.0).forward(-y)[1] == 0  # there is nothing below


@pytest.mark.parametrize("power", TRANSFORMS)
def test_the_slope_is_the_derivative(power: float | None) -> None:
    y = torch.tensor([0.0, 0.5, 7.0, 400.0], dtype=torch.float64, requires_grad=True)
    step = 1e-5 * (1 + y.detach())
    moved = [Transform(power).forward(y.detach() + sign * step) for sign in (0, 1)]
    torch.testing.assert_close(
        Transform(power).slope(y.detach()), (moved[1] - moved[0]) / step, rtol=1e-4, atol=0
    )


@pytest.mark.parametrize("power", [-0.5, 0.0, 0.3, 1.0])
def test_what_lies_beyond_its_range_is_cut_there(power: float) -> None:
    values = torch.tensor([-1e9, -40.0, 40.0, 1e9])
    back = Transform(power).inverse(values)
    assert back.isfinite().all()
    assert (back.diff() >= 0).all()
    assert back[0] >= -1
    assert back[-1] <= 1.001 * LARGEST


# --- the power ---


def made(y: Floats, transform: str = "box_cox", **keys: Any) -> Panel:
    """Series of 100 days, (series, days), trained on 60."""
    days = pd.date_range("2024-01-01", periods=100)
    frames = [pd.DataFrame({"id": f"s{n}", "ds": days, "y": row}) for n, row in enumerate(y)]
    keys = {"horizon": 3, "context_length": 5, "split": {"validation": 0.6, "test": 0.8}, **keys}
    data = Data(path="t.csv", unique_id="id", transform=transform, calendar=False, **keys)
    return panel.build(tables.clean(pd.concat(frames), data, "t.csv"), data)


def drawn(power: float, levels: tuple[float, ...] = (10.0, 14.0), seed: int = 0) -> Floats:
    """Values whose transform of this power is normal."""
    noise = np.random.default_rng(seed).normal(size=(len(levels), 100))
    shifted = torch.from_numpy(np.array(levels)[:, None] + noise)
    return Transform(power).inverse(shifted).numpy()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_box_cox_finds_the_power_of_the_largest_likelihood(power: float, seed: int) -> None:
    y = drawn(power, (4.0, 6.0), seed)
    trained = 1 + y[:, :60].astype(np.float32).astype(np.float64)
    likelihoods = [sum(boxcox_llf(each, row) for row in trained) for each in POWERS]
    found = made(y).schema.power
    assert found == POWERS[int(np.argmax(likelihoods))]
    assert found == pytest.approx(power, abs=0.5)


def test_the_power_is_fitted_to_the_training_part_alone() -> None:
    y = drawn(0.0, (4.0, 6.0))
    changed = y.copy()
    changed[:, 60:] = 1e4 * np.arange(40) ** 3
    before, after = made(y), made(changed)
    assert before.schema.power == after.schema.power
    cut = after.cut(100, 100, 100)
    assert cut.schema.power != before.schema.power  # these rows are now trained on, too
    assert after.cut(60, 80, 100).schema.power == before.schema.power


@pytest.mark.parametrize(("transform", "power"), [("none", None), ("log1p", 0.0)])
def test_a_named_transform_has_its_power(transform: str, power: float | None) -> None:
    assert made(drawn(0.5), transform).schema.power == power


def test_missing_values_and_constant_series_do_not_matter() -> None:
    y = drawn(0.0, (4.0, 6.0))
    expected = made(y).schema.power
    y[0, 10:20] = NAN
    for constant in (0.0, 0.3, 7.0, 123.4):
        assert made(np.vstack([y, np.full((3, 100), constant)])).schema.power == expected
    assert made(np.full((2, 100), 7.0)).schema.power in POWERS


@pytest.mark.parametrize("transform", ["log1p", "box_cox"])
@pytest.mark.parametrize("step", [30, 90])  # in the test part, which the refit learns from
def test_a_negative_value_is_refused_with_what_to_do(step: int, transform: str) -> None:
    y = drawn(0.0)
    y[1, step] = -2.5
    with pytest.raises(DataError) as error:
        made(y, transform)
    assert str(error.value) == (
        f"t.csv: data.transform is {transform}, which takes no negative value, and the table has "
        "-2.5: take `transform: none`"
    )


def test_logarithms_are_taken_of_what_is_positive_and_seldom_zero() -> None:
    y = drawn(0.0, (3.0, 3.0))

    def taken(y: Floats) -> bool:
        source = made(y, "none")
        return takes_logarithms(source.values, source.index, source.schema.validation_step)

    assert taken(y)
    few, many = y.copy(), y.copy()
    few[:, ::8], many[:, ::4] = 0.0, 0.0
    assert taken(few)
    assert not taken(many)
    negative, later = y.copy(), y.copy()
    negative[0, 10], later[:, 60:] = -1.0, -1.0
    assert not taken(negative)
    assert taken(later)


# --- forecasts ---


def residuals_of(transform: Transform, truth: Floats, scale: Floats, base: Floats) -> Residuals:
    """Forecasts of one series, whose quantiles are those of a normal in transformed units."""
    windows, horizon = truth.shape
    inside = (transform.forward(torch.from_numpy(truth)).numpy() - base) / scale
    normal = np.array([-1.28, -0.84, -0.52, -0.25, 0, 0.25, 0.52, 0.84, 1.28])
    values = np.broadcast_to(normal, (windows, horizon, 9)).copy()
    ones = np.ones(windows)
    series, origin = ones.astype(np.int64), np.arange(windows) * horizon
    return Residuals(values, inside, base, scale, 40 * ones, series, origin)


@pytest.mark.parametrize("power", [None, 0.0, 0.3])
def test_quantiles_and_mean_are_in_units_of_the_data(power: float | None) -> None:
    transform, draw = Transform(power), np.random.default_rng(0)
    windows = 1500
    base = np.repeat(draw.uniform(3, 5, windows)[:, None], 4, 1)
    scale = draw.uniform(0.3, 0.8, (windows, 1)) * np.ones((1, 4))
    inside = base + scale * draw.normal(size=(windows, 4))
    truth = transform.inverse(torch.from_numpy(inside)).numpy()
    residuals = residuals_of(transform, truth, scale, base)
    target = Target(DECILES, None if power is None else 0.0, transform)
    fitted = fit(residuals, target, 1)
    raw = Forecast(*map(torch.from_numpy, (residuals.values, base, scale)))
    found = apply(raw, fitted, torch.ones(windows, dtype=torch.int64), target).numpy()
    shares = (truth[..., None] <= found[..., :9]).mean((0, 1))
    np.testing.assert_allclose(shares, DECILES, atol=0.02)
    assert found[..., 9].mean() == pytest.approx(truth.mean(), rel=0.01)
    if power == 0.0:
        assert found[..., 9].mean() > 1.05 * found[..., 4].mean()  # a mean, and not the median
    for step in range(4):
        assert found[:, step, 9].mean() == pytest.approx(truth[:, step].mean(), rel=0.05)


def test_without_a_transform_nothing_changes() -> None:
    values = torch.randn(5, 3, 9).sort(-1).values
    forecast = Forecast(values, torch.randn(5, 3), torch.rand(5, 1) + 1)
    fitted = fit(
        residuals_of(
            IDENTITY,
            np.random.default_rng(0).normal(size=(50, 3)),
            np.ones((50, 1)),
            np.zeros((50, 3)),
        ),
        Target(DECILES, None),
        1,
    )
    ones = torch.ones(5, dtype=torch.int64)
    linear = Transform(1.0)  # the same, of what is not below 0
    shifted = forecast._replace(base=forecast.base + 100)
    plain, other = (
        apply(shifted, fitted, ones, Target(DECILES, None, t)) for t in (IDENTITY, linear)
    )
    torch.testing.assert_close(plain, other)
