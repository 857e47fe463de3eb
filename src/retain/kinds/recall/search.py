"""What `retain tune` tries for a recall problem."""

from dataclasses import replace

from retain.config.schema import Cell
from retain.config.search import KEEP, RATE, Choices, Numbers, Range, Space, around, space
from retain.kinds.recall.config import Problem


def build(problem: Problem, cell: Cell) -> Space:
    """Return the search space of a cell.

    A trial has one learning rate: those that params.yaml lists for the cell are the first trials.
    """
    longest = max(problem.data.train_gaps)
    ranges: dict[str, Range] = {
        "model.hidden_size": around(problem.model.hidden_size, 4, 512),
        "model.chrono": Choices((None, max(3, longest), max(3, 3 * longest))),
        RATE: Numbers(3e-4, 0.2, log=True),
        "training.weight_decay": Choices((0.0, 0.001, 0.01, 0.1)),
    }
    found = space(problem, cell, ranges)
    if problem.tune.get("training", {}).get("learning_rate") == KEEP:
        return found  # a trial tries the rates that are listed, as the training does
    starts = tuple(
        {**start, RATE: rate} for start in found.starts for rate in problem.training.rates(cell)
    )
    return replace(found, starts=starts, fixed={"training.learning_rates": {}})
