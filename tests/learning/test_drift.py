"""Drift: what is usual is no news, what moved is, and what got worse stops a retraining."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from retain import model_files
from retain.config.schema import Retrain
from retain.evaluation.results import DriftFindings
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel, profile, tables
from retain.kinds.forecast.model import setup
from retain.kinds.forecast.monitoring import drift
from retain.kinds.forecast.predict import predictor
from retain.training import portable_cpu, trainer

HOURS = 24 * 60
RANDOM = np.random.default_rng(0)
NOISE = RANDOM.normal(0, 1, (4, HOURS))


def table(hours: int = HOURS, stores: str = "ab", **changes: Any) -> pd.DataFrame:
    """Hourly sales of some stores with a daily cycle, and a temperature with a slow one."""
    steps = np.arange(hours)
    parts = []
    for number, store in enumerate(stores):
        y = 100 * (number + 1) + 10 * np.sin(2 * np.pi * steps / 24) + NOISE[number, :hours]
        warm = 10 + 10 * np.sin(2 * np.pi * steps / 360) + NOISE[3, :hours]
        ds = pd.date_range("2024-01-01", periods=hours, freq="h")
        parts.append(pd.DataFrame({"ds": ds, "store": store, "y": y, "warm": warm}))
    return pd.concat(parts, ignore_index=True).assign(**changes)


def problem(**keys: Any) -> Problem:
    return Problem.model_validate(
        {
            "kind": "forecast",
            "preset": "fast",
            "data": {
                "path": "t.csv",
                "unique_id": "store",
                "past_covariates": ["warm"],
                "horizon": 6,
                "context_length": 24,
                "season_length": 24,
                "split": {"validation": "20d", "test": "10d"},
            },
            "model": {"hidden_size": 8, "segment_length": 6},
            "training": {"max_epochs": 2, "batch_size": 64, "learning_rate": 0.01},
            "gate": [{"check": "finite"}],
        }
        | keys
    )


def prepared(folder: Path, frame: pd.DataFrame) -> Path:
    folder.mkdir()
    data = problem().data
    panel.save(panel.build(tables.clean(frame, data, "t.csv"), data), folder)
    return folder


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A model of the whole table, and what it scored."""
    portable_cpu.pin_cpu_kernels("machine")
    root = tmp_path_factory.mktemp("champion")
    data = prepared(root / "data", table())
    trainer.seed_everything(problem().training)
    made = setup.build(problem(), data, "lstm")
    history = trainer.fit(made, problem().training, "lstm", "champion")
    made.calibrate()
    (root / "model").mkdir()
    model_files.write_model(root / "model", made.network, made.config, history)
    found = drift.error(predictor.load(root / "model"), panel.load(data), HOURS - 240, HOURS)
    assert found is not None
    return root / "model", {"mase": found}


def check(
    folder: Path, frame: pd.DataFrame, champion: tuple[Path, dict[str, float]], **settings: Any
) -> DriftFindings:
    asked = problem(retrain=Retrain(**settings).model_dump())
    return drift.check(asked, prepared(folder / "new", frame), *champion)


def passed(found: DriftFindings) -> set[tuple[str, str]]:
    return {(each.name, each.measure) for each in found.drifts if each.passed}


def test_the_data_it_was_trained_on_have_not_drifted(tmp_path: Path, champion: Any) -> None:
    found = check(tmp_path, table(), champion)
    assert (passed(found), found.worse, found.notes) == (set(), [], [])
    assert {each.name for each in found.drifts} == {"y", "warm", "champion's error"}
    assert found.newest == "26 Feb 2024 00:00 to 29 Feb 2024 23:00"


def test_a_slow_season_is_usual_and_no_drift(tmp_path: Path, champion: Any) -> None:
    found = check(tmp_path, table(), champion)
    psi = next(each for each in found.drifts if (each.name, each.measure) == ("warm", "psi"))
    assert psi.usual  # four days of temperature are nothing like the whole
    assert psi.value > 0.25


def test_a_level_that_shifted_is_drift_and_so_is_the_error(tmp_path: Path, champion: Any) -> None:
    frame = table()
    newest = frame["ds"] >= frame["ds"].max() - pd.Timedelta("2D")  # some windows lie across it
    frame.loc[newest, "y"] += 60
    found = check(tmp_path, frame, champion)
    assert passed(found) >= {("y", "psi"), ("y", "wasserstein"), ("champion's error", "mase")}
    assert found.worse == []


def test_one_series_that_moves_among_others_is_seen_in_its_own_scale(
    tmp_path: Path, champion: Any
) -> None:
    frame = table()
    newest = (frame["ds"] >= frame["ds"].max() - pd.Timedelta("5D")) & (frame["store"] == "a")
    frame.loc[newest, "y"] += 60  # a is then where b is
    assert ("y", "psi") in passed(check(tmp_path, frame, champion))


def test_bounds_come_from_params(tmp_path: Path, champion: Any) -> None:
    frame = table()
    frame.loc[frame["ds"] >= frame["ds"].max() - pd.Timedelta("5D"), "y"] += 60
    assert passed(check(tmp_path, frame, champion, psi=99, wasserstein=99, error=999)) == set()


WORSE = {
    "fewer series": (
        lambda frame: frame[frame["store"] == "a"],
        "fewer series: 1 of 2 that the champion knows are gone or no longer usable (b)",
    ),
    "time goes backwards": (
        lambda frame: frame[frame["ds"] < frame["ds"].max() - pd.Timedelta("3D")],
        "time goes backwards: the last value is of 2024-02-26",
    ),
    "a column all missing": (
        lambda frame: frame.assign(
            warm=frame["warm"].where(frame["ds"] < frame["ds"].max() - pd.Timedelta("6D"))
        ),
        "column `warm` has no value in the newest 96 steps",
    ),
    "gaps": (
        lambda frame: frame[
            (frame["ds"] < frame["ds"].max() - pd.Timedelta("6D"))
            | (frame["ds"] == frame["ds"].max())
        ],
        "gaps: 99 % of the target is missing in the newest 96 steps",
    ),
}


@pytest.mark.parametrize("case", WORSE)
def test_a_source_that_got_worse_is_named(case: str, tmp_path: Path, champion: Any) -> None:
    change, said = WORSE[case]
    found = check(tmp_path, change(table()), champion)
    assert len(found.worse) == 1
    assert found.worse[0].startswith(said)
    assert found.drifts == []


def test_a_champion_of_other_columns_is_not_compared(tmp_path: Path, champion: Any) -> None:
    model, expected = champion
    other = tmp_path / "model"
    other.mkdir()
    config = json.loads((model / "config.json").read_text())
    config["schema"]["data"]["horizon"] = 12
    (other / "config.json").write_text(json.dumps(config))
    (other / "weights.safetensors").write_bytes((model / "weights.safetensors").read_bytes())
    found = check(tmp_path, table(), (other, expected))
    assert "nothing is compared with the champion" in found.notes[0]


def test_windows_that_the_champion_learned_from_do_not_count(champion: Any) -> None:
    data = champion[0].parent / "data"
    served = predictor.load(champion[0])
    source_then = panel.load(data)
    assert drift.error(served, source_then, 0, source_then.schema.validation_step) is None


def test_distances_are_those_of_scipy_and_of_the_definition() -> None:
    before, now = RANDOM.normal(0, 2, 20_000), RANDOM.normal(1, 2, 5_000)
    frozen = profile.describe(before)
    psi, wasserstein = profile.distances(frozen, now)
    exact = stats.wasserstein_distance(now, before) / before.std()
    assert wasserstein == pytest.approx(exact, rel=0.03)  # by 100 quantiles
    assert psi == pytest.approx(0.25, abs=0.05)  # of two normals half a deviation apart
    assert profile.distances(frozen, before) == pytest.approx((0, 0), abs=1e-3)


def test_what_is_missing_does_not_count_and_nothing_known_is_no_distance() -> None:
    frozen = profile.describe(np.arange(100.0))
    some = np.where(np.arange(100) % 2 == 0, np.arange(100.0), np.nan)
    assert profile.distances(frozen, some)[1] < 0.05
    assert all(np.isnan(profile.distances(frozen, np.full(3, np.nan))))
    assert all(np.isnan(profile.distances(profile.describe(np.full(3, np.nan)), some)))
