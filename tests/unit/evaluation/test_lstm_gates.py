"""The gates of an LSTM: equal to stepping its cell, and written so that a page can show them."""

import base64
import hashlib
import json
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from retain.errors import ModelError
from retain.evaluation.lstm_gates import (
    Inspection,
    Values,
    as_json,
    heat_maps,
    page,
    saturation_text,
)
from retain.networks import recurrent
from retain.networks.recurrent import Gates

BATCH, STEPS, FEATURES, UNITS = 3, 40, 5, 7
HOSTILE = "</script><img src=x onerror=alert(1)>"


def network_of(layers: int = 1, **given: bool) -> nn.LSTM:
    torch.manual_seed(0)
    network = nn.LSTM(FEATURES, UNITS, layers, **given)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.6)
    return network.eval()


def stepped(network: nn.LSTM, inputs: Tensor, layer: int) -> list[Gates]:
    """Each step as `nn.LSTMCell` takes it, one layer after the other; the gates by their sums."""
    for number in range(layer + 1):
        cell = nn.LSTMCell(inputs.shape[-1], UNITS, bias=network.bias).to(inputs.dtype)
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if network.bias else 2]
        cell.load_state_dict({name: getattr(network, f"{name}_l{number}") for name in names})
        hidden = memory = inputs.new_zeros(len(inputs), UNITS)
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


def test_in_double_precision_they_are_the_same_to_the_last_digits() -> None:
    network, inputs = network_of(layers=2).double(), torch.randn(BATCH, STEPS, FEATURES).double()
    with torch.no_grad():
        found, expected = recurrent.gates(network, inputs), stepped(network, inputs, 1)
    cell = torch.stack([step.cell for step in expected], dim=1)
    torch.testing.assert_close(found.cell, cell, atol=1e-13, rtol=0)


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


def test_a_gate_is_saturated_beyond_99_hundredths() -> None:
    forget = torch.tensor([[0.001, 0.98, 0.991, 1.0]])
    modulation = torch.tensor([[-1.0, -0.98, 0.0, 0.995]])
    entry = torch.tensor([[0.009, 0.011, 0.5, 0.5]])
    output = torch.tensor([[0.0, 0.991, 1.0, 0.5]])
    gates = Gates(forget, entry, modulation, output, torch.zeros(1, 4))
    assert recurrent.saturation(gates) == {
        "forget": 0.5,  # one that is shut is no memory that nothing can move
        "modulation": 0.5,
        "input": 0.25,
        "output": 0.75,
    }
    text = saturation_text(gates).replace("\N{NO-BREAK SPACE}", " ")
    assert text.startswith("50 % of the forget gates above 0.99, 50 % of the modulations beyond ")
    assert "25 % of the input and 75 % of the output gates" in text
    inspection = shown()
    assert saturation_text(inspection.gates) in as_json(inspection)["note"]


def test_a_half_life_is_that_of_the_product_of_the_gates() -> None:
    gate = torch.rand(2, 30, UNITS) * 0.5 + 0.5
    left = gate.prod(dim=-2)
    torch.testing.assert_close(0.5 ** (30 / recurrent.half_life(gate)), left)


# --- the page and the figure ---


def shown(units: int = UNITS, **given: Any) -> Inspection:
    """A sentence of six words, the fourth of which could be markup."""
    torch.manual_seed(1)
    steps = ("martin", "is", "buying", HOSTILE, ".", "jennifer")
    network = nn.LSTM(FEATURES, units)
    with torch.no_grad():
        found = recurrent.gates(network, torch.randn(1, len(steps), FEATURES) * 3)
    gates = Gates(*(part[0] for part in found))
    return Inspection("a sentence", "a word a step", steps, **{"gates": gates, **given})


def data_of(text: str) -> dict[str, Any]:
    """What the page knows."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


def unpacked(part: dict[str, Any]) -> Any:
    whole = np.frombuffer(base64.b64decode(part["numbers"]), "<u2").reshape(-1, UNITS)
    return part["low"] + (part["high"] - part["low"]) * whole / 65535


def test_the_page_holds_every_number_of_the_gates() -> None:
    inspection = shown(values=Values("y", np.array([1.0, np.nan, 1 / 3])))
    data = data_of(page(inspection))
    assert data == json.loads(json.dumps(as_json(inspection)))
    assert data["steps"] == list(inspection.steps)
    assert data["values"] == {"name": "y", "numbers": [1.0, None, 0.333333]}
    assert data["units"] == UNITS
    for name, part in inspection.gates._asdict().items():
        np.testing.assert_allclose(unpacked(data["gates"][name]), part.numpy(), atol=2e-5)
    lives = recurrent.half_life(inspection.gates.forget)
    np.testing.assert_allclose(data["half_life"], lives.numpy(), rtol=1e-5)


def test_a_gate_that_is_the_same_everywhere_is_written_too() -> None:
    ones = torch.ones(6, UNITS)
    data = as_json(shown(gates=Gates(ones, ones, ones, ones, ones.cumsum(0))))
    assert (unpacked(data["gates"]["forget"]) == 1).all()
    assert data["half_life"] == [None] * UNITS  # nothing is ever forgotten


def test_values_that_are_all_missing_are_not_drawn() -> None:
    assert as_json(shown(values=Values("y", np.full(12, np.nan))))["values"] is None


def test_no_label_can_end_the_block_of_data_or_begin_markup() -> None:
    text = page(shown(values=Values(HOSTILE, np.ones(6))))
    assert "<img" not in text
    assert text.count("</script>") == 2  # of the data, and of the page's own script
    assert data_of(text)["steps"][3] == HOSTILE


def test_the_page_lets_nothing_be_loaded_and_no_script_run_but_its_own() -> None:
    text = page(shown())
    rule = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    script = re.search(r'<script type="module">(.*?)</script>', text, re.DOTALL)
    assert rule is not None
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert rule[1].startswith(f"default-src 'none'; script-src 'sha256-{digest}'; ")
    assert "unsafe" not in rule[1]
    markup = text[: text.index("<script")]
    assert not re.search(r"\s(on\w+|style)=", markup)  # attributes that the rule would stop
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)


def test_units_are_sorted_at_the_step_of_the_largest_change_unless_one_is_marked() -> None:
    cell = torch.zeros(6, UNITS)
    cell[0], cell[1:3], cell[3:] = 9.0, 9.5, 2.0  # the first step comes from nothing
    inspection = shown(gates=Gates(cell, cell, cell, cell, cell))
    assert inspection.turn == 3
    assert shown(marked=5).turn == 5
    one = Gates(*(part[:1] for part in shown().gates))
    assert Inspection("one step", "", ("a",), one).turn == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"marked": 6}, "step 6 is marked; there are 6"),
        ({"order": (0, 1)}, "the order does not name each of the 7 units once"),
        ({"gates": Gates(*[torch.zeros(5, UNITS)] * 5)}, "6 labels for 5 steps"),
        ({"gates": Gates(*[torch.zeros(0, UNITS)] * 5)}, "one at least"),
    ],
)
def test_an_inspection_that_does_not_fit_together_is_refused(
    wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        shown(**wrong)


def test_gates_that_are_not_finite_are_the_fault_of_the_model() -> None:
    bad = torch.full((6, UNITS), float("nan"))
    with pytest.raises(ModelError, match="not all finite numbers"):
        shown(gates=Gates(bad, bad, bad, bad, bad))


@pytest.mark.parametrize("units", [1, UNITS, 60])
def test_the_figure_is_the_same_text_each_time_and_fit_for_a_page(units: int) -> None:
    inspection = shown(units, values=Values("y", np.arange(12.0)))
    svg = heat_maps(inspection)
    assert svg == heat_maps(inspection)
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own text
    texts = [text for element in root.iter() if (text := (element.text or "").strip())]
    titles = {"y", "forget gate", "input gate", "modulation", "output gate", "half-life"}
    assert titles | {"martin", "jennifer"} <= set(texts)
    assert "<img" not in svg
    assert not re.search(r"(fill|stroke): #", svg)  # colours are the page's
    assert "shape-rendering: crispEdges" in svg


def test_the_figure_draws_the_units_that_changed_most() -> None:
    cell = torch.zeros(6, 40)
    cell[3:, 17] = 5.0
    inspection = shown(gates=Gates(*[torch.zeros(6, 40)] * 4, cell))
    assert heat_maps(inspection, 1).count("var(--hue-1") == 1  # unit 17, three steps in one piece
    assert heat_maps(shown(gates=Gates(*[torch.zeros(6, 40)] * 5)), 1).count("var(--hue-1") == 0
