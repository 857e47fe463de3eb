"""The season of tables whose season is known."""

import math

import numpy as np
import pytest

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.infer import seasons
from retain.kinds.forecast.model import rehearsal
from tests.unit.kinds.forecast.panels import panel_of

NAN = math.nan


def chosen(frequency: str, horizon: int, cycles: tuple[int, ...], *series: Floats) -> int:
    """Choose by the last two fifths but one, in two folds."""
    built = panel_of(
        *series,
        begin="2010-01-04",
        frequency=frequency,
        horizon=horizon,
        context_length=1,
        split={"validation": 0.65, "test": 0.85},
    )
    return seasons.choose(seasons.measure(rehearsal.cuts(built, 2), cycles), cycles)


def wave(steps: int, season: int) -> Floats:
    return np.sin(2 * np.pi * np.arange(steps) / season)


def noise(steps: int, size: float, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(0, size, steps)


def test_growing_months_have_a_season_of_a_year() -> None:
    """The seasonal-naive forecast is the worse one here: the level grows more than the season."""
    level = 100 * 1.03 ** np.arange(120)
    y = level * (1 + 0.1 * wave(120, 12) + noise(120, 0.02))
    assert np.abs(y[12:] - y[:-12]).mean() > 2 * np.abs(y[1:] - y[:-1]).mean()
    assert chosen("MS", 6, (12,), y) == 12


def test_weeks_with_a_season_of_a_year() -> None:
    y = [200 + 60 * wave(260, 52) + 0.3 * np.arange(260) + noise(260, 5, n) for n in range(3)]
    assert chosen("W-MON", 8, (52,), *y) == 52


def test_hours_whose_weekends_differ_have_a_season_of_a_week() -> None:
    day = 100 + 20 * wave(560, 24) + noise(560, 2)
    weekend = np.where(np.arange(560) // 24 % 7 >= 5, 0.3, 1.0)
    assert chosen("h", 6, (24, 168), day * weekend) == 168


def test_of_a_random_walk_a_season_says_nothing_and_a_long_one_less() -> None:
    walks = [100 + np.cumsum(noise(500, 1, seed)) for seed in range(4)]
    assert chosen("B", 5, (5, 260), *walks) in {1, 5}


@pytest.mark.parametrize(
    ("errors", "season"),
    [
        ({}, 24),
        ({1: (1.0, 1.0)}, 24),
        ({1: (0.995, 0.995), 24: (1.0, 1.0)}, 24),  # less than 1 % better
        ({1: (0.5, 1.01), 24: (1.0, 1.0)}, 24),  # in one fold alone
        ({1: (0.9, 0.98), 24: (1.0, 1.0)}, 1),
        ({1: (2.0, 2.0), 24: (1.0, 1.0), 168: (0.96, 0.96)}, 24),  # less than 5 % better
        ({1: (2.0, 2.0), 24: (1.0, 1.0), 168: (0.9, 0.9)}, 168),
        ({1: (0.9, 0.9), 24: (NAN, 1.0), 168: (NAN, 0.99)}, 1),  # in the fold that has it
    ],
)
def test_a_tie_goes_to_the_first_cycle(errors: dict[int, seasons.Errors], season: int) -> None:
    assert seasons.choose(errors, (24, 168)) == season
    assert seasons.choose(errors, ()) == 1
