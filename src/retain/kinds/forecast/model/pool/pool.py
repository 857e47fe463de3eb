"""The fitted pool: its experts, the candidates of each series, and their states."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats

BEST = 4  # candidates of an expert that are averaged
FIELDS = ("chosen", "weights", "ends", "begins", "extremes", "tail")  # arrays besides the states


@dataclass(frozen=True)
class Expert:
    """One expert: exponential smoothing of the data, or of their log1p.

    Attributes:
        log: whether it smooths log1p of the data.
        difference: lag of the difference that it smooths instead of the data; 0 for none.
        season: steps of its seasonal component; 0 for none.
        decomposed: steps of the seasonal component by moving averages, which is subtracted from the
            data before smoothing; 0 for none.
    """

    log: bool
    difference: int
    season: int
    decomposed: int

    @classmethod
    def parse(cls, name: str) -> "Expert":
        """Return the expert of a name.

        `es` smooths level and trend, `hw-12` these and a season, `sd-12` level and trend of the
        difference to the season before, `cd-12` these of the data less a season by moving averages.

        >>> Expert.parse("log hw-12")
        Expert(log=True, difference=0, season=12, decomposed=0)
        """
        kind, _, season = name.removeprefix("log ").partition("-")
        lengths = (int(season) if kind == own else 0 for own in ("sd", "hw", "cd"))
        return cls(name.startswith("log "), *lengths)

    @property
    def size(self) -> int:
        """The number of values in the state of a candidate."""
        # The candidates share these values.
        return 2 + self.season + self.difference + -(-2 * self.decomposed // BEST)

    @property
    def start(self) -> int:
        """The number of steps before the first forecast."""
        return max(self.season, self.difference + 1, 2 * self.decomposed)

    @property
    def reach(self) -> int:
        """Steps of its longest season; 0 without one."""
        return max(self.season, self.difference, self.decomposed)

    @property
    def subtracted(self) -> int:
        """Steps of the season that is subtracted before smoothing; 0 for none."""
        return max(self.difference, self.decomposed)


@dataclass(frozen=True)
class Pool:
    """The fitted experts of every series: candidates, weights and states.

    Row 0 of each array is for new series; the others are in the order of the panel. Nothing is NaN:
    missing entries are 0.

    Attributes:
        experts: their names, such as `es` and `log hw-12`; the same for all series.
        chosen: int64 (series + 1, experts, BEST), numbers of candidates in the expert's grid.
        weights: (series + 1, experts), of the blend; they sum to 1, and are 0 where a series is too
            short for an expert.
        log: whether the blend is mixed in log1p space.
        ends: int64 (series + 1,), the grid step after the last one in the states; row 0: 0.
        begins: int64 (series + 1,), the grid step of the first value; at or after `ends` if a
            series has no value before it; row 0: 0.
        extremes: float32 (series + 1, 2), the least and the largest value before `ends`.
        tail: float32 (series + 1, context), the blend's forecasts one step ahead before `ends`.
        states: by expert, float32 (series + 1, BEST, size): level, trend and the seasonal figures
            from the next step on, or the values to continue the subtracted season.
    """

    experts: tuple[str, ...]
    horizon: int
    chosen: NDArray[np.int64]
    weights: Floats
    log: bool
    ends: NDArray[np.int64]
    begins: NDArray[np.int64]
    extremes: NDArray[np.float32]
    tail: NDArray[np.float32]
    states: dict[str, NDArray[np.float32]]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all fitted arrays, by name; shapes are those of `empty`."""
        states = {f"states.{name}": state for name, state in self.states.items()}
        return {name: getattr(self, name) for name in FIELDS} | states

    def weights_alone(self, numbers: NDArray[np.int64] | None = None) -> "Pool":
        """Return the pool without anything else that grows with the series; it cannot be run.

        Args:
            numbers: of each series, its row here, 0 for a new one; by default those of this pool.
        """
        # Copies, since a view of no rows would keep all of them in memory.
        arrays = {name: array[:0].copy() for name, array in self.arrays().items()}
        arrays["weights"] = self.weights if numbers is None else self.weights[np.r_[0, numbers]]
        return Pool.from_arrays(self.experts, self.horizon, self.log, arrays)

    @classmethod
    def from_arrays(
        cls, experts: tuple[str, ...], horizon: int, log: bool, arrays: dict[str, NDArray[Any]]
    ) -> "Pool":
        """Return the pool with these `arrays`."""
        states = {name: arrays[f"states.{name}"] for name in experts}
        own = {name: arrays[name] for name in FIELDS}
        return cls(experts=experts, horizon=horizon, log=log, states=states, **own)

    @staticmethod
    def empty(
        experts: tuple[str, ...], horizon: int, context: int, log: bool, series: int
    ) -> "Pool":
        """Return a pool of zeros, of the right shapes for a number of series."""
        count, rows = len(experts), series + 1
        parsed = {name: Expert.parse(name) for name in experts}
        return Pool(
            experts=experts,
            horizon=horizon,
            chosen=np.zeros((rows, count, BEST), dtype=np.int64),
            weights=np.zeros((rows, count)),
            log=log,
            ends=np.zeros(rows, dtype=np.int64),
            begins=np.zeros(rows, dtype=np.int64),
            extremes=np.zeros((rows, 2), dtype=np.float32),
            tail=np.zeros((rows, context), dtype=np.float32),
            states={
                name: np.zeros((rows, BEST, expert.size), dtype=np.float32)
                for name, expert in parsed.items()
            },
        )


def tensor_name(name: str) -> str:
    """Return the name of one of a pool's arrays in a model's weights; torch takes no dot in it."""
    return f"pool {name}".replace(".", "/")


def mix(forecasts: Floats, weights: Floats, log: bool) -> Floats:
    """Return the blend (n, steps) of experts' forecasts (n, experts, steps), weights (n, experts).

    In log1p space, if `log`: a geometric mean, of forecasts of at least 0.
    """
    total = np.zeros((forecasts.shape[0], forecasts.shape[2]))
    for number in range(forecasts.shape[1]):
        part = forecasts[:, number]
        total += weights[:, number, None] * (np.log1p(np.maximum(part, 0)) if log else part)
    return np.expm1(total) if log else total
