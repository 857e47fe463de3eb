"""A forecaster on a classical base goes through all stages, with the cell alone beside it."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pytest

from retain.kinds.forecast.predict import predictor
from retain.kinds.forecast.sections import Floor
from tests.learning.based import three

from .conftest import finish, make_once, run
from .test_stopped import start, wait_for

BASED = """\
problems:
  small:
    kind: forecast
    preset: fast
    data:
      path: data/raw/small.csv
      unique_id: id
      horizon: 5
      context_length: 14
      season_length: 7
      transform: log1p
      split: {validation: 8 horizons, test: 4 horizons}
    model:
      base: pool
      hidden_size: 6
      segment_length: 5
    training:
      cells: [lstm]
      max_epochs: 3
      batch_size: 32
      epoch_steps: 4
    evaluation:
      folds: 2
      bootstrap: 200
    gate:
      - check: finite
      - {check: beats_or_ties, baseline: pool}
"""
FOLDS = ("", "fold-2", "alone", "alone/fold-2")


@pytest.fixture(scope="session")
def based(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after `dvc repro`, that no test changes."""
    return make_once(tmp_path_factory, "based", lambda folder: finish(folder, three(), BASED))


def metrics(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "reports/small/metrics.json").read_text())
    return content


def test_each_cell_has_a_model_on_the_base_and_one_alone_for_each_fold(based: Path) -> None:
    for fold in FOLDS:
        config = json.loads((based / "models/small/lstm" / fold / "config.json").read_text())
        assert (config["model"]["base"] == "pool") == ("alone" not in fold)
        assert ("pool" in config) == ("network" in config) == ("alone" not in fold)
        assert config["schema"]["power"] == 0
    assert not (based / "scratch/checkpoints").exists() or not list(
        (based / "scratch/checkpoints").iterdir()
    )
    final = json.loads((based / "models/small/final/config.json").read_text())
    assert final["refit"]["accepted"]
    assert "pool" in final


def test_metrics_and_report_compare_network_base_and_cell_alone(based: Path) -> None:
    found = metrics(based)
    cells = {"lstm", "pool", "lstm_alone"}
    assert found["models"].keys() == cells | set(get_args(Floor))
    assert len(found["network"]) == 2
    assert {"kept", "gains"} <= found["network"][0].keys()
    assert all(len(fold["gains"]) == 2 for fold in found["network"])
    for other in ("pool", "lstm_alone"):
        assert f"lstm_minus_{other}" in found["differences"]
    if not any(fold["kept"] for fold in found["network"]):
        assert found["models"]["lstm"] == found["models"]["pool"] | {
            key: found["models"]["lstm"][key] for key in ("parameters", "hidden_size")
        }
    text = (based / "reports/small/report.html").read_text()
    assert "classical base" in text


def test_the_table_is_forecast_by_the_registered_model(based: Path, tmp_path: Path) -> None:
    run(based, "retain", "forecast", "small", "-o", str(tmp_path / "out.csv"))
    found = pd.read_csv(tmp_path / "out.csv", parse_dates=["ds"])
    served, table = predictor.load(based / "models/small/final"), three()
    rows = pd.read_csv(based / "data/raw/small.csv", parse_dates=["ds"])
    expected = served.predict(rows)
    assert len(found) == 3 * 5
    assert found["ds"].min() == table["ds"].max() + pd.Timedelta(days=1)
    assert found["median"].to_numpy() == pytest.approx(expected["median"].to_numpy(), rel=1e-6)
    short = served.predict(rows[rows["ds"] >= "2024-06-20"])  # goes on from the states
    assert short["median"].to_numpy() == pytest.approx(expected["median"].to_numpy(), rel=1e-3)


@pytest.mark.long
def test_what_was_trained_is_not_trained_again_after_a_kill(based: Path, tmp_path: Path) -> None:
    shutil.copytree(based, tmp_path / "project")
    folder = tmp_path / "project"
    text = (folder / "params.yaml").read_text()
    text = text.replace("max_epochs: 3", "max_epochs: 12\n      patience: 12")
    (folder / "params.yaml").write_text(text)
    before = (folder / "models/small/lstm/weights.safetensors").read_bytes()
    process = start(folder, "python", "pipelines/train.py", "small", "lstm")
    wait_for(process, "small lstm alone, fold 1 of 2: epoch 2/")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert (folder / "models/small/lstm/weights.safetensors").read_bytes() == before
    kept = {
        path.parent.parent.name: path.read_bytes()
        for path in (folder / "scratch/checkpoints").rglob("model/weights.safetensors")
    }
    assert len(kept) == 2

    done = run(folder, "python", "pipelines/train.py", "small", "lstm")
    assert "small lstm, fold" not in done.stdout
    assert "small lstm alone, fold 1 of 2: epoch 12/12" in done.stdout
    assert "small lstm alone, fold 2 of 2: epoch 12/12" in done.stdout
    model = folder / "models/small/lstm"
    written = [(model / fold / "weights.safetensors").read_bytes() for fold in ("", "fold-2")]
    assert sorted(written) == sorted(kept.values())
    assert all((model / fold / "weights.safetensors").is_file() for fold in FOLDS)
    assert not list((folder / "scratch/checkpoints").iterdir())

    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(based, undisturbed)
    (undisturbed / "params.yaml").write_text(text)
    run(undisturbed, "python", "pipelines/train.py", "small", "lstm")
    for fold in FOLDS:
        one, other = (
            (root / "models/small/lstm" / fold / "weights.safetensors").read_bytes()
            for root in (folder, undisturbed)
        )
        assert one == other


@pytest.mark.long
def test_it_is_made_anew_bit_for_bit_and_traced(based: Path, tmp_path: Path) -> None:
    shutil.copytree(based, tmp_path / "project")
    folder = tmp_path / "project"
    done = run(folder, "retain", "prove", "models:/small/1")
    lines = done.stdout[done.stdout.index("small version 1") :].splitlines()
    stages = [line.split()[0] for line in lines[1:-2]]
    assert {"train@small-lstm", "evaluate@small", "refit@small"} <= set(stages)
    assert all("identical" in line for line in lines[1:-2])
    assert lines[-1] == "  identical"
    traced = run(folder, "retain", "trace", "models:/small/1").stdout
    assert "train@small-lstm" in traced
