"""What `retain models` shows: ages, and columns by kind."""

import dataclasses
import doctest

import pytest

from retain.registry import listing
from retain.registry.listing import Row


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(listing) == (0, 2)


@pytest.mark.parametrize(
    ("seconds", "age"), [(0, "now"), (3600, "1 hour"), (86_399, "23 hours"), (1e7, "115 days")]
)
def test_an_age_is_given_in_its_largest_unit(seconds: float, age: str) -> None:
    assert listing.age(seconds) == age


def test_a_table_has_the_columns_of_the_kinds_in_it() -> None:
    blank = Row("", 1, [], {}, "", "now", "–", "passed", "", "", "")
    letters = dataclasses.replace(blank, name="letters", metrics={"bits": 2.1, "loss": 1.0})
    sales = dataclasses.replace(blank, name="sales", metrics={"mae": 3.0})
    for rows, columns in (([letters], ["bits"]), ([sales, letters], ["MAE", "bits"])):
        shown = [str(column.header) for column in listing.table(rows).columns]
        assert shown == ["model", "version", "aliases", *columns, "age", "trained on", "verdict"]


def test_beside_a_version_s_figures_are_the_champion_s_on_the_same_windows() -> None:
    blank = Row("sales", 1, [], {"mae": 3.0}, "", "now", "–", "passed", "", "", "")
    beside = {"version": 1, "mae": 3.625}
    newer = dataclasses.replace(blank, version=2, metrics={"mae": 3.5, "mase": 0.9}, versus=beside)
    table = listing.table([newer, blank])
    mae, mase = (list(table.columns[number].cells) for number in (3, 4))
    assert mae == ["3.5 (v1: 3.625)", "3"]
    assert mase == ["0.9", "–"]
    assert table.caption == listing.CAPTION
    assert listing.table([blank]).caption is None
