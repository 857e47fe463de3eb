"""How long the training of a problem will take, before it begins."""

from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.presets import UPDATE_SECONDS

START = 5.0  # seconds of the processor until a stage has imported what it runs
EARLIEST = 0.7  # of the estimate, and
UNITS = (("seconds", 1, 10), ("minutes", 60, 1), ("hours", 3600, 1))  # with the steps of each
LATEST = 1.3  # the share that scoring in between, and a slower hour of the machine, may add


def seconds(
    problem: Problem, windows: int, kept: bool, update_seconds: float | None
) -> tuple[float, float]:
    """Estimate the seconds of the processor of all trainings, at least and at most.

    Args:
        windows: that precede the test part, of all series.
        kept: whether there are enough for a network on the base to be kept.
        update_seconds: for one update of one network, as measured here; None if it was not.
    """
    training = problem.training
    least = training.batch_size * training.epoch_steps  # windows come again until there are so many
    examples = max(windows, least) if training.rehearsals else windows
    epoch = min(-(-examples // training.batch_size), training.epoch_steps)
    recipes = [problem] * (kept or problem.model.base == "none") + [*problem.beside.values()]
    pace = UPDATE_SECONDS if update_seconds is None else update_seconds
    low = high = START * (len(training.cells) + problem.refit)
    for recipe in recipes:
        epochs = recipe.training.epochs(examples)
        networks = recipe.training.rehearsals + recipe.model.ensemble
        networks *= len(training.cells) * problem.folds
        networks += problem.refit * kept * recipe.model.ensemble * (recipe is problem)
        fewest = epochs if training.patience is None else min(epochs, training.patience + 1)
        low += pace * networks * fewest * epoch
        high += pace * networks * epochs * epoch
    return EARLIEST * low, LATEST * high


def describe(low: float, high: float) -> str:
    """Write a range of seconds as a person says it.

    >>> describe(31, 58), describe(70, 130), describe(20, 23), describe(4000, 10000)
    ('30 to 60 seconds', '1 to 2 minutes', '20 to 30 seconds', '1 to 3 hours')
    """
    unit, size, step = next(row for row in UNITS if high <= row[1] * 90 or row is UNITS[-1])
    first = max(int(low / size / step), 1) * step
    last = max(round(high / size / step) * step, first + step)
    return f"{first} to {last} {unit}"
