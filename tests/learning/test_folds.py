"""An evaluation with two folds is two trainings, each scored on its own part of the test data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain.evaluation.choice import fold_folder
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel, tables
from retain.kinds.forecast.evaluation import blocks, champion, evaluate, floors, report
from retain.kinds.forecast.model import classical, setup
from retain.kinds.forecast.model.classical import NAMES
from retain.kinds.forecast.predict import predictor
from retain.project import files

from .small import trained

STEPS, HORIZON, SPLIT = 200, 5, {"validation": "12 horizons", "test": "8 horizons"}
# The test part is steps 160 to 200; the second piece begins at 180.
SIMPLE = ["seasonal_naive", "naive", "drift", "zero", "seasonal_mean"]  # by folds, unlike NAMES


def problem(folds: int, floors: Sequence[str] = SIMPLE, **split: Any) -> Problem:
    return Problem.model_validate(
        {
            "kind": "forecast",
            "preset": "fast",
            "data": {
                "path": "t.csv",
                "unique_id": "shop",
                "calendar": False,
                "horizon": HORIZON,
                "context_length": 10,
                "season_length": 7,
                "split": split or SPLIT,
            },
            "model": {
                "hidden_size": 4,
                "segment_length": 5,
                "normalisation": "series",
                "series_embedding": 2,
            },
            "training": {"max_epochs": 2, "batch_size": 64, "learning_rate": 0.01},
            "evaluation": {"folds": folds, "floors": floors, "bootstrap": 100},
            "gate": [{"check": "finite"}],
        }
    )


def table(steps: int = STEPS) -> pd.DataFrame:
    """Two shops whose level rises; `new` opens where the first training part ends."""
    noise = np.random.default_rng(0)
    days, parts = np.arange(STEPS), []
    for shop, first in (("old", 0), ("new", 140)):
        y = 50 + 0.2 * days + 5 * np.sin(2 * np.pi * days / 7) + noise.normal(0, 1, STEPS)
        ds = pd.date_range("2024-01-01", periods=STEPS)
        parts.append(pd.DataFrame({"shop": shop, "ds": ds, "y": y.round(3)})[first:steps])
    return pd.concat(parts)


def prepare(given: Problem, frame: pd.DataFrame, folder: Path) -> Path:
    folder.mkdir(parents=True)
    panel.save(panel.build(tables.clean(frame, given.data, "t.csv"), given.data), folder)
    return folder


def build_second(given: Any, prepared: Path, cell: Any) -> Any:
    return setup.build_fold(given, prepared, cell, 2)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, evaluate.Evaluation]:
    """What the stages make with two folds."""
    root, given = tmp_path_factory.mktemp("folds"), problem(2)
    prepared = prepare(given, table(), root / "prepared")
    model = trained(setup.build, given, prepared, "lstm", root / "lstm")
    trained(build_second, given, prepared, "lstm", fold_folder(model, 2))
    return root, evaluate.evaluate(given, prepared, {"lstm": model})


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, evaluate.Evaluation]]:
    """The same by hand: one table ends where the first piece's last forecast does."""
    dates = pd.date_range("2024-01-01", periods=STEPS)
    found = []
    for frame, validation, test in ((table(180 + HORIZON - 1), 140, 160), (table(), 160, 180)):
        root = tmp_path_factory.mktemp("apart")
        given = problem(1, validation=str(dates[validation]), test=str(dates[test]))
        prepared = prepare(given, frame, root / "prepared")
        model = trained(setup.build, given, prepared, "lstm", root / "lstm")
        found.append((root, evaluate.evaluate(given, prepared, {"lstm": model})))
    return found


def test_each_fold_is_the_training_that_a_split_there_gives(both: Any, apart: Any) -> None:
    for number, (root, _) in enumerate(apart, start=1):
        weights = (fold_folder(both[0] / "lstm", number) / "weights.safetensors").read_bytes()
        assert weights == (root / "lstm" / "weights.safetensors").read_bytes()


def test_a_series_that_was_not_trained_on_is_one_never_seen(both: Any) -> None:
    first, second = (
        predictor.load(fold_folder(both[0] / "lstm", number)).network.members[0].series.weight
        for number in (1, 2)
    )
    new, old = 1, 2  # in alphabetic order; 0 is a series never seen
    assert first[new].tolist() == first[0].tolist() != first[old].tolist()
    assert second[new].tolist() != second[0].tolist()  # the second fold knows it


def test_scores_are_those_of_both_trainings_together(both: Any, apart: Any) -> None:
    metrics, parts = both[1].metrics, [found.metrics for _, found in apart]
    counts = [part["windows"]["test"] for part in parts]
    assert metrics["windows"]["test"] == sum(counts) == 2 * (40 - HORIZON + 1)
    for model, scores in metrics["models"].items():
        for key in ("mae", "crps", "coverage_80", "width_80"):
            expected = np.average([part["models"][model][key] for part in parts], weights=counts)
            assert scores[key] == pytest.approx(expected, rel=1e-9), (model, key)


def test_a_floor_that_forecasts_a_sample_is_compared_on_its_windows(
    both: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classical, "SERIES", 1)
    root, whole = both
    given = problem(2, ["naive", *NAMES])
    found = evaluate.evaluate(given, root / "prepared", {"lstm": root / "lstm"})
    models, sample = found.metrics["models"], 40 - HORIZON + 1  # windows of one series
    assert [name for name in models if "windows" in models[name]] == ["theta", "ets"]
    assert models["theta"]["windows"] == sample
    assert whole.metrics["models"]["lstm"] == models["lstm"]
    by_series = found.tables["error_by_series"]
    (drawn,) = by_series[by_series["model"] == "theta"]["unique_id"]
    errors = by_series[by_series["unique_id"] == drawn].set_index("model")["mae"]
    differences = found.metrics["differences"]
    change = differences["lstm_minus_theta"]["mae"]["value"]
    assert change == pytest.approx(errors["lstm"] - errors["theta"])
    assert change != pytest.approx(models["lstm"]["mae"] - models["theta"]["mae"])
    unsampled = differences["lstm_minus_naive"]["mae"]["value"]
    assert unsampled == pytest.approx(models["lstm"]["mae"] - models["naive"]["mae"])
    page = report.report("shops", given, found, ())
    assert [row[0] for row in page.tables[1].rows if "sample" in row[0]] == [
        "Theta (sample)",
        "ETS (sample)",
    ]
    assert f"A sample is {sample} of the {2 * sample} windows" in page.tables[1].note


def test_the_report_says_when_each_fold_was_trained_and_scored(both: Any) -> None:
    page = report.report("shops", problem(2), both[1], ())
    table = next(table for table in page.tables if table.title == "2 folds")
    assert [row[1:] for row in table.rows] == [
        ("20 May 2024", "9 Jun 2024", "28 Jun 2024"),
        ("9 Jun 2024", "29 Jun 2024", "14 Jul 2024"),
    ]


def test_a_model_compared_with_itself_differs_in_nothing(both: Any) -> None:
    folder = both[0] / "lstm"
    found = champion.compare_with_champion(problem(2), both[0] / "prepared", folder, folder)
    assert found.scores[0] == found.scores[1]
    assert found.scores[0]["mae"] == both[1].metrics["models"]["lstm"]["mae"]
    assert found.differences["mae"].value == 0


def test_in_parts_the_figures_are_the_same(both: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    root, whole = both
    monkeypatch.setattr(blocks, "BLOCK", 16)
    found = evaluate.evaluate(problem(2), root / "prepared", {"lstm": root / "lstm"})
    assert files.to_json(found.metrics) == files.to_json(whole.metrics)
    for name, frame in found.tables.items():
        pd.testing.assert_frame_equal(frame, whole.tables[name])
    assert not list((root / "scratch" / "parts").iterdir())


@pytest.mark.long
def test_other_processes_give_the_same_bits(both: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    root, given = both[0], problem(2, ["naive", "theta"])
    monkeypatch.setattr(blocks, "BLOCK", 16)
    monkeypatch.setattr(floors, "AT_ONCE", 1)
    found = []
    for engine in ("local", "local:2"):
        monkeypatch.setenv("RETAIN_ENGINE", engine)
        found.append(evaluate.evaluate(given, root / "prepared", {"lstm": root / "lstm"}))
    here, apart = found
    assert repr(here.metrics) == repr(apart.metrics)
    assert repr(here.views) == repr(apart.views)
    for name, frame in here.tables.items():
        pd.testing.assert_frame_equal(frame, apart.tables[name], check_exact=True)


def test_a_sample_in_parts_is_the_same_sample(both: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classical, "SERIES", 1)
    root, given = both[0], problem(2, ["naive", "theta"])
    whole = evaluate.evaluate(given, root / "prepared", {"lstm": root / "lstm"})
    monkeypatch.setattr(blocks, "BLOCK", 16)
    found = evaluate.evaluate(given, root / "prepared", {"lstm": root / "lstm"})
    assert files.to_json(found.metrics) == files.to_json(whole.metrics)
    assert list(found.metrics["models"]) == list(whole.metrics["models"])
