"""A mean of its own, for what is intermittent: its loss, its calibration, and who gets one."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from retain.config import loader
from retain.errors import ParamsError
from retain.kinds.forecast.config import Data, Model
from retain.kinds.forecast.data import panel, tables
from retain.kinds.forecast.data.windows import Batch, Windows
from retain.kinds.forecast.infer.entry import Inferred, infer
from retain.kinds.forecast.model.calibration import Calibration, Forecast, Target, apply
from retain.kinds.forecast.model.forecaster import Forecaster
from retain.kinds.forecast.model.mean import LEAST, deviance, factor, fit_factors, past_mean

LEVELS = (0.1, 0.5, 0.9)
HORIZON, CONTEXT = 3, 8


def counts(items: int = 3, days: int = 90, rate: float = 0.3) -> pd.DataFrame:
    """Items of which few are sold on a day."""
    generator = np.random.default_rng(0)
    ds = pd.date_range("2024-01-01", periods=days)
    parts = [
        pd.DataFrame({"item": f"i{n}", "ds": ds, "y": generator.poisson(rate, days)})
        for n in range(items)
    ]
    return pd.concat(parts, ignore_index=True)


def panel_of(table: pd.DataFrame, **keys: Any) -> panel.Panel:
    keys = {"horizon": HORIZON, "context_length": CONTEXT, "season_length": 7, **keys}
    data = Data(path="t", unique_id="item", calendar=False, minimum=0, **keys)
    return panel.build(tables.clean(table, data, "t"), data)


def network_of(made: panel.Panel, **model: Any) -> Forecaster:
    torch.manual_seed(0)
    settings = Model(hidden_size=4, dropout=0, mean="tweedie", quantiles=LEVELS, **model)
    return Forecaster("lstm", 4, settings, made.schema, len(made.index)).eval()


def test_the_deviance_is_least_at_the_mean_of_what_is_seen() -> None:
    truth = torch.tensor([0.0, 0.0, 0.0, 1.0, 4.0]).double()
    tried = torch.linspace(0.2, 3, 281).double()
    losses = torch.stack([deviance(truth, mean.expand(5)).mean() for mean in tried])
    assert float(tried[losses.argmin()]) == pytest.approx(1.0)
    known = 4 * (tried.sqrt() - 2) ** 2 / tried.sqrt()  # of a truth of 4
    difference = 4 * deviance(torch.tensor(4.0).double(), tried) - known
    torch.testing.assert_close(difference, difference[:1].expand_as(difference))


def test_a_factor_is_an_exponential_within_bounds() -> None:
    logarithms = torch.tensor([-50.0, -1.0, 0.0, 2.0, 50.0])
    expected = torch.tensor([-4.0, -1.0, 0.0, 2.0, 4.0]).exp()
    torch.testing.assert_close(factor(logarithms), expected)


def test_the_past_of_a_window_is_drawn_to_its_series() -> None:
    made = panel_of(counts())
    batch = Windows(made, "train").batch(np.array([0]))
    recent = batch.window[0, 0, 7 : 7 + CONTEXT]
    found = past_mean(batch, CONTEXT, HORIZON)
    expected = (recent.sum() + 28 * batch.scales[0, 0]) / (CONTEXT + 28)
    assert float(found) == pytest.approx(float(expected), rel=1e-6)
    batch.window[:, 0] = torch.nan
    assert float(past_mean(batch, CONTEXT, HORIZON)) == pytest.approx(float(batch.scales[0, 0]))
    never = Batch(*batch)._replace(scales=torch.tensor([[0.0, 2.0]]))
    assert float(past_mean(never, CONTEXT, HORIZON)) == pytest.approx(2 * LEAST)


def test_factors_make_the_sums_right_and_few_windows_share_them() -> None:
    generator = np.random.default_rng(0)
    mean = generator.uniform(0.1, 1, (4000, 2))
    truth = generator.poisson(mean * [2.0, 0.5]).astype(float)
    expected = truth.sum(0) / mean.sum(0)
    factors = np.exp(fit_factors(truth, mean, np.ones(4000), prior=50))
    assert factors == pytest.approx(expected, rel=0.02)
    truth[::2, 0], mean[::2, 0] = np.nan, 1e6  # a forecast of what is missing counts nowhere
    factors = np.exp(fit_factors(truth, mean, np.ones(4000), prior=50))
    assert factors == pytest.approx(expected, rel=0.05)
    few = np.exp(fit_factors(truth[:40], mean[:40], np.ones(40), prior=50))
    assert 1 < few[0] / few[1] < 2.5  # 4 apart, in truth
    nothing = np.zeros((10, 2))
    assert fit_factors(nothing, mean[:10], np.ones(10), prior=50).tolist() == [0, 0]


def test_quantiles_of_counts_are_whole_and_the_mean_is_the_network_s() -> None:
    values = torch.tensor([[[-0.4, 0.3, 1.7]]])
    forecast = Forecast(values, torch.zeros(1, 1), torch.ones(1, 1), torch.tensor([[0.6]]))
    calibration = Calibration.none(1, 1, 3)._replace(mean_offsets=torch.log(torch.tensor([1.5])))
    found = apply(forecast, calibration, torch.tensor([1]), Target(LEVELS, 0.0, whole=True))
    torch.testing.assert_close(found, torch.tensor([[[0.0, 0.0, 2.0, 0.9]]]))
    found = apply(forecast, calibration, torch.tensor([1]), Target(LEVELS, 0.0))
    torch.testing.assert_close(found, torch.tensor([[[0.0, 0.3, 1.7, 0.9]]]))


@pytest.mark.parametrize("model", [{}, {"ensemble": 2}, {"loss": "mae"}])
def test_a_network_says_quantiles_and_a_mean_above_zero(model: dict[str, Any]) -> None:
    made = panel_of(counts())
    network = network_of(made, **model)
    batch = Windows(made, "train").batch(np.arange(4))
    forecast = network(batch)
    assert forecast.values.shape == (4, HORIZON, 1 if model.get("loss") else 3)
    assert forecast.mean is not None
    assert forecast.mean.shape == (4, HORIZON)
    assert bool((forecast.mean > 0).all())
    found = network.predict(batch)
    assert found.shape == (4, HORIZON, len(LEVELS) + 1)
    assert bool((found[..., :-1] == found[..., :-1].round()).all())
    torch.testing.assert_close(found[..., -1], forecast.mean)
    halves = panel_of(counts().assign(y=lambda t: t["y"] / 2))
    assert not halves.schema.whole
    halved = network_of(halves, **model).predict(Windows(halves, "train").batch(np.arange(4)))
    assert bool((halved[..., :-1] != halved[..., :-1].round()).any())


def look(folder: Path, table: pd.DataFrame) -> Inferred:
    table.to_csv(folder / "t.csv", index=False)
    return infer("t", "t.csv", folder, 7, {"unique_id": "item", "y": "y"}, seconds=0)


def test_add_gives_one_where_zeros_are_many(tmp_path: Path) -> None:
    found = look(tmp_path, counts(days=400))
    assert found.model["mean"] == "tweedie"
    sentence = next(s for s in found.sentences if s.startswith("mean: "))
    assert "7" in sentence.partition("%")[0]  # 74 % are zero, about
    assert "training values are zero" in sentence
    for other in (counts(days=400, rate=20), counts(days=400).assign(y=lambda t: t["y"] - 1)):
        found = look(tmp_path, other)
        assert "mean" not in found.model


def test_it_needs_a_minimum() -> None:
    data = {"path": "t", "horizon": 3, "context_length": 8}
    entry: dict[str, Any] = {
        "kind": "forecast",
        "preset": "fast",
        "data": data,
        "model": {"mean": "tweedie"},
        "gate": [],
    }
    for minimum in ({}, {"minimum": -1}):
        with pytest.raises(ParamsError, match=r"set data\.minimum to 0, or take calibrated"):
            loader.parse("t", entry | {"data": data | minimum})
    loader.parse("t", entry | {"data": data | {"minimum": 0}})
