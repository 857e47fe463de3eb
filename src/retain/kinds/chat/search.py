"""What `retain tune` tries for a chat problem."""

from retain.config.schema import Cell
from retain.config.search import RATE, Choices, Numbers, Space, around, space
from retain.kinds.chat.config import Problem


def build(problem: Problem, cell: Cell) -> Space:
    """Return the search space of a cell; what would change the loss itself is not in it."""
    longest = 2 * problem.data.turns[1]
    return space(
        problem,
        cell,
        {
            "model.hidden_size": around(problem.model.hidden_size, 8, 1024),
            "model.embedding_size": around(problem.model.embedding_size, 4, 512),
            "model.chrono": Choices((None, longest, 5 * longest)),
            RATE: Numbers(3e-4, 0.03, log=True),
            "training.drills": Choices((0.0, 0.25, 0.5, 0.75)),
            "training.weight_decay": Choices((0.0, 0.001, 0.01, 0.1)),
        },
    )
