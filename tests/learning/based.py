"""Small tables and networks on a classical base."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel, tables
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Batch, Windows
from retain.kinds.forecast.model import learner
from retain.kinds.forecast.model.forecaster import Forecaster
from retain.kinds.forecast.model.learner import Learner
from retain.kinds.forecast.model.pool.running import Run
from retain.training import trainer

DAYS, HORIZON, CONTEXT, SEASON = 200, 5, 14, 7
LEVELS = (0.1, 0.5, 0.9)
SPLIT = {"validation": "8 horizons", "test": "4 horizons"}  # at steps 160 and 180


def problem(
    data: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    **keys: Any,
) -> Problem:
    """Three series of days on a base, with two rehearsals; trained for two short epochs."""
    return Problem.model_validate(
        {
            "kind": "forecast",
            "preset": "fast",
            "data": {
                "path": "t.csv",
                "unique_id": "id",
                "calendar": False,
                "horizon": HORIZON,
                "context_length": CONTEXT,
                "season_length": SEASON,
                "split": SPLIT,
                **(data or {}),
            },
            "model": {
                "base": "pool",
                "hidden_size": 6,
                "segment_length": 5,
                "quantiles": LEVELS,
                **(model or {}),
            },
            "training": {
                "max_epochs": 2,
                "epoch_steps": 3,
                "batch_size": 32,
                "learning_rate": 0.01,
                "checkpoint_every": 1,
                **(training or {}),
            },
            "gate": [{"check": "finite"}],
            **keys,
        }
    )


def weekly(level: float, seed: int, days: int = DAYS) -> Floats:
    """A week that repeats, on a level that wanders."""
    noise, t = np.random.default_rng(seed), np.arange(days)
    walk = np.cumsum(noise.normal(0, 0.02, days)) + noise.normal(0, 0.02, days)
    return np.asarray(level * (1 + 0.2 * np.sin(2 * np.pi * t / 7) + walk))


def table(**columns: Floats) -> pd.DataFrame:
    """A table of series, (days,) or (days, 2) with the known covariate `price`."""
    frames = []
    for name, values in columns.items():
        ds = pd.date_range("2024-01-01", periods=len(values))
        frame = pd.DataFrame(
            {"id": name, "ds": ds, "y": values if values.ndim == 1 else values[:, 0]}
        )
        frames.append(frame if values.ndim == 1 else frame.assign(price=values[:, 1]))
    return pd.concat(frames, ignore_index=True)


def three(scale: float = 1.0, shift: float = 0.0) -> pd.DataFrame:
    """Three weekly series of different levels."""
    levels = {"a": 50.0, "b": 200.0, "c": 20.0}
    return table(
        **{name: shift + scale * weekly(level, n) for n, (name, level) in enumerate(levels.items())}
    )


def panel_of(given: Problem, frame: pd.DataFrame) -> Panel:
    """What `prepare` makes of a table."""
    return panel.build(tables.clean(frame, given.data, "t.csv"), given.data)


def made(given: Problem, source: Panel, cell: Any = "lstm") -> Learner:
    """An untrained network with its whole pool, and its windows."""
    trainer.seed_everything(given.training)
    found = learner.make(source, given, cell)
    if found.network.base is not None and found.pool is not None:
        found.network.base.hold(found.pool)
    return found


def shake(network: Forecaster, seed: int = 0) -> None:
    """Make weights random, as if they had been trained to anything."""
    torch.manual_seed(seed)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)


def batch_of(source: Panel, network: Forecaster, part: str = "test") -> Batch:
    """All windows of a part on the network's own pool."""
    assert network.base is not None
    windows = Windows(source, part).on(Run(network.base.pool, source))
    return windows.batch(np.arange(len(windows)))
