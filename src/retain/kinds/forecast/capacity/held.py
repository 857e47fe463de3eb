"""What the stages keep of each series in anonymous memory: constants that were measured.

Tables as small as those of `measure` cannot show them; they are those between 10⁵ and 10⁶ series of
`python -m benchmarks scale`, and of evaluate and of a training on a base those of `--base pool`.
"""

from collections.abc import Mapping
from typing import Any

from retain.kinds.forecast.config import Data, Problem

SERIES = {"prepare": 490.0, "train": 690.0, "forecast": 330.0}  # bytes: names, numbers and sums
SCORED, EACH_MODEL = 800.0, 180.0  # the same of evaluate, and by model
# Times the bytes of a pool, of a training with a classical base: the pool of the network that is
# written, and the weights in those of rehearsals. Other stages map a pool from its file.
POOLS = 1.1

DRAWN = 136_000  # windows of a rehearsal at most: to learn from, for its units, and to score


def rehearsed(problem: Problem) -> float:
    """Return the share of rehearsals in the fits of a classical base; 0 without one."""
    count = problem.training.rehearsals if problem.model.base == "pool" else 0
    return count / (count + 1)


def examples(problem: Problem, windows: float) -> int:
    """Return how many of the training windows a network learns from."""
    from retain.kinds.forecast.model.learner import HELD

    most = HELD if problem.model.base == "pool" else windows
    return max(round(min(windows, most)), 1)


def by_series(models: float, pools: float) -> dict[str, float]:
    """Return the bytes that each stage keeps of a series.

    Args:
        models: that are scored.
        pools: bytes of a series in the pools of all networks that a training writes.
    """
    scored = SCORED + EACH_MODEL * models
    return SERIES | {"train": SERIES["train"] + POOLS * pools, "evaluate": scored}


def pool_bytes(config: Mapping[str, Any], data: Data) -> int:
    """Return the bytes of a series in the pool of a model, by its config.json; 0 without one."""
    from retain.kinds.forecast.model.pool.pool import Pool

    if "pool" not in config:
        return 0
    experts, log = tuple(config["pool"]["experts"]), config["pool"]["log"]
    none, one = (Pool.empty(experts, data.horizon, data.context_length, log, n) for n in (0, 1))
    sizes = [sum(array.nbytes for array in pool.arrays().values()) for pool in (none, one)]
    return sizes[1] - sizes[0]
