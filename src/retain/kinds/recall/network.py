"""Networks that read a sequence and answer at its end, several of one cell at once.

They differ by seed and learning rate alone, are given the same batches, and learn independently of
one another: what else is trained with a network changes no bit of it. For GRU and RNN this is so
with the kernels of `portable_cpu` alone, since one product serves all networks; others may choose
their instructions by the number of networks.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from retain.kinds.recall import agreement, scan
from retain.kinds.recall.batches import Batch
from retain.kinds.recall.dataset import Schema
from retain.networks import recurrent


class Member(nn.Module):
    """The numbers of one network.

    Args:
        cell: `lstm`, `gru` or `rnn`.
        hidden: width of the cell.
        features: numbers a step.
        outputs: answers to choose from, or 1 for a number.
        chrono: the longest memory to begin with, in steps (Tallec & Ollivier 2018).
    """

    def __init__(self, cell: str, hidden: int, features: int, outputs: int, chrono: int | None):
        super().__init__()
        gates = recurrent.GATE_COUNT[cell]
        self.across = nn.Parameter(torch.empty(hidden, gates * hidden))
        self.into = nn.Parameter(torch.empty(features, gates * hidden))
        # A GRU's candidate has a bias of its own for what the state says.
        self.bias = nn.Parameter(torch.zeros(scan.BLOCKS.get(cell, gates) * hidden))
        self.answer = nn.Linear(hidden, outputs)
        with torch.no_grad():
            for block in self.across.split(hidden, dim=1):
                nn.init.orthogonal_(block)
            for block in self.into.split(hidden, dim=1):
                nn.init.xavier_uniform_(block)
            memory = None if chrono is None else torch.empty(hidden).uniform_(1, chrono - 1).log()
            if cell == "lstm":  # input, forget, cell, output
                self.bias[hidden : 2 * hidden] = 1.0 if memory is None else memory
                self.bias[:hidden] = 0.0 if memory is None else -memory
            elif cell == "gru" and memory is not None:  # reset, update: 1 keeps the state
                self.bias[hidden : 2 * hidden] = memory

    def lstm_states(self, inputs: Tensor) -> Tensor:
        """Return the states of an LSTM, (steps, batch, hidden), from a state of zeros.

        This is what `nn.LSTM` calls; its modules have a second bias, which would be trained too.

        Args:
            inputs: (steps, batch, features).
        """
        zeros = inputs.new_zeros(1, inputs.shape[1], len(self.across))
        weights = (self.into.T, self.across.T, self.bias, torch.zeros_like(self.bias))
        with_gradient = torch.is_grad_enabled()
        states, _, _ = torch.lstm(
            inputs, (zeros, zeros), weights, True, 1, 0.0, with_gradient, False, False
        )
        return states


class GapClassifier(nn.Module):
    """Several members of one cell.

    Args:
        cell: `lstm`, `gru` or `rnn`.
        hidden: width of each.
        schema: what the tokens and answers are.
        seeds: of the members, each with every rate.
        rates: how many learning rates.
        chrono: see `Member`.
        speaks: whether each next word is said too, not the answer alone.
    """

    losses: Tensor
    accuracies: Tensor
    chosen: Tensor

    def __init__(
        self,
        cell: str,
        hidden: int,
        schema: Schema,
        seeds: tuple[int, ...],
        rates: int,
        chrono: int | None,
        speaks: bool = False,
    ):
        super().__init__()
        self.cell, self.schema, self.speaks = cell, schema, speaks
        self.words, self.outputs = len(schema.vocabulary), len(schema.answers) or 1
        outputs = _outputs(schema, speaks)
        members = []
        for seed in seeds:
            for _ in range(rates):  # each rate has the same start
                if torch.get_default_device().type != "meta":
                    torch.manual_seed(seed)
                members.append(Member(cell, hidden, schema.features, outputs, chrono))
        self.members = nn.ModuleList(members)
        # What each member came to on the validation part, and which rate was kept for it.
        self.register_buffer("losses", torch.zeros(len(seeds), rates))
        self.register_buffer("accuracies", torch.zeros(len(seeds), rates))
        self.register_buffer("chosen", torch.zeros((), dtype=torch.int64))

    def forward(self, batch: Batch) -> Tensor:
        """What each member says at the end: (members, batch, outputs)."""
        return self.answers(self.states(self.inputs(batch))[:, -1])

    def inputs(self, batch: Batch) -> Tensor:
        """A batch as numbers: (1, steps, batch, features)."""
        given = functional.one_hot(batch.tokens + 1, self.words + 1)[..., 1:].float()
        if len(batch.values):
            given = torch.cat([given, batch.values.unsqueeze(-1)], dim=-1)
        return given.unsqueeze(0)

    def states(self, inputs: Tensor) -> Tensor:
        """The state behind each step: (members, steps, batch, hidden)."""
        if self.cell == "lstm":
            members = [member for member in self.members if isinstance(member, Member)]
            return torch.stack(
                [member.lstm_states(inputs[n % len(inputs)]) for n, member in enumerate(members)]
            )
        across, into, bias = (
            torch.stack([getattr(member, name) for member in self.members])
            for name in ("across", "into", "bias")
        )
        return scan.scan(self.cell, scan.assemble(self.cell, across, into, bias), inputs)

    def answers(self, states: Tensor) -> Tensor:
        """What each member answers in its states: (members, batch, outputs)."""
        return self._said(states)[..., : self.outputs]

    def _said(self, states: Tensor) -> Tensor:
        """Scores of the answers, and of the words behind them: (members, batch, …)."""
        members = [member for member in self.members if isinstance(member, Member)]
        return torch.stack([each.answer(own) for each, own in zip(members, states, strict=True)])

    def as_lstm(self, number: int) -> nn.LSTM:
        """A member as torch's own LSTM, whose gates can be looked at."""
        member = self.members[number]
        assert isinstance(member, Member)
        found = nn.LSTM(member.into.shape[0], member.across.shape[0])
        found.load_state_dict(
            {
                "weight_ih_l0": member.into.T,
                "weight_hh_l0": member.across.T,
                "bias_ih_l0": member.bias,
                "bias_hh_l0": torch.zeros_like(member.bias),
            }
        )
        return found

    def loss(self, said: Tensor, targets: Tensor) -> Tensor:
        """Of each answer of each member: (members, batch)."""
        if not self.schema.answers:
            return (said[..., 0] - targets).square()
        due = targets.long().expand(len(said), -1)
        return functional.cross_entropy(said.flatten(0, 1), due.flatten(), reduction="none").view(
            due.shape
        )

    def training_loss(self, batch: Batch) -> Tensor:
        """What each sequence costs each member: (members, batch).

        That of the answer, or the mean over all words but the first and the answer behind them.
        """
        states = self.states(self.inputs(batch))
        if not self.speaks:
            return self.loss(self.answers(states[:, -1]), batch.targets)
        members, steps, sequences, _ = states.shape
        said = self._said(states.flatten(1, 2)).flatten(0, 1)
        due = torch.cat([self.outputs + batch.tokens[1:], batch.targets.long()[None]])
        due = torch.where(batch.tokens < 0, -1, due).expand(members, -1, -1)
        each = functional.cross_entropy(said, due.flatten(), ignore_index=-1, reduction="none")
        return each.view(members, steps, sequences).sum(1) / (batch.tokens >= 0).sum(0)

    def right(self, said: Tensor, targets: Tensor) -> Tensor:
        """Whether each answer is right: (members, batch); a number is within 0.04.

        As Hochreiter & Schmidhuber (1997) counted.
        """
        if not self.schema.answers:
            return (said[..., 0] - targets).abs() < 0.04
        return said.argmax(-1) == targets.long()

    def keep(self, chosen: int) -> None:
        """Keep the members of one rate, one a seed."""
        rates = self.losses.shape[1]
        self.chosen.fill_(chosen)
        self.members = nn.ModuleList(list(self.members)[chosen::rates])


def build_matched(
    cell: str,
    hidden: int,
    schema: Schema,
    seeds: tuple[int, ...],
    rates: int,
    chrono: int | None,
    speaks: bool = False,
) -> tuple[GapClassifier, dict[str, Any]]:
    """Networks of `cell` with the parameter budget of an LSTM of that hidden size.

    Returns:
        The networks, and their sizes for config.json.
    """
    outputs = _outputs(schema, speaks)

    def count(cell: str, hidden: int) -> int:
        return recurrent.count_on_meta(lambda: Member(cell, hidden, schema.features, outputs, None))

    budget = count("lstm", hidden)
    if cell != "lstm":
        hidden = recurrent.match_hidden_size(lambda size: count(cell, size), budget)
    network = GapClassifier(cell, hidden, schema, seeds, rates, chrono, speaks)
    sizes = {
        "hidden_size": hidden,
        "parameters": recurrent.parameter_count(network.members[0]),
        "parameter_budget": budget,
    }
    return network, sizes


def _outputs(schema: Schema, speaks: bool) -> int:
    """How many numbers a member says: one for each answer, or a number; and one for each word."""
    return (len(schema.answers) or 1) + speaks * len(schema.vocabulary)


def chance(schema: Schema) -> float:
    """The share of right answers that guessing gives, where all answers are as frequent."""
    if schema.source == "agreement":
        return agreement.CHANCE
    return 1 / len(schema.answers) if schema.answers else math.nan
