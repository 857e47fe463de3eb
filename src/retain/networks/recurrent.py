"""The recurrent cells: one word in the configuration, one constructor here.

An RNN that loses to an LSTM of the same width has lost to one with four times its parameters; so
`match_hidden_size` finds the width at which another cell has the LSTM's number of parameters.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

CELLS: dict[str, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "rnn": nn.RNN, "gru": nn.GRU}
GATE_COUNT = {"lstm": 4, "rnn": 1, "gru": 3}  # of the sums that an input enters
State = Tensor | tuple[Tensor, Tensor]
Network = TypeVar("Network", bound=nn.Module)


class Gates(NamedTuple):
    """Gates and cell state of an LSTM at every step: (batch, steps, units) each.

    cell[t] = forget[t] · cell[t − 1] + input[t] · modulation[t], where cell[−1] is 0, and the
    hidden state is output[t] · tanh(cell[t]).
    """

    forget: Tensor  # 0 to 1
    input: Tensor  # 0 to 1
    modulation: Tensor  # -1 to 1
    output: Tensor  # 0 to 1
    cell: Tensor


def build(cell: str, input_size: int, hidden_size: int, layers: int, dropout: float) -> nn.RNNBase:
    """Build a time-major network of `cell`: (steps, batch, input) → (steps, batch, hidden).

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
    """Apply one step of the cell to each of several inputs, all of them from the same state.

    The product of the state and the cell's matrices is computed once for all inputs: for many of
    them several times faster than copies of the state in the network.

    Args:
        network: built by `build`.
        driven: the inputs' part of the sums of the first layer's gates, in place of the input
            matrix times an input: (batch or 1, inputs, gate_count · hidden).
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
    """Compute the next hidden state from both parts of a cell's sums; gates in PyTorch's order."""
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


def gates(network: nn.LSTM, inputs: Tensor, layer: int = -1) -> Gates:
    """Compute gates and cell state of one layer of an LSTM, from a zero state, without dropout.

    The cell with input and output gates is that of Hochreiter & Schmidhuber (1997), its forget gate
    that of Gers, Schmidhuber & Cummins (2000). The hidden states are those that PyTorch returns;
    with them, all gates of all steps are one product of matrices, and only the cell state is
    computed step by step.

    Args:
        network: of one direction, without projections; time-major or not.
        inputs: (batch, steps, features).
        layer: which of the layers, the last one if not given.

    Raises:
        TypeError: the network is no such LSTM.
        IndexError: it has no such layer.
    """
    if not isinstance(network, nn.LSTM) or network.bidirectional or network.proj_size:
        raise TypeError("gates are read off an LSTM of one direction without projections")
    chosen = range(network.num_layers)[layer]
    size = network.hidden_size
    zeros = inputs.new_zeros(1, len(inputs), size)
    into, hidden = inputs, inputs
    for parameters in network.all_weights[: chosen + 1]:
        into = hidden
        hidden, _, _ = torch.lstm(
            into, (zeros, zeros), tuple(parameters), network.bias, 1, 0.0, False, False, True
        )
    matrix, across, *biases = network.all_weights[chosen]
    before = torch.cat([zeros.transpose(0, 1), hidden[:, :-1]], dim=1)  # (batch, steps, units)
    bias = biases[0] + biases[1] if network.bias else None
    sums = functional.linear(
        torch.cat([into, before], dim=-1), torch.cat([matrix, across], dim=1), bias
    )
    entry, forget, modulation, output = sums.split(size, dim=-1)  # the order of PyTorch
    forget, entry, modulation = forget.sigmoid(), entry.sigmoid(), modulation.tanh()
    written = entry * modulation
    state, states = torch.zeros_like(written[:, 0]), []
    for step in range(written.shape[1]):
        state = forget[:, step] * state + written[:, step]
        states.append(state)
    return Gates(forget, entry, modulation, output.sigmoid(), torch.stack(states, dim=1))


def saturation(gates: Gates) -> dict[str, float]:
    """Return the share of an LSTM's gates, by name, that hardly depend on what is read any more.

    Those are forget gates above 0.99, modulations beyond ±0.99, and input and output gates below
    0.01 or above 0.99.
    """

    def outside(gate: Tensor) -> Tensor:
        return (gate < 0.01) | (gate > 0.99)

    saturated = {
        "forget": gates.forget > 0.99,
        "modulation": gates.modulation.abs() > 0.99,
        "input": outside(gates.input),
        "output": outside(gates.output),
    }
    return {name: float(part.double().mean()) for name, part in saturated.items()}


def half_life(forget: Tensor) -> Tensor:
    """Compute after how many steps half of what a unit's cell holds is forgotten: −1 / log₂ f.

    f is the geometric mean of the unit's forget gate, since what is left of a cell's content after
    some steps is the product of the gates. In the natural logarithm, −1 / ln f = half-life / ln 2
    is the number of steps after which 1/e is left.

    Args:
        forget: gates between 0 and 1, (…, steps, units).

    Returns:
        Steps, (…, units): 0 where a gate is shut, infinity where all are open at 1.
    """
    return forget.log2().mean(dim=-2).abs().reciprocal()  # not minus: 1 has a half-life of +∞


def parameter_count(network: nn.Module) -> int:
    """Count the trainable numbers of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


def match_hidden_size(count: Callable[[int], int], budget: int) -> int:
    """Find the hidden size whose parameter count is nearest to `budget`.

    Args:
        count: the parameter count of the whole network by hidden size, increasing.
    """
    sizes = range(1, budget + 1)
    enough = bisect_left(sizes, budget, key=count)
    return min(sizes[max(enough - 1, 0) : enough + 1], key=lambda size: abs(count(size) - budget))


def match_lstm(cell: str, hidden: int, make: Callable[[str, int], nn.Module]) -> dict[str, int]:
    """Return the sizes for config.json of a network with the parameter budget of an LSTM.

    Args:
        cell: `lstm`, `gru` or `rnn`.
        hidden: width of the LSTM.
        make: builds the whole network of a cell and a width; here it is counted, not built.
    """

    def count(cell: str, hidden: int) -> int:
        return count_on_meta(lambda: make(cell, hidden))

    budget = count("lstm", hidden)
    if cell != "lstm":
        hidden = match_hidden_size(lambda size: count(cell, size), budget)
    return {"hidden_size": hidden, "parameters": count(cell, hidden), "parameter_budget": budget}


def build_matched(
    cell: str, hidden: int, make: Callable[[str, int], Network]
) -> tuple[Network, dict[str, int]]:
    """Build a whole network with the parameter budget of an LSTM, embeddings included.

    Args:
        cell: `lstm`, `gru` or `rnn`.
        hidden: width of the LSTM.
        make: builds the whole network of a cell and a width.

    Returns:
        The network, and its sizes for config.json.
    """
    sizes = match_lstm(cell, hidden, make)
    network = make(cell, sizes["hidden_size"])
    embeddings = [part for part in network.modules() if isinstance(part, nn.Embedding)]
    return network, sizes | {"parameters_of_embedding": sum(map(parameter_count, embeddings))}


def count_on_meta(make: Callable[[], nn.Module]) -> int:
    """Count the parameters of the network that `make` builds, without memory for them."""
    with torch.device("meta"):
        return parameter_count(make())
