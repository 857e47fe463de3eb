"""Networks that read a text unit by unit and predict the next unit."""

from torch import Tensor, nn

from retain.kinds.text.config import Model
from retain.networks import recurrent
from retain.networks.recurrent import State


class LanguageModel(nn.Module):
    """Embedding, cell, and a score for each unit of the vocabulary.

    Args:
        cell: `lstm`, `gru` or `rnn`.
        hidden: width of the cell.
        units: size of the vocabulary.
        model: the other sizes.
    """

    def __init__(self, cell: str, hidden: int, units: int, model: Model):
        super().__init__()
        self.embedding = nn.Embedding(units, model.embedding_size)
        self.cell = recurrent.build(cell, model.embedding_size, hidden, model.layers, model.dropout)
        self.dropout = nn.Dropout(model.dropout)
        self.answer = nn.Linear(hidden, units)

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return the scores of the next unit after each unit, and the final state.

        Args:
            tokens: (steps, batch).
            state: of the previous call; without one the text begins here.

        Returns:
            (steps, batch, units), and the state for the next call.
        """
        states, state = self.cell(self.dropout(self.embedding(tokens)), state)
        return self.answer(self.dropout(states)), state

    def last(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return the scores after the last step only, (batch, units), and the state there."""
        states, state = self.cell(self.embedding(tokens), state)
        return self.answer(states[-1]), state


def detach(state: State) -> State:
    """Return the state detached from the graph, so that the gradient ends there."""
    if isinstance(state, tuple):
        return state[0].detach(), state[1].detach()
    return state.detach()
