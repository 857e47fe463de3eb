"""What the workers of the benchmark `ordinary` share: the windows they forecast, and their answers.

A worker is called as `WORKER FOLDER PEER …`. The folder has `problem.npz` and `problem.json`; each
peer's answer goes into `PEER.npz` beside them. Imports nothing of retain, so that it runs wherever
a peer does.
"""

import json
import resource
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

DECILES = tuple(round(0.1 * number, 1) for number in range(1, 10))
Floats = np.ndarray[Any, Any]


class Problem:
    """Series on a grid of time, and the windows to forecast: a series and an origin each.

    Attributes:
        y: the values of each series from its first step on, without gaps.
        first: the grid step of each series' first value.
        series, step, fold: of each window; `step` is the grid step of the first value to forecast.
        begins: the grid step at which each fold of the test part begins.
        horizon, season, frequency: in steps; as pandas calls it.
        facts: numbers that a peer adds to its answer.
    """

    def __init__(self, folder: Path):
        arrays = np.load(folder / "problem.npz", allow_pickle=False)
        options = json.loads((folder / "problem.json").read_text(encoding="utf-8"))
        self.first = arrays["first"]
        self.y: list[Floats] = np.split(arrays["values"], np.cumsum(arrays["lengths"])[:-1])
        self.series, self.step, self.fold = (arrays[key] for key in ("series", "step", "fold"))
        self.begins: list[int] = options["begins"]
        self.horizon, self.season = int(options["horizon"]), int(options["season"])
        self.frequency: str = options["frequency"]
        steps = int(max(self.first + [len(y) for y in self.y]))
        self.grid = pd.date_range(options["origin"], periods=steps, freq=self.frequency)
        self.facts: dict[str, float] = {}

    def history(self, window: int) -> Floats:
        """All that is known of a window's series at its origin."""
        series = self.series[window]
        return self.y[series][: self.step[window] - self.first[series]]

    def until(self, step: int) -> pd.DataFrame:
        """The rows of all series before a step of the grid, as unique_id, ds and y."""
        numbers = range(len(self.y))
        known = {n: self.y[n][: max(step - int(self.first[n]), 0)] for n in numbers}
        return self._long((n, int(self.first[n]), known[n]) for n in numbers)

    def histories(self, windows: Floats, last: int | None = None) -> pd.DataFrame:
        """The history of each window as a series of its own, called by the window's number."""
        rows = []
        for window in windows.tolist():
            y = self.history(window)[-(last or 0) :]
            rows.append((window, int(self.step[window]) - len(y), y))
        return self._long(rows)

    def _long(self, rows: Any) -> pd.DataFrame:
        parts = [(number, first, y) for number, first, y in rows if len(y)]
        numbers, lengths = [part[0] for part in parts], [len(part[2]) for part in parts]
        times = [self.grid[first : first + len(y)].to_numpy() for _, first, y in parts]
        columns = {
            "unique_id": np.repeat(numbers, lengths),
            "ds": np.concatenate(times),
            "y": np.concatenate([y for _, _, y in parts]).astype(np.float64),
        }
        return pd.DataFrame(columns)

    def chunks(self, fold: int, size: int = 1000) -> Iterator[Floats]:
        """The numbers of a fold's windows, some at a time."""
        windows = np.flatnonzero(self.fold == fold)
        yield from (windows[n : n + size] for n in range(0, len(windows), size))

    def repeated(self, window: int) -> Floats:
        """What stands for a forecast where a peer has none: the last season, or value, again."""
        y = self.history(window)
        cycle = y[-self.season :] if len(y) >= self.season else y[-1:]
        return np.resize(cycle, self.horizon)


Forecast = Callable[[Problem], tuple[tuple[float, ...], Floats]]


def main(peers: dict[str, Forecast]) -> None:
    """Let each peer that is named forecast all windows: levels, and (windows, horizon, levels).

    Where a forecast is not a number, the last season stands for it; how often, is written too.
    """
    warnings.filterwarnings("ignore")
    folder = Path(sys.argv[1])
    problem = Problem(folder)
    for name in sys.argv[2:]:
        begin = spent()
        levels, forecasts = peers[name](problem)
        seconds = spent() - begin
        failed = np.flatnonzero(~np.isfinite(forecasts).all((1, 2)))
        for window in failed.tolist():
            forecasts[window] = problem.repeated(window)[:, None]
        np.savez(
            folder / f"{name}.npz",
            levels=np.array(levels),
            forecasts=forecasts.astype(np.float32),
            seconds=seconds,
            failed=len(failed),
            **problem.facts,
        )
        print(f"{name}: {seconds:.1f} CPU s, {len(failed)} of {len(forecasts)} windows failed")


def spent() -> float:
    """CPU seconds of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
