"""The gates of an LSTM: equal to stepping its cell, and written so that a page can show them."""

import pytest
import torch
from torch import Tensor, nn

from retain import recurrent
from retain.recurrent import Gates

BATCH, STEPS, FEATURES, UNITS = 3, 40, 5, 7


def network_of(layers: int = 1, **given: bool) -> nn.LSTM:
    torch.manual_seed(0)
    network = nn.LSTM(FEATURES, UNITS, layers, **given)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.6)
    return network.eval()


def stepped(network: nn.LSTM, inputs: Tensor, layer: int) -> list[Gates]:
    """Each step as `nn.LSTMCell` takes it, one layer after the other; the gates by their sums."""
    for number in range(layer + 1):
        cell = nn.LSTMCell(inputs.shape[-1], UNITS, bias=network.bias)
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if network.bias else 2]
        cell.load_state_dict({name: getattr(network, f"{name}_l{number}") for name in names})
        hidden = memory = torch.zeros(len(inputs), UNITS)
        steps, states = [], []
        for step in range(inputs.shape[1]):
            sums = inputs[:, step] @ cell.weight_ih.T + hidden @ cell.weight_hh.T
            if network.bias:
                sums = sums + cell.bias_ih + cell.bias_hh
            entry, forget, modulation, output = sums.chunk(4, dim=1)
            hidden, memory = cell(inputs[:, step], (hidden, memory))
            steps.append(
                Gates(
                    forget.sigmoid(),
                    entry.sigmoid(),
                    modulation.tanh(),
                    output.sigmoid(),
                    memory,
                )
            )
            states.append(hidden)
        inputs = torch.stack(states, dim=1)
    return steps


@pytest.mark.parametrize("given", [{}, {"batch_first": True}, {"bias": False}])
@pytest.mark.parametrize(("layers", "layer"), [(1, 0), (3, 0), (3, 1), (3, 2), (3, -1)])
def test_the_gates_are_those_of_stepping_the_cell(
    layers: int, layer: int, given: dict[str, bool]
) -> None:
    network, inputs = network_of(layers, **given), torch.randn(BATCH, STEPS, FEATURES)
    with torch.no_grad():
        found = recurrent.gates(network, inputs, layer)
        expected = stepped(network, inputs, range(layers)[layer])
    for name in Gates._fields:
        each = torch.stack([getattr(step, name) for step in expected], dim=1)
        assert getattr(found, name).shape == (BATCH, STEPS, UNITS)
        torch.testing.assert_close(getattr(found, name), each, atol=1e-6, rtol=0)


def test_the_last_cell_and_hidden_state_are_those_of_the_network() -> None:
    network, inputs = network_of(layers=2), torch.randn(BATCH, STEPS, FEATURES)
    with torch.no_grad():
        _, (hidden, memory) = network(inputs.transpose(0, 1))
        found = recurrent.gates(network, inputs)
    torch.testing.assert_close(found.cell[:, -1], memory[-1], atol=1e-6, rtol=0)
    last = (found.output * found.cell.tanh())[:, -1]
    torch.testing.assert_close(last, hidden[-1], atol=1e-6, rtol=0)


def test_dropout_between_layers_is_left_out_in_training_too() -> None:
    network, inputs = network_of(layers=2), torch.randn(BATCH, STEPS, FEATURES)
    expected = recurrent.gates(network, inputs).cell
    network.dropout = 0.5
    assert torch.equal(recurrent.gates(network.train(), inputs).cell, expected)


@pytest.mark.parametrize(
    "network",
    [
        nn.GRU(FEATURES, UNITS),
        nn.LSTM(FEATURES, UNITS, bidirectional=True),
        nn.LSTM(FEATURES, UNITS, proj_size=2),
    ],
)
def test_other_networks_have_no_such_gates(network: nn.LSTM) -> None:
    with pytest.raises(TypeError, match="an LSTM of one direction"):
        recurrent.gates(network, torch.randn(BATCH, STEPS, FEATURES))


def test_a_layer_that_is_not_there_is_an_error() -> None:
    with pytest.raises(IndexError):
        recurrent.gates(network_of(layers=2), torch.randn(BATCH, STEPS, FEATURES), layer=2)


def test_half_of_a_cell_is_left_after_its_half_life() -> None:
    gate = torch.tensor([[0.5, 0.9, 0.25, 1.0, 0.0]]).expand(6, 5)  # (steps, units)
    found = recurrent.half_life(gate)
    torch.testing.assert_close(found[:3], torch.tensor([1.0, 6.5788, 0.5]), atol=1e-4, rtol=0)
    assert found[3:].tolist() == [float("inf"), 0.0]
    assert 0.9 ** float(found[1]) == pytest.approx(0.5)


def test_a_half_life_is_that_of_the_product_of_the_gates() -> None:
    gate = torch.rand(2, 30, UNITS) * 0.5 + 0.5
    left = gate.prod(dim=-2)
    torch.testing.assert_close(0.5 ** (30 / recurrent.half_life(gate)), left)
