"""Windows upside down: a network on a base is odd, and learns no drift that all series share."""

from typing import Any

import numpy as np
import pytest
import torch

from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Batch, Windows
from retain.kinds.forecast.model import learner

from .based import HORIZON, LEVELS, batch_of, made, panel_of, problem, shake, table, three, weekly

ASYMMETRIC = (0.1, 0.5, 0.8, 0.9)


def mirrored(batch: Batch, source: Panel) -> Batch:
    """Data upside down: the target and its base around 0, covariates around their means."""
    window = batch.window.clone()
    for number, name in enumerate(source.schema.columns):
        if not name.startswith("day_of_"):
            window[:, number] = 2 * source.schema.means[number] - window[:, number]
    scales = batch.scales * torch.tensor([-1.0, 1.0])
    return batch._replace(window=window, scales=scales, experts=-batch.experts, ahead=-batch.ahead)


def known(quantiles: Any = LEVELS, **model: Any) -> tuple[Problem, Panel]:
    """Series with a covariate and a calendar; their level is below 0, for no logarithms."""
    given = problem(
        {"known_covariates": ["price"], "calendar": True}, {"quantiles": quantiles, **model}
    )
    noise = np.random.default_rng(0)
    values = [np.stack([weekly(50, n) - 90, noise.normal(3, 1, 200)], 1) for n in (0, 1)]
    return given, panel_of(given, table(a=values[0], b=values[1]))


@pytest.mark.parametrize(
    ("cell", "model"),
    [
        *((cell, {}) for cell in ("lstm", "rnn", "gru")),
        *(
            ("lstm", model)
            for model in (
                {"series_embedding": 2},
                {"loss": "mae"},
                {"ensemble": 2},
                {"dropout": 0.5},
            )
        ),
    ],
)
def test_the_forecast_of_a_mirrored_window_is_mirrored(cell: str, model: dict[str, Any]) -> None:
    given, source = known(**model)
    network = made(given, source, cell).network.eval()
    shake(network)
    batch = batch_of(source, network)
    with torch.inference_mode():
        values, turned = network(batch).values, network(mirrored(batch, source)).values
        quantiles = network.predict(batch)[..., :3]
        other = network.predict(mirrored(batch, source))[..., :3]
    torch.testing.assert_close(turned, -values.flip(-1), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(other, -quantiles.flip(-1), rtol=1e-4, atol=1e-3)


def test_the_calendar_is_not_mirrored() -> None:
    given, source = known()
    network = made(given, source).network.eval()
    shake(network)
    batch = batch_of(source, network)
    window = batch.window.clone()
    clock = [n for n, name in enumerate(source.schema.columns) if name.startswith("day_of_")]
    assert len(clock) == 4
    window[:, clock] *= -1
    with torch.inference_mode():
        values, turned = (
            network(each).values
            for each in (batch, mirrored(batch._replace(window=window), source))
        )
    assert (turned + values.flip(-1)).abs().max() > 0.01


def test_quantiles_that_are_not_symmetric_are_not_mirrored() -> None:
    given, source = known(ASYMMETRIC)
    network = made(given, source).network.eval()
    assert not network.mirror.used
    shake(network)
    batch = batch_of(source, network)
    with torch.inference_mode():
        window = network.normalise(batch)
        values, turned = network(batch).values, network(mirrored(batch, source)).values
    assert window.on_base is not None
    assert (turned + values.flip(-1)).abs().max() > 0.1
    assert torch.equal(values[..., 1], values.sort(dim=-1).values[..., 1]), (
        "each output is that of its level"
    )


def test_in_training_a_window_is_mirrored_as_drawn() -> None:
    given, source = known(dropout=0.0, loss="mae")
    network = made(given, source).network
    shake(network)
    batch = batch_of(source, network)
    drawn = [network.train()(batch).values for _ in range(12)]
    both = torch.stack(drawn).detach()
    found = [len(torch.unique(both[:, n].flatten(1).round(decimals=3), dim=0)) for n in range(6)]
    assert found == [2] * 6  # as it is, and mirrored
    with torch.inference_mode():
        mean = network.eval()(batch).values
    for number in range(6):
        first = both[0, number]
        second = next(one for one in both[:, number] if (one - first).abs().max() > 1e-3)
        torch.testing.assert_close((first + second) / 2, mean[number], rtol=1e-4, atol=1e-4)


def naive(batch: Batch, context: int) -> Batch:
    """The same on a base that says: as now."""
    now = batch.window.shape[-1] - HORIZON
    last = batch.window[:, 0, now - 1]
    ahead = batch.window[:, 0, now - context - 1 : now - 1]
    return batch._replace(experts=last[:, None, None].expand_as(batch.experts), ahead=ahead)


def drift_learned(quantiles: tuple[float, ...]) -> float:
    """What is added to a flat window, in units, by a network that saw series decline together."""
    given = problem(model={"quantiles": quantiles})
    noise, days = np.random.default_rng(0), np.arange(200)
    walks = noise.normal(0, 1, (4, 200)).cumsum(1) - 0.4 * days - 500
    source = panel_of(given, table(**{f"s{n}": walk for n, walk in enumerate(walks)}))
    network = made(given, source).network
    windows = naive(batch_of(source, network, "train"), network.context)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.03)
    draw = torch.Generator().manual_seed(0)
    network.train()
    for _ in range(50):
        some = torch.randint(0, len(windows.series), (64,), generator=draw)
        total, weight = learner.loss_of(given, network, Batch(*(part[some] for part in windows)))
        optimizer.zero_grad()
        (total / weight).backward()
        optimizer.step()
    now = windows.window.shape[-1] - HORIZON
    flat = windows._replace(window=windows.window.clone())
    flat.window[:, 0, :now] = flat.window[:, 0, now - 1 : now]
    with torch.inference_mode():
        values = network.eval()(naive(flat, network.context)).values
    return float(values[..., quantiles.index(0.5)].mean())


def test_a_drift_that_all_series_share_is_not_carried_on() -> None:
    assert abs(drift_learned(LEVELS)) < 1e-5
    assert drift_learned(ASYMMETRIC) < -0.3  # a network that is not mirrored takes it for a law


def test_without_a_base_nothing_is_mirrored() -> None:
    given = problem(model={"base": "none", "dropout": 0.0}, training={"rehearsals": 0})
    source = panel_of(given, three())
    network = made(given, source).network
    batch = Windows(source, "train").batch(np.arange(6))
    values = [network.train()(batch).values for _ in range(4)]
    assert all(torch.equal(values[0], other) for other in values)
