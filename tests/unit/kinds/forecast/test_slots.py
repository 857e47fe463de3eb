"""Slots of the week without a value are found where a shop is closed, and not where data lacks."""

import doctest
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import panel, slots, tables
from retain.kinds.forecast.data.panel import Panel

NAN = float("nan")


def hours(weeks: int, first: str = "2024-01-01", shop: str = "a") -> pd.DataFrame:
    ds = pd.date_range(first, periods=weeks * 168, freq="h")  # a Monday
    return pd.DataFrame({"shop": shop, "ds": ds, "y": np.arange(len(ds)) % 7.0})


def is_open(table: pd.DataFrame, begin: int = 8, end: int = 18) -> pd.Series:
    return (table["ds"].dt.day_of_week < 5) & table["ds"].dt.hour.between(begin, end - 1)


def made(table: pd.DataFrame, **keys: Any) -> Panel:
    keys = {"unique_id": "shop", "frequency": "h", "horizon": 3, "context_length": 24, **keys}
    data = Data(path="t.csv", **{"split": {"validation": 0.7, "test": 0.85}, **keys})
    return panel.build(tables.clean(table, data, "t.csv"), data)


@pytest.mark.parametrize("blank", [True, False])
def test_hours_of_business_are_found(blank: bool) -> None:
    table = hours(8)
    shut = ~is_open(table)
    table = table.assign(y=table["y"].mask(shut)) if blank else table[~shut]
    found = slots.measure(made(table))
    assert found is not None
    (closed,) = found["closed"]
    assert len(closed) == 168 - 50
    assert slots.warnings(found) == [
        "1 of 1 series never have a value at: Saturday and Sunday; 18:00 to 07:59"
    ]
    ahead = np.array([["2024-04-05T17", "2024-04-05T18", "2024-04-06T10"]], dtype="datetime64[us]")
    mask = slots.is_closed(found, np.array([1]), ahead, None)
    assert mask.tolist() == [[False, True, True]]


def test_each_series_has_hours_of_its_own() -> None:
    early, late = hours(8, shop="early"), hours(8, shop="late")
    always = hours(8, shop="open")
    table = [early[is_open(early, 6, 12)], late[is_open(late, 12, 20)]]
    found = slots.measure(made(pd.concat(table)))
    assert found is not None
    noon = np.array([["2024-04-05T11", "2024-04-05T13", "2024-04-05T22"]], dtype="datetime64[us]")
    mask = slots.is_closed(found, np.array([0, 1, 2]), np.repeat(noon, 3, 0), None)
    # One that the model does not know is closed when all are.
    assert mask.tolist() == [[False, False, True], [False, True, True], [True, False, True]]
    found = slots.measure(made(pd.concat([*table, always])))
    assert found is not None
    mask = slots.is_closed(found, np.array([0, 3]), np.repeat(noon, 2, 0), None)
    assert not mask.any()


def test_three_weeks_say_nothing() -> None:
    table = hours(4)  # of which nearly three are the training part
    assert slots.measure(made(table[is_open(table)])) is None


def test_a_series_that_lacks_values_everywhere_has_no_closed_slots() -> None:
    table = hours(12)
    kept = np.random.default_rng(0).random(len(table)) < 0.05
    table = table.assign(y=table["y"].where(kept))
    assert slots.measure(made(table)) is None


def test_a_series_is_open_before_it_began() -> None:
    table = hours(12)
    table["y"] = table["y"].where(table["ds"] >= table["ds"].iloc[6 * 168])
    assert slots.measure(made(table)) is None


def test_days_of_the_week_in_local_time() -> None:
    ds = pd.date_range("2024-01-01", periods=100, freq="D")
    table = pd.DataFrame({"shop": "a", "ds": ds, "y": 1.0 * np.arange(100)})
    daily = slots.measure(made(table[ds.day_of_week != 6], frequency="D"))
    assert daily is not None
    assert daily["closed"] == [[6]]
    assert "Sunday" in slots.warnings(daily)[0]
    local = hours(8)
    local = local[local["ds"].dt.hour >= 8]
    local["ds"] = local["ds"].dt.tz_localize("Asia/Tokyo").dt.tz_convert("UTC").astype(str)
    found = slots.measure(made(local, timezone="Asia/Tokyo"))
    assert slots.warnings(found) == ["1 of 1 series never have a value at: 00:00 to 07:59"]


@pytest.mark.parametrize("frequency", ["W-SUN", "MS", "B", "2D"])
def test_longer_steps_have_no_slots(frequency: str) -> None:
    assert slots.per_day(frequency) == 0


def test_words_for_slots() -> None:
    failed, tried = doctest.testmod(slots)
    assert (failed, tried) == (0, 2)
    monday = [*range(12, 24)]
    assert slots.describe(monday, 24) == "Monday 12:00 to 23:59"
    assert slots.describe([0, 1, 2, 5], 1) == "Monday, Tuesday, Wednesday and Saturday"
    assert slots.describe([0, 1, 2], 1) == "Monday to Wednesday"
