"""Tables that grow, jump and peak: as `retain add` sets them up, a network holds beside floors."""

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain.config import loader
from retain.evaluation.choice import fold_folder
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel
from retain.kinds.forecast.evaluation import evaluate
from retain.kinds.forecast.infer.entry import infer
from retain.kinds.forecast.model import setup
from retain.training import portable_cpu

from .small import trained

TOLERANCE = 1.2  # times the error of the best floor, at most
NETWORKS = ("lstm", "pool")  # all other models that are scored are floors
SEEDS = (1, 2, 3)


def table(y: Any, frequency: str, **columns: Any) -> pd.DataFrame:
    ds = pd.date_range("2015-01-01", periods=len(y), freq=frequency)
    return pd.DataFrame({"ds": ds, "y": np.round(y, 3), **columns})


def season(steps: int, length: int) -> Any:
    return np.sin(2 * np.pi * np.arange(steps) / length)


def straight(noise: np.random.Generator) -> pd.DataFrame:
    """Ten years of months on a line."""
    return table(100 + 2 * np.arange(120) + noise.normal(0, 3, 120), "MS")


def exponential(noise: np.random.Generator) -> pd.DataFrame:
    """Ten years of months that grow by a quarter each year, and err by 3 %."""
    return table(50 * np.exp(0.02 * np.arange(120) + noise.normal(0, 0.03, 120)), "MS")


def shift(noise: np.random.Generator) -> pd.DataFrame:
    """400 days with a week, whose level jumps by a half where validation begins, about."""
    level = np.where(np.arange(400) < 260, 100, 150)
    return table(level + 10 * season(400, 7) + noise.normal(0, 3, 400), "D")


def walk(noise: np.random.Generator) -> pd.DataFrame:
    """Three random walks of 300 weeks."""
    walks = [table(500 + noise.normal(0, 5, 300).cumsum(), "W", shop=name) for name in "abc"]
    return pd.concat(walks)


def late(noise: np.random.Generator) -> pd.DataFrame:
    """Four shops with a week, one of which opens in the last quarter."""
    parts = []
    for number, name in enumerate("abcd"):
        y = 50 * (1 + number) + 15 * season(360, 7) + noise.normal(0, 3, 360)
        parts.append(table(y, "D", shop=name)[270 if name == "d" else 0 :])
    return pd.concat(parts)


def peak(noise: np.random.Generator) -> pd.DataFrame:
    """Four years of days with a week and twice as much before Christmas, until 31 January."""
    made = table(100 + 15 * season(1492, 7) + noise.normal(0, 4, 1492), "D")
    days = made["ds"].dt.strftime("%m-%d")
    return made.assign(y=made["y"] * np.where((days >= "12-15") & (days <= "12-24"), 2, 1))


def multiplicative(noise: np.random.Generator) -> pd.DataFrame:
    """Twelve years of months whose season grows with their level."""
    level = (100 + 2 * np.arange(144)) * np.exp(noise.normal(0, 0.03, 144))
    return table(level * (1 + 0.3 * season(144, 12)), "MS")


# Each with the horizon that is wanted of it.
TABLES: dict[str, tuple[Callable[[np.random.Generator], pd.DataFrame], int]] = {
    "straight": (straight, 6),
    "exponential": (exponential, 6),
    "shift": (shift, 7),
    "walk": (walk, 8),
    "late": (late, 7),
    "peak": (peak, 14),
    "multiplicative": (multiplicative, 12),
}


def scores(name: str, seed: int, folder: Path) -> dict[str, float]:
    """Train the LSTM on one of TABLES as `retain add` would; return the MAE of every model."""
    make, horizon = TABLES[name]
    made = make(np.random.default_rng(seed))
    made.to_csv(folder / "t.csv", index=False)
    given = {"unique_id": "shop"} if "shop" in made else {}
    found = infer(name, "t.csv", folder, horizon, given)
    entry = {
        "kind": "forecast",
        "preset": found.preset,
        "data": found.data,
        "model": found.model,
        "training": {"seed": seed, "alone": False},
        "evaluation": {"folds": found.folds, "bootstrap": 100},
        "gate": [{"check": "finite"}],
    }
    problem = loader.parse(name, entry)
    assert isinstance(problem, Problem)
    (folder / "prepared").mkdir()
    panel.save(panel.build(found.table, problem.data), folder / "prepared")
    portable_cpu.pin_cpu_kernels("machine")
    for fold in range(1, found.folds + 1):
        build = functools.partial(setup.build_fold, fold=fold)
        trained(build, problem, folder / "prepared", "lstm", fold_folder(folder / "lstm", fold))
    metrics = evaluate.evaluate(problem, folder / "prepared", {"lstm": folder / "lstm"}).metrics
    return {name: float(of_model["mae"]) for name, of_model in metrics["models"].items()}


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", TABLES)
def test_the_network_errs_little_more_than_the_best_floor(
    name: str, seed: int, tmp_path: Path
) -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    found = scores(name, seed, tmp_path)
    best = min(error for model, error in found.items() if model not in NETWORKS)
    assert found["lstm"] <= TOLERANCE * best, found
