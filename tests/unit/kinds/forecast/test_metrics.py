"""Every score against a figure worked out by hand, and intervals that mean what they say."""

import numpy as np
import pytest

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.evaluation.metrics import (
    MEASURES,
    MetricSums,
    difference,
    measures,
)

NAN = float("nan")
LEVELS = (0.1, 0.5, 0.9)
TRUTH = np.array([[10.0, 20.0], [NAN, 8.0]])  # two windows, two steps
# Quantiles and the mean of each step.
FORECAST = np.array([[[8, 12, 13, 11], [15, 16, 19, 17]], [[0, 1, 2, 1], [6, 8, 9, 10]]], float)
SCALES = np.array([[2.0, 4.0], [NAN, 0.5]])  # the second series repeats itself: it has no MASE


def scored(
    truth: Floats = TRUTH, forecast: Floats = FORECAST, scales: Floats = SCALES
) -> MetricSums:
    tally = MetricSums(first_step=5, steps=2, horizon=2, series=2, levels=LEVELS)
    tally.add(np.array([5, 6]), np.array([0, 1]), truth, forecast, scales)
    return tally


def test_each_score_is_what_a_hand_computes() -> None:
    # Errors of the median: 2 below, 4 above, missing, none.
    pinball = [
        [0.1 * 2, 0.5 * 2, 0.1 * 3],  # 10 against 8, 12, 13
        [0.1 * 5, 0.5 * 4, 0.9 * 1],  # 20 against 15, 16, 19
        [0.1 * 2, 0.0, 0.1 * 1],  # 8 against 6, 8, 9
    ]
    expected = {
        "mae": 6 / 3,
        "rmse": np.sqrt(20 / 3),
        "mase": (2 / 2 + 4 / 2) / 2,
        "rmsse": np.sqrt((1 / 4 + 9 / 4 + 4 / 0.5) / 3),  # of the mean: 1 above, 3 below, 2 above
        "smape": (200 * 2 / 22 + 200 * 4 / 36 + 0) / 3,
        "wape": 6 / 38,
        "bias": (1 - 3 + 2) / 38,
        "crps": 2 * np.sum(pinball) / 9,
        "wql": 2 * np.sum(pinball) / 9 / ((10 + 20 + 8) / 3),
        "coverage_80": 2 / 3,
        "width_80": (5 + 4 + 3) / 3,
        "not_finite": 0,
    }
    scores = scored().scores()
    assert scores.keys() == expected.keys()
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value), name


def test_a_missing_truth_counts_nowhere() -> None:
    other = FORECAST.copy()
    other[1, 0] = [-1e9, 0, 1e9, 5]
    assert scored(forecast=other).scores() == scored().scores()
    assert np.isnan(measures(TRUTH, FORECAST, LEVELS, SCALES)[:, 1, 0]).all()


def test_a_series_without_a_scale_is_left_out_of_the_mase_alone() -> None:
    both = scored(scales=np.array([[2.0, 4.0], [1.0, 0.5]])).scores()
    one = scored().scores()
    assert both.pop("mase") == pytest.approx(3 / 3)
    assert one.pop("mase") == pytest.approx(3 / 2)
    assert both == one
    none = scored(scales=np.full((2, 2), NAN)).scores()
    assert np.isnan([none["mase"], none["rmsse"]]).all()


def test_a_series_without_a_scale_is_left_out_of_the_rmsse_alone() -> None:
    found = scored(scales=np.array([[2.0, NAN], [NAN, 0.5]])).scores()
    assert found.pop("rmsse") == pytest.approx(np.sqrt(4 / 0.5))
    every = scored().scores()
    del every["rmsse"]
    assert found == every


def test_the_bias_is_signed_and_of_the_mean_forecast() -> None:
    high, low = FORECAST.copy(), FORECAST.copy()
    high[..., -1], low[..., -1] = TRUTH + 1, TRUTH - 1
    assert scored(forecast=high).scores()["bias"] == pytest.approx(3 / 38)
    assert scored(forecast=low).scores()["bias"] == pytest.approx(-3 / 38)


@pytest.mark.parametrize(("zeros", "known"), [(1, True), (2, True), (3, False)])
def test_the_symmetric_error_means_nothing_where_many_truths_are_zero(
    zeros: int, known: bool
) -> None:
    truth = np.r_[np.zeros(zeros), np.ones(10 - zeros)].reshape(5, 2)
    sums = MetricSums(0, 5, 2, 1, LEVELS)
    sums.add(np.arange(5), np.zeros(5, int), truth, np.ones((5, 2, 4)), np.ones((5, 2)))
    assert np.isfinite(sums.scores()["smape"]) == known
    assert sums.scores()["mae"] == zeros / 10


def test_the_symmetric_error_of_nothing_against_nothing_is_zero() -> None:
    each = measures(np.zeros((1, 1)), np.zeros((1, 1, 4)), LEVELS, np.ones((1, 2)))
    assert each[MEASURES.index("symmetric"), 0, 0] == 0


def test_the_crps_of_a_point_mass_is_its_absolute_error() -> None:
    truth = np.random.default_rng(0).normal(size=(20, 3))
    deciles = tuple(n / 10 for n in range(1, 10))
    point = np.repeat(np.random.default_rng(1).normal(size=(20, 3, 1)), 10, axis=-1)
    each = measures(truth, point, deciles, np.ones((20, 2)))
    np.testing.assert_allclose(each[MEASURES.index("pinball")], each[MEASURES.index("absolute")])


def test_values_that_are_not_finite_are_counted() -> None:
    broken = FORECAST.copy()
    broken[0, 0, 1], broken[1, 1, 3] = NAN, NAN
    assert scored(forecast=broken).scores()["not_finite"] == 2


def test_scores_by_step_and_by_series() -> None:
    tally = scored()
    np.testing.assert_allclose(tally.mae_by_step(), [2 / 1, (4 + 0) / 2])
    by_series = tally.scores_by_series()
    np.testing.assert_array_equal(by_series["mae"], [3, 0])
    np.testing.assert_array_equal(by_series["mase"], [1.5, NAN])
    np.testing.assert_allclose(np.concatenate(tally.by_window), [3, 0])


def test_the_share_of_truths_below_each_quantile() -> None:
    below, truths = scored().below
    assert truths.tolist() == [3, 3, 3]
    # 10, 20 and 8 at or below: 8, 15, 6; then 12, 16, 8; then 13, 19, 9
    assert below.tolist() == [0, 2, 2]


def test_chunks_add_up() -> None:
    once, twice = scored(), MetricSums(5, 2, 2, 2, LEVELS)
    for number in (1, 0):
        part = slice(number, number + 1)
        twice.add(
            np.array([5 + number]), np.array([number]), TRUTH[part], FORECAST[part], SCALES[part]
        )
    assert twice.scores() == pytest.approx(once.scores())
    np.testing.assert_array_equal(twice.by_origin, once.by_origin)


def errors_of(errors: Floats) -> MetricSums:
    """The tally of a model whose error at origin i is `errors[i]`, one step ahead."""
    count = len(errors)
    tally = MetricSums(0, count, 1, 1, LEVELS)
    forecast = np.repeat(np.abs(errors)[:, None, None], 4, axis=2)
    origins = np.arange(count)
    tally.add(origins, np.zeros(count, int), np.zeros((count, 1)), forecast, np.ones((count, 2)))
    return tally


@pytest.mark.parametrize("metric", ["mae", "crps", "mase", "rmsse"])
def test_a_model_does_not_differ_from_itself(metric: str) -> None:
    tally = errors_of(np.random.default_rng(0).normal(size=200))
    found = difference(tally, tally, metric, block=10, draws=200, seed=1)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_the_rmsse_differs_by_roots_and_its_interval_is_that_of_the_roots() -> None:
    """Errors of a constant ratio: the interval is a point, the difference of the roots."""
    errors = np.random.default_rng(0).normal(size=400)
    ours, theirs = errors_of(errors), errors_of(2 * errors)
    for count in (400, 60):
        ours, theirs = errors_of(errors[:count]), errors_of(2 * errors[:count])
        root = np.sqrt(np.mean(errors[:count] ** 2))
        found = difference(ours, theirs, "rmsse", block=5, draws=200, seed=1)
        assert found.value == pytest.approx(-root)
        assert found.value == pytest.approx(ours.scores()["rmsse"] - theirs.scores()["rmsse"])
        assert found.low <= found.value <= found.high < 0
    assert found.high - found.low == pytest.approx(0, abs=1e-9)


def test_alike_models_are_not_told_apart() -> None:
    left, right = np.random.default_rng(0).normal(size=(2, 400))
    found = difference(errors_of(left), errors_of(right), "mae", block=10, draws=500, seed=1)
    assert found.low < 0 < found.high


def test_clearly_different_models_are_told_apart() -> None:
    noise = np.abs(np.random.default_rng(0).normal(size=400))
    ours, theirs = errors_of(noise), errors_of(noise + 0.3)
    found = difference(ours, theirs, "mae", block=10, draws=500, seed=1)
    assert found.value == pytest.approx(-0.3)
    assert found.low == pytest.approx(-0.3)
    assert found.high == pytest.approx(-0.3)
    other = np.abs(np.random.default_rng(1).normal(size=400)) + 0.3
    assert difference(ours, errors_of(other), "mae", block=10, draws=500, seed=1).high < 0
    assert difference(errors_of(other), ours, "mae", block=10, draws=500, seed=1).low > 0


def test_a_difference_is_a_function_of_its_seed() -> None:
    left, right = map(errors_of, np.random.default_rng(0).normal(size=(2, 300)))
    first = difference(left, right, "mae", block=10, draws=300, seed=1)
    np.random.default_rng().random()
    assert difference(left, right, "mae", block=10, draws=300, seed=1) == first
    assert difference(left, right, "mae", block=10, draws=300, seed=2) != first


def test_neighbours_that_share_their_errors_make_the_interval_wider() -> None:
    generator = np.random.default_rng(0)
    kernel = np.ones(25) / 5
    left, right = (np.convolve(generator.normal(size=624), kernel, "valid") for _ in range(2))
    ours, theirs = errors_of(left), errors_of(right)
    alone = difference(ours, theirs, "mae", block=1, draws=1000, seed=1)
    blocks = difference(ours, theirs, "mae", block=50, draws=1000, seed=1)
    assert blocks.value == alone.value
    assert blocks.high - blocks.low > 2 * (alone.high - alone.low)


def test_an_interval_of_independent_errors_is_that_of_the_normal_law() -> None:
    left, right = np.random.default_rng(0).normal(size=(2, 2000))
    found = difference(errors_of(left), errors_of(right), "mae", block=5, draws=2000, seed=1)
    expected = 2 * 1.96 * np.std(np.abs(left) - np.abs(right)) / np.sqrt(2000)
    assert found.high - found.low == pytest.approx(expected, rel=0.1)


def test_origins_that_nothing_was_forecast_at_do_not_count() -> None:
    errors = np.abs(np.random.default_rng(0).normal(size=60))
    short = errors_of(errors)
    long = MetricSums(-20, 100, 1, 1, LEVELS)
    forecast, ones = np.repeat(errors[:, None, None], 4, axis=2), np.ones((60, 2))
    long.add(np.arange(60), np.zeros(60, int), np.zeros((60, 1)), forecast, ones)
    none = errors_of(np.zeros(60))
    padded = MetricSums(-20, 100, 1, 1, LEVELS)
    zeros = np.zeros((60, 1, 4))
    padded.add(np.arange(60), np.zeros(60, int), np.zeros((60, 1)), zeros, ones)
    assert difference(long, padded, "mae", 5, 200, 1) == difference(short, none, "mae", 5, 200, 1)


def a_model(count: int, horizon: int, seed: int, series: int = 1) -> MetricSums:
    """The sums of a model that forecasts zero for noise."""
    sums = MetricSums(0, count, horizon, series, LEVELS)
    truth = np.random.default_rng(seed).normal(size=(count * series, horizon))
    origins = np.repeat(np.arange(count), series)
    numbers = np.tile(np.arange(series), count)
    forecast = np.zeros((count * series, horizon, len(LEVELS) + 1))
    sums.add(origins, numbers, truth, forecast, np.ones((count * series, 2)))
    return sums


def test_origins_of_less_than_two_horizons_are_undecided_and_say_how_many_are_needed() -> None:
    left, right = (a_model(23, 12, seed) for seed in (1, 2))
    change = difference(left, right, "mae", block=24, draws=200, seed=1)
    assert change.judgement == "undecided"
    assert (change.low, change.high) == (-np.inf, np.inf)
    assert (change.count, change.needed, change.unit) == (23, 24, "forecast origins")
    left, right = (a_model(24, 12, seed) for seed in (1, 2))
    change = difference(left, right, "mae", block=24, draws=200, seed=1)
    assert change.judgement != "undecided"
    assert change.low < change.value < change.high


def test_the_shares_below_each_level_know_how_far_chance_moves_them() -> None:
    found = a_model(200, 4, 1).calibration()
    assert found.keys() == {"0.1", "0.5", "0.9", "coverage_80"}
    assert found["0.5"]["observed"] == pytest.approx(0.5, abs=0.05)
    # 200 windows of 4 steps that overlap are about 200 independent values
    assert 0.03 < found["0.5"]["by_chance"] < 0.15
    few = a_model(5, 4, 1).calibration()["0.5"]["by_chance"]
    assert few == pytest.approx(1.96 * np.sqrt(0.25 / 2), rel=1e-3)  # two windows apart


def test_a_forecast_that_is_not_finite_shows_in_the_score() -> None:
    scores = MetricSums(0, 1, 2, 1, LEVELS)
    forecast = np.zeros((1, 2, len(LEVELS) + 1))
    forecast[0, 1] = np.nan
    zero = np.zeros(1, dtype=np.int64)
    scores.add(zero, zero, np.array([[1.0, 100.0]]), forecast, np.ones((1, 2)))
    assert np.isnan(scores.scores()["mae"])
    assert scores.scores()["not_finite"] == len(LEVELS) + 1


@pytest.mark.parametrize(("unit", "observed"), [(0.0, 0.8), (1.0, 0.1)])
def test_a_count_at_a_quantile_is_neither_above_nor_below_it(unit: float, observed: float) -> None:
    """Eight of ten values are 0: the quantile of 10 % is, but for a rounding, and so is right."""
    truth = np.array([0, 0, 0, 0, 0, 0, 0, 0, 3, 5.0])[:, None]
    forecast = np.tile([0.01, 0.02, 4.0, 0.8], (10, 1, 1))
    sums = MetricSums(0, 10, 1, 1, LEVELS, unit)
    sums.add(np.arange(10), np.zeros(10, int), truth, forecast, np.ones((10, 2)))
    found = sums.calibration()
    assert found["0.1"]["observed"] == pytest.approx(observed)
    assert found["0.9"]["observed"] == pytest.approx(0.9)
    assert sums.below[0].tolist() == [8, 8, 9]  # what the figure shows
