"""The fitted pool: its experts, the candidates of each series, and their states."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats

BEST = 4  # candidates of an expert that are averaged
TAPS = 9  # weights of an autoregression
REFITS = 8  # times that they are estimated, from more and more steps
BLUR = 0.1  # share of a season, in which its figures are smoothed
FIELDS = ("chosen", "weights", "ends", "begins", "extremes", "tail")  # arrays besides the states


@dataclass(frozen=True)
class Expert:
    """One expert: exponential smoothing or an autoregression of the data, or of their log1p.

    Attributes:
        log: whether it reads log1p of the data.
        kind: `es` smooths level and trend, `hw` these and a season, `sd` level and trend of the
            difference to the season before, `cd` these of the data less a season by moving averages
            (`cs`: whose figures are smoothed), `ar` is an autoregression.
        period: steps of its season; 0 for none.
    """

    log: bool
    kind: str
    period: int

    @classmethod
    def parse(cls, name: str) -> "Expert":
        """Return the expert of a name.

        >>> Expert.parse("log hw-12")
        Expert(log=True, kind='hw', period=12)
        """
        kind, _, period = name.removeprefix("log ").partition("-")
        return cls(name.startswith("log "), kind, int(period or 0))

    @property
    def lagged(self) -> bool:
        """Whether it is an autoregression."""
        return self.kind == "ar"

    @property
    def difference(self) -> int:
        """Lag of the difference that it smooths instead of the data; 0 for none."""
        return self.period if self.kind == "sd" else 0

    @property
    def season(self) -> int:
        """Steps of the season that it smooths; 0 for none."""
        return self.period if self.kind == "hw" else 0

    @property
    def decomposed(self) -> int:
        """Steps of the season by moving averages that it subtracts before smoothing; 0 for none."""
        return self.period if self.kind in ("cd", "cs") else 0

    @property
    def blur(self) -> int:
        """Neighbours on each side with which a figure of the season is averaged."""
        return round(BLUR * self.period) if self.kind == "cs" else 0

    @property
    def cycle(self) -> int:
        """Steps of which an autoregression reads the mean."""
        return self.period or 2 * (TAPS - 3)

    @property
    def memory(self) -> int:
        """The number of last values that an autoregression reads."""
        return max(self.cycle, self.period + 1, TAPS - 2)

    @property
    def size(self) -> int:
        """The number of values in the state of a candidate."""
        if self.lagged:  # shared by the candidates, as the values of a decomposition are
            return -(-self.memory // BEST)
        shared = 2 * (self.decomposed + self.blur)
        return 2 + self.season + self.difference + -(-shared // BEST)

    @property
    def start(self) -> int:
        """The number of steps before the first forecast."""
        if self.lagged:
            return (self.period or 1) + 5
        return max(self.season, self.difference + 1, 2 * self.decomposed)

    @property
    def reach(self) -> int:
        """Steps of its season; 0 without one."""
        return self.period

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
            from the next step on, or the values to continue the subtracted season; of an
            autoregression the last values.
        filters: by autoregression, float64 (REFITS, 1 + TAPS): the step after which weights are
            used, and these; the same for all series.
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
    filters: dict[str, Floats]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all fitted arrays, by name; shapes are those of `empty`."""
        states = {f"states.{name}": state for name, state in self.states.items()}
        filters = {f"filters.{name}": weights for name, weights in self.filters.items()}
        return {name: getattr(self, name) for name in FIELDS} | states | filters

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
        lagged = [name for name in experts if Expert.parse(name).lagged]
        filters = {name: arrays[f"filters.{name}"] for name in lagged}
        own = {name: arrays[name] for name in FIELDS}
        return cls(experts, horizon, log=log, states=states, filters=filters, **own)

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
            filters={
                name: np.zeros((REFITS, 1 + TAPS))
                for name, expert in parsed.items()
                if expert.lagged
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
