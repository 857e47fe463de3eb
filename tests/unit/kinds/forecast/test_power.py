"""What the test part of a table can tell, measured before it."""

import numpy as np
import pandas as pd
import pytest

from retain.evaluation.bootstrap import smallest_difference
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import panel, tables
from retain.kinds.forecast.infer import power


def built(noise: float, steps: int = 400, seed: int = 1) -> panel.Panel:
    random = np.random.default_rng(seed)
    y = 100 + 20 * np.sin(2 * np.pi * np.arange(steps) / 7) + random.normal(0, 1, steps)
    # weeks of calm and of storm, so that windows differ
    y += random.normal(0, 1, steps) * noise * np.repeat(random.random(steps // 7 + 1), 7)[:steps]
    table = pd.DataFrame({"ds": pd.date_range("2021-01-01", periods=steps), "y": y})
    split = {"validation": "14 horizons", "test": "7 horizons"}
    data = Data.model_validate(
        {"path": "t.csv", "horizon": 7, "context_length": 14, "season_length": 7, "split": split}
    )
    return panel.build(tables.clean(table, data, "t.csv"), data)


def test_windows_that_differ_more_tell_less() -> None:
    calm, stormy = power.spread(built(0.0), 7), power.spread(built(30.0), 7)
    assert calm is not None
    assert stormy is not None
    assert 0.02 < calm < stormy < 1


def test_the_test_part_is_not_looked_at() -> None:
    source = built(1.0)
    before = power.spread(source, 7)
    source.values[-7 * 7 :, 0] = 1e6
    assert power.spread(source, 7) == before


def test_too_few_windows_measure_nothing() -> None:
    assert power.spread(built(1.0), 180) is None  # few have two such seasons before them


def test_a_spread_takes_the_place_of_the_simulated_noise() -> None:
    small, large = (smallest_difference(60, 1, 7, spread) for spread in (0.05, 0.2))
    assert small is not None
    assert large is not None
    assert large == pytest.approx(4 * small, rel=0.2)
