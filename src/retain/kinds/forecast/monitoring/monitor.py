"""Compare logged forecasts with the values that came (`retain monitor`).

The errors are those of the evaluation, by the same code. A value counts for each forecast of it; of
several forecasts by one version from the same origin the last counts. Values that the model that
forecast them was trained on do not count.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.config.monitoring import Promise
from retain.errors import DataError
from retain.evaluation.arrays import Floats
from retain.evaluation.results import DriftFindings
from retain.kinds.forecast.config import Data, Problem, level_column
from retain.kinds.forecast.data import tables, time_formats, timestamps
from retain.kinds.forecast.data.formats import Origin
from retain.kinds.forecast.evaluation.metrics import SCALES, MetricSums
from retain.kinds.forecast.monitoring import forecast_log
from retain.kinds.forecast.monitoring.findings import Findings, Scored, by_number

NEWEST = 10, 4  # the newest part is so many horizons or seasons long, whichever is more
WINDOW = ["version", "md5", "unique_id", "origin"]  # what one forecast of a series is known by


def monitor(
    problem: Problem,
    prepared: Path,
    root: Path,
    log: Path,
    actuals: str | None,
    promise: Callable[[int], Promise | None],
    inputs: DriftFindings | None,
) -> Findings:
    """Score each version's forecasts in a log.

    Args:
        prepared: what `prepare` wrote of the problem's table, for the scale of each series.
        log: folder of the problem in the log.
        actuals: a table like the problem's; None: its own.
        promise: returns what is recorded of a version.
        inputs: the drift of the inputs, if they were compared.

    Raises:
        DataError: the log or the table cannot be read, or has no value that was forecast.
    """
    data = problem.data
    if actuals is not None:
        data = data.model_copy(update={"path": actuals})
    known = Known.read(data, root if actuals is None else Path(), prepared)
    spans = [
        (day["ds"].min(), day["ds"].max(), int(day["step"].max()))
        for day in forecast_log.read(log, ["ds", "step"])
    ]
    if not spans:
        raise DataError(
            f"{log} has no forecasts; `retain serve --log` and `retain forecast --log` keep them"
        )
    first, last = min(span[0] for span in spans), max(span[1] for span in spans)
    begin, end = max(first, known.stamps[0]), min(last, known.stamps[-1])
    # from the table's own first step: a logged time may be at none
    grid = pd.date_range(known.stamps[0], end, freq=known.frequency)
    grid = grid[grid >= begin]
    tally = Tally(data, grid, known, promise, max(span[2] for span in spans))
    for day in forecast_log.read(log):
        tally.add(day)
    found = tally.findings()
    if not found.versions:
        raise DataError(
            f"{data.path} has no value yet that was forecast: the log reaches from "
            f"{timestamps.in_words(first, data)} to {timestamps.in_words(last, data)}, the table "
            f"to {timestamps.in_words(pd.Timestamp(known.stamps[-1]), data)}"
        )
    return Findings(found.versions, found.periods, inputs, data, found.notes)


@dataclass(frozen=True)
class Known:
    """The values that came, by series and time, and the scale of each series."""

    names: "pd.Index[Any]"  # unique_id of each series
    stamps: NDArray[np.datetime64]  # all of the table, sorted
    keys: NDArray[np.int64]  # of each value, sorted: series * len(stamps) + place of its stamp
    values: Floats
    scales: Floats  # (series, 2) of SCALES, NaN where there is none
    frequency: str
    whole: bool  # whether all values are whole numbers

    @classmethod
    def read(cls, data: Data, root: Path, prepared: Path) -> "Known":
        """Read a table; the scales are those of the prepared panel, if it is there."""
        table = tables.read(data, root)
        frame = table.frame[table.frame["y"].notna()]
        codes, names = pd.factorize(frame["unique_id"])
        stamps, places = np.unique(frame["ds"].to_numpy("datetime64[us]"), return_inverse=True)
        keys = codes.astype(np.int64) * len(stamps) + places
        order = np.argsort(keys, kind="stable")
        scales = np.full((len(names), 2), np.nan)
        if (index := prepared / "index.parquet").is_file():
            panel = pd.read_parquet(index, columns=["unique_id", *SCALES]).set_index("unique_id")
            scales = panel.reindex(names)[[*SCALES]].to_numpy(np.float64)
        y = frame["y"].to_numpy(np.float64)
        whole = bool((y == np.round(y)).all())
        return cls(pd.Index(names), stamps, keys[order], y[order], scales, table.frequency, whole)

    def find(self, series: NDArray[np.int64], ds: NDArray[np.datetime64]) -> Floats:
        """Return the value of each series (number; -1 is none) at each time; NaN if none came."""
        place = np.searchsorted(self.stamps, ds)
        place = np.minimum(place, len(self.stamps) - 1)
        key = series * len(self.stamps) + place
        at = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        there = (self.keys[at] == key) & (self.stamps[place] == ds) & (series >= 0)
        return np.where(there, self.values[at], np.nan)


class Tally:
    """The sums of each version's errors, day of the log by day of the log, the newest first.

    Args:
        grid: the steps of which a value came and that were forecast, and those between.
        horizon: the longest of all versions.
    """

    def __init__(
        self,
        data: Data,
        grid: pd.DatetimeIndex,
        known: Known,
        promise: Callable[[int], Promise | None],
        horizon: int,
    ):
        self._data, self._grid, self._known, self._horizon = data, grid, known, horizon
        self._promise = promise
        newest = max(NEWEST[0] * data.horizon, NEWEST[1] * data.season_length)
        self._newest = len(grid) - newest  # the first origin of the newest part
        self._period, self._labels = periods(grid, data)
        self._versions: dict[tuple[int, str], Scored] = {}
        self._by_period: dict[tuple[int, str], MetricSums] = {}
        self._seen: dict[tuple[int, str], NDArray[np.int64]] = {}  # windows
        self._repeated = self._trained_on = self._odd = self._unknown = 0

    def add(self, day: pd.DataFrame) -> None:
        """Add the forecasts of a day."""
        if not len(self._grid):
            return
        ds = pd.DatetimeIndex(day["ds"])
        place = self._grid.get_indexer(ds)
        inside = (ds >= self._grid[0]) & (ds <= self._grid[-1])
        self._odd += int((inside & (place < 0)).sum())
        rows = day.assign(place=place, origin=place - day["step"] + 1)[place >= 0]
        rows = rows.sort_values("made", kind="stable")
        repeated = rows.duplicated([*WINDOW, "step"], keep="last").to_numpy()
        self._repeated += int(repeated.sum())
        rows = rows[~repeated]
        series = self._known.names.get_indexer(pd.Index(rows["unique_id"])).astype(np.int64)
        self._unknown += int((series < 0).sum())
        truth = self._known.find(series, rows["ds"].to_numpy("datetime64[us]"))
        rows = rows.assign(series=series, truth=truth)[np.isfinite(truth)]
        for (number, md5), own in rows.groupby(["version", "md5"], sort=True):
            self._add(int(str(number)), str(md5), own)

    def _add(self, number: int, md5: str, rows: pd.DataFrame) -> None:
        promise = self._promise(number)
        if promise is None or promise.md5 != md5:
            promise = None
        until = _trained_until(promise.trained_on, self._data) if promise else None
        if until is not None:
            new = (rows["ds"] >= until).to_numpy()
            self._trained_on += int((~new).sum())
            rows = rows[new]
        windows = rows["origin"].to_numpy() * len(self._known.names) + rows["series"].to_numpy()
        seen = self._seen.get((number, md5), np.empty(0, np.int64))
        again = np.isin(windows, seen)
        self._repeated += int(again.sum())
        self._seen[number, md5] = np.union1d(seen, windows)
        rows = rows[~again]
        if rows.empty:
            return
        names = [name for name in map(str, rows.columns) if forecast_log.is_level(name)]
        levels = tuple(sorted(float(name) for name in names if rows[name].notna().all()))
        horizon = self._horizon
        if (number, md5) not in self._versions:
            size = (-horizon, len(self._grid) + horizon, horizon, len(self._known.names), levels)
            unit = float(self._known.whole)
            parts = MetricSums(*size, unit), MetricSums(*size, unit)
            self._versions[number, md5] = Scored(number, md5, promise, *parts)
            self._by_period[number, md5] = MetricSums(0, 1, 1, len(self._labels), levels, unit)
        scored = self._versions[number, md5]
        _add_windows(scored.all, rows, self._known.scales)
        _add_windows(scored.newest, rows[rows["origin"] >= self._newest], self._known.scales)
        if self._labels:
            sums = self._by_period[number, md5]
            sums.add(
                np.zeros(len(rows), np.int64),
                self._period[rows["place"].to_numpy()],
                rows["truth"].to_numpy()[:, None],
                rows[_columns(sums)].to_numpy(np.float64)[:, None],
                self._known.scales[rows["series"].to_numpy()],
            )
            sums.by_window.clear()

    def findings(self) -> Findings:
        """Return what was found; without the drift of the inputs."""
        notes = []
        for count, sentence in (
            (self._repeated, "rows were forecast again from the same origin: the last counts"),
            (self._trained_on, "values were in the training data of the model that forecast them"),
            (self._unknown, "rows are of series that the table does not have"),
            (self._odd, f"rows are at no step of {self._known.frequency}"),
        ):
            if count:
                notes.append(f"{count:,} {sentence}")
        if not np.isfinite(self._known.scales).any():
            notes.append("no MASE: the scales of the series are not here; bring them: `dvc pull`")
        unknown = [str(one.version) for one in self._versions.values() if one.promise is None]
        if unknown:
            notes.append(f"the registry has no such model of version {', '.join(unknown)}")
        versions = [self._versions[key] for key in sorted(self._versions)]
        shown = {(one.version, one.md5) for one in by_number(versions)}
        by_period = [
            (
                number,
                self._labels[place],
                {key: float(of[place]) for key, of in scores.items()},
                int(count),
            )
            for (number, md5), sums in sorted(self._by_period.items())
            if (number, md5) in shown
            for scores in [sums.scores_by_series()]
            for place, count in enumerate(sums.by_series[1, 0])
            if count
        ]
        return Findings(versions, by_period, None, self._data, notes)


def _add_windows(sums: MetricSums, rows: pd.DataFrame, scales: Floats) -> None:
    """Add the rows of some forecasts, those of one origin and series as a window."""
    if rows.empty:
        return
    series, origin = rows["series"].to_numpy(), rows["origin"].to_numpy()
    _, first, window = np.unique(
        origin * len(scales) + series, return_index=True, return_inverse=True
    )
    horizon, columns = sums.by_step.shape[2], _columns(sums)
    truth = np.full((len(first), horizon), np.nan)
    forecast = np.full((len(first), horizon, len(columns)), np.nan)
    step = rows["step"].to_numpy() - 1
    truth[window, step], forecast[window, step] = rows["truth"], rows[columns]
    sums.add(origin[first], series[first], truth, forecast, scales[series[first]])


def _columns(sums: MetricSums) -> list[str]:
    """Return the columns of a log that have the quantiles of a model, and the mean."""
    return [*map(level_column, sums.levels), "mean"]


def periods(grid: pd.DatetimeIndex, data: Data) -> tuple[NDArray[np.int64], list[str]]:
    """Return the number of the day, week or month of each stamp, and their first days.

    Days for steps shorter than a day, weeks for days, months for longer steps; none for steps
    without a date.
    """
    if data.ds_is_step:
        return np.zeros(len(grid), np.int64), []
    local = timestamps.local(grid, data)
    width = (grid[1] - grid[0]) if len(grid) > 1 else pd.Timedelta(1, "D")
    name = "D" if width < pd.Timedelta(1, "D") else "W-SUN" if width < pd.Timedelta(7, "D") else "M"
    codes, found = pd.factorize(local.to_period(name), sort=True)
    return codes.astype(np.int64), [f"{period.start_time:%Y-%m-%d}" for period in found]


def _trained_until(span: str, data: Data) -> pd.Timestamp | None:
    """Return the first time stamp that a model was not trained on, None if that is not known."""
    last = span.rpartition(" to ")[2]
    if not last:
        return None
    try:
        if data.ds_is_step:
            raise ValueError
        stamp = pd.Timestamp(last)
    except ValueError:  # a step, or a week such as 2024-W05, as the table writes it
        try:
            column = pd.Series([last], name=data.time_name)
            return pd.Timestamp(timestamps.parse(column, data, Origin("the version", 1))[0])
        except DataError:
            return None
    return stamp if data.zone is None else time_formats.to_utc(stamp, data.zone)
