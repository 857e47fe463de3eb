"""The importance of inputs: one that makes the target matters, one of noise does not."""

import numpy as np
import pandas as pd
import pytest

from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel, tables
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.evaluation import importance
from retain.kinds.forecast.evaluation.importance import Importance
from retain.kinds.forecast.model import setup
from retain.kinds.forecast.predict import predictor
from retain.training import portable_cpu
from tests.learning.small import trained

MEASURED = tuple[list[Importance], list[Importance]]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> MEASURED:
    """Two series that follow a price that is known, and the last three values; not the weather."""
    portable_cpu.pin_cpu_kernels("machine")
    root, random, parts = tmp_path_factory.mktemp("importance"), np.random.default_rng(0), []
    for name, level in (("a", 100.0), ("b", 1000.0)):
        price, weather = random.normal(0, 1, (2, 500))
        slow = np.convolve(random.normal(0, 1, 502), [1 / 3] * 3, "valid")
        y = level * (10 + 2 * price + np.cumsum(slow) / 20)
        ds = pd.date_range("2024-01-01", periods=500)
        kind = "x" if name == "a" else "y"
        parts.append(
            pd.DataFrame(
                {"id": name, "ds": ds, "y": y, "price": price, "weather": weather, "kind": kind}
            )
        )
    pd.concat(parts).to_csv(root / "t.csv", index=False)
    problem = Problem.model_validate(
        {
            "kind": "forecast",
            "data": {
                "path": "t.csv",
                "unique_id": "id",
                "frequency": "D",
                "horizon": 3,
                "context_length": 18,
                "season_length": 7,
                "known_covariates": ["price"],
                "past_covariates": ["weather"],
                "static_covariates": ["kind"],
                "categorical": ["kind"],
                "calendar": False,
                "split": {"validation": 0.7, "test": 0.85},
            },
            "model": {"hidden_size": 16, "dropout": 0.0, "segment_length": 1},
            "training": {"cells": ["lstm"], "max_epochs": 8, "learning_rate": 0.01}
            | {"batch_size": 64, "epoch_steps": 20},
            "gate": [],
        }
    )
    prepared = root / "prepared"
    prepared.mkdir()
    panel.save(panel.build(tables.read(problem.data, root), problem.data), prepared)
    model = predictor.load(trained(setup.build, problem, prepared, "lstm", root / "lstm"))
    source = panel.load(prepared)
    once, again = (importance.measure(model, Windows(source, "test"), source) for _ in range(2))
    return once, again


def test_what_makes_the_target_matters_and_noise_does_not(measured: MEASURED) -> None:
    found = {each["input"]: each for each in measured[0]}
    price, weather = found["price"], found["weather"]
    assert price["kind"] == "known"
    assert weather["kind"] == "past"
    assert price["loss_increase"] > 0.5
    assert abs(weather["loss_increase"]) < 0.1
    assert price["gradient"] > 3 * weather["gradient"]  # type: ignore[operator]
    assert measured[0][0]["input"] == "price"


def test_the_newest_values_matter_more_than_old_ones(measured: MEASURED) -> None:
    lags = [each for each in measured[0] if each["kind"] == "lags"]
    assert len(lags) == importance.BLOCKS
    newest = next(each for each in lags if each["input"] == "the target, 1 to 3 days back")
    assert newest["loss_increase"] == max(each["loss_increase"] for each in lags)


def test_every_input_is_measured_once_and_alike_each_time(measured: MEASURED) -> None:
    once, again = measured
    assert once == again
    assert {each["kind"] for each in once} == {"lags", "past", "known", "static"}
    assert sum(each["gradient"] or 0.0 for each in once) == pytest.approx(1.0)
