"""Windows over a panel: which there are in each part of the split, and a batch of them by index.

A batch is one gather from the memory-mapped array; there is no per-sample code, no collate function
and no worker process.
"""

import warnings
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retain.forecast.panel import Panel


class Batch(NamedTuple):
    """Windows, and what is known of their series.

    `window` reaches over one season, the context and the horizon, in data units, NaN where missing.
    """

    window: Tensor  # (batch, columns, season + context + horizon)
    series: Tensor  # (batch,) number of the series, from 1; 0 is a series never seen
    static: Tensor  # (batch, static features)
    scales: Tensor  # (batch, 2) mean and deviation of the series' training part


class Windows:
    """All windows whose horizon lies in one part of the split, in order of series and time.

    A window needs one observed value in its context and one in its horizon. `origin` is the row of
    its first forecast step, `step` that step's number on the grid.
    """

    def __init__(self, panel: Panel, part: str):
        data, index = panel.schema.data, panel.index
        self.horizon: int = data["horizon"]
        self.context: int = data["context_length"]
        self.reach = self.context + data["season_length"]
        bounds = {
            "train": (0, panel.schema.validation_step),
            "validation": (panel.schema.validation_step, panel.schema.test_step),
            "test": (panel.schema.test_step, panel.schema.steps),
        }
        begin, end = bounds[part]
        first_step = index["first_step"].to_numpy()
        start, length = index["start"].to_numpy(), index["length"].to_numpy()
        first = np.maximum(self.context, begin - first_step)
        last = np.minimum(length, end - first_step) - self.horizon
        counts = np.maximum(last - first + 1, 0)
        self.series: NDArray[np.int64] = np.repeat(np.arange(len(index)), counts)
        before = np.repeat(np.cumsum(counts) - counts, counts)
        self.origin: NDArray[np.int64] = (
            np.arange(counts.sum()) - before + np.repeat(start + first, counts)
        )
        observed = np.r_[0, np.cumsum(np.isfinite(panel.values[:, 0]))]
        seen = observed[self.origin] - observed[self.origin - self.context]
        due = observed[self.origin + self.horizon] - observed[self.origin]
        self.dropped = int(len(self.origin) - np.count_nonzero((seen > 0) & (due > 0)))
        self._start, self._first_step = start, first_step
        self._keep((seen > 0) & (due > 0))
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
        return len(self.origin)

    @property
    def step(self) -> NDArray[np.int64]:
        """The grid step of each window's first forecast step."""
        offset: NDArray[np.int64] = self._first_step - self._start
        return self.origin + offset[self.series]

    def thinned(self, limit: int) -> Self:
        """At most `limit` of the windows, evenly spaced."""
        if len(self) > limit:
            self._keep(np.linspace(0, len(self) - 1, limit).astype(np.int64))
        return self

    def _keep(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> None:
        self.series, self.origin = self.series[which], self.origin[which]

    def batch(self, numbers: NDArray[np.int64]) -> Batch:
        """The windows of the given numbers."""
        origin, series = self.origin[numbers], self.series[numbers]
        begin = origin - self.reach
        window = self._windows.index_select(0, torch.from_numpy(begin))
        outside = np.maximum(self._start[series] - begin, 0)  # rows of the series before
        if outside.any():
            steps = torch.arange(window.shape[-1])
            before = steps < torch.from_numpy(outside)[:, None]  # (batch, steps)
            window.masked_fill_(before[:, None, :], float("nan"))
        chosen = torch.from_numpy(series)
        return Batch(window, chosen + 1, self._static[chosen], self._scales[chosen])
