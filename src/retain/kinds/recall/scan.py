"""The three cells over a whole sequence, for several networks side by side, forwards and backwards.

What torch's own cells compute (tests compare them), written out because these networks are tiny: so
small a cell spends its time on being called, and here one call serves all networks. State and input
of a step lie side by side in one row, so that each step is one product with one matrix a network.
"""

from typing import Any

import torch
from torch import Tensor

BLOCKS = {"lstm": 4, "gru": 4, "rnn": 1}  # columns of the matrix, in hidden sizes


def assemble(cell: str, across: Tensor, into: Tensor, bias: Tensor) -> Tensor:
    """The matrix that `scan` multiplies a row of state and input with.

    Args:
        cell: `lstm`, `gru` or `rnn`.
        across: of the state, (networks, hidden, gates · hidden); gates in the order of PyTorch.
        into: of the input, (networks, features, gates · hidden).
        bias: (networks, gates · hidden), and for a GRU the bias of its state's part behind it.

    Returns:
        (networks, hidden + features + 1, blocks · hidden). A GRU's candidate has two blocks: what
        the input and what the state has to say of it, since a gate stands between them.
    """
    if cell != "gru":
        return torch.cat([across, into, bias.unsqueeze(1)], dim=1)
    hidden = across.shape[1]
    gates, last = 2 * hidden, slice(2 * hidden, 3 * hidden)
    zeros_across, zeros_into = (
        torch.zeros_like(across[..., last]),
        torch.zeros_like(into[..., last]),
    )
    return torch.cat(
        [
            torch.cat([across[..., :gates], zeros_across, across[..., last]], dim=2),
            torch.cat([into[..., :gates], into[..., last], zeros_into], dim=2),
            bias.unsqueeze(1),
        ],
        dim=1,
    )


def scan(cell: str, matrix: Tensor, inputs: Tensor) -> Tensor:
    """The state after each step: (networks, steps, batch, hidden), from a state of zeros.

    Args:
        cell: `lstm`, `gru` or `rnn`.
        matrix: what `assemble` made.
        inputs: (networks or 1, steps, batch, features).
    """
    states: Tensor = _SCANS[cell].apply(matrix, inputs)
    return states


def _rows(matrix: Tensor, inputs: Tensor, hidden: int) -> Tensor:
    """Rows of state, input and a one, for each step and one more; the states are still to come."""
    networks = matrix.shape[0]
    _, steps, batch, features = inputs.shape
    rows = inputs.new_zeros(networks, steps + 1, batch, hidden + features + 1)
    rows[:, :-1, :, hidden:-1] = inputs
    rows[..., -1] = 1.0
    return rows


def _gradients(
    rows: Tensor, slopes: Tensor, matrix: Tensor, inputs: Tensor, needed: bool
) -> tuple[Tensor, Tensor | None]:
    """Of the matrix, and of the inputs if they are asked for, from those of every step's sums."""
    steps, networks, batch, columns = slopes.shape
    flat = slopes.transpose(0, 1).reshape(networks, steps * batch, columns)
    own = rows[:, :-1].reshape(networks, steps * batch, rows.shape[-1])
    to_matrix = own.transpose(1, 2) @ flat
    if not needed:
        return to_matrix, None
    hidden = rows.shape[-1] - inputs.shape[-1] - 1
    to_inputs = (flat @ matrix[:, hidden:-1].transpose(1, 2)).view(
        networks, steps, batch, inputs.shape[-1]
    )
    return to_matrix, to_inputs.sum(0, keepdim=True) if inputs.shape[0] == 1 else to_inputs


class _Lstm(torch.autograd.Function):
    """Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, inputs: Tensor) -> Tensor:
        hidden = matrix.shape[-1] // 4
        rows = _rows(matrix, inputs, hidden)
        networks, steps, batch, _ = rows.shape
        gates = rows.new_empty(steps - 1, networks, batch, 4 * hidden)
        cells = rows.new_zeros(steps, networks, batch, hidden)  # before each step
        tanhs = rows.new_empty(steps - 1, networks, batch, hidden)  # of the memory behind it
        doubled = matrix.clone()  # tanh(x) = 2 sigmoid(2x) - 1: one call for all four gates
        doubled[..., 2 * hidden : 3 * hidden] *= 2
        for t in range(steps - 1):
            own = torch.bmm(rows[:, t], doubled, out=gates[t]).sigmoid_()
            entry, forget, new, out = own.chunk(4, dim=-1)
            new.mul_(2).sub_(1)
            memory = torch.mul(forget, cells[t], out=cells[t + 1]).addcmul_(entry, new)
            torch.mul(out, torch.tanh(memory, out=tanhs[t]), out=rows[:, t + 1, :, :hidden])
        ctx.save_for_backward(matrix, inputs, rows, gates, cells, tanhs)
        return rows[:, 1:, :, :hidden]

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor, Tensor | None]:
        matrix, inputs, rows, gates, cells, tanhs = ctx.saved_tensors
        back = matrix[:, : matrix.shape[-1] // 4].transpose(1, 2).contiguous()
        made = torch.empty_like(gates)
        to_state = slopes[:, -1]
        to_cell = torch.zeros_like(cells[0])
        for t in range(len(gates) - 1, -1, -1):
            own = gates[t]
            entry, forget, new, out = own.chunk(4, dim=-1)
            by_entry, by_forget, by_new, by_out = made[t].chunk(4, dim=-1)
            through = out - out * tanhs[t] * tanhs[t]
            to_cell.addcmul_(to_state, through)
            torch.mul(to_cell, new, out=by_entry)
            torch.mul(to_cell, cells[t], out=by_forget)
            torch.mul(to_cell, entry, out=by_new)
            torch.mul(to_state, tanhs[t], out=by_out)
            answer = torch.addcmul(own, own, own, value=-1)  # of each gate to its sum
            torch.addcmul(torch.ones_like(new), new, new, value=-1, out=answer.chunk(4, -1)[2])
            made[t].mul_(answer)
            if t:
                to_cell.mul_(forget)
                to_state = torch.baddbmm(slopes[:, t - 1], made[t], back)
        return _gradients(rows, made, matrix, inputs, ctx.needs_input_grad[1])


class _Gru(torch.autograd.Function):
    """Cho et al. 2014, as PyTorch has it: the reset gate stands behind the product."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, inputs: Tensor) -> Tensor:
        hidden = matrix.shape[-1] // 4
        rows = _rows(matrix, inputs, hidden)
        networks, steps, batch, _ = rows.shape
        gates = rows.new_empty(
            steps - 1, networks, batch, 4 * hidden
        )  # reset, update, new, state's
        for t in range(steps - 1):
            reset, update, new, said = torch.bmm(rows[:, t], matrix, out=gates[t]).chunk(4, dim=-1)
            gates[t, ..., : 2 * hidden].sigmoid_()
            new.addcmul_(reset, said)
            new.copy_(new.tanh())
            torch.lerp(new, rows[:, t, :, :hidden], update, out=rows[:, t + 1, :, :hidden])
        ctx.save_for_backward(matrix, inputs, rows, gates)
        return rows[:, 1:, :, :hidden]

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor, Tensor | None]:
        matrix, inputs, rows, gates = ctx.saved_tensors
        hidden = matrix.shape[-1] // 4
        back = matrix[:, :hidden].transpose(1, 2).contiguous()
        made = torch.empty_like(gates)
        to_state = slopes[:, -1]
        for t in range(len(gates) - 1, -1, -1):
            reset, update, new, said = gates[t].chunk(4, dim=-1)
            by_reset, by_update, by_new, by_said = made[t].chunk(4, dim=-1)
            rest = to_state * (1 - update)
            torch.mul(rest, 1 - new * new, out=by_new)
            torch.mul(by_new, reset, out=by_said)
            torch.mul(by_said, said * (1 - reset), out=by_reset)
            torch.mul(rest, (rows[:, t, :, :hidden] - new) * update, out=by_update)
            if t:
                kept = torch.addcmul(slopes[:, t - 1], to_state, update)
                to_state = torch.baddbmm(kept, made[t], back)
        return _gradients(rows, made, matrix, inputs, ctx.needs_input_grad[1])


class _Rnn(torch.autograd.Function):
    """Elman 1990, with tanh."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, inputs: Tensor) -> Tensor:
        hidden = matrix.shape[-1]
        rows = _rows(matrix, inputs, hidden)
        for t in range(rows.shape[1] - 1):
            torch.tanh(torch.bmm(rows[:, t], matrix), out=rows[:, t + 1, :, :hidden])
        ctx.save_for_backward(matrix, inputs, rows)
        return rows[:, 1:, :, :hidden]

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor, Tensor | None]:
        matrix, inputs, rows = ctx.saved_tensors
        networks, steps, batch, _ = rows.shape
        hidden = matrix.shape[-1]
        back = matrix[:, :hidden].transpose(1, 2).contiguous()
        made = rows.new_empty(steps - 1, networks, batch, hidden)
        to_state = slopes[:, -1]
        for t in range(steps - 2, -1, -1):
            state = rows[:, t + 1, :, :hidden]
            torch.mul(to_state, 1 - state * state, out=made[t])
            if t:
                to_state = torch.baddbmm(slopes[:, t - 1], made[t], back)
        return _gradients(rows, made, matrix, inputs, ctx.needs_input_grad[1])


_SCANS: dict[str, Any] = {"lstm": _Lstm, "gru": _Gru, "rnn": _Rnn}
