"""What a calendar knows: cycles without a seam, local time, and holidays of any year."""

import numpy as np
import pandas as pd
import pytest

from retain.config.loader import parse
from retain.errors import ParamsError
from retain.kinds.forecast.data.calendars import feature_names, features, step_of
from retain.kinds.forecast.time_axis import check_region

CYCLES = {
    "hour_of_day": ["hour_of_day_sin", "hour_of_day_cos"],
    "day_of_week": ["day_of_week_sin", "day_of_week_cos"],
    "day_of_year": ["day_of_year_sin", "day_of_year_cos"],
}


def column(name: str, stamps: list[str], frequency: str = "h", **keys: str | None) -> list[float]:
    region, timezone = keys.get("holidays"), keys.get("timezone")
    values = features(pd.DatetimeIndex(stamps), frequency, True, region, timezone)
    return values[:, feature_names(frequency, True, region).index(name)].tolist()


@pytest.mark.parametrize(
    ("frequency", "cycles"),
    [
        ("15min", ["hour_of_day", "day_of_week", "day_of_year"]),
        ("h", ["hour_of_day", "day_of_week", "day_of_year"]),
        ("D", ["day_of_week", "day_of_year"]),
        ("B", ["day_of_week", "day_of_year"]),
        ("W-SUN", ["day_of_year"]),
        ("MS", ["day_of_year"]),
        ("QE-DEC", ["day_of_year"]),
    ],
)
def test_a_cycle_shorter_than_a_step_is_left_out(frequency: str, cycles: list[str]) -> None:
    names = [name for cycle in cycles for name in CYCLES[cycle]]
    assert feature_names(frequency, True, None) == names
    assert feature_names(frequency, True, "US") == [*names, "holiday"]
    made = features(pd.date_range("2024-01-01", periods=5, freq=frequency), frequency, True, "US")
    assert made.shape == (5, len(names) + 1)
    assert made.dtype == np.float32


def test_without_a_calendar_there_are_no_columns() -> None:
    assert feature_names("h", False, None) == []
    assert features(pd.date_range("2024", periods=4, freq="h"), "h", False, None).shape == (4, 0)
    assert feature_names("h", False, "US") == ["holiday"]


@pytest.mark.parametrize(
    ("cycle", "near", "far"),
    [
        ("hour_of_day", ["2024-03-05 23:00", "2024-03-06 00:00"], "2024-03-06 12:00"),
        ("day_of_week", ["2024-03-10 23:00", "2024-03-11 00:00"], "2024-03-14 00:00"),
        ("day_of_year", ["2023-12-31 00:00", "2024-01-01 00:00"], "2024-07-01 00:00"),
    ],
)
def test_the_end_of_a_cycle_is_near_its_beginning(cycle: str, near: list[str], far: str) -> None:
    points = np.array([column(name, [*near, far]) for name in CYCLES[cycle]]).T  # (stamps, 2)
    assert np.linalg.norm(points[0] - points[1]) < 0.27
    assert np.linalg.norm(points[0] - points[2]) > 1.9
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, rtol=1e-6)


def test_an_hour_is_that_of_the_time_zone() -> None:
    # Noon UTC is 7 in New York's winter and 8 in its summer; 6 o'clock has the sine 1.
    stamps = ["2024-01-15 11:00", "2024-07-15 10:00"]
    assert column("hour_of_day_sin", stamps, timezone="America/New_York") == [1, 1]
    assert column("hour_of_day_sin", ["2024-01-15 06:00"]) == [1]


def test_the_time_zone_moves_the_day_of_a_holiday() -> None:
    # 3:00 UTC on 5 July is still Independence Day in Chicago.
    stamps = ["2024-07-04 03:00", "2024-07-04 12:00", "2024-07-05 03:00", "2024-07-05 12:00"]
    keys = {"holidays": "US"}
    assert column("holiday", stamps, **keys) == [1, 1, 0, 0]
    assert column("holiday", stamps, **keys, timezone="America/Chicago") == [0, 1, 1, 0]


@pytest.mark.parametrize("year", [1999, 2012, 2026, 2060])
def test_holidays_are_known_for_any_year(year: int) -> None:
    stamps = [f"{year}-07-08", f"{year}-12-25 13:00", f"{year}-12-28"]
    assert column("holiday", stamps, holidays="US") == [0, 1, 0]


def test_a_subdivision_has_holidays_of_its_own() -> None:
    patriots_day = ["2024-04-15"]
    assert column("holiday", patriots_day, holidays="US") == [0]
    assert column("holiday", patriots_day, holidays="US-MA") == [1]


def test_an_unknown_region_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^expected an ISO country code such as US, or US-MN"):
        check_region("Atlantis")
    with pytest.raises(ValueError, match=r"^no subdivision 'XX'; US has AK, AL, .*WY$"):
        check_region("US-XX")


def test_an_unknown_region_is_an_error_of_params_yaml() -> None:
    data = {"path": "t.csv", "horizon": 1, "context_length": 1, "holidays": "U.S."}
    with pytest.raises(ParamsError) as error:
        parse("sales", {"kind": "forecast", "preset": "fast", "data": data, "gate": []})
    assert str(error.value) == (
        "params.yaml: `problems.sales.data.holidays` is 'U.S.': expected an ISO country code such "
        "as US, or US-MN with a subdivision"
    )


@pytest.mark.parametrize(
    ("frequency", "days"), [("h", 1 / 24), ("D", 1), ("B", 1), ("W-SUN", 7), ("MS", 28)]
)
def test_a_step_that_varies_counts_as_its_shortest(frequency: str, days: float) -> None:
    assert step_of(frequency) == pd.Timedelta(days=days)


@pytest.mark.parametrize(
    ("frequency", "stamp", "count"),
    [
        ("W-SUN", "2024-12-29", 1),  # Christmas Day, a Wednesday, is in the week that ends so
        ("W-SUN", "2025-01-05", 1),
        ("W-SUN", "2024-12-22", 0),
        ("MS", "2024-11-01", 2),  # Veterans Day and Thanksgiving
        ("ME", "2024-11-30", 2),
        ("QS-JAN", "2024-04-01", 2),  # Memorial Day and Juneteenth
        ("QE-DEC", "2024-06-30", 2),
        ("YE-DEC", "2024-12-31", 11),
        ("2D", "2024-12-24", 1),  # begins at its stamp
        ("2D", "2024-12-23", 0),
        ("D", "2024-12-24", 0),
        ("B", "2024-12-24", 0),
    ],
)
def test_a_step_of_several_days_counts_the_holidays_in_it(
    frequency: str, stamp: str, count: int
) -> None:
    ds = pd.DatetimeIndex([stamp])
    assert features(ds, frequency, calendar=False, holidays="US").tolist() == [[count]]
