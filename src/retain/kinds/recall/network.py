"""Networks that read a sequence and answer at its end, several of one cell at once.

They differ only by seed and learning rate, get the same batches, and learn independently: the other
networks change no bit of a network. For GRU and RNN this holds only with the kernels of
`portable_cpu`, since all networks share one matrix product; other kernels may depend on the number
of networks.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from retain.kinds.recall import scan
from retain.kinds.recall.dataset import Batch, Examples, Schema
from retain.networks import recurrent


class Member(nn.Module):
    """The parameters of one network.

    Args:
        cell: `lstm`, `gru` or `rnn`.
        hidden: width of the cell.
        features: input features per step.
        outputs: number of possible answers, or 1 for a number.
        chrono: the longest initial memory, in steps (Tallec & Ollivier 2018).
    """

    def __init__(self, cell: str, hidden: int, features: int, outputs: int, chrono: int | None):
        super().__init__()
        gates = recurrent.GATE_COUNT[cell]
        self.across = nn.Parameter(torch.empty(hidden, gates * hidden))
        self.into = nn.Parameter(torch.empty(features, gates * hidden))
        # A GRU's candidate has one bias for the input and one for the state.
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

    def lstm_weights(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return an LSTM's weights in torch's form; the second bias is zero and not trained."""
        return self.into.T, self.across.T, self.bias, torch.zeros_like(self.bias)

    def lstm_states(self, inputs: Tensor) -> Tensor:
        """Return the states of an LSTM, (steps, batch, hidden), from a state of zeros.

        Args:
            inputs: (steps, batch, features).
        """
        zeros = inputs.new_zeros(1, inputs.shape[1], len(self.across))
        with_gradient = torch.is_grad_enabled()
        states, _, _ = torch.lstm(  # the function behind nn.LSTM
            inputs, (zeros, zeros), self.lstm_weights(), True, 1, 0.0, with_gradient, False, False
        )
        return states


class GapClassifier(nn.Module):
    """Several networks of one cell: the members.

    Args:
        cell: `lstm`, `gru` or `rnn`.
        hidden: width of each.
        schema: tokens and answers.
        seeds: of the members, each with every rate.
        rates: number of learning rates.
        chrono: see `Member`.
        predicts_words: whether the loss has each next word, and not only the answer.
    """

    members: list[Member]
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
        predicts_words: bool = False,
    ):
        super().__init__()
        self.cell, self.schema, self.predicts_words = cell, schema, predicts_words
        self.answer_count = len(schema.answers) or 1
        outputs = _output_count(schema, predicts_words)
        members = []
        for seed in seeds:
            for _ in range(rates):  # the same initial weights for each rate
                torch.manual_seed(seed)
                members.append(Member(cell, hidden, schema.features, outputs, chrono))
        self.members = cast("list[Member]", nn.ModuleList(members))
        # Each member's scores on the validation part, and which rate was kept for them.
        self.register_buffer("losses", torch.zeros(len(seeds), rates))
        self.register_buffer("accuracies", torch.zeros(len(seeds), rates))
        self.register_buffer("chosen", torch.zeros((), dtype=torch.int64))

    def forward(self, batch: Batch) -> Tensor:
        """Return each member's scores of the answers, or its number: (members, batch, answers)."""
        return self.answer_scores(self.states(self.inputs(batch))[:, -1])

    def inputs(self, batch: Batch) -> Tensor:
        """Return a batch as input features: (1, steps, batch, features)."""
        words = len(self.schema.vocabulary)
        inputs = functional.one_hot(batch.tokens + 1, words + 1)[..., 1:].float()
        if len(batch.values):
            inputs = torch.cat([inputs, batch.values.unsqueeze(-1)], dim=-1)
        return inputs.unsqueeze(0)

    def states(self, inputs: Tensor) -> Tensor:
        """Return the state after each step: (members, steps, batch, hidden).

        Args:
            inputs: (members or 1, steps, batch, features).
        """
        if self.cell == "lstm":
            pairs = zip(self.members, inputs.expand(len(self.members), -1, -1, -1), strict=True)
            return torch.stack([member.lstm_states(own_inputs) for member, own_inputs in pairs])
        across, into, bias = (
            torch.stack([getattr(member, name) for member in self.members])
            for name in ("across", "into", "bias")
        )
        return scan.scan(self.cell, scan.assemble(self.cell, across, into, bias), inputs)

    def answer_scores(self, states: Tensor) -> Tensor:
        """Return the scores of the answers, or a number, in states (members, …, hidden)."""
        return self._scores(states)[..., : self.answer_count]

    def _scores(self, states: Tensor) -> Tensor:
        """Return the scores of the answers, and of the words after them: (members, …, outputs)."""
        pairs = zip(self.members, states, strict=True)
        return torch.stack([member.answer(own_states) for member, own_states in pairs])

    def as_lstm(self, number: int) -> nn.LSTM:
        """Return a member as torch's module."""
        member = self.members[number]
        lstm = nn.LSTM(member.into.shape[0], member.across.shape[0])
        lstm.load_state_dict(dict(zip(lstm.state_dict(), member.lstm_weights(), strict=True)))
        return lstm

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each answer of each member: (members, batch)."""
        if not self.schema.answers:
            return (scores[..., 0] - targets).square()
        correct = targets.long().expand(len(scores), -1)
        losses = functional.cross_entropy(scores.flatten(0, 1), correct.flatten(), reduction="none")
        return losses.view(correct.shape)

    def training_loss(self, batch: Batch) -> Tensor:
        """Return the loss of each sequence for each member: (members, batch).

        The loss of the answer, or the mean over all words except the first, and the answer.
        """
        states = self.states(self.inputs(batch))
        if not self.predicts_words:
            return self.loss(self.answer_scores(states[:, -1]), batch.targets)
        members, steps, sequences, _ = states.shape
        scores = self._scores(states).flatten(0, 2)
        words = torch.cat([self.answer_count + batch.tokens[1:], batch.targets.long()[None]])
        words = torch.where(batch.tokens < 0, -1, words).expand(members, -1, -1)
        losses = functional.cross_entropy(
            scores, words.flatten(), ignore_index=-1, reduction="none"
        )
        return losses.view(members, steps, sequences).sum(1) / (batch.tokens >= 0).sum(0)

    def is_correct(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return whether each answer is right: (members, batch); a number is within 0.04.

        As by Hochreiter & Schmidhuber (1997).
        """
        if not self.schema.answers:
            return (scores[..., 0] - targets).abs() < 0.04
        return scores.argmax(-1) == targets.long()

    @torch.inference_mode()
    def answer_all(self, examples: Examples) -> tuple[Tensor, Tensor]:
        """Answer all examples, in their order.

        Returns:
            Whether each answer is right, and its loss: (members, examples) both.
        """
        numbers, correct, losses = [], [], []
        for chunk, batch in examples.chunks():
            scores = self(batch)
            numbers.append(torch.from_numpy(chunk))
            correct.append(self.is_correct(scores, batch.targets))
            losses.append(self.loss(scores, batch.targets))
        order = torch.cat(numbers).argsort()
        return torch.cat(correct, dim=1)[:, order], torch.cat(losses, dim=1)[:, order]

    def keep_rate(self, chosen: int) -> None:
        """Return the members of one learning rate, one for each seed."""
        self.chosen.fill_(chosen)
        self.members = self.members[chosen :: self.losses.shape[1]]


def match_sizes(
    cell: str, hidden: int, schema: Schema, predicts_words: bool = False
) -> dict[str, int]:
    """Return the sizes of one network with the parameters of an LSTM of that hidden size.

    They are those of `recurrent.match_lstm`.
    """
    outputs = _output_count(schema, predicts_words)
    return recurrent.match_lstm(
        cell, hidden, lambda cell, size: Member(cell, size, schema.features, outputs, None)
    )


def _output_count(schema: Schema, predicts_words: bool) -> int:
    """Return how many scores a member has: of the answers, or a number; and of the words."""
    return (len(schema.answers) or 1) + predicts_words * len(schema.vocabulary)
