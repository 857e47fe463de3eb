"""Windows over a panel: which there are in each part of the split, and a batch of them by index.

A batch is one gather from the memory-mapped array; there is no per-sample code, no collate function
and no worker process.
"""

import copy
import warnings
from collections.abc import Iterator
from typing import NamedTuple, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retain.kinds.forecast.data import origins
from retain.kinds.forecast.data.panel import Panel

# More windows than these sharpen neither early stopping nor calibration, they only cost time.
VALIDATION_WINDOWS = 5_000
CHUNK = 512  # windows a batch when predicting


class Batch(NamedTuple):
    """Windows, and what is known of their series.

    `window` reaches over one season, the context and the horizon, in data units, NaN where missing.
    Without a classical base there are no experts, and nothing is said of the steps of the context.
    """

    window: Tensor  # (batch, columns, season + context + horizon)
    series: Tensor  # (batch,) number of the series, from 1; 0 is a series never seen
    static: Tensor  # (batch, static features)
    scales: Tensor  # (batch, 2) mean and deviation of the series' training part
    rows: Tensor  # (batch,) of the panel's values, at which the horizons begin; 0 of no panel
    experts: Tensor  # (batch, experts, horizon) their forecasts, in data units
    ahead: Tensor  # (batch, context or 0) the base's forecasts of its steps, each one step ahead


class Bases(Protocol):
    """Forecasts of a classical base at the origins of windows."""

    def at(
        self, series: NDArray[np.int64], rows: NDArray[np.int64], context: int, once: bool = False
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return `experts` and `ahead` as in `Batch`.

        Args:
            series: of each window, from 0.
            rows: of the panel's values, at which the horizons begin.
            once: whether no other windows of these series will follow.
        """
        ...


class Windows:
    """All windows whose horizon lies in one part of the split, or between two steps of the grid.

    They are in order of series and time. A window needs one observed value in its context and one
    in its horizon. Windows are kept as runs of neighbours, about one a series, so that memory does
    not grow with their number.
    """

    def __init__(self, panel: Panel, part: str | tuple[int, int]):
        data, index = panel.schema.data, panel.index
        self.horizon: int = data["horizon"]
        self.context: int = data["context_length"]
        self.reach = self.context + data["season_length"]
        self._start, self._first_step = index["start"].to_numpy(), index["first_step"].to_numpy()
        bounds = {
            "train": (0, panel.schema.validation_step),
            "validation": (panel.schema.validation_step, panel.schema.test_step),
            "test": (panel.schema.test_step, panel.schema.steps),
        }
        begin, end = bounds[part] if isinstance(part, str) else part
        runs, self.dropped = [], 0
        for rows, dropped in origins.find(panel.values, index, data, begin, end):
            self.dropped += dropped
            # Series are never neighbours, for each begins with a context that has no origin.
            first = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
            runs.append(np.stack([rows[first], np.diff(first, append=len(rows))]))
        self._run_origin, sizes = np.concatenate(runs, axis=1)
        ends = np.cumsum(sizes)
        self._run_first = ends - sizes  # number of each run's first window
        self._run_series = np.searchsorted(self._start, self._run_origin, side="right") - 1
        self._chosen: NDArray[np.int64] | None = None  # numbers of the windows that are left
        self._count = int(sizes.sum())
        self._bases: Bases | None = None
        self._held: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        with warnings.catch_warnings():  # the map is read-only; nothing here writes
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            values = torch.from_numpy(np.asarray(panel.values))
        self._windows = values.unfold(0, self.reach + self.horizon, 1)  # (rows, columns, steps)
        statics = [f"static.{name}" for name in panel.schema.static]
        self._static = torch.from_numpy(index[statics].to_numpy(dtype=np.float32, copy=True))
        self._scales = torch.from_numpy(
            index[["mean", "std"]].to_numpy(dtype=np.float32, copy=True)
        )

    def __len__(self) -> int:
        return self._count

    def locate(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the series of windows, and the rows of `values` at which their horizons begin."""
        if self._chosen is not None:
            numbers = self._chosen[numbers]
        run = np.searchsorted(self._run_first, numbers, side="right") - 1
        return self._run_series[run], self._run_origin[run] + numbers - self._run_first[run]

    def places(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the series of windows, and the grid steps at which their horizons begin."""
        series, origin = self.locate(numbers)
        return series, origin - self._start[series] + self._first_step[series]

    @property
    def series(self) -> NDArray[np.int64]:
        """The series of every window: an array as long as there are windows, made anew."""
        return self.places(np.arange(len(self)))[0]

    @property
    def step(self) -> NDArray[np.int64]:
        """The grid step of every window's first forecast step, made anew as `series` is."""
        return self.places(np.arange(len(self)))[1]

    def thinned(self, limit: int) -> Self:
        """Keep at most `limit` of the windows, evenly spaced."""
        if len(self) > limit:
            self._keep(np.linspace(0, len(self) - 1, limit).astype(np.int64))
        return self

    def beginning_at(self, rows: NDArray[np.int64]) -> Self:
        """Keep the windows whose horizons begin at one of some rows of `values`."""
        begins = self.locate(np.arange(len(self)))[1]
        self._keep(np.flatnonzero(np.isin(begins, rows)))
        return self

    def on(self, bases: Bases | None, hold: bool = False) -> Self:
        """Bring the forecasts of a base with each window.

        Args:
            hold: compute those of all windows now and hold them, for batches in any order.
        """
        self._bases = None if hold else bases
        if bases is not None and hold:
            self._held = bases.at(*self.locate(np.arange(len(self))), self.context, once=True)
        return self

    def among(self, series: NDArray[np.bool_]) -> Self:
        """Return those of the windows that are of chosen series.

        Args:
            series: whether each one is chosen.
        """
        some = copy.copy(self)
        some._keep(np.flatnonzero(series[self.series]))
        return some

    def between(self, begin: int, end: int) -> Self:
        """Return the windows of the numbers from `begin` to before `end`."""
        some = copy.copy(self)
        some._keep(np.arange(begin, end))
        return some

    def _keep(self, numbers: NDArray[np.int64]) -> None:
        self._chosen = numbers if self._chosen is None else self._chosen[numbers]
        self._count = len(numbers)

    def chunks(self) -> Iterator[Batch]:
        """Yield all windows, in order, in batches of CHUNK."""
        for begin in range(0, len(self), CHUNK):
            yield self.batch(np.arange(begin, min(begin + CHUNK, len(self))))

    def batch(self, numbers: NDArray[np.int64]) -> Batch:
        """Return the windows of the given numbers."""
        series, origin = self.locate(numbers)
        begin = origin - self.reach
        window = self._windows.index_select(0, torch.from_numpy(begin))
        outside = self._start[series] - begin  # rows of the series before
        early = np.flatnonzero(outside > 0)
        if len(early):
            steps = torch.arange(window.shape[-1])
            before = steps < torch.from_numpy(outside[early])[:, None]  # (windows, steps)
            some = torch.from_numpy(early)
            window[some] = window[some].masked_fill_(before[:, None, :], float("nan"))
        chosen = torch.from_numpy(series)
        experts, ahead = self._based(numbers, series, origin)
        scales, rows = self._scales[chosen], torch.from_numpy(origin)
        return Batch(window, chosen + 1, self._static[chosen], scales, rows, experts, ahead)

    def _based(
        self, numbers: NDArray[np.int64], series: NDArray[np.int64], origin: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor]:
        if self._held is not None:
            experts, ahead = (held[numbers] for held in self._held)
        elif self._bases is not None:
            experts, ahead = self._bases.at(series, origin, self.context)
        else:
            return without_base(len(numbers), self.horizon)
        return torch.from_numpy(experts), torch.from_numpy(ahead)


def without_base(count: int, horizon: int) -> tuple[Tensor, Tensor]:
    """Return `experts` and `ahead` of so many windows without a classical base."""
    return torch.empty(count, 0, horizon), torch.empty(count, 0)
