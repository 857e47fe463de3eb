"""The pool: what its experts continue, causally, and that serving is what training saw."""

import doctest
import functools
import gc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from retain.kinds.forecast.data import scaling
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.model.pool import (
    choosing,
    fitting,
    paths,
    running,
    smoothing,
    subtracting,
    tracing,
)
from retain.kinds.forecast.model.pool import pool as pool_module
from retain.kinds.forecast.model.pool.fitting import fit
from retain.kinds.forecast.model.pool.newest import Based, newest
from retain.kinds.forecast.model.pool.pool import Expert, Pool, mix
from retain.kinds.forecast.model.pool.running import Run
from tests.unit.kinds.forecast.panels import panel_of

Y = NDArray[np.float64]
NAN = float("nan")
HORIZON, CONTEXT = 6, 8


def made(*series: Y, first: tuple[int, ...] = (), season: int = 1, **keys: Any) -> Panel:
    """Daily series from the first day on, or from the days of the given numbers on."""
    keys = {"horizon": HORIZON, "split": {"validation": 0.6, "test": 0.8}, **keys}
    settings = {"context_length": CONTEXT, "season_length": season, **keys}
    return panel_of(*series, begin="2024-01-01", frequency="D", first=first, **settings)


def weekly(length: int, seed: int = 0, level: float = 50.0) -> Y:
    """A weekly season with a random walk and noise, above 0."""
    noise = np.random.default_rng(seed)
    t = np.arange(length)
    y = level + 10 * np.sin(2 * np.pi * t / 7) + noise.normal(size=length)
    return np.maximum(y + np.cumsum(noise.normal(0, 0.5, length)), 1.0)


def blend(pool: Pool, based: Based, numbers: NDArray[np.int64]) -> Y:
    experts = based.experts.astype(np.float64)
    return mix(np.maximum(experts, 0) if pool.log else experts, pool.weights[numbers], pool.log)


def at(source: Panel, pool: Pool, series: list[int], steps: list[int]) -> Based:
    """What a run says at origins given as steps of the grid."""
    index = source.index
    rows = index["start"].to_numpy()[series] + steps - index["first_step"].to_numpy()[series]
    return Run(pool, source).at(np.array(series), rows, CONTEXT)


def ahead(y: Y, until: int, log: bool = False, **keys: Any) -> Y:
    """The blend's forecast of a single series at `until`."""
    source = made(y, **keys)
    pool = fit(source, until, log)
    return blend(pool, at(source, pool, [0], [until]), np.array([1]))[0]


def test_a_trend_is_continued() -> None:
    t = np.arange(120.0)
    np.testing.assert_allclose(ahead(3 + 2 * t, 100), 3 + 2 * t[100:106], rtol=1e-3)


def test_exponential_growth_is_continued_in_log() -> None:
    y = 100 * 1.03 ** np.arange(120.0)
    np.testing.assert_allclose(ahead(y, 100, log=True), y[100:106], rtol=5e-3)


def test_a_slope_that_turns_is_followed() -> None:
    noise, growth = np.random.default_rng(0), np.zeros(300)
    for t in range(1, 300):
        growth[t] = 0.95 * growth[t - 1] + noise.normal()
    y = 500 + np.cumsum(growth)
    source, origins = made(y), np.arange(180, 294)
    pool = fit(source, 180, log=False)
    forecast = blend(pool, at(source, pool, [0] * 114, origins.tolist()), np.ones(114, int))
    truth, repeated = np.lib.stride_tricks.sliding_window_view(y[180:299], 6), y[179:293, None]
    # What is left is little more than of a forecast that knows how the growth fades.
    fading = repeated + growth[179:293, None] * np.cumsum(0.95 ** np.arange(1, 7))
    assert np.abs(truth - forecast).mean() < 1.1 * np.abs(truth - fading).mean()


def test_series_return_to_their_mean() -> None:
    noise, y = np.random.default_rng(0), np.full((10, 400), 100.0)
    for t in range(1, 400):
        y[:, t] = 100 + 0.8 * (y[:, t - 1] - 100) + noise.normal(size=10)
    source, origins = made(*y), np.arange(240, 394)
    pool = fit(source, 240, log=False)
    series, steps = np.repeat(np.arange(10), 154), np.tile(origins, 10)
    forecast = blend(pool, at(source, pool, series.tolist(), steps.tolist()), series + 1)
    truth = np.lib.stride_tricks.sliding_window_view(y[:, 240:399], 6, axis=1)
    known = 100 + (y[:, 239:393, None] - 100) * 0.8 ** np.arange(1, 7)
    error = np.abs(truth - forecast.reshape(truth.shape)).mean()
    # Without the candidates that return to a mean it is 1.17 times as large.
    assert error < 1.1 * np.abs(truth - known).mean()


def test_figures_are_what_lies_beside_the_moving_average_of_cycles_that_are_over() -> None:
    noise, m, origin = np.random.default_rng(0), 4, 21
    x = np.cumsum(noise.normal(size=60)) + np.resize([5.0, 0, -5, 0], 60)
    taken = subtracting.of(Expert.parse("cd-4"), x[:, None])
    assert taken is not None
    around = np.convolve(x, [0.125, 0.25, 0.25, 0.25, 0.125], mode="valid")
    beside = np.r_[NAN, NAN, x[2:-2] - around, NAN, NAN]
    for step in range(m):
        known = beside[2:19][(np.arange(2, 19) - origin - step) % m == 0]  # before step 21 - 2
        row = origin + subtracting.row_ahead(step, m, taken.fresh)
        assert taken.values[row, 0] == pytest.approx(known.mean()), step  # of so few cycles evenly


def test_a_season_on_a_slope_that_turns_is_learned() -> None:
    noise, growth = np.random.default_rng(1), np.zeros(240)
    for t in range(1, 240):
        growth[t] = 0.95 * growth[t - 1] + noise.normal()
    season = np.resize([9.0, -6, 3, -12, 6, 15, -15], 240)
    smooth = ahead(500 + np.cumsum(growth), 180)
    found = ahead(500 + np.cumsum(growth) + season, 180)
    assert np.abs(found - season[180:186] - smooth).mean() < 1.0


def test_a_candidate_keeps_its_number() -> None:
    # Fitted models name candidates by number.
    for seasonal, size, both in ((False, 56, 80), (True, 301, 361)):
        every = smoothing.grid(seasonal)
        last = size - 1
        assert (every.alpha[last], every.beta[last], every.phi[last]) == (1, 0.3, 0.8)
        assert every.beta[:size].max() == 0.3
        assert every.beta[size:both].min() == 0.5
        assert every.beta[both:].max() < 0


def test_a_season_is_continued() -> None:
    y = np.tile([1.0, 5, 2, 8, 3, 9, 4], 20)
    np.testing.assert_allclose(ahead(y, 100), y[100:106], rtol=2e-3)


def test_a_season_that_is_not_natural_is_one_where_the_data_say_so() -> None:
    y = np.tile([1.0, 5, 2, 8, 3], 30)
    np.testing.assert_allclose(ahead(y, 101, season=5), y[101:107], rtol=2e-3)


def test_a_level_shift_is_followed() -> None:
    noise = np.random.default_rng(0).normal(size=300)
    y = 100 + noise + 50 * (np.arange(300) >= 150)
    source = made(y)
    pool = fit(source, 150, False)  # before it
    later = blend(pool, at(source, pool, [0], [200]), np.array([1]))[0]
    assert np.abs(later - 150).max() < 3


@pytest.mark.parametrize("log", [False, True])
def test_what_lies_behind_an_origin_changes_nothing(log: bool) -> None:
    y = [weekly(200, seed) for seed in range(3)]
    before = made(*y)
    after = made(*(np.r_[part[:150], part[150:][::-1] * 7] for part in y))
    pools = fit(before, 150, log), fit(after, 150, log)
    for name, left in pools[0].arrays().items():
        np.testing.assert_array_equal(left, pools[1].arrays()[name], err_msg=name)
    for origin in (3, 9, 15, 40, 149, 150):
        seen, changed = (at(p, pools[0], [0, 1, 2], [origin] * 3) for p in (before, after))
        np.testing.assert_array_equal(seen.experts, changed.experts)
        np.testing.assert_array_equal(seen.ahead, changed.ahead)


def test_a_state_moves_on_over_missing_values_by_its_own_forecast() -> None:
    y = 3 + 2 * np.arange(120.0)
    y[[40, 41, 90, 98, 99]] = NAN
    np.testing.assert_allclose(ahead(y, 100), 3 + 2 * np.arange(100, 106.0), rtol=1e-3)


@functools.cache
def gaps() -> Panel:
    """Series of their own spans with missing values; some short, late, constant or all 0."""
    noise = np.random.default_rng(1)
    series = [weekly(200, seed) for seed in range(4)]
    for y in series[1:]:
        y[noise.random(len(y)) < 0.15] = NAN
    series[3][40:70] = NAN  # longer than seasons and contexts
    rest = [weekly(60, 9), weekly(70, 8), np.full(200, 3.0), np.zeros(200), weekly(16, 7)]
    return made(*series, *rest, first=(0, 0, 11, 3, 120, 130, 0, 0, 0), season=6)


@pytest.fixture
def gappy() -> Panel:
    return gaps()


@functools.cache
def fitted(log: bool) -> Pool:
    """Its pool at step 150, which no test changes."""
    return fit(gaps(), 150, log)


def history(source: Panel, number: int, begin: int, end: int) -> Y:
    """Values of a series from one grid step to another, NaN outside of it."""
    row = source.index.loc[number]
    out = np.full(end - begin, np.nan)
    for step in range(begin, end):
        if 0 <= step - row["first_step"] < row["length"]:
            out[step - begin] = source.values[row["start"] + step - row["first_step"], 0]
    return out


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("origin", [150, 151, 163, 180])
def test_serving_a_whole_history_is_what_the_run_says(gappy: Panel, origin: int, log: bool) -> None:
    pool = fitted(log)
    numbers = np.array([1, 2, 3, 4, 5, 6, 7, 8])
    expected = at(gappy, pool, (numbers - 1).tolist(), [origin] * 8)
    y = np.stack([history(gappy, n - 1, 0, origin) for n in numbers])
    begins = np.array([int(np.flatnonzero(np.isfinite(row))[0]) for row in y])
    found = newest(pool, y, begins, numbers, CONTEXT)
    np.testing.assert_allclose(found.experts, expected.experts, rtol=1e-6)
    np.testing.assert_allclose(found.ahead, expected.ahead, rtol=1e-6)
    assert np.isfinite(found.experts).all()


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("origin", [150, 151, 163, 180])
@pytest.mark.parametrize("given", [5, 40])
def test_serving_goes_on_from_the_states(gappy: Panel, origin: int, log: bool, given: int) -> None:
    pool = fitted(log)
    numbers = np.array([1, 2, 3, 4, 7, 8])
    expected = at(gappy, pool, (numbers - 1).tolist(), [origin] * 6)
    begin = min(origin - given, 150)
    y = np.stack([history(gappy, n - 1, begin, origin) for n in numbers])
    y = np.pad(y, [(0, 0), (3, 0)], constant_values=NAN)
    begins = np.array([int(np.flatnonzero(np.isfinite(row))[0]) for row in y]) + begin - 3
    found = newest(pool, y, begins, numbers, CONTEXT)
    np.testing.assert_allclose(found.experts, expected.experts, rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(found.ahead, expected.ahead, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("origin", [6, 7, 9, 13, 14, 20])
def test_serving_a_short_history_is_what_the_run_says(gappy: Panel, origin: int) -> None:
    pool, one = fitted(False), np.array([1])
    expected = at(gappy, pool, [0], [origin])
    found = newest(pool, history(gappy, 0, 0, origin)[None], one - 1, one, CONTEXT)
    np.testing.assert_allclose(found.experts, expected.experts, rtol=1e-6)


def test_a_history_from_the_beginning_counts_as_corrected(gappy: Panel) -> None:
    pool = fitted(True)
    y = history(gappy, 0, 0, 150)[None]
    corrected = np.r_[y[0, :100], 3 * y[0, 100:]][None]
    zero, one = np.array([0]), np.array([1])
    plain = newest(pool, y, zero, one, CONTEXT)
    assert (newest(pool, corrected, zero, one, CONTEXT).experts > 1.5 * plain.experts).all()
    # One that begins later goes on from the states, in which what it says of the past is already.
    short = newest(pool, corrected[:, 50:], zero + 50, one, CONTEXT)
    np.testing.assert_allclose(short.experts, plain.experts, rtol=2e-5)


def test_steps_that_are_not_given_behind_the_states_are_missing(gappy: Panel) -> None:
    pool = fitted(False)
    y = weekly(10, 5)
    zero, one = np.array([0]), np.array([1])
    found = newest(pool, y[None], zero + 170, one, CONTEXT)
    padded = np.r_[np.full(20, NAN), y][None]
    whole = np.concatenate([history(gappy, 0, 0, 150)[None], padded], axis=1)
    expected = newest(pool, whole, zero, one, CONTEXT)
    np.testing.assert_allclose(found.experts, expected.experts, rtol=2e-5)
    np.testing.assert_allclose(found.ahead, expected.ahead, rtol=2e-5)


def test_a_series_never_seen_is_run_on_what_is_given(gappy: Panel) -> None:
    pool = fitted(True)
    y = np.tile([10.0, 50, 20, 80, 30, 90, 40], 8)
    begins, unknown = np.array([-20]), np.array([0])
    found = newest(pool, y[None], begins, unknown, CONTEXT)
    np.testing.assert_allclose(blend(pool, found, unknown)[0], y[:HORIZON], rtol=0.15)
    np.testing.assert_allclose(found.ahead[0], y[-CONTEXT:], rtol=0.15)
    # One that ends before the states of a known series begin is one never seen, but for its choice.
    early = newest(pool, y[None], np.array([5]), np.array([1]), CONTEXT)
    assert np.isfinite(early.experts).all()


def test_what_is_served_does_not_depend_on_what_is_beside_it(gappy: Panel) -> None:
    pool = fitted(True)
    numbers = np.array([1, 0, 3, 2])
    y = np.stack([history(gappy, max(n - 1, 0), 140, 170) for n in numbers])
    y[1, :20] = NAN
    begins = 140 + np.array([int(np.flatnonzero(np.isfinite(row))[0]) for row in y])
    together = newest(pool, y, begins, numbers, CONTEXT)
    for i in range(4):
        alone = newest(pool, y[i : i + 1], begins[i : i + 1], numbers[i : i + 1], CONTEXT)
        np.testing.assert_array_equal(alone.experts[0], together.experts[i])
        np.testing.assert_array_equal(alone.ahead[0], together.ahead[i])


def test_experts_that_have_not_started_forecast_as_es_does_and_weigh_nothing() -> None:
    source = made(weekly(200), weekly(60, 1), weekly(200, 2), first=(0, 142, 0))
    pool = fit(source, 150, False)  # of the second series, 8 values are known
    assert pool.experts == ("es", "hw-7", "sd-7", "cd-7", "ar-7")
    assert pool.weights[2].tolist() == [1, 0, 0, 0, 0]
    early = at(source, pool, [1, 1], [144, 145]).experts
    for number, start in ((1, 7), (2, 8), (3, 14), (4, 12)):
        np.testing.assert_array_equal(early[:, number], early[:, 0])
        before, after = at(source, pool, [1, 1], [142 + start - 1, 142 + start]).experts
        np.testing.assert_array_equal(before[number], before[0])
        assert not np.array_equal(after[number], after[0])


def test_a_late_series_has_the_parameters_of_one_never_seen() -> None:
    source = made(weekly(200), weekly(40, 1), first=(0, 160))
    pool = fit(source, 150, True)
    np.testing.assert_array_equal(pool.chosen[2], pool.chosen[0])
    np.testing.assert_array_equal(pool.weights[2], pool.weights[0])
    assert pool.begins[2] >= pool.ends[2] == 150
    assert np.isfinite(at(source, pool, [1, 1], [161, 190]).experts).all()
    unknown = Run(pool, source, np.array([1, 0]))
    rows = source.index["start"].to_numpy()[[1]] + 30
    found = unknown.at(np.array([1]), rows, CONTEXT)
    np.testing.assert_array_equal(found.experts, at(source, pool, [1], [190]).experts)


@pytest.mark.parametrize("log", [False, True])
def test_what_does_not_vary_is_forecast_exactly(log: bool) -> None:
    source = made(np.full(200, 3.0), np.zeros(200), weekly(200))
    pool = fit(source, 150, log)
    found = blend(pool, at(source, pool, [0, 1], [150, 150]), np.array([1, 2]))
    np.testing.assert_allclose(found, [[3.0] * HORIZON, [0.0] * HORIZON], rtol=1e-6)


def test_forecasts_are_bounded() -> None:
    steep = np.r_[np.full(90, 1.0), 10.0 ** np.arange(1, 11), np.full(50, 1e10)]
    source = made(np.r_[steep, weekly(50)])
    pool = fit(source, 100, True)
    found = at(source, pool, [0] * 12, list(range(89, 101))).experts
    largest = np.maximum.accumulate(steep)[88:100]
    assert np.isfinite(found).all()
    raw = np.array([not name.startswith("log") for name in pool.experts])
    assert (found[:, ~raw].max(axis=(1, 2)) <= 10.1 * (1 + largest)).all()
    assert (found[:, raw].max(axis=(1, 2)) <= 4.1 * largest).all()


def test_experts_have_the_seasons_of_which_there_is_enough() -> None:
    def experts(length: int, season: int, log: bool = False) -> tuple[str, ...]:
        return fit(made(weekly(200), season=season), length, log).experts

    assert experts(18, 1) == ("es",)
    assert experts(19, 1) == ("es", "hw-7", "sd-7")  # a week and two horizons
    week = ("es", "hw-7", "sd-7", "cd-7")
    assert experts(27, 1) == (*week, "ar-7")  # three weeks and a horizon
    assert experts(95, 30) == (*week, "hw-30", "sd-30", "ar-7")
    assert experts(96, 30) == (*week, "hw-30", "sd-30", "cd-30", "ar-7")
    assert experts(19, 7, log=True) == ("es", "hw-7", "sd-7", "log es", "log hw-7", "log sd-7")


def test_weights_prefer_what_errs_less() -> None:
    growing = 100 * 1.02 ** np.arange(200) * np.tile([1.0, 1.4, 0.7, 1.1, 0.8, 1.3, 0.9], 29)[:200]
    noise = np.exp(np.random.default_rng(0).normal(0, 0.02, 200))
    pool = fit(made(growing * noise), 150, True)
    weights = dict(zip(pool.experts, pool.weights[1], strict=True))
    np.testing.assert_allclose(pool.weights.sum(axis=1), 1)
    assert sum(weight for name, weight in weights.items() if name.startswith("log ")) > 0.9
    assert weights["es"] < 0.01


def test_arrays_make_the_same_pool(gappy: Panel) -> None:
    pool = fitted(True)
    arrays = pool.arrays()
    empty = Pool.empty(pool.experts, HORIZON, CONTEXT, True, len(gappy.index)).arrays()
    assert {n: (a.shape, a.dtype) for n, a in arrays.items()} == {
        n: (a.shape, a.dtype) for n, a in empty.items()
    }
    assert all(np.isfinite(array).all() for array in arrays.values())
    again = Pool.from_arrays(pool.experts, HORIZON, True, arrays)
    left, right = (at(gappy, p, [0, 2], [150, 170]) for p in (pool, again))
    np.testing.assert_array_equal(left.experts, right.experts)


@pytest.mark.parametrize(("first", "sample"), [(128, 2_000), (3, 2_000), (2, 3)])
def test_blocks_give_the_same_bits_as_one_block(
    gappy: Panel, first: int, sample: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "FIRST", first)
    monkeypatch.setattr(choosing, "SAMPLE", sample)
    monkeypatch.setattr(fitting, "SAMPLE", sample)
    series, steps = [0, 1, 2, 3, 6, 7, 8], [150, 160, 170, 180, 155, 155, 10]
    whole = fit(gappy, 150, False)
    expected = at(gappy, whole, series, steps)
    monkeypatch.setattr(scaling, "BLOCK", 500)
    monkeypatch.setattr(choosing, "AT_ONCE", 1000)
    monkeypatch.setattr(tracing, "CHUNK", 500)
    monkeypatch.setattr(paths, "KEPT", 1)
    cut = fit(gappy, 150, False)
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(array, cut.arrays()[name], err_msg=name)
    order = np.array([3, 0, 6, 2, 5, 1, 4])
    found = at(gappy, cut, np.array(series)[order].tolist(), np.array(steps)[order].tolist())
    np.testing.assert_array_equal(found.experts, expected.experts[order])
    np.testing.assert_array_equal(found.ahead, expected.ahead[order])


def test_windows_that_are_read_once_have_the_same_bits(gappy: Panel) -> None:
    pool = fitted(True)
    series, steps = np.array([0, 2, 4, 8]), np.array([150, 170, 130, 3])
    index = gappy.index
    rows = (index["start"] - index["first_step"]).to_numpy()[series] + steps
    run, other = Run(pool, gappy), Run(pool, gappy)
    once, held = run.at(series, rows, CONTEXT, once=True), other.at(series, rows, CONTEXT)
    np.testing.assert_array_equal(once.ahead, held.ahead)
    np.testing.assert_array_equal(once.experts, held.experts)
    (path,) = run._paths._kept.values()
    assert "ahead" not in vars(path)  # the other steps of all series were not computed


def test_a_fit_to_some_series_chooses_for_them_what_a_fit_to_all_does(
    gappy: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in (choosing, fitting):
        monkeypatch.setattr(part, "SAMPLE", 3)
    monkeypatch.setattr(choosing, "FIRST", 2)
    whole, some = fit(gappy, 150, True), np.array([1, 4, 5, 8])
    monkeypatch.setattr(scaling, "BLOCK", 300)  # there are gaps in its blocks
    few = fit(gappy, 150, True, some)
    assert few.experts == whole.experts
    for name, array in few.arrays().items():
        if name not in ("weights", "tail"):  # shrunk towards the series that are fitted
            of_all = whole.arrays()[name]
            expected = of_all if name.startswith("filters.") else of_all[np.r_[0, 1 + some]]
            np.testing.assert_array_equal(array, expected, err_msg=name)
    assert few.weights.shape == (5, len(few.experts))
    np.testing.assert_allclose(few.weights.sum(axis=1), 1)


def test_series_are_scored_on_few_candidates_and_find_their_own_among_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ramps = [np.arange(140.0) * slope for slope in range(1, 9)]
    pairs = zip([weekly(140, seed) for seed in range(8)], ramps, strict=True)
    every = [y for pair in pairs for y in pair]
    source, numbers = made(*every), np.arange(16)
    whole = fit(source, 126, False)
    monkeypatch.setattr(choosing, "FIRST", 4)
    sizes, score = [], choosing._score

    def counted(expert: Expert, gains: smoothing.Gains, *rest: Any) -> Any:
        sizes.append(len(gains.numbers))
        return score(expert, gains, *rest)

    monkeypatch.setattr(choosing, "_score", counted)
    few = fit(source, 126, False)
    assert max(sizes[:4]) == 421
    assert max(sizes[4:]) <= 4 * choosing.PLACES
    errors = []
    for pool in (whole, few):
        found = blend(pool, at(source, pool, numbers.tolist(), [126] * 16), 1 + numbers)
        miss = np.abs(found - np.stack(every)[:, 126 : 126 + HORIZON])
        errors.append(miss.mean(axis=1).reshape(8, 2).mean(axis=0))
    np.testing.assert_allclose(errors[1], errors[0], rtol=0.02, atol=0.02)


def test_a_few_windows_of_many_series_are_run_without_the_others(
    gappy: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, series, steps = fitted(True), [6, 0, 2], [155, 150, 170]
    expected = at(gappy, pool, series, steps)
    monkeypatch.setattr(scaling, "BLOCK", 600)
    monkeypatch.setattr(running, "FEW", 1)
    run = Run(pool, gappy)
    index = gappy.index
    rows = (index["start"] - index["first_step"]).to_numpy()[series] + steps
    found = run.at(np.array(series), rows, CONTEXT)
    np.testing.assert_array_equal(found.experts, expected.experts)
    np.testing.assert_array_equal(found.ahead, expected.ahead)
    assert not run._paths._kept


def test_the_same_windows_are_forecast_once_for_two_models(gappy: Panel) -> None:
    run, series = Run(fitted(True), gappy), np.array([0, 2])
    rows = (gappy.index["start"] - gappy.index["first_step"]).to_numpy()[series] + 150
    found = run.at(series, rows, CONTEXT)
    assert run.at(series, rows.copy(), CONTEXT) is found
    assert run.at(series, rows, CONTEXT - 1).ahead.shape == (2, CONTEXT - 1)
    later = run.at(series, rows + 1, CONTEXT)
    assert not np.array_equal(later.experts, found.experts)
    assert run.at(series, rows + 1, CONTEXT, once=True) is later
    run.at(series, rows + 2, CONTEXT, once=True)  # of held windows no second copy is kept
    assert run._last is None


def test_a_run_along_many_series_keeps_a_few_paths(
    gappy: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = fit(gappy, 150, False)
    monkeypatch.setattr(scaling, "BLOCK", 1)
    ends = (gappy.index["start"] + gappy.index["length"]).to_numpy() - HORIZON
    path = paths.Paths(pool, gappy, np.arange(1, len(ends) + 1))[0]
    assert path.size == path.block.y.nbytes + path.ahead.nbytes + path.found.size
    del path
    monkeypatch.setattr(paths, "KEPT", 1)
    run = Run(pool, gappy)
    run.at(np.arange(len(ends)), ends, CONTEXT)
    kept = [p for p in gc.get_objects() if type(p) is paths.Path and p.pool is pool]
    assert len(ends) > 5
    assert len(kept) == 1


def test_what_was_forecast_one_step_ahead_is_what_would_have_been() -> None:
    source = made(weekly(200))
    pool = fit(source, 150, True)
    found = at(source, pool, [0], [150]).ahead[0]
    one = np.array([1])
    for back in range(1, CONTEXT + 1):
        experts = at(source, pool, [0], [150 - back])
        assert found[-back] == pytest.approx(blend(pool, experts, one)[0, 0], rel=1e-6)
    early = at(source, pool, [0], [3]).ahead[0]
    assert np.isnan(early).tolist() == [True] * (CONTEXT - 2) + [False] * 2


def test_names_of_experts_are_read_as_documented() -> None:
    assert doctest.testmod(pool_module) == (0, 1)
