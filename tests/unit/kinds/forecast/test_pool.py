"""The pool: what its experts continue, causally, and that serving is what training saw."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import panel, tables
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.model.pool.fitting import fit
from retain.kinds.forecast.model.pool.pool import Pool, mix
from retain.kinds.forecast.model.pool.running import Based, Run, newest

Y = NDArray[np.float64]
NAN = float("nan")
HORIZON, CONTEXT = 6, 8


def made(*series: Y, first: tuple[int, ...] = (), season: int = 1, **keys: Any) -> Panel:
    """Daily series from the first day on, or from the days of the given numbers on."""
    days = pd.date_range("2024-01-01", periods=10_000)
    frames = [
        pd.DataFrame({"id": f"s{number:03}", "ds": days[begin : begin + len(y)], "y": y})
        for number, (y, begin) in enumerate(zip(series, first or (0,) * len(series), strict=True))
    ]
    keys = {"horizon": HORIZON, "split": {"validation": 0.6, "test": 0.8}, **keys}
    data = Data(
        path="t.csv",
        unique_id="id",
        context_length=CONTEXT,
        season_length=season,
        calendar=False,
        **keys,
    )
    return panel.build(tables.clean(pd.concat(frames), data, "t.csv"), data)


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


@pytest.fixture
def gappy() -> Panel:
    """Series of their own spans with missing values; some short, late, constant or all 0."""
    noise = np.random.default_rng(1)
    series = [weekly(200, seed) for seed in range(4)]
    for y in series[1:]:
        y[noise.random(len(y)) < 0.15] = NAN
    series[3][40:70] = NAN  # longer than seasons and contexts
    rest = [weekly(60, 9), weekly(70, 8), np.full(200, 3.0), np.zeros(200), weekly(16, 7)]
    return made(*series, *rest, first=(0, 0, 11, 3, 120, 130, 0, 0, 0))


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
    pool = fit(gappy, 150, log)
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
    pool = fit(gappy, 150, log)
    numbers = np.array([1, 2, 3, 4, 7, 8])
    expected = at(gappy, pool, (numbers - 1).tolist(), [origin] * 6)
    begin = min(origin - given, 150)
    y = np.stack([history(gappy, n - 1, begin, origin) for n in numbers])
    y = np.pad(y, [(0, 0), (3, 0)], constant_values=NAN)
    begins = np.array([int(np.flatnonzero(np.isfinite(row))[0]) for row in y]) + begin - 3
    found = newest(pool, y, begins, numbers, CONTEXT)
    np.testing.assert_allclose(found.experts, expected.experts, rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(found.ahead, expected.ahead, rtol=2e-5, atol=1e-5)
