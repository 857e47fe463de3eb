"""What a forecaster looks at and what it does not, before it has learned anything."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from retain.kinds.forecast.config import Data, Model
from retain.kinds.forecast.data import panel, tables
from retain.kinds.forecast.data.panel import Panel, Schema
from retain.kinds.forecast.data.windows import Batch, Windows
from retain.kinds.forecast.evaluation.details import look_back
from retain.kinds.forecast.model.baselines import seasonal_naive
from retain.kinds.forecast.model.forecaster import Forecaster
from retain.kinds.forecast.model.segrnn import SegRNN

NAN = float("nan")
CELLS = ["lstm", "rnn", "gru"]
SEASON, CONTEXT, HORIZON = 7, 10, 5
NOW = SEASON + CONTEXT  # the place of the first forecast step in a window


def panel_of(**keys: Any) -> Panel:
    """Two series of 100 days; y is noise, `rain` is known up to now, `price` beforehand."""
    generator = np.random.default_rng(0)
    table = pd.DataFrame(generator.normal(5, 2, size=(200, 3)), columns=["y", "rain", "price"])
    table["ds"] = [*pd.date_range("2024-01-01", periods=100)] * 2
    table["id"], table["size"] = np.repeat(["a", "b"], 100), np.repeat([1.0, 3.0], 100)
    keys = {"horizon": HORIZON, "context_length": CONTEXT, "season_length": SEASON, **keys}
    columns: dict[str, Any] = {
        "past_covariates": ["rain"],
        "known_covariates": ["price"],
        "static_covariates": ["size"],
    }
    data = Data(path="t", unique_id="id", calendar=False, **columns, **keys)
    return panel.build(tables.clean(table, data, "t"), data)


PANEL = panel_of()
RAIN, PRICE = 1, 2  # columns of a window


def network_of(cell: str = "lstm", schema: Schema = PANEL.schema, **model: Any) -> Forecaster:
    torch.manual_seed(1)
    model = {"hidden_size": 12, "dropout": 0.0, "quantiles": (0.1, 0.5, 0.9), **model}
    return Forecaster(cell, model["hidden_size"], Model(**model), schema, series_count=2).eval()


def core_of(network: Forecaster) -> SegRNN:
    core = network.members[0]
    assert isinstance(core, SegRNN)
    return core


def batch_of(count: int = 6, made: Panel = PANEL) -> Batch:
    windows = Windows(made, "train")
    return windows.batch(np.linspace(0, len(windows) - 1, count).astype(np.int64))


def changed(batch: Batch, column: int, steps: slice, value: float) -> Batch:
    window = batch.window.clone()
    window[:, column, steps] = value
    return batch._replace(window=window)


def forecast(network: Forecaster, batch: Batch) -> Tensor:
    """Quantiles in data units, without the mean."""
    with torch.inference_mode():
        return network.predict(batch)[..., :-1]


VARIANTS: list[dict[str, Any]] = [
    {"normalisation": "last"},
    {"normalisation": "series"},
    {"residual": "seasonal"},
    {"segment_length": 3, "series_embedding": 2},
    {"layers": 2},
    {"loss": "mae"},
]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("model", VARIANTS)
def test_the_future_of_the_target_is_not_looked_at(cell: str, model: dict[str, Any]) -> None:
    network, batch = network_of(cell, **model), batch_of()
    expected = forecast(network, batch)
    assert expected.shape == (6, HORIZON, 3)
    for column in (0, RAIN):
        for value in (1e6, NAN):
            other = changed(batch, column, slice(NOW, None), value)
            assert torch.equal(forecast(network, other), expected)


@pytest.mark.parametrize("cell", CELLS)
def test_the_past_is_looked_at(cell: str) -> None:
    network, batch = network_of(cell), batch_of()
    expected = forecast(network, batch)
    for column in (0, RAIN, PRICE):
        for step in (SEASON, NOW - 1):  # the oldest and the newest
            other = changed(batch, column, slice(step, step + 1), 9.0)
            assert not torch.equal(forecast(network, other), expected)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("segment", [1, 2, 5])
def test_the_known_future_moves_its_own_segment_alone(cell: str, segment: int) -> None:
    network, batch = network_of(cell, segment_length=segment), batch_of()
    before = forecast(network, batch)
    for ahead in range(HORIZON):
        other = changed(batch, PRICE, slice(NOW + ahead, NOW + ahead + 1), 50.0)
        moved = (forecast(network, other) != before).any(-1).any(0)  # (horizon,)
        own = [step // segment == ahead // segment for step in range(HORIZON)]
        assert moved.tolist() == own


@pytest.mark.parametrize("cell", CELLS)
def test_the_head_reads_the_state_of_the_same_weekday(cell: str) -> None:
    network, batch = network_of(cell, segment_length=1, normalisation="series"), batch_of()
    with torch.no_grad():  # deaf to what is decoded
        core_of(network).head.weight[:, :12] = 0.0
    before = forecast(network, batch)
    for day in range(SEASON, NOW):
        other = changed(batch, 0, slice(day, day + 1), 9.0)
        moved = (forecast(network, other) != before).any(-1).any(0)  # (horizon,)
        assert moved.tolist() == [day <= NOW + ahead - SEASON for ahead in range(HORIZON)]


def test_without_a_whole_cycle_in_the_context_the_head_reads_the_newest_state() -> None:
    assert core_of(network_of(segment_length=1)).cycle == SEASON
    assert core_of(network_of(segment_length=2)).cycle == 1  # no part of a week
    short = panel_of(context_length=6).schema
    assert core_of(network_of(schema=short, segment_length=1)).cycle == 1


def test_what_lies_before_the_context_matters_to_the_seasonal_forecast_alone() -> None:
    batch = batch_of()
    older = changed(batch, 0, slice(0, SEASON), 9.0)
    for model in ({"normalisation": "last"}, {"normalisation": "mean_std"}):
        network = network_of(**model)
        assert torch.equal(forecast(network, older), forecast(network, batch))
    seasonal = network_of(residual="seasonal")
    assert not torch.equal(forecast(seasonal, older), forecast(seasonal, batch))


def test_covariates_before_the_context_do_not_matter() -> None:
    network, batch = network_of(residual="seasonal"), batch_of()
    for column in (RAIN, PRICE):
        older = changed(batch, column, slice(0, SEASON), 9.0)
        assert torch.equal(forecast(network, older), forecast(network, batch))


def test_static_covariates_are_looked_at() -> None:
    network, batch = network_of(), batch_of()
    other = batch._replace(static=batch.static + 1)
    assert not torch.equal(forecast(network, other), forecast(network, batch))


def moved(batch: Batch, factor: float, shift: float, scales: bool) -> Batch:
    """The target in other units; with `scales`, those of its series too."""
    window = batch.window.clone()
    window[:, 0] = window[:, 0] * factor + shift
    own = torch.stack([batch.scales[:, 0] * factor + shift, batch.scales[:, 1] * factor], dim=1)
    return batch._replace(window=window, scales=own if scales else batch.scales)


@pytest.mark.parametrize("normalisation", ["last", "mean_std", "series"])
@pytest.mark.parametrize("residual", ["none", "seasonal"])
def test_a_forecast_is_in_the_units_of_its_series(normalisation: str, residual: str) -> None:
    network = network_of(normalisation=normalisation, residual=residual)
    batch = batch_of()
    other = forecast(network, moved(batch, 30.0, -200.0, scales=True))
    torch.testing.assert_close(
        other, forecast(network, batch) * 30 - 200, rtol=1e-4, atol=30 * 1e-4
    )


@pytest.mark.parametrize("normalisation", ["last", "mean_std"])
def test_a_forecast_follows_a_shift_of_the_window(normalisation: str) -> None:
    network, batch = network_of(normalisation=normalisation), batch_of()
    other = forecast(network, moved(batch, 1.0, 40.0, scales=False))
    torch.testing.assert_close(other, forecast(network, batch) + 40, rtol=1e-4, atol=1e-4)


def test_mean_std_follows_the_scale_of_the_window() -> None:
    network, batch = network_of(normalisation="mean_std"), batch_of()
    batch = batch._replace(scales=batch.scales * torch.tensor([1.0, 1e-3]))
    other = forecast(network, moved(batch, 30.0, 0.0, scales=False))
    torch.testing.assert_close(other, forecast(network, batch) * 30, rtol=1e-4, atol=30 * 1e-4)


def test_a_flat_window_keeps_a_scale() -> None:
    batch = changed(batch_of(), 0, slice(0, NOW), 5.0)
    values, base, scale, _ = network_of(normalisation="mean_std")(batch)
    torch.testing.assert_close(scale, 0.01 * batch.scales[:, 1:])
    assert (base == 5).all()
    assert values.isfinite().all()


@pytest.mark.parametrize("cell", CELLS)
def test_quantiles_never_cross(cell: str) -> None:
    network = network_of(cell, quantiles=tuple(n / 10 for n in range(1, 10)))
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    nn.init.normal_(network.offsets)
    values = network(batch_of()).values
    assert (values.diff(dim=-1) >= 0).all()
    assert (forecast(network, batch_of()).diff(dim=-1) > 0).all()


def test_offsets_are_in_the_units_of_the_window() -> None:
    network, batch = network_of(), batch_of()
    before = forecast(network, batch)
    network.offsets[:, 2] += 0.5  # the outermost: nothing crosses
    scale = network(batch).scale[:, 0, None]
    torch.testing.assert_close(forecast(network, batch)[..., 2], before[..., 2] + 0.5 * scale)
    assert torch.equal(forecast(network, batch)[..., :2], before[..., :2])


@pytest.mark.parametrize("cell", CELLS)
def test_a_segment_that_the_context_does_not_fill_is_filled_in_front(cell: str) -> None:
    network, batch = network_of(cell, segment_length=4), batch_of()
    window = network.normalise(batch)
    filled = window._replace(context=nn.functional.pad(window.context, (0, 0, 2, 0)))  # 10 → 12
    torch.testing.assert_close(network.decode(window), network.decode(filled), rtol=0, atol=0)


@pytest.mark.parametrize("segment", [1, 2, 3, 4, 5, 7, 10, 11])
def test_a_segment_may_be_of_any_length(segment: int) -> None:
    network = network_of(segment_length=segment)
    assert core_of(network).decoded == -(-HORIZON // segment)
    values = forecast(network, batch_of())
    assert values.shape == (6, HORIZON, 3)
    assert values.isfinite().all()


def test_missing_values_of_the_context_are_masked() -> None:
    network, batch = network_of(residual="seasonal"), batch_of()
    gap = changed(batch, 0, slice(SEASON + 2, SEASON + 6), NAN)
    assert forecast(network, gap).isfinite().all()
    context = network.normalise(gap).context
    names = ["change", "change is known", "level", "is known"]
    known = context[:, :, names.index("is known")]
    assert known[-1].tolist() == [1, 1, 0, 0, 0, 0, 1, 1, 1, 1]
    assert not context[:, 2:6, names.index("level")].any()
    assert context[-1, :, names.index("change is known")].tolist() == [1, 1, 0, 0, 0, 0, 1, 1, 1, 0]


def test_one_observed_value_is_enough_for_a_forecast() -> None:
    for normalisation in ("last", "mean_std", "series"):
        batch = changed(batch_of(), 0, slice(0, NOW - 1), NAN)
        network = network_of(normalisation=normalisation, residual="seasonal")
        assert forecast(network, batch).isfinite().all()


def test_a_missing_covariate_is_its_mean() -> None:
    network, batch = network_of(), batch_of()
    for column in (RAIN, PRICE):
        missing = changed(batch, column, slice(None), NAN)
        mean = changed(batch, column, slice(None), PANEL.schema.means[column])
        torch.testing.assert_close(forecast(network, missing), forecast(network, mean))


@pytest.mark.parametrize("normalisation", ["last", "mean_std", "series"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_silent_network_is_the_seasonal_naive_forecast(cell: str, normalisation: str) -> None:
    network = network_of(cell, residual="seasonal", normalisation=normalisation)
    nn.init.zeros_(core_of(network).head.weight)
    nn.init.zeros_(core_of(network).head.bias)
    batch = batch_of()
    week = torch.tensor([3.0, 1, 4, 1, 5, 9, 2]).repeat(4)[: NOW + HORIZON]
    periodic = batch.window.clone()
    periodic[:, 0] = week
    values = forecast(network, batch._replace(window=periodic))
    torch.testing.assert_close(values, week[NOW:, None].expand(6, -1, 3))
    y = batch.window[:, 0, :NOW]
    naive = seasonal_naive(y, HORIZON, SEASON, fallback=torch.zeros(6, 1))
    torch.testing.assert_close(forecast(network, batch), naive[..., None].expand(-1, -1, 3))


def test_a_series_never_seen_has_an_embedding_of_its_own() -> None:
    network, batch = network_of(series_embedding=3), batch_of()
    embedding = core_of(network).series
    assert embedding is not None
    assert embedding.num_embeddings == 3  # two series, and 0 for all others
    by_id = [
        forecast(network, batch._replace(series=torch.full_like(batch.series, number)))
        for number in range(3)
    ]
    assert all(values.isfinite().all() for values in by_id)
    assert not torch.equal(by_id[0], by_id[1])
    assert not torch.equal(by_id[1], by_id[2])


def test_training_teaches_the_embedding_of_a_series_never_seen() -> None:
    network, batch = network_of(series_embedding=3).train(), batch_of(60)
    embedding = core_of(network).series
    assert embedding is not None
    torch.manual_seed(0)
    network(batch).values.sum().backward()
    gradient = embedding.weight.grad
    assert gradient is not None
    assert gradient.any(dim=1).tolist() == [True, True, True]


def test_an_ensemble_is_the_mean_of_its_members() -> None:
    network, batch = network_of(ensemble=3), batch_of()
    by_member = network.by_member(batch).values
    assert by_member.shape == (3, 6, HORIZON, 3)
    assert not torch.equal(by_member[0], by_member[1])  # they start differently
    torch.testing.assert_close(network(batch).values, by_member.mean(0))


def test_without_an_embedding_the_series_does_not_matter() -> None:
    network, batch = network_of(), batch_of()
    other = batch._replace(series=torch.zeros_like(batch.series))
    assert torch.equal(forecast(network, other), forecast(network, batch))


def test_the_memory_of_an_untrained_rnn_fades() -> None:
    long = panel_of(context_length=40)
    norms = look_back(network_of("rnn", long.schema), Windows(long, "train"))
    assert norms.shape == (40,)
    assert (norms > 0).all()
    tenths = norms.reshape(4, 10).mean(1)  # the newest steps first
    assert (np.diff(tenths) < 0).all()
    assert tenths[-1] < 0.1 * tenths[0]


def test_a_look_back_leaves_the_network_as_it_was() -> None:
    network = network_of()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    first = look_back(network, Windows(PANEL, "train"))
    assert np.array_equal(look_back(network, Windows(PANEL, "train")), first)
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_intervals_have_the_width_of_their_series() -> None:
    network, batch = network_of(), batch_of()
    before = forecast(network, batch)
    network.widths[2] = 3.0
    after = forecast(network, batch._replace(series=torch.full_like(batch.series, 2)))
    torch.testing.assert_close(after[..., 1], before[..., 1])
    torch.testing.assert_close(after.diff(dim=-1), 3 * before.diff(dim=-1), rtol=1e-3, atol=1e-4)


def test_no_forecast_is_negative_where_no_value_was() -> None:
    positive = dataclasses.replace(PANEL.schema, minimum=0.0)
    for schema, cut in ((positive, True), (PANEL.schema, False)):
        network = network_of(schema=schema)
        network.offsets -= 100.0
        with torch.inference_mode():
            values = network.predict(batch_of())
        assert (values[..., -1] == 0).all() == cut
        assert (values < 0).any() != cut
