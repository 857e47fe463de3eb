"""From measured costs to time, memory and disk on several nodes: arithmetic alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

NETWORK = 1.25e9  # bytes a second between nodes: 10 Gbit/s
LATENCY = 1e-4  # seconds of a message
STAGES = ("prepare", "train", "evaluate", "forecast")


@dataclass(frozen=True)
class Line:
    """What grows with the series: `fixed` + `each` · series."""

    fixed: float
    each: float

    def at(self, series: float) -> float:
        """Return the value for a number of series."""
        return self.fixed + self.each * series

    @classmethod
    def through(cls, small: tuple[float, float], large: tuple[float, float]) -> "Line":
        """Draw the line through two measured points (series, value); it never falls.

        >>> Line.through((10, 3.0), (110, 5.0))
        Line(fixed=2.8, each=0.02)

        Of one size, the line begins at 0.
        """
        if large[0] == small[0]:
            return cls(0.0, large[1] / large[0])
        each = max((large[1] - small[1]) / (large[0] - small[0]), 0.0)
        return cls(max(large[1] - each * large[0], 0.0), each)


@dataclass(frozen=True)
class Costs:
    """The costs of a problem, measured on one core.

    Attributes:
        work: seconds of the processor by stage; of training, what precedes the first update.
        driver: seconds of what one process does for all series after a stage, by stage.
        memory: bytes of anonymous memory of a process, by stage.
        disk: bytes, by what they are of.
        update: seconds of an update of the weights: `fixed`, and `each` of its windows.
        windows: of training, by series.
        parameters: bytes of the weights whose gradients are exchanged.
        networks: how many are trained one after the other.
        rehearsed: share of rehearsals in what precedes the first update, on a classical base.
        drawn: most series of their windows; of more than twice as many they fit the base to these.
    """

    work: Mapping[str, Line]
    driver: Mapping[str, float]
    memory: Mapping[str, Line]
    disk: Mapping[str, Line]
    update: Line
    windows: float
    parameters: int
    networks: int
    rehearsed: float = 0.0
    drawn: float = math.inf

    def set_up(self, series: float) -> float:
        """Return seconds by which the series of a table lengthen the set-up of a network."""
        fitted = series if series <= 2 * self.drawn else self.drawn
        return self.work["train"].each * (series + self.rehearsed * (fitted - series))


@dataclass(frozen=True)
class StagePlan:
    """A stage on a number of nodes.

    Attributes:
        seconds: from its start to its end.
        limit: what takes the most of them.
        memory: bytes of anonymous memory that a node needs at most.
    """

    seconds: float
    limit: str
    memory: float


def training_updates(examples: int, batch: int, epochs: int, epoch_steps: int) -> int:
    """Return the updates of one network.

    >>> training_updates(3_600_000, 256, 7, 200)
    1400
    """
    return epochs * min(math.ceil(examples / batch), epoch_steps)


def plan(
    costs: Costs, series: int, nodes: int, cores: int, devices: int, batch: int, updates: int
) -> dict[str, StagePlan]:
    """Compute each of STAGES on nodes of `cores` processors.

    Prepare, evaluate and forecast are maps over parts of the series, one process on each core; what
    one process does for all series afterwards is the driver's. Training is data-parallel: an update
    is one global batch, of which each of nodes × devices processes takes its share; each process
    prepares its own windows.
    """
    workers = nodes * cores
    stages = {}
    for stage in ("prepare", "evaluate", "forecast"):
        line, driver = costs.work[stage], costs.driver.get(stage, 0.0) * series
        # One process on one core does all; more of them divide what grows with the series.
        shares = {
            "the start": line.fixed,
            "the parts": line.each * series / workers,
            "the driver": driver if workers > 1 else 0.0,
        }
        of_one = costs.memory[stage].at(series / workers)
        stages[stage] = StagePlan(sum(shares.values()), _largest(shares), cores * of_one)
    world = nodes * devices
    windows = math.ceil(batch / world)
    times = {
        "the start": costs.work["train"].fixed * costs.networks,
        "the set-up of every process": costs.set_up(series) * costs.networks,
        "the fixed cost of an update": costs.update.fixed * updates * costs.networks,
        "the windows": costs.update.each * windows * updates * costs.networks,
        "the exchange of gradients": _exchange(costs.parameters, nodes, devices)
        * (updates * costs.networks),
    }
    memory = devices * costs.memory["train"].at(series)
    return {
        "prepare": stages["prepare"],
        "train": StagePlan(sum(times.values()), _largest(times), memory),
        "evaluate": stages["evaluate"],
        "forecast": stages["forecast"],
    }


def _exchange(size: int, nodes: int, devices: int) -> float:
    """Return the seconds of an all-reduce around a ring (Patarasuk & Yuan 2009)."""
    world = nodes * devices
    if world == 1:
        return 0.0
    return 2 * (world - 1) * (size / world / NETWORK + LATENCY)


def _largest(shares: Mapping[str, float]) -> str:
    return max(shares, key=lambda name: shares[name])
