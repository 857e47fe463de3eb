"""The naive forecasts, by their own examples and over gaps."""

import doctest

import pytest
import torch
from torch import Tensor

from retain.kinds.forecast.model import baselines
from retain.kinds.forecast.model.baselines import (
    drift,
    last_observed,
    naive,
    nearest_season,
    seasonal_naive,
)

NAN = float("nan")


def test_the_examples_in_the_docstrings_hold() -> None:
    failed, tried = doctest.testmod(baselines)
    assert (failed, tried) == (0, 7)


@pytest.mark.parametrize(
    ("past", "last"),
    [([1.0, 2.0, 3.0], 3.0), ([1.0, NAN, NAN], 1.0), ([NAN, 2.0, NAN], 2.0), ([0.0, NAN], 0.0)],
)
def test_the_last_observed_value_is_the_naive_forecast(past: list[float], last: float) -> None:
    assert naive(torch.tensor([past]), horizon=3).tolist() == [[last] * 3]


def test_a_row_without_values_has_no_last_one() -> None:
    assert last_observed(torch.tensor([[NAN, NAN], [NAN, 1.0]]))[:, 0].isnan().tolist() == [
        True,
        False,
    ]


NINE = torch.tensor([[9.0]])


@pytest.mark.parametrize(
    ("past", "horizon", "season", "expected"),
    [
        ([1, 2, 3, 4, 5, 6], 3, 3, [4, 5, 6]),
        ([1, 2, 3, 4, 5, 6], 2, 3, [4, 5]),
        ([1, 2, 3, 4, 5, 6], 7, 3, [4, 5, 6, 4, 5, 6, 4]),
        ([1, 2, 3, NAN, 5, 6], 4, 3, [1, 5, 6, 1]),
        ([NAN, 2, 3, NAN, 5, 6], 3, 3, [9, 5, 6]),
        ([1, 2, 3, 4, 5], 1, 1, [5]),
        ([1, 2, NAN, NAN], 2, 1, [2, 2]),
        ([1, 2], 3, 4, [9, 9, 1]),  # a season longer than the past
        ([NAN, NAN], 2, 1, [9, 9]),
    ],
)
def test_a_gap_is_filled_from_the_season_before(
    past: list[float], horizon: int, season: int, expected: list[float]
) -> None:
    rows = torch.tensor([past], dtype=torch.float32)
    assert seasonal_naive(rows, horizon, season, fallback=NINE).tolist() == [expected]


def test_rows_do_not_mix() -> None:
    past = torch.tensor([[1.0, 2.0, NAN, 4.0], [5.0, 6.0, 7.0, 8.0], [NAN, NAN, NAN, NAN]])
    fallback = torch.tensor([[0.0], [0.0], [9.0]])
    together = seasonal_naive(past, 2, 2, fallback)
    assert together.tolist() == [[1, 4], [7, 8], [9, 9]]


@pytest.mark.parametrize(
    ("past", "expected"),
    [
        ([1.0, 2.0, 3.0], [4.0, 5.0]),
        ([NAN, 2.0, 3.0, NAN], [5.0, 6.0]),  # the newest value is a step old
        ([1.0, NAN, 5.0], [7.0, 9.0]),
        ([NAN, 4.0, NAN], [4.0, 4.0]),  # one value has no slope
        ([2.0], [2.0, 2.0]),
    ],
)
def test_drift_continues_the_line_through_first_and_last(
    past: list[float], expected: list[float]
) -> None:
    assert drift(torch.tensor([past]), horizon=2).tolist() == [expected]


def test_drift_of_nothing_is_nothing() -> None:
    forecast: Tensor = drift(torch.tensor([[NAN, NAN]]), horizon=2)
    assert forecast.isnan().all()


@pytest.mark.parametrize(
    ("past", "horizon", "place"),
    [
        ([1.0, 2.0, 1.0, 2.0, 1.0, 2.0], 1, 0),
        ([1.0, 2.0, 3.0, 1.0, 2.0, 3.0], 1, 1),
        ([1.0, 2.0, 3.0, 1.0, 2.0, NAN], 1, 1),
        ([NAN, NAN, NAN, NAN, 1.0, NAN], 1, 0),  # nothing to go by: the shorter one
        ([0.0, 0.0, 1.0, 1.0, 2.0, 2.0], 1, 0),  # a distance of 2 errs by 1, of 3 by 4/3,
        ([0.0, 0.0, 1.0, 1.0, 2.0, 2.0], 3, 1),  # of 4, which the third step needs, by 2
    ],
)
def test_a_window_takes_the_season_that_it_repeats_best(
    past: list[float], horizon: int, place: int
) -> None:
    chosen = nearest_season(torch.tensor([past]), horizon, (2, 3), recent=6)
    assert chosen.tolist() == [place]
