"""A training starts from the weights of another model, on a table that grew."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from retain import model_files
from retain.errors import ModelError
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel, tables
from retain.kinds.forecast.model import setup
from retain.kinds.forecast.model.forecaster import load_forecaster
from retain.project.fingerprint import folder_md5
from retain.training import portable_cpu, trainer
from retain.training.setup import Epoch, TrainingSetup

NOISE = np.random.default_rng(0).normal(0, 1, 24 * 80)


def problem(parent: Path | None = None, **sections: dict[str, Any]) -> Problem:
    warm: dict[str, Any] = {"warm_start": "champion"}
    if parent is not None:
        warm["parent"] = {"lstm": folder_md5(parent)}
    return Problem.model_validate(
        {
            "kind": "forecast",
            "data": {
                "path": "t.csv",
                "unique_id": "id",
                "frequency": "h",
                "horizon": 6,
                "context_length": 24,
                "season_length": 24,
                "split": {"validation": "20 horizons", "test": "10 horizons"},
                **sections.get("data", {}),
            },
            "model": {"hidden_size": 8, "segment_length": 6, "series_embedding": 2, "dropout": 0.0}
            | sections.get("model", {}),
            "training": {"cells": ["lstm"], "batch_size": 64, "max_epochs": 3, "epoch_steps": 20}
            | {"learning_rate": 0.01, **warm},
            "gate": [],
        }
    )


def prepare(root: Path, given: Problem, hours: int, names: tuple[str, ...]) -> Path:
    ds = pd.date_range("2024-01-01", periods=24 * 80, freq="h")
    y = 100 + 10 * np.sin(2 * np.pi * ds.hour / 24) + NOISE
    parts = [
        pd.DataFrame({"id": name, "ds": ds, "y": (y * (1 + n)).round(3)}).iloc[:hours]
        for n, name in enumerate(names)
    ]
    pd.concat(parts).to_csv(root / "t.csv", index=False)
    out = root / f"prepared-{hours}"
    out.mkdir()
    panel.save(panel.build(tables.read(given.data, root), given.data), out)
    return out


def train(
    given: Problem, prepared: Path, out: Path, parent: Path | None = None
) -> tuple[TrainingSetup, list[Epoch]]:
    portable_cpu.pin_cpu_kernels("machine")
    trainer.seed_everything(given.training)
    made = setup.build(given, prepared, "lstm")
    made.warm(parent, given.training.parents.get("lstm"))
    history = trainer.fit(made, given.training, "lstm", "t")
    made.calibrate()
    out.mkdir()
    model_files.write_model(out, made.model, made.config, history)
    return made, history


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[Epoch]]:
    root = tmp_path_factory.mktemp("champion")
    prepared = prepare(root, problem(), 24 * 60, ("a", "b"))
    _, history = train(problem(), prepared, root / "lstm")
    return root, root / "lstm", history


def test_a_warm_start_begins_where_the_parent_ended(
    champion: tuple[Path, Path, list[Epoch]], tmp_path: Path
) -> None:
    _, parent, cold = champion
    given = problem(parent)
    prepared = prepare(tmp_path, given, 24 * 80, ("a", "b"))
    _, warm = train(given, prepared, tmp_path / "lstm", parent)
    assert warm[0].validation_loss < 0.7 * cold[0].validation_loss
    config = model_files.read_config(tmp_path / "lstm")
    assert config["parent"] == folder_md5(parent)
    assert "parent" not in model_files.read_config(parent)
    train(given, prepared, tmp_path / "again", parent)
    assert folder_md5(tmp_path / "again") == folder_md5(tmp_path / "lstm")


def test_the_embedding_goes_with_the_name_of_a_series(
    champion: tuple[Path, Path, list[Epoch]], tmp_path: Path
) -> None:
    _, parent, _ = champion
    given = problem(parent)
    prepared = prepare(tmp_path, given, 24 * 80, ("0", "a", "b"))
    made = setup.build(given, prepared, "lstm")
    made.warm(parent, "x")
    before = load_forecaster(parent)[0].members[0].series.weight
    after = made.model.members[0].series.weight  # type: ignore[union-attr, index]
    assert after.shape[0] == 4
    assert torch.equal(after[[0, 2, 3]], before)
    assert torch.equal(after[1], before[0]), "a new series"


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"model": {"hidden_size": 16}}, "recurrent.weight_hh_l0"),
        ({"data": {"calendar": False}}, "columns"),
        ({"data": {"context_length": 48}}, "context_length 24; params say 48"),
    ],
)
def test_what_differs_is_said(
    champion: tuple[Path, Path, list[Epoch]],
    tmp_path: Path,
    sections: dict[str, dict[str, Any]],
    words: str,
) -> None:
    _, parent, _ = champion
    given = problem(parent, **sections)
    prepared = prepare(tmp_path, given, 24 * 60, ("a", "b"))
    made = setup.build(given, prepared, "lstm")
    with pytest.raises(ModelError, match=words):
        made.warm(parent, "x")


def test_a_parent_that_knows_the_validation_part_is_refused(
    champion: tuple[Path, Path, list[Epoch]], tmp_path: Path
) -> None:
    _, parent, _ = champion
    given = problem(parent)
    prepared = prepare(tmp_path, given, 24 * 50, ("a", "b"))  # the table lost its newest rows
    made = setup.build(given, prepared, "lstm")
    with pytest.raises(ModelError, match="learned from rows up to 2024-02-2"):
        made.warm(parent, "x")


def test_fewer_updates_are_enough_from_trained_weights() -> None:
    given = problem().training.model_copy(update={"max_epochs": None})
    md5 = {"lstm": "0" * 32 + ".dir"}
    assert (given.epochs(6400), given.model_copy(update={"parent": md5}).epochs(6400)) == (75, 38)
