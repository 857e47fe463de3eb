"""Backtest of retraining policies, without a look ahead."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain import model_files
from retain.errors import DataError, ParamsError
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel
from retain.kinds.forecast.evaluation import figures
from retain.kinds.forecast.monitoring import backtest
from retain.project import fingerprint
from retain.training import portable_cpu, trainer

NOISE = np.random.default_rng(0).normal(0, 1, 24 * 60)
START = "2024-02-05"


def problem(**data: Any) -> Problem:
    return Problem.model_validate(
        {
            "kind": "forecast",
            "preset": "fast",
            "data": {
                "path": "t.csv",
                "horizon": 6,
                "context_length": 24,
                "season_length": 24,
                "split": {"validation": "8d", "test": "4d"},
            }
            | data,
            "model": {"hidden_size": 4, "segment_length": 6, "normalisation": "series"},
            "training": {"max_epochs": 2, "batch_size": 64, "learning_rate": 0.01},
            "gate": [{"check": "finite"}],
        }
    )


def write(root: Path, shifted_from: str = "2024-02-17") -> None:
    """Sixty days of hours, whose level jumps."""
    ds = pd.date_range("2024-01-01", periods=24 * 60, freq="h")
    y = 100 + 10 * np.sin(2 * np.pi * ds.hour / 24) + NOISE
    y = np.where(ds >= shifted_from, y + 50, y)
    pd.DataFrame({"ds": ds, "y": y.round(3)}).to_csv(root / "t.csv", index=False)


def run(root: Path, every: str = "8d", **data: Any) -> backtest.Backtest:
    portable_cpu.pin_cpu_kernels("machine")
    return backtest.backtest(problem(**data), "t", root, every, START)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, backtest.Backtest]:
    root = tmp_path_factory.mktemp("replay")
    write(root)
    return root, run(root)


def days(dates: list[pd.Timestamp]) -> list[str]:
    return [f"{date:%m-%d}" for date in dates]


def test_each_policy_trains_when_it_would_have(replayed: tuple[Path, backtest.Backtest]) -> None:
    never, always, drift = replayed[1].tracks
    assert days(replayed[1].dates) == ["02-05", "02-13", "02-21", "02-29"]
    assert days(never.trained) == ["02-05"]
    assert days(always.trained) == ["02-05", "02-13", "02-21", "02-29"]
    assert days(drift.trained) == ["02-05", "02-21", "02-29"]  # the level jumped on the 17th


def test_all_are_scored_on_the_same_windows_and_begin_alike(
    replayed: tuple[Path, backtest.Backtest],
) -> None:
    tracks = replayed[1].tracks
    counts = [track.sums.by_origin[1].sum() for track in tracks]
    assert len(set(counts)) == 1
    assert len({track.errors[0] for track in tracks}) == 1
    assert tracks[0].errors[1] == tracks[2].errors[1]  # nothing had drifted yet
    windows = tracks[0].sums.by_origin[1, 0] / 6
    assert windows.sum() == 24 * 60 - 24 * 35 - 5  # every hour from the start, once


def test_models_are_kept_and_a_second_replay_trains_none(
    replayed: tuple[Path, backtest.Backtest], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, first = replayed
    monkeypatch.setattr(trainer, "fit", lambda *_: pytest.fail("trained again"))
    again = run(root)
    pd.testing.assert_frame_equal(again.table(), first.table())


def test_a_model_knows_nothing_of_what_came_after_its_date(
    replayed: tuple[Path, backtest.Backtest], tmp_path: Path
) -> None:
    write(tmp_path, shifted_from="2024-02-14")
    other = backtest.Past(problem(), "t", tmp_path)
    date = pd.Timestamp("2024-02-13")
    snapshot = backtest.Snapshot(other, date)
    before = backtest.Snapshot(backtest.Past(problem(), "t", replayed[0]), date)
    assert panel.load(snapshot.prepared).grid[-1] < date
    weights = "weights.safetensors"
    snapshot.write_model(tmp_path / "model")
    assert fingerprint.file_md5(tmp_path / "model" / weights) == fingerprint.file_md5(
        before.model / weights
    )


@pytest.mark.long
def test_trainings_in_other_processes_give_the_same_models(
    replayed: tuple[Path, backtest.Backtest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    monkeypatch.setenv("RETAIN_ENGINE", "local:2")
    found = run(tmp_path)
    for one, other in zip(found.tracks, replayed[1].tracks, strict=True):
        assert (one.policy, one.trained, one.errors) == (other.policy, other.trained, other.errors)
    weights = [
        {path.parts[-3]: path.read_bytes() for path in root.glob("scratch/replay/t/*/*/model/w*")}
        for root in (tmp_path, replayed[0])
    ]
    assert weights[0] == weights[1]
    assert len(weights[0]) == 4


def test_dates_of_a_split_move_with_the_date(tmp_path: Path) -> None:
    write(tmp_path)
    split = {"validation": "2024-02-10", "test": "2024-02-20"}
    past = backtest.Past(problem(split=split), "t", tmp_path)
    moved = past.at(pd.Timestamp("2024-02-19T23:00"))[1].data.split
    assert str(moved.validation) == "2024-01-31"
    assert str(moved.test) == "2024-02-10"


def test_the_text_names_costs_and_differences(replayed: tuple[Path, backtest.Backtest]) -> None:
    text = replayed[1].markdown("t", "8d")
    lines = text.splitlines()
    assert lines[0] == "## t: what retraining would have given"
    assert [line.split("|")[1].strip() for line in lines[6:]] == ["never", "always", "drift"]
    assert [line.split("|")[6].strip() for line in lines[6:]] == ["1", "4", "3"]
    assert figures.backtest(replayed[1].table()).startswith("<svg")


@pytest.mark.parametrize(
    ("every", "start", "error", "said"),
    [
        ("monthly", START, ParamsError, "--every is 'monthly': give a duration such as"),
        ("30min", START, ParamsError, "--every is '30min', less than a step of t.csv"),
        ("8d", "2024-02-25", DataError, "there are 1 dates to retrain at"),
        ("8d", "2024-01-03", DataError, "data.split"),
    ],
)
def test_what_cannot_be_replayed_says_why(
    every: str, start: str, error: type[Exception], said: str, tmp_path: Path
) -> None:
    write(tmp_path)
    with pytest.raises(error, match=said):
        backtest.backtest(problem(), "t", tmp_path, every, start)


def test_a_warm_policy_starts_from_its_own_model_before(tmp_path: Path) -> None:
    write(tmp_path)
    given = problem()
    warm = given.training.model_copy(update={"warm_start": "champion", "max_epochs": 1})
    portable_cpu.pin_cpu_kernels("machine")
    found = backtest.backtest(
        given.model_copy(update={"training": warm}), "t", tmp_path, "12d", START
    )
    tracks = {track.policy: track for track in found.tracks}
    assert [*tracks] == ["never", "always", "drift", "warm"]
    assert tracks["warm"].trained == tracks["always"].trained == found.dates
    models = {
        fingerprint.folder_md5(path): model_files.read_config(path).get("parent")
        for path in tmp_path.glob("scratch/replay/t/*/*/model*")
    }
    newest = tracks["warm"].model
    assert newest is not None
    line = [fingerprint.folder_md5(newest)]
    while (parent := models[line[-1]]) is not None:
        line.append(parent)
    assert len(line) == len(found.dates), "each from the one before; the first from random weights"
    assert "warm" in found.figure()
