"""Sales of which most days have none: what a network sums to is what is sold."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel, tables
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.evaluation.scoring import network_model
from retain.kinds.forecast.model import learner, setup
from retain.kinds.forecast.model.forecaster import Forecaster
from retain.kinds.forecast.model.segrnn import SegRNN
from retain.kinds.forecast.predict import predictor
from retain.training import portable_cpu

from .small import trained

HORIZON, DAYS = 7, 420


def sales(items: int = 20) -> pd.DataFrame:
    """Negative binomial sales with a week, 3 times as many in a promotion; 7 in 10 are zero."""
    generator = np.random.default_rng(0)
    days, parts = np.arange(DAYS), []
    week = np.array([0.4, 0.5, 0.6, 0.8, 1.2, 2.2, 1.3])
    for number in range(items):
        promo = (generator.uniform(size=DAYS // 7) < 0.1).repeat(7)
        level = (0.15 + 0.03 * number) * week[days % 7] * np.where(promo, 3, 1)
        y = generator.negative_binomial(1, 1 / (1 + level))
        ds = pd.date_range("2023-01-01", periods=DAYS)
        parts.append(pd.DataFrame({"item": f"i{number}", "ds": ds, "y": y, "promo": promo * 1}))
    return pd.concat(parts, ignore_index=True)


def problem_of(**model: Any) -> Problem:
    return Problem.model_validate(
        {
            "kind": "forecast",
            "preset": "fast",
            "data": {
                "path": "t",
                "unique_id": "item",
                "known_covariates": ["promo"],
                "horizon": HORIZON,
                "context_length": 14,
                "season_length": 7,
                "minimum": 0,
                "split": {"validation": "20 horizons", "test": "12 horizons"},
            },
            "model": {"base": "pool", "hidden_size": 16, "mean": "tweedie"} | model,
            "training": {"max_steps": 200, "rehearsals": 1, "alone": False},
            "gate": [{"check": "finite"}],
        }
    )


@pytest.fixture(scope="module")
def source() -> panel.Panel:
    data = problem_of().data
    return panel.build(tables.clean(sales(), data, "t"), data)


@pytest.mark.parametrize("model", [{}, pytest.param({"base": "none"}, marks=pytest.mark.long)])
def test_the_mean_is_near_what_is_sold(
    source: panel.Panel, model: dict[str, Any], tmp_path: Path
) -> None:
    portable_cpu.pin_cpu_kernels("machine")
    panel.save(source, tmp_path)
    problem = problem_of(**model)
    folder = trained(setup.build, problem, tmp_path, "lstm", tmp_path / "lstm")
    forecast = network_model(predictor.load(folder), source)
    found, truth, past = [], [], []
    for batch in Windows(source, "test").chunks():
        found.append(forecast(batch))
        truth.append(batch.window[:, 0, -HORIZON:].numpy())
        past.append(batch.scales[:, :1].numpy())
    every, sold = np.concatenate(found), np.concatenate(truth)
    quantiles, mean = every[..., :-1], every[..., -1]
    assert (sold == 0).mean() > 0.6
    assert quantiles[..., 4].sum() < 0.5 * sold.sum()  # where the median says little
    assert mean.sum() == pytest.approx(sold.sum(), rel=0.1)
    assert ((mean - sold) ** 2).mean() < 0.97 * ((np.concatenate(past) - sold) ** 2).mean()
    assert mean.min() > 0
    assert quantiles.min() == 0
    assert (np.diff(quantiles, axis=-1) >= 0).all()
    assert (quantiles == quantiles.round()).all()


def test_what_is_upside_down_teaches_no_mean(source: panel.Panel) -> None:
    """In training half of the windows are mirrored; only the others have a mean, and it learns."""
    problem = problem_of()
    torch.manual_seed(0)
    made = learner.make(source, problem, "lstm")
    network = made.network.train()
    assert isinstance(network, Forecaster)
    batch = made.train.batch(np.arange(64))
    mean = network.by_member(batch).mean
    assert mean is not None
    known = mean.isfinite()[0]
    assert bool((known == known[:, :1]).all())  # whole windows
    assert 0 < int(known[:, 0].sum()) < 64
    torch.manual_seed(1)
    total, weight = learner.loss_of(problem, network, batch)
    (total / weight).backward()
    for parameter in network.parameters():
        assert parameter.grad is None or bool(parameter.grad.isfinite().all())
    member = network.members[0]
    assert isinstance(member, SegRNN)
    gradient = member.head.bias.grad
    assert gradient is not None
    assert bool((gradient.view(member.segment, -1)[:, -1] != 0).all())
    assert bool(network.eval()(batch).mean.isfinite().all())
