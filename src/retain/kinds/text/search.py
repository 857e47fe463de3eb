"""What `retain tune` tries for a text problem."""

from retain.config.schema import Cell
from retain.config.search import RATE, Choices, Numbers, Space, around, space
from retain.kinds.text.config import Problem


def build(problem: Problem, cell: Cell) -> Space:
    """Return the search space of a cell; all losses are in nats a unit, so they can be compared."""
    return space(
        problem,
        cell,
        {
            "model.hidden_size": around(problem.model.hidden_size, 8, 1024),
            "model.embedding_size": around(problem.model.embedding_size, 4, 512),
            "model.layers": Choices((1, 2)),
            "model.dropout": Numbers(0.0, 0.5),
            RATE: Numbers(5e-4, 0.1, log=True),
            "training.weight_decay": Choices((0.0, 0.001, 0.01, 0.1)),
            "training.chunk": around(problem.training.chunk, 8, 512),
        },
    )
