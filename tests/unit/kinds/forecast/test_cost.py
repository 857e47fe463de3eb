"""The estimate of how long a training will take."""

import doctest

import pytest

from retain.config import loader
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.infer import cost


def problem(**evaluation: int) -> Problem:
    entry = {
        "kind": "forecast",
        "preset": "fast",
        "data": {"path": "t.csv", "horizon": 6, "context_length": 12},
        "model": {"base": "pool"},
        "evaluation": evaluation,
        "gate": [],
    }
    found = loader.parse("sales", entry)
    assert isinstance(found, Problem)
    return found


def test_a_range_is_said_as_a_person_says_it() -> None:
    assert doctest.testmod(cost).failed == 0


def test_each_fold_and_each_update_take_their_time() -> None:
    low, high = cost.seconds(problem(), 500, True, 0.01)
    # 2 cells, 3 networks on the base and 2 alone, of 400 to 600 updates; a refit; three starts
    assert low == pytest.approx(cost.EARLIEST * (15 + 0.01 * 400 * 11))
    assert high == pytest.approx(cost.LATEST * (15 + 0.01 * 600 * 11))
    assert cost.seconds(problem(folds=4), 500, True, 0.01)[0] > 2.5 * low
    assert cost.seconds(problem(), 500, True, 0.02)[0] > 1.6 * low
    assert cost.seconds(problem(), 20_000, True, 0.01)[1] > 2 * high


def test_a_network_that_is_not_kept_takes_next_to_nothing() -> None:
    assert cost.seconds(problem(), 30, False, 0.01)[1] < cost.seconds(problem(), 30, True, 0.01)[1]
