"""The cells start alike, run time-major, and get the same number of parameters."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from retain.kinds.forecast.config import Data, Model
from retain.kinds.forecast.data import panel, tables
from retain.kinds.forecast.data.panel import Schema
from retain.kinds.forecast.model.forecaster import Forecaster, build_matched
from retain.kinds.forecast.split import Split
from retain.networks import recurrent

STEPS, BATCH, INPUT, HIDDEN, LAYERS = 5, 3, 4, 6, 2


def blocks(cell: str, name: str) -> list[Tensor]:
    """The parameters of one kind, gate by gate, of all layers."""
    torch.manual_seed(0)
    network = recurrent.build(cell, INPUT, HIDDEN, LAYERS, dropout=0.0)
    found = [p.data for key, p in network.named_parameters() if name in key]
    assert len(found) == LAYERS
    return [block for parameter in found for block in parameter.split(HIDDEN)]


def schema() -> Schema:
    """Of three daily series of 60 days."""
    ds = pd.date_range("2024-01-01", periods=60)
    parts = [pd.DataFrame({"id": name, "ds": ds, "y": np.arange(60.0)}) for name in "abc"]
    data = Data(
        path="t",
        unique_id="id",
        horizon=7,
        context_length=14,
        split=Split(validation=0.7, test=0.85),
    )
    return panel.build(tables.clean(pd.concat(parts), data, "t"), data).schema


@pytest.mark.parametrize(("cell", "kind"), [("lstm", nn.LSTM), ("rnn", nn.RNN), ("gru", nn.GRU)])
def test_a_cell_is_one_word_and_runs_time_major(cell: str, kind: type[nn.RNNBase]) -> None:
    network = recurrent.build(cell, INPUT, HIDDEN, LAYERS, dropout=0.0)
    assert type(network) is kind
    out, state = network(torch.randn(STEPS, BATCH, INPUT))
    assert out.shape == (STEPS, BATCH, HIDDEN)
    first = state[0] if cell == "lstm" else state
    assert first.shape == (LAYERS, BATCH, HIDDEN)
    torch.testing.assert_close(first[-1], out[-1])


def test_the_forget_gate_starts_open_and_every_other_bias_at_zero() -> None:
    for number, block in enumerate(blocks("lstm", "bias_ih")):
        forget = number % 4 == 1  # the order is input, forget, cell, output
        assert torch.equal(block, torch.full((HIDDEN,), float(forget)))
    assert not any(block.any() for block in blocks("lstm", "bias_hh"))


@pytest.mark.parametrize("cell", ["rnn", "gru"])
def test_other_cells_start_with_biases_of_zero(cell: str) -> None:
    assert not any(block.any() for block in blocks(cell, "bias_ih"))
    assert not any(block.any() for block in blocks(cell, "bias_hh"))


@pytest.mark.parametrize("cell", ["lstm", "rnn", "gru"])
def test_each_recurrent_block_starts_orthogonal(cell: str) -> None:
    for block in blocks(cell, "weight_hh"):
        torch.testing.assert_close(block @ block.T, torch.eye(HIDDEN), atol=1e-5, rtol=0)


def test_dropout_of_a_single_layer_is_left_to_the_network_around_it() -> None:
    assert recurrent.build("lstm", INPUT, HIDDEN, 1, dropout=0.5).dropout == 0.0
    assert recurrent.build("lstm", INPUT, HIDDEN, 2, dropout=0.5).dropout == 0.5


@pytest.mark.parametrize("cell", ["rnn", "gru"])
@pytest.mark.parametrize("hidden", [32, 64, 100, 256])
@pytest.mark.parametrize("segment", [1, 7])
def test_a_cell_gets_the_parameters_of_the_lstm(cell: str, hidden: int, segment: int) -> None:
    model = Model(hidden_size=hidden, segment_length=segment)
    _, sizes = build_matched(cell, model, schema(), series_count=3)
    assert abs(sizes["parameters"] / sizes["parameter_budget"] - 1) < 0.02
    assert sizes["hidden_size"] > hidden


def test_the_lstm_keeps_its_hidden_size() -> None:
    model = Model(hidden_size=32)
    network, sizes = build_matched("lstm", model, schema(), series_count=3)
    assert sizes["hidden_size"] == 32
    assert sizes["parameters"] == sizes["parameter_budget"]
    assert sizes["parameters"] == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("budget", [1, 9, 10, 11, 99, 100, 101, 12345])
def test_the_nearest_size_is_found(budget: int) -> None:
    def count(size: int) -> int:
        return size * size + 3

    best = min(range(1, 200), key=lambda size: abs(count(size) - budget))
    assert recurrent.match_hidden_size(count, budget) == best


def test_counting_builds_nothing() -> None:
    def huge() -> nn.Module:
        return nn.Linear(10**6, 10**6)

    assert recurrent.count_on_meta(huge) == 10**12 + 10**6


def test_counting_leaves_the_random_numbers_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    recurrent.count_on_meta(lambda: Forecaster("lstm", 8, Model(), schema(), 3))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("cell", ["lstm", "rnn", "gru"])
def test_steps_from_one_state_are_those_of_the_network(cell: str, shared: bool) -> None:
    torch.manual_seed(1)
    network = recurrent.build(cell, INPUT, HIDDEN, LAYERS, dropout=0.0)
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    _, state = network(torch.randn(STEPS, BATCH, INPUT))
    inputs = torch.randn(1 if shared else BATCH, 4, INPUT)
    driven = inputs @ network.all_weights[0][0].T
    assert driven.shape[-1] == recurrent.GATE_COUNT[cell] * HIDDEN
    after = recurrent.step(network, driven, state)
    assert after.shape == (BATCH, 4, HIDDEN)
    for number in range(4):
        alone, _ = network(inputs[:, number].expand(BATCH, INPUT)[None].contiguous(), state)
        torch.testing.assert_close(after[:, number], alone[0], atol=1e-6, rtol=1e-5)
