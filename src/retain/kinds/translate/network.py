"""Networks that read a sentence and write its translation (Sutskever et al. 2014)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from retain.kinds.translate.config import Model
from retain.networks import recurrent
from retain.networks.recurrent import State


class Translator(nn.Module):
    """Encoder, decoder that begins with the encoder's last state, and attention behind it.

    The attention is the dot product of Luong et al. (2015): since its context does not enter the
    next step, cells run over whole sequences. The embedding of the target is also the matrix of the
    output (Press & Wolf 2017).

    Args:
        cell: `lstm`, `gru` or `rnn`.
        hidden: width of each cell.
        sizes: pieces of the source's language and of the target's.
        model: the other sizes.
    """

    def __init__(self, cell: str, hidden: int, sizes: tuple[int, int], model: Model):
        super().__init__()
        width, layers, dropout = model.embedding_size, model.layers, model.dropout
        self.attention, self.reverse = model.attention == "dot", model.reverse
        self.source = nn.Embedding(sizes[0], width)
        self.target = nn.Embedding(sizes[1], width)
        self.encoder = recurrent.build(cell, width, hidden, layers, dropout)
        self.backward_encoder = None
        if model.bidirectional:
            self.backward_encoder = recurrent.build(cell, width, hidden, layers, dropout)
        self.decoder = recurrent.build(cell, width, hidden, layers, dropout)
        self.combine = nn.Linear(2 * hidden if self.attention else hidden, width)
        self.bias = nn.Parameter(torch.zeros(sizes[1]))
        self.dropout = nn.Dropout(dropout)
        for embedding in (self.source, self.target):
            nn.init.normal_(embedding.weight, std=width**-0.5)

    def forward(self, source: Tensor, inputs: Tensor) -> Tensor:
        """Return the scores of the next piece of the target after each one.

        Args:
            source: (source steps, batch).
            inputs: (target steps, batch), from BEGIN.

        Returns:
            (target steps, batch, pieces).
        """
        states, state = self.encode(source)
        return self.decode(inputs, state, states)[0]

    def encode(self, source: Tensor) -> tuple[Tensor, State]:
        """Return the states of the encoder, (source steps, batch, hidden), and the last one."""
        embedded = self.embed_source(source)
        if self.reverse:
            embedded = embedded.flip(0)
        states, state = self.encoder(embedded)
        states = states.flip(0) if self.reverse else states
        if self.backward_encoder is not None:
            other, _ = self.backward_encoder(embedded.flip(0))
            states = states + (other if self.reverse else other.flip(0))
        return states, state

    def embed_source(self, source: Tensor) -> Tensor:
        """Return the vectors of pieces, (source steps, batch, width)."""
        embedded: Tensor = self.dropout(self.source(source))
        return embedded

    def decode(
        self, inputs: Tensor, state: State, states: Tensor
    ) -> tuple[Tensor, State, Tensor | None]:
        """Write on from a state.

        Args:
            inputs: (target steps, batch), the last pieces.
            state: of the decoder.
            states: of the encoder, (source steps, batch, hidden).

        Returns:
            Scores of the next pieces, (target steps, batch, pieces); the state; and how much
            each step attends to each piece of the source, (target steps, batch, source steps).
        """
        hidden, state = self.decoder(self.dropout(self.target(inputs)), state)
        weights = None
        if self.attention:
            ours, theirs = hidden.transpose(0, 1), states.transpose(0, 1)
            weights = torch.bmm(ours, theirs.transpose(1, 2)).softmax(-1)  # (batch, target, source)
            context = torch.bmm(weights, theirs).transpose(0, 1)  # (target steps, batch, hidden)
            hidden = torch.cat([context, hidden], dim=-1)
            weights = weights.transpose(0, 1)
        vectors = self.dropout(self.combine(hidden).tanh())
        return functional.linear(vectors, self.target.weight, self.bias), state, weights
