"""Networks that read a conversation word by word and predict the words of the replies."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from retain.kinds.chat.config import Model
from retain.kinds.chat.dataset import SPECIAL
from retain.networks import recurrent
from retain.networks.recurrent import State

YOU, BOT, UNKNOWN = range(len(SPECIAL))
NEVER_SAID = [BOT, UNKNOWN]  # in a reply
LONGEST = 40  # words of a reply


class ChatModel(nn.Module):
    """Embedding, cell, and scores of the words by the same embedding (Press & Wolf 2017).

    Args:
        cell: `lstm`, `gru` or `rnn`.
        hidden: width of the cell.
        words: size of the vocabulary.
        model: the other sizes.
    """

    def __init__(self, cell: str, hidden: int, words: int, model: Model):
        super().__init__()
        self.embedding = nn.Embedding(words, model.embedding_size)
        self.cell = recurrent.build(cell, model.embedding_size, hidden, 1, 0.0)
        if model.chrono is not None:
            chrono(self.cell, model.chrono)
        self.project = nn.Linear(hidden, model.embedding_size)
        self.bias = nn.Parameter(torch.zeros(words))

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return the hidden states after each word, (steps, batch, hidden), and the final state.

        Args:
            tokens: (steps, batch).
            state: of the previous call; without one a conversation begins here.
        """
        states, state = self.cell(self.embedding(tokens), state)
        return states, state

    def scores(self, states: Tensor) -> Tensor:
        """Return the scores of the next word in states: (…, hidden) to (…, words)."""
        return functional.linear(self.project(states), self.embedding.weight, self.bias)

    def begin(self, conversations: int = 1) -> State:
        """Return the state before the first line of conversations."""
        return self._read([[YOU]] * conversations, None)

    @torch.inference_mode()
    def reply(self, lines: Sequence[Sequence[int]], state: State) -> tuple[list[list[int]], State]:
        """Reply to a line of each conversation by the likeliest words, which the network reads too.

        Args:
            lines: the words of each; without words a conversation stays as it is.
            state: of all conversations, by `begin` or the previous call.

        Returns:
            The words of each reply, and the state after it.
        """
        state = self._read([[*line, BOT] if line else [] for line in lines], state)
        replies: list[list[int]] = [[] for _ in lines]
        speaking = [number for number, line in enumerate(lines) if line]
        for place in range(LONGEST + 1):
            scores = self.scores(hidden_of(state))
            scores[:, NEVER_SAID] = -torch.inf
            words = scores.argmax(-1).tolist() if place < LONGEST else [YOU] * len(lines)
            chosen = set(speaking)
            said = [[words[n]] if n in chosen else [] for n in range(len(lines))]
            state = self._read(said, state)
            speaking = [number for number in speaking if words[number] != YOU]
            for number in speaking:
                replies[number].append(words[number])
            if not speaking:
                break
        return replies, state

    @torch.inference_mode()
    def _read(self, texts: Sequence[Sequence[int]], state: State | None) -> State:
        """Read some words of each conversation; one without words keeps its state."""
        steps = max(map(len, texts))
        tokens = torch.tensor([[*text, *[YOU] * (steps - len(text))] for text in texts]).T
        lengths = torch.tensor(list(map(len, texts)))
        shortest = int(lengths.min())
        if shortest:
            _, state = self(tokens[:shortest], state)
        for step in range(shortest, steps):
            assert state is not None, "the first read is of one word for each"
            _, after = self(tokens[step : step + 1], state)
            state = _where(lengths > step, after, state)
        assert state is not None
        return state


def hidden_of(state: State) -> Tensor:
    """Return the hidden state of a cell's last layer: (batch, hidden)."""
    return (state[0] if isinstance(state, tuple) else state)[-1]


def _where(chosen: Tensor, after: State, before: State) -> State:
    """Return the state after a step for the chosen conversations, and before it for others."""
    chosen = chosen.unsqueeze(-1)  # (batch, 1)
    if isinstance(after, tuple) and isinstance(before, tuple):
        return (
            torch.where(chosen, after[0], before[0]),
            torch.where(chosen, after[1], before[1]),
        )
    assert isinstance(after, Tensor)
    assert isinstance(before, Tensor)
    return torch.where(chosen, after, before)


def chrono(network: nn.RNNBase, longest: int) -> None:
    """Start a gated cell with memories of 1 to `longest` steps (Tallec & Ollivier 2018)."""
    if network.mode == "RNN_TANH":
        return
    size = network.hidden_size
    with torch.no_grad():
        for name, bias in network.named_parameters():
            if "bias_ih" in name:
                memory = torch.empty(size).uniform_(1, longest - 1).log()
                bias[size : 2 * size] = memory  # an LSTM's forget gate, a GRU's update gate
                if network.mode == "LSTM":
                    bias[:size] = -memory
