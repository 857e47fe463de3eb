"""Autoregressions of the pool, and seasons whose figures are averaged with their neighbours."""

import numpy as np
import pytest
from numpy.typing import NDArray

from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.model.pool import fitting, regressing, subtracting, tracing
from retain.kinds.forecast.model.pool.fitting import fit
from retain.kinds.forecast.model.pool.newest import newest
from retain.kinds.forecast.model.pool.pool import REFITS, TAPS, Expert, Pool
from retain.kinds.forecast.model.pool.running import Run
from tests.unit.kinds.forecast.panels import panel_of

Y = NDArray[np.float64]
HORIZON = 4


def made(*series: Y, frequency: str = "YS", begin: str = "1800-01-01") -> Panel:
    return panel_of(
        *series,
        begin=begin,
        frequency=frequency,
        horizon=HORIZON,
        context_length=8,
        season_length=1,
        split={"validation": 0.6, "test": 0.8},
    )


def cycling(length: int, seed: int = 0) -> Y:
    """Cycles of some ten steps that no calendar has, as populations of lynx do."""
    noise, y = np.random.default_rng(seed), np.zeros(length)
    for t in range(2, length):
        y[t] = 1.55 * y[t - 1] - 0.95 * y[t - 2] + noise.normal()
    return y + 100


def at(source: Panel, pool: Pool, origins: NDArray[np.int64]) -> NDArray[np.float32]:
    rows = int(source.index["start"].iloc[0]) + origins
    return Run(pool, source).at(np.zeros_like(origins), rows, 8).experts


def test_cycles_without_a_calendar_are_continued() -> None:
    series = [cycling(200, seed) for seed in range(6)]
    y, source, origins = series[0], made(*series), np.arange(150, 196)
    pool = fit(source, 150, log=False)
    assert pool.experts == ("es", "ar")
    truth = y[origins[:, None] + np.arange(HORIZON)]
    smoothed, regressed = np.abs(truth[:, None] - at(source, pool, origins)).mean(axis=(0, 2))
    assert regressed < 0.7 * smoothed
    assert pool.weights[0, 1] > 0.9


def test_weights_at_an_origin_know_nothing_of_what_follows() -> None:
    y = np.tile([1.0, 5, 2, 8], 60) + np.random.default_rng(0).normal(size=240)
    changed = np.r_[y[:150], 3 * y[:90]]
    expert = Expert.parse("ar-4")
    for unit in (1.0, 1000.0):  # nor of the unit, but by its last bits
        before, after = (
            regressing._candidates(
                expert,
                np.concatenate([np.repeat(x[:1], 7), x])[:, None] * unit,
                x[:, None] * unit,
                np.array([240]),
                np.array([20.0, 60, 100, 150, 180, 200, 220, 240]),
            )
            for x in (y, changed)
        )
        np.testing.assert_array_equal(before[:4], after[:4])
        assert not np.allclose(before[4:], after[4:])


def test_an_origin_uses_the_weights_of_the_refit_before_it_and_new_series_the_newest() -> None:
    pool = fit(made(cycling(200)), 150, log=False)
    steps, weights = pool.filters["ar"][:, 0], pool.filters["ar"][:, 1:]
    assert steps[0] == Expert.parse("ar").start
    assert steps[-1] == 150
    y = cycling(60, seed=3)
    for number, rows in ((1, np.searchsorted(steps, 60, side="right") - 1), (0, REFITS - 1)):
        found = newest(pool, y[None], np.array([0]), np.array([number]), 8).experts[0, 1, 0]
        past = y.astype(np.float32).astype(float)
        parts = np.r_[past[-2:-8:-1], past[-12:].mean()] - past[-1]
        assert found == pytest.approx(past[-1] + parts @ weights[rows, :7], rel=1e-6)


def test_equations_are_solved() -> None:
    noise = np.random.default_rng(0)
    rows = noise.normal(size=(50, TAPS))
    matrix, right = rows.T @ rows, noise.normal(size=TAPS)
    found = regressing._solve(np.tril(matrix), right)
    np.testing.assert_allclose(found, np.linalg.solve(matrix, right), rtol=1e-9)


def test_large_panels_are_sampled_and_long_ones_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    source = made(*(cycling(120, seed) for seed in range(6)))
    whole = fit(source, 100, log=False).filters["ar"]
    monkeypatch.setattr(regressing, "ROWS", 100)
    monkeypatch.setattr(regressing, "SCORED", 100)
    thinned = fit(source, 100, log=False).filters["ar"]
    monkeypatch.setattr(regressing, "CELLS", 300)
    sampled = fit(source, 100, log=False).filters["ar"]
    for found in (thinned, sampled):
        assert np.isfinite(found).all()
        assert not np.array_equal(found, whole)
        np.testing.assert_allclose(found[-1, 1:3], whole[-1, 1:3], atol=0.4)


def test_figures_are_averaged_with_their_neighbours() -> None:
    y = np.random.default_rng(0).normal(size=(130, 1))
    plain, blurred = (subtracting.of(Expert.parse(f"{kind}-20"), y) for kind in ("cd", "cs"))
    assert plain is not None
    assert blurred is not None
    assert (plain.fresh, blurred.fresh) == (10, 8)  # two neighbours on each side
    around = plain.values[98:103, 0]
    assert blurred.values[100, 0] == pytest.approx(around @ np.array([1, 2, 3, 2, 1]) / 9)


def test_averaged_figures_continue_from_states() -> None:
    y = np.random.default_rng(0).normal(size=(150, 2)) + np.resize(np.arange(20.0), 150)[:, None]
    y[110:117, 1] = np.nan
    pool = Pool.empty(("es", "cs-20"), HORIZON, 8, False, 2)
    pool.chosen[:] = [3, 7, 11, 20]
    pool.ends[1:] = 120
    both, one = np.array([1, 2]), np.array([120, 120])
    found = tracing.trace(pool, y[:120], one, both)
    for name, state in zip(pool.experts, found.states, strict=True):
        pool.states[name][1:] = state
    pool.extremes[1:] = found.extremes[:, 120].T
    whole = tracing.trace(pool, y, one + 30, both)
    rest = tracing.trace(pool, y[120:], one - 90, both, going=True)
    own = np.arange(2)
    for steps in (0, 1, 9, 30):
        expected = tracing.forecast(pool, whole, 120 + steps + 0 * own, own, 25)
        continued = tracing.forecast(pool, rest, steps + 0 * own, own, 25)
        np.testing.assert_allclose(continued, expected, rtol=1e-5, atol=1e-5)


def test_figures_of_a_year_of_weeks_or_days_have_neighbours_and_those_of_hours_have_none() -> None:
    y = np.random.default_rng(0).normal(size=600) + 50
    weeks, hours = made(y, frequency="W", begin="2000-01-02"), made(y, frequency="h")
    assert fitting.names(weeks, 500, log=False) == ("es", "hw-52", "sd-52", "cs-52", "ar-52")
    assert "cd-168" in fitting.names(hours, 600, log=False)
