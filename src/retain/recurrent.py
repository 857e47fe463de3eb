"""The recurrent cells: one word in the configuration, one constructor here.

An RNN that loses to an LSTM of the same width has lost to one with four times its parameters; so
`match_hidden_size` finds the width at which another cell has the LSTM's number of parameters.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

CELLS: dict[str, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "rnn": nn.RNN, "gru": nn.GRU}
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


def repeat_state(state: State, times: int) -> State:
    """Each state `times` times in a row: (layers, batch, h) → (layers, batch·times, h)."""
    if isinstance(state, tuple):
        return tuple(part.repeat_interleave(times, dim=1) for part in state)  # type: ignore[return-value]
    return state.repeat_interleave(times, dim=1)


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
