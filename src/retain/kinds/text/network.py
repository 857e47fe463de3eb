"""Networks that read a text unit by unit and say which comes next."""

from typing import Any

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
        """Scores of what follows each unit, and the state behind the last.

        Args:
            tokens: (steps, batch).
            state: of the call before; without one the text begins here.

        Returns:
            (steps, batch, units), and the state to carry on.
        """
        read, state = self.cell(self.dropout(self.embedding(tokens)), state)
        return self.answer(self.dropout(read)), state

    def last(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The scores behind the last step alone, (batch, units), and the state there."""
        read, state = self.cell(self.embedding(tokens), state)
        return self.answer(read[-1]), state


def detached(state: State) -> State:
    """The state, for a chunk whose gradient does not reach the one before."""
    return tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()  # type: ignore[return-value]


def build_matched(cell: str, units: int, model: Model) -> tuple[LanguageModel, dict[str, Any]]:
    """A network of `cell` with the parameter budget of an LSTM, embedding and scores included.

    Returns:
        The network, and its sizes for config.json.
    """

    def count(cell: str, hidden: int) -> int:
        return recurrent.count_on_meta(lambda: LanguageModel(cell, hidden, units, model))

    hidden = model.hidden_size
    budget = count("lstm", hidden)
    if cell != "lstm":
        hidden = recurrent.match_hidden_size(lambda size: count(cell, size), budget)
    network = LanguageModel(cell, hidden, units, model)
    sizes = {
        "hidden_size": hidden,
        "parameters": recurrent.parameter_count(network),
        "parameters_of_embedding": recurrent.parameter_count(network.embedding),
        "parameter_budget": budget,
    }
    return network, sizes
