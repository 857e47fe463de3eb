"""GRU and RNN written out compute what torch's own do, forwards and backwards."""

import pytest
import torch
from torch import Tensor, nn

from retain.kinds.recall import scan
from retain.networks import recurrent

NETWORKS, STEPS, BATCH, FEATURES, HIDDEN = 2, 7, 3, 5, 4


def bias(cell: str, network: nn.RNNBase) -> Tensor:
    """Both biases of torch in one; those of a GRU's candidate stay apart."""
    into, across = network.bias_ih_l0, network.bias_hh_l0
    if cell != "gru":
        return into + across
    last = 2 * HIDDEN
    return torch.cat([(into + across)[:last], into[last:], across[last:]])


@pytest.mark.parametrize("cell", ["gru", "rnn"])
@pytest.mark.parametrize("shared", [True, False], ids=["one input for all", "an input for each"])
def test_states_and_gradients_are_those_of_torch(cell: str, shared: bool) -> None:
    torch.manual_seed(1)
    networks = [recurrent.CELLS[cell](FEATURES, HIDDEN).double() for _ in range(NETWORKS)]
    for network in networks:
        for parameter in network.parameters():
            nn.init.normal_(parameter)
    inputs = torch.randn(1 if shared else NETWORKS, STEPS, BATCH, FEATURES, dtype=torch.double)
    inputs.requires_grad_()
    matrix = scan.assemble(
        cell,
        torch.stack([network.weight_hh_l0.T for network in networks]),
        torch.stack([network.weight_ih_l0.T for network in networks]),
        torch.stack([bias(cell, network) for network in networks]),
    )
    ours = scan.scan(cell, matrix, inputs)
    torchs = torch.stack(
        [network(inputs[n % len(inputs)])[0] for n, network in enumerate(networks)]
    )
    torch.testing.assert_close(ours, torchs, rtol=1e-12, atol=1e-12)
    weights = torch.randn_like(ours)
    leaves = [inputs, *(p for network in networks for p in network.parameters())]
    for our_gradient, torchs_gradient in zip(
        torch.autograd.grad((ours * weights).sum(), leaves, retain_graph=True),
        torch.autograd.grad((torchs * weights).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(our_gradient, torchs_gradient, rtol=1e-10, atol=1e-10)
