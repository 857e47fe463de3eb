"""What `retain tune` tries for a translation problem."""

from retain.config.schema import Cell
from retain.config.search import RATE, Choices, Numbers, Space, around, space
from retain.kinds.translate.config import Problem


def build(problem: Problem, cell: Cell) -> Space:
    """Return the search space of a cell; what would change the loss itself is not in it."""
    return space(
        problem,
        cell,
        {
            "model.hidden_size": around(problem.model.hidden_size, 8, 1024),
            "model.embedding_size": around(problem.model.embedding_size, 8, 1024),
            "model.layers": Choices((1, 2)),
            "model.dropout": Numbers(0.0, 0.5),
            RATE: Numbers(3e-4, 0.03, log=True),
            "training.weight_decay": Choices((0.0, 0.001, 0.01, 0.1)),
        },
    )
