"""The frequency is found from the most common step, whatever is missing or repeated."""

import numpy as np
import pandas as pd
import pytest

from retain.errors import DataError
from retain.kinds.forecast.data import frequency
from retain.kinds.forecast.data.frequency import Times, canonical, infer

ALIASES = [
    *("s", "10s", "min", "5min", "15min", "h", "6h", "D", "2D", "B", "W-SUN", "W-WED"),
    *("MS", "ME", "QS-JAN", "QS-FEB", "QE-DEC", "QE-NOV", "YS-JAN", "YS-APR", "YE-DEC"),
]


def times(ds: "pd.Series[object]") -> Times:
    """The times of stamps that are indexed by their series."""
    return frequency.count_times(pd.factorize(ds.index)[0], ds)


def infer_frequency(ds: "pd.Series[object]") -> str:
    return infer(times(ds))


def off_grid(ds: "pd.Series[object]", alias: str) -> list[object]:
    found = times(ds)
    return found.stamps[frequency.off_grid(found.stamps, found.stamp_counts, alias)].tolist()


def other_frequencies(ds: "pd.Series[object]") -> dict[int, str]:
    return frequency.other_frequencies(pd.factorize(ds.index)[0], ds, times(ds))


def stamps(frequency: str, periods: int = 40, start: str = "2020-01-06") -> "pd.Series[object]":
    grid = pd.date_range(start, periods=periods, freq=frequency)
    return pd.Series(grid, index=["a"] * periods)


@pytest.mark.parametrize("alias", ALIASES)
def test_a_frequency_is_found_again(alias: str) -> None:
    ds = stamps(alias)
    assert infer_frequency(ds) == alias
    assert off_grid(ds, alias) == []


@pytest.mark.parametrize("alias", ALIASES)
def test_gaps_and_duplicates_do_not_move_it(alias: str) -> None:
    keep = np.sort(np.r_[np.delete(np.arange(40), [3, 4, 5, 17, 30]), 20, 21])
    assert infer_frequency(stamps(alias).iloc[keep]) == alias


@pytest.mark.parametrize("alias", ALIASES)
def test_one_stamp_off_the_grid_is_found_alone(alias: str) -> None:
    ds = stamps(alias).astype("datetime64[us]")
    ds.iloc[7] += pd.Timedelta(1, "ms")
    assert off_grid(ds, alias) == [frequency.micros(ds)[7]]
    assert infer_frequency(ds) == alias


def test_weekdays_are_business_days_only_where_a_weekend_was_left_out() -> None:
    assert infer_frequency(stamps("D", periods=5, start="2020-01-06")) == "D"
    assert infer_frequency(stamps("B", periods=6, start="2020-01-06")) == "B"


def test_four_weeks_are_no_month() -> None:
    assert infer_frequency(stamps("28D")) == "28D"


def test_a_time_of_day_stays_on_the_grid_of_weeks_and_months() -> None:
    assert infer_frequency(stamps("W-MON", start="2020-01-06 09:30")) == "W-MON"
    assert off_grid(stamps("MS", start="2020-01-01 09:30"), "MS") == []


@pytest.mark.parametrize(
    ("given", "spelt"), [("60min", "h"), ("24h", "D"), ("W", "W-SUN"), ("QS", "QS-JAN")]
)
def test_a_frequency_has_one_spelling(given: str, spelt: str) -> None:
    assert canonical(given) == spelt


def test_a_frequency_without_a_grid_is_refused() -> None:
    with pytest.raises(DataError) as error:
        canonical("SMS")
    assert str(error.value) == (
        "`frequency: SMS` is not supported; use multiples of s, min, h or D, "
        "or one of B, W, MS, ME, BMS, BME, QS, QE, YS, YE"
    )


def test_a_series_of_another_frequency_is_found() -> None:
    weekly = stamps("W-MON", periods=5).set_axis(["b"] * 5)
    assert other_frequencies(pd.concat([stamps("D"), weekly])) == {1: "7D"}


def test_a_series_with_gaps_has_no_other_frequency() -> None:
    sparse = stamps("D").iloc[[0, 1, 4, 5, 9, 30]].set_axis(["b"] * 6)
    assert other_frequencies(pd.concat([stamps("D"), sparse])) == {}
