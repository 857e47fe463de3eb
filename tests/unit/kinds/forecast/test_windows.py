"""Which windows there are, and that a batch of them holds what slicing by hand would give."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import panel, scaling, tables
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Windows

NAN = float("nan")


def daily(name: str, first: str, values: list[float], **columns: object) -> pd.DataFrame:
    ds = pd.date_range(first, periods=len(values))
    return pd.DataFrame({"id": name, "ds": ds, "y": values, **columns})


def made(*series: pd.DataFrame, **keys: Any) -> Panel:
    """Horizon 2, context 3, season 2; validation begins at step 10 of 20, test at step 15."""
    keys = {"calendar": False, "split": {"validation": 0.5, "test": 0.75}, **keys}
    data = Data(path="t.csv", unique_id="id", horizon=2, context_length=3, season_length=2, **keys)
    return panel.build(tables.clean(pd.concat(series), data, "t.csv"), data)


def steps(length: int, start: float = 0.0) -> list[float]:
    return (start + np.arange(length)).tolist()


@pytest.fixture
def one() -> Panel:
    return made(daily("a", "2024-01-01", steps(20)))


@pytest.fixture
def two() -> Panel:
    """Series a has all 20 steps, b begins at step 4 and ends at step 17."""
    return made(
        daily("a", "2024-01-01", steps(20), rain=steps(20, 100), size=1.0),
        daily("b", "2024-01-05", steps(14, 1000), rain=steps(14, 2000), size=7.0),
        past_covariates=["rain"],
        static_covariates=["size"],
    )


@pytest.mark.parametrize(
    ("part", "first", "last"), [("train", 3, 8), ("validation", 10, 13), ("test", 15, 18)]
)
def test_a_horizon_lies_wholly_in_its_part(one: Panel, part: str, first: int, last: int) -> None:
    windows = Windows(one, part)
    assert windows.step.tolist() == list(range(first, last + 1))
    assert len(windows) == last - first + 1
    assert windows.dropped == 0


def test_the_context_may_reach_into_the_part_before(one: Panel) -> None:
    window = Windows(one, "test").batch(np.array([0])).window
    assert window[0, 0].tolist() == steps(7, 10)  # season, context; 15 and 16 are the horizon


def test_a_series_of_its_own_span_has_its_own_windows(two: Panel) -> None:
    for part, of_a, of_b in (
        ("train", range(3, 9), range(7, 9)),
        ("validation", range(10, 14), range(10, 14)),
        ("test", range(15, 19), range(15, 17)),
    ):
        windows = Windows(two, part)
        assert windows.step[windows.series == 0].tolist() == list(of_a)
        assert windows.step[windows.series == 1].tolist() == list(of_b)
        assert windows.series.tolist() == sorted(windows.series.tolist())


def test_windows_that_show_or_ask_for_nothing_are_dropped_and_counted() -> None:
    values = steps(20)
    values[4:7] = [NAN] * 3  # the whole context of origin 7, the whole horizon of 4 and 5
    windows = Windows(made(daily("a", "2024-01-01", values)), "train")
    assert windows.step.tolist() == [3, 6, 8]
    assert windows.dropped == 3


def test_one_value_is_enough_on_either_side() -> None:
    values = steps(20)
    values[4:6] = [NAN] * 2
    windows = Windows(made(daily("a", "2024-01-01", values)), "train")
    assert windows.step.tolist() == [3, 5, 6, 7, 8]
    assert windows.dropped == 1


def by_hand(found: Panel, number: int, step: int) -> np.ndarray[Any, Any]:
    """Columns and steps of the window of one series whose horizon begins at `step`."""
    index = found.index.loc[number]
    own = found.values[index["start"] : index["start"] + index["length"]]
    window = np.full((own.shape[1], 7), np.nan, np.float32)
    for place in range(7):
        row = step - 5 + place - index["first_step"]
        if 0 <= row < len(own):
            window[:, place] = own[row]
    return window


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_a_batch_is_what_slicing_gives(two: Panel, part: str) -> None:
    windows = Windows(two, part)
    numbers = np.random.default_rng(0).permutation(len(windows))
    batch = windows.batch(numbers)
    expected = [by_hand(two, windows.series[n], windows.step[n]) for n in numbers]
    np.testing.assert_array_equal(batch.window.numpy(), np.stack(expected))
    assert batch.series.tolist() == (windows.series[numbers] + 1).tolist()
    assert batch.static[:, 0].tolist() == [[1.0, 7.0][n] for n in windows.series[numbers]]
    scales = two.index[["mean", "std"]].to_numpy(np.float32)
    np.testing.assert_array_equal(batch.scales.numpy(), scales[windows.series[numbers]])


def test_a_window_never_holds_a_neighbour(two: Panel) -> None:
    windows = Windows(two, "train")
    first_of_b = int(np.flatnonzero(windows.series == 1)[0])
    window = windows.batch(np.array([first_of_b])).window[0]
    assert window[0].isnan().tolist() == [True] * 2 + [False] * 5
    assert window[1].isnan().tolist() == [True] * 2 + [False] * 5
    assert (window[0, 2:] >= 1000).all()


def test_a_batch_is_a_copy(one: Panel) -> None:
    windows = Windows(one, "train")
    windows.batch(np.array([0])).window.zero_()
    assert windows.batch(np.array([0])).window[0, 0, 2:].tolist() == steps(5)


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_thinned_windows_are_evenly_spaced(one: Panel, limit: int) -> None:
    every = Windows(one, "train").step.tolist()
    found = Windows(one, "train").thinned(limit).step.tolist()
    assert len(found) == limit
    assert set(found) <= set(every)
    assert found[0] == every[0]
    if limit > 1:
        assert found[-1] == every[-1]
        assert np.ptp(np.diff(found)) <= 1


def test_few_windows_are_not_thinned(one: Panel) -> None:
    assert len(Windows(one, "train").thinned(6)) == 6
    assert len(Windows(one, "train").thinned(100)) == 6


def test_a_batch_is_read_from_a_memory_map(tmp_path: Path, two: Panel) -> None:
    panel.save(two, tmp_path)
    mapped = panel.load(tmp_path)
    assert isinstance(mapped.values, np.memmap)
    for part in ("train", "validation", "test"):
        in_memory, on_disk = Windows(two, part), Windows(mapped, part)
        assert on_disk.step.tolist() == in_memory.step.tolist()
        numbers = np.arange(len(in_memory))
        for left, right in zip(in_memory.batch(numbers), on_disk.batch(numbers), strict=True):
            np.testing.assert_array_equal(left.numpy(), right.numpy())


@pytest.fixture(params=[1, 64, 10**6])
def gappy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Panel:
    """Twelve series of their own spans with many gaps, read in blocks of one, a few and all."""
    monkeypatch.setattr(scaling, "BLOCK", request.param)
    noise = np.random.default_rng(0)
    series = []
    for number in range(12):
        values = noise.normal(size=noise.integers(14, 20)).tolist()
        for place in np.flatnonzero(noise.random(len(values)) < 0.45):
            values[place] = NAN
        values[0], values[1], values[-1] = 0.0, 1.0, 2.0
        series.append(daily(f"s{number:02}", f"2024-01-{noise.integers(1, 4):02}", values))
    return made(*series, daily("t", "2024-01-01", steps(20)))


@pytest.mark.parametrize(("part", "first", "end"), [("train", 0, 10), ("validation", 10, 15)])
def test_windows_are_those_found_one_by_one(gappy: Panel, part: str, first: int, end: int) -> None:
    expected, dropped = [], 0
    for number in range(len(gappy.index)):
        row = gappy.index.loc[number]
        for step in range(max(first, row["first_step"] + 3), end - 1):
            if step + 2 > row["first_step"] + row["length"]:
                continue
            y = by_hand(gappy, number, step)[0]
            if np.isfinite(y[2:5]).any() and np.isfinite(y[5:]).any():
                expected.append((number, step))
            else:
                dropped += 1
    windows = Windows(gappy, part)
    assert list(zip(windows.series.tolist(), windows.step.tolist(), strict=True)) == expected
    assert (len(windows), windows.dropped) == (len(expected), dropped)
    assert dropped > 0
    numbers = np.random.default_rng(1).permutation(len(windows))
    found = windows.batch(numbers).window.numpy()
    np.testing.assert_array_equal(found, [by_hand(gappy, *expected[n]) for n in numbers])


def test_windows_without_gaps_are_one_run_a_series() -> None:
    few = Windows(made(*(daily(name, "2024-01-01", steps(20)) for name in "abc")), "train")
    assert len(few) == 18
    assert few._run_first.tolist() == [0, 6, 12]


def test_windows_can_be_thinned_twice(one: Panel) -> None:
    every = Windows(one, "train").step
    windows = Windows(one, "train").thinned(5)
    left = windows.step[np.linspace(0, 4, 3).astype(int)].tolist()
    assert windows.thinned(3).step.tolist() == left
    assert set(left) <= set(every.tolist())


def test_windows_among_chosen_series_know_where_they_begin(two: Panel) -> None:
    every = Windows(two, (10, 20))
    some = every.among(np.array([False, True]))
    assert len(some) == int((every.series == 1).sum()) > 0
    assert set(some.series) == {1}
    assert len(every.thinned(3).among(np.array([False, True]))) == 1
    batch = some.batch(np.arange(len(some)))
    rows = batch.rows.numpy()
    np.testing.assert_array_equal(batch.window[:, 0, -2].numpy(), two.values[rows, 0])
    assert (some.step == rows - two.index["start"][1] + two.index["first_step"][1]).all()
