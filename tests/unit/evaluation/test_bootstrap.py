"""An interval is as wide as the origins, the horizon and the series say, and no narrower."""

import numpy as np
import pytest

from benchmarks import verdict
from retain.evaluation import bootstrap
from retain.evaluation.arrays import Floats
from retain.evaluation.results import Interval


def compared(ours: Floats, theirs: Floats, horizon: int, block: int = 0) -> Interval:
    """Compare errors of (origins, series), each of one value."""
    ones = np.ones_like(ours)
    every = np.stack([ours, ones, theirs, ones])
    block = block or 2 * horizon
    return bootstrap.difference(every.sum(2), every.sum(1), horizon, block, 400, seed=1)


def noise(origins: int, series: int = 1, seed: int = 1) -> Floats:
    return np.abs(np.random.default_rng(seed).normal(size=(origins, series))) + 0.5


@pytest.mark.parametrize(
    ("origins", "series", "horizon", "method", "unit"),
    [
        (320, 1, 4, "moving-block bootstrap (blocks of 8)", "forecast origins"),
        (319, 1, 4, "Student t (39 degrees of freedom)", "forecast origins"),
        (10, 1, 4, "Student t (2 degrees of freedom)", "forecast origins"),
        (7, 6, 4, "Student t between series (5 degrees of freedom)", "series"),
        (7, 5, 4, "", "forecast origins"),
        (2, 1, 1, "Student t (1 degrees of freedom)", "forecast origins"),
        (1, 1, 1, "", "forecast origins"),
    ],
)
def test_what_judges_hangs_on_origins_series_and_horizon(
    origins: int, series: int, horizon: int, method: str, unit: str
) -> None:
    change = compared(noise(origins, series), noise(origins, series, seed=2), horizon)
    assert (change.method, change.unit) == (method, unit)
    assert (change.judgement == "undecided") == (method == "")
    assert change.low < change.value < change.high


def test_a_longer_block_leaves_fewer_degrees_of_freedom_but_not_fewer_than_eight() -> None:
    ours, theirs = noise(60), noise(60, seed=2)
    methods = [compared(ours, theirs, 2, block).method for block in (2, 6, 50)]
    freedom = [int(method.split("(")[1].split()[0]) for method in methods]
    assert freedom == [30, 10, 8]


def test_independent_errors_have_the_interval_of_the_ordinary_t_test() -> None:
    rng = np.random.default_rng(3)
    theirs = 100 + rng.normal(size=(30, 1))
    ours = theirs + rng.normal(size=(30, 1))
    change = compared(ours, theirs, 1, block=1)
    ordinary = 2.045 * np.std(ours - theirs, ddof=1) / np.sqrt(30)
    assert change.high - change.low == pytest.approx(2 * ordinary, rel=0.02)


def test_the_number_of_series_makes_the_interval_narrower() -> None:
    one = compared(noise(30), noise(30, seed=2), 3)
    many = compared(noise(30, 50), noise(30, 50, seed=2), 3)
    # the sums of 50 series are 50 times as many values; the difference is of their mean
    assert many.high - many.low < (one.high - one.low) / 4


def test_what_all_series_share_is_not_averaged_out() -> None:
    shared_ours, shared_theirs = (np.repeat(noise(30, seed=s), 50, axis=1) for s in (1, 2))
    one = compared(noise(30), noise(30, seed=2), 3)
    many = compared(shared_ours, shared_theirs, 3)
    assert (many.low, many.high) == pytest.approx((one.low, one.high))


def test_a_model_half_as_wrong_in_each_of_twenty_stores_is_better() -> None:
    theirs = noise(106, 20)
    change = compared(0.46 * theirs + 0.1 * noise(106, 20, seed=2), theirs, 28)
    assert change.judgement == "better"
    assert change.method == "Student t (3 degrees of freedom)"


def test_a_forecast_that_is_not_a_number_is_neither_undecided_nor_worse() -> None:
    ours = noise(30)
    ours[4] = np.nan
    change = compared(ours, noise(30, seed=2), 3)
    assert change.judgement == "not finite"
    assert np.isnan([change.low, change.high]).all()
    assert not change.high < 0


def test_a_perfect_forecast_has_bounds() -> None:
    change = compared(np.zeros((30, 1)), noise(30), 3)
    assert change.judgement == "better"
    assert change.low < change.value < change.high
    same = compared(np.zeros((30, 1)), np.zeros((30, 1)), 3)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_no_origin_at_all_is_undecided() -> None:
    nothing = np.zeros((4, 0))
    change = bootstrap.difference(nothing, np.zeros((4, 1)), 3, 6, 100, 1)
    assert (change.judgement, change.count, change.needed) == ("undecided", 0, 6)


@pytest.mark.parametrize(("series", "origins", "horizon"), [(4, 31, 6), (6, 16, 3)])
def test_verdicts_of_a_simulation_are_right(series: int, origins: int, horizon: int) -> None:
    equal = verdict.rates(origins, series, horizon, 1.0, draws=1000)
    better = verdict.rates(origins, series, horizon, verdict.BETTER, draws=100)
    assert equal["better"] <= 0.05
    assert equal["worse"] <= 0.05
    assert better["better"] >= 0.75


def test_series_drawn_alone_are_too_sure_and_the_verdict_is_not() -> None:
    found = verdict.rates(1, 20, 28, 1.0, draws=200, others=True)
    assert found["series"] > 0.1
    assert found.get("better", 0) <= 0.02


def test_what_a_test_part_can_tell_is_said_before_any_training() -> None:
    assert bootstrap.describe_power(49, 1, 12) == (
        "5 test windows of 1 series (49 forecast origins): a difference of about 31 % is "
        "detectable, by Student t (4 degrees of freedom)"
    )
    assert bootstrap.describe_power(13, 4, 12) == (
        "2 test windows of 4 series (13 forecast origins): too few for a verdict, which needs 24 "
        "origins"
    )
    few, many = (bootstrap.smallest_difference(49, series, 12) for series in (1, 100))
    assert few is not None
    assert many is not None
    assert many < few


def test_what_is_promised_is_kept() -> None:
    promised = bootstrap.smallest_difference(31, 4, 6)
    assert promised is not None
    found = verdict.rates(31, 4, 6, 1 - promised, draws=200)
    assert found["better"] > 0.72


@pytest.mark.parametrize(("origins", "series"), [(30, 1), (3, 8)])
def test_the_ratio_of_roots_has_the_root_of_the_bounds(origins: int, series: int) -> None:
    """By Student's t over time and between series alike, for its bounds are logarithms."""
    every = np.stack([noise(origins, series), noise(origins, series, seed=2)])
    ones = np.ones_like(every[0])
    sums = np.stack([every[0], ones, every[1], ones])
    mean, root = (
        bootstrap.difference(sums.sum(2), sums.sum(1), 2, 4, 400, seed=1, root=root)
        for root in (False, True)
    )
    ours, theirs = every.mean((1, 2))
    assert root.value == pytest.approx(np.sqrt(ours) - np.sqrt(theirs))
    for bound, of_root in ((mean.low, root.low), (mean.high, root.high)):
        ratio = (bound + theirs) / ours
        assert (of_root + np.sqrt(theirs)) / np.sqrt(ours) == pytest.approx(np.sqrt(ratio))


def test_a_root_of_no_error_at_all_has_an_interval() -> None:
    ours, ones = noise(30), np.ones((30, 1))
    sums = np.stack([ours, ones, 0 * ours, ones])
    change = bootstrap.difference(sums.sum(2), sums.sum(1), 1, 1, 400, seed=1, root=True)
    spread = 2.045 * np.std(ours, ddof=1) / np.sqrt(30) / (2 * np.sqrt(ours.mean()))
    assert change.value == pytest.approx(np.sqrt(ours.mean()))
    assert change.high - change.low == pytest.approx(2 * spread, rel=0.05)
