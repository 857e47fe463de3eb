"""The fitted pool: which experts there are, which candidates each series has, and their states."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats

BEST = 4  # candidates of an expert that are averaged
FIELDS = ("chosen", "weights", "ends", "begins", "extremes", "tail")  # beside the states


@dataclass(frozen=True)
class Expert:
    """One expert: exponential smoothing of the data, or of their log1p.

    Attributes:
        kind: `es` level and damped trend, `hw` the same with an additive season, `sd` `es` of the
            difference to the season before.
        season: steps of its season; 0 for `es`.
        log: whether it smooths log1p of the data.
    """

    kind: str
    season: int
    log: bool

    @property
    def name(self) -> str:
        """How it is named in figures and files."""
        return ("log " if self.log else "") + self.kind + (f"-{self.season}" if self.season else "")

    @classmethod
    def parse(cls, name: str) -> "Expert":
        """Return the expert of a name.

        >>> Expert.parse("log hw-12")
        Expert(kind='hw', season=12, log=True)
        """
        kind, _, season = name.removeprefix("log ").partition("-")
        return cls(kind, int(season or 0), name.startswith("log "))


@dataclass(frozen=True)
class Pool:
    """The fitted experts of every series: which candidates, how they are blended, and their states.

    Row 0 of each array is a series never seen; the others are in order of the panel. Nothing is
    NaN: what a series has not is 0.

    Attributes:
        experts: their names, such as `es` and `log hw-12`; the same for all series.
        chosen: int64 (series + 1, experts, BEST), numbers of candidates in the expert's grid.
        weights: (series + 1, experts), of the blend; they sum to 1, and are 0 where a series is too
            short for an expert.
        log: whether the blend is mixed in log1p space.
        ends: int64 (series + 1,), the grid step behind the last one in the states; row 0: 0.
        begins: int64 (series + 1,), the grid step of the first value; at or behind `ends` where a
            series has none before it; row 0: 0.
        extremes: float32 (series + 1, 2), the least and the largest value before `ends`.
        tail: float32 (series + 1, steps), the blend's forecasts one step ahead before `ends`.
        states: by expert, float32 (series + 1, BEST, size): level, trend and, with a season, the
            seasonal figures (`hw`) or the values (`sd`) of the last `season` steps.
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
        """Return everything fitted, by name; shapes depend on experts, horizon and series alone."""
        states = {f"states.{name}": state for name, state in self.states.items()}
        return {name: getattr(self, name) for name in FIELDS} | states

    def without_states(self) -> "Pool":
        """Return the pool without what goes on from its end; it can be run from a beginning."""
        states = {name: state[:0] for name, state in self.states.items()}
        return replace(self, states=states, tail=self.tail[:0])

    @classmethod
    def from_arrays(
        cls, experts: tuple[str, ...], horizon: int, log: bool, arrays: dict[str, NDArray[Any]]
    ) -> "Pool":
        """Return the pool whose `arrays` these are."""
        states = {name: arrays[f"states.{name}"] for name in experts}
        own = {name: arrays[name] for name in FIELDS}
        return cls(experts=experts, horizon=horizon, log=log, states=states, **own)

    @staticmethod
    def empty(experts: tuple[str, ...], horizon: int, log: bool, series: int) -> "Pool":
        """Return a pool of zeros, of the right shapes for a number of series."""
        count, rows = len(experts), series + 1
        seasons = [Expert.parse(name).season for name in experts]
        return Pool(
            experts=experts,
            horizon=horizon,
            chosen=np.zeros((rows, count, BEST), dtype=np.int64),
            weights=np.zeros((rows, count)),
            log=log,
            ends=np.zeros(rows, dtype=np.int64),
            begins=np.zeros(rows, dtype=np.int64),
            extremes=np.zeros((rows, 2), dtype=np.float32),
            tail=np.zeros((rows, max(2 * horizon, *seasons)), dtype=np.float32),
            states={
                name: np.zeros((rows, BEST, 2 + season), dtype=np.float32)
                for name, season in zip(experts, seasons, strict=True)
            },
        )


def mix(forecasts: Floats, weights: Floats, log: bool) -> Floats:
    """Return the blend (n, steps) of experts' forecasts (n, experts, steps), weights (n, experts).

    In log1p space, if `log`: a geometric mean, of forecasts of at least 0.
    """
    total = np.zeros((forecasts.shape[0], forecasts.shape[2]))
    for number in range(forecasts.shape[1]):
        part = forecasts[:, number]
        total += weights[:, number, None] * (np.log1p(np.maximum(part, 0)) if log else part)
    return np.expm1(total) if log else total
