"""Each origin of the test part belongs to one fold, whose model knows nothing from there on."""

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain.errors import DataError, IncomparableError
from retain.evaluation.choice import fold_folder, fold_folders
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import folds, panel, tables
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.evaluation import champion

HORIZON, CONTEXT = 3, 4


def made(steps: int = 60, late: int = 45, **keys: Any) -> Panel:
    """Two series; the second begins at step `late`."""
    ds = pd.date_range("2024-01-01", periods=steps)
    parts = [
        pd.DataFrame({"id": name, "ds": ds[first:], "y": np.arange(first, steps, dtype=float)})
        for name, first in (("a", 0), ("b", late))
    ]
    split = {"validation": "8 horizons", "test": "6 horizons"}
    keys = {"calendar": False, "split": split, **keys}
    data = Data(path="t.csv", unique_id="id", horizon=HORIZON, context_length=CONTEXT, **keys)
    return panel.build(tables.clean(pd.concat(parts), data, "t.csv"), data)


def places(windows: Windows) -> list[tuple[int, int]]:
    return list(zip(windows.series.tolist(), windows.step.tolist(), strict=True))


@pytest.mark.parametrize("count", [1, 2, 4, 5, 6])
def test_each_origin_of_the_test_part_is_scored_once(count: int) -> None:
    source = made()
    scored = [
        place
        for fold in folds.find(source.schema, count)
        for place in places(Windows(folds.cut(source, fold), (fold.test_step, fold.reach)))
    ]
    assert sorted(scored) == sorted(places(Windows(source, "test")))


@pytest.mark.parametrize("count", [2, 5])
def test_nothing_from_a_piece_on_is_learned_from(count: int) -> None:
    source = made()
    found = folds.find(source.schema, count)
    for fold in found:
        cut = folds.cut(source, fold)
        for part, end in (("train", fold.validation_step), ("validation", fold.test_step)):
            windows = Windows(cut, part)
            assert len(windows)
            assert windows.step.max() + HORIZON <= end <= fold.test_step
        start = cut.index["start"][0]
        assert cut.index["mean"][0] == cut.values[start : start + fold.validation_step, 0].mean()
    assert [fold.test_step - fold.validation_step for fold in found] == [2 * HORIZON] * count
    assert all(one.end == next_one.test_step for one, next_one in pairwise(found))
    lengths = [fold.end - fold.test_step for fold in found]
    assert max(lengths) - min(lengths) <= 1


def test_the_first_fold_is_the_split_itself() -> None:
    source = made()
    (only,) = folds.find(source.schema, 1)
    assert folds.cut(source, only) is source
    first = folds.find(source.schema, 3)[0]
    assert (first.validation_step, first.test_step) == (36, 42)


def test_a_horizon_may_reach_into_the_next_piece_but_not_beyond_the_table() -> None:
    first, second = folds.find(made().schema, 2)
    assert (first.end, first.reach) == (51, 53)
    assert (second.end, second.reach) == (60, 60)


def test_too_many_folds_are_refused_with_what_would_do() -> None:
    with pytest.raises(DataError) as error:
        folds.find(made().schema, 7)
    assert str(error.value) == (
        "t.csv: evaluation.folds is 7, and the test part has 18 steps; each fold needs the horizon "
        "of 3, 21 steps in all: let data.split.test begin earlier, at least 7 horizons before the "
        "end, or take at most 6 folds"
    )


def test_the_folds_of_a_model_lie_in_its_folder(tmp_path: Path) -> None:
    for number in (2, 3):
        fold_folder(tmp_path, number).mkdir()
    assert fold_folders(tmp_path) == [tmp_path, tmp_path / "fold-2", tmp_path / "fold-3"]


def model(trained: int, validated: int) -> Any:
    """Stand in for a predictor: its parts end at these days of January."""
    day = pd.Timestamp("2024-01-01") - pd.Timedelta(days=1)
    return SimpleNamespace(
        trained_until=lambda: day + pd.Timedelta(days=trained),
        validated_until=lambda: day + pd.Timedelta(days=validated),
    )


def test_a_champion_forecasts_a_fold_with_its_newest_model_before_it() -> None:
    models = [model(4, 8), model(10, 14), model(16, 20)]

    def chosen(day: int) -> int:
        return models.index(champion._newest_before(models, pd.Timestamp(f"2024-01-{day:02d}")))

    # That of the 10th was stopped and calibrated by what comes until the 14th.
    assert [chosen(day) for day in (8, 13, 14, 19, 30)] == [0, 0, 1, 1, 2]
    assert chosen(6) == 0  # better than no comparison: as with one fold
    with pytest.raises(IncomparableError, match="trained until 2024-01-04 00:00:00, and today's"):
        chosen(3)
