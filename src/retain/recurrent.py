"""The recurrent cells: one word in the configuration, one constructor here.

An RNN that loses to an LSTM of the same width has lost to one with four times its parameters; so
`match_hidden_size` finds the width at which another cell has the LSTM's number of parameters.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

CELLS: dict[str, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "rnn": nn.RNN, "gru": nn.GRU}
GATE_COUNT = {"lstm": 4, "rnn": 1, "gru": 3}  # of the sums that an input enters
State = Tensor | tuple[Tensor, Tensor]


def build(cell: str, input_size: int, hidden_size: int, layers: int, dropout: float) -> nn.RNNBase:
    """A time-major recurrent network of `cell`: (steps, batch, input) → (steps, batch, hidden).

    Recurrent weights start orthogonal (Saxe et al. 2014), the forget gate of an LSTM open (bias 1;
    Jozefowicz et al. 2015), so that neither cell is handicapped by its start.
    """
    network = CELLS[cell](
        input_size, hidden_size, num_layers=layers, dropout=dropout if layers > 1 else 0.0
    )
    for name, parameter in network.named_parameters():
        if "weight_hh" in name:
            for block in parameter.data.split(hidden_size):
                nn.init.orthogonal_(block)
        elif "weight_ih" in name:
            for block in parameter.data.split(hidden_size):
                nn.init.xavier_uniform_(block)
        else:
            nn.init.zeros_(parameter)
            if cell == "lstm" and "bias_ih" in name:
                parameter.data[hidden_size : 2 * hidden_size] = 1.0  # input, forget, cell, output
    return network


def step(network: nn.RNNBase, driven: Tensor, state: State) -> Tensor:
    """One step of the cell to each of several inputs, all of them from the same state.

    What the cell's matrices make of the state is computed once for all inputs: for many of them
    several times faster than handing copies of the state to the network.

    Args:
        network: what `build` made.
        driven: what the inputs make of the first layer's gates, in place of the input matrix times
            an input: (batch or 1, inputs, gate_count · hidden).
        state: the network's state, (layers, batch, hidden), or a pair of them for an LSTM.

    Returns:
        The hidden state of the last layer after each input: (batch, inputs, hidden).
    """
    hidden, memory = state if isinstance(state, tuple) else (state, state)
    output = driven
    for layer in range(network.num_layers):
        into, across, bias_into, bias_across = network.all_weights[layer]
        if layer == 0:
            driven = driven + bias_into
        else:
            output = functional.dropout(output, network.dropout, network.training)
            driven = functional.linear(output, into, bias_into)
        carried = functional.linear(hidden[layer], across, bias_across).unsqueeze(1)
        output = _activate(network.mode, driven, carried, memory[layer].unsqueeze(1))
    return output


def _activate(mode: str, driven: Tensor, carried: Tensor, memory: Tensor) -> Tensor:
    """The next hidden state from both halves of a cell's sums; gates in the order of PyTorch."""
    if mode == "LSTM":
        sums = driven + carried
        size = memory.shape[-1]
        entry, forget = sums[..., : 2 * size].sigmoid().chunk(2, dim=-1)
        memory = forget * memory + entry * sums[..., 2 * size : 3 * size].tanh()
        return sums[..., 3 * size :].sigmoid() * memory.tanh()
    if mode == "GRU":
        size = 2 * memory.shape[-1]
        reset, update = (driven[..., :size] + carried[..., :size]).sigmoid().chunk(2, dim=-1)
        candidate = (driven[..., size:] + reset * carried[..., size:]).tanh()
        return candidate + update * (memory - candidate)
    return (driven + carried).tanh()


def parameter_count(network: nn.Module) -> int:
    """How many trainable numbers a network has."""
    return sum(parameter.numel() for parameter in network.parameters())


def match_hidden_size(count: Callable[[int], int], budget: int) -> int:
    """The hidden size whose parameter count is nearest to `budget`.

    Args:
        count: the parameter count of the whole network by hidden size, increasing.
        budget: the parameter count to come near to.
    """
    high = 1
    while count(high) < budget:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < budget else (low, middle)
    return min((size for size in (low, high) if size > 0), key=lambda n: abs(count(n) - budget))


def count_on_meta(make: Callable[[], nn.Module]) -> int:
    """The parameter count of the network that `make` builds, without building it."""
    with torch.device("meta"):
        return parameter_count(make())
