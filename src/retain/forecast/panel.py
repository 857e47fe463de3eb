"""From a validated table to arrays on a regular grid: what `prepare` writes and training reads.

All series stand one after another in one array, in data units; a missing value is NaN and stays
NaN. Whatever is fitted to data (scales, categories, means) is fitted on the training part alone.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.errors import DataError, listed
from retain.forecast import calendars, quality
from retain.forecast.params import Boundary, Data
from retain.forecast.source import Table

MAX_CATEGORIES = 50


@dataclass(frozen=True)
class Schema:
    """What a model must know of the table it was trained on; part of every model's config.json.

    Means and deviations are those of the training part, one for each column of `values` (0 and 1
    for the target, which is scaled by series or by window) and for each static feature.
    """

    data: dict[str, Any]  # the section `data` of params.yaml
    frequency: str
    columns: tuple[str, ...]  # of `values`: target, past-only, known-future, calendar
    past: int  # how many of them are past-only covariates
    known: int  # how many are known for the future, the calendar's among them
    static: tuple[str, ...]
    categories: dict[str, list[str]]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    static_means: tuple[float, ...]
    static_deviations: tuple[float, ...]
    origin: str  # time stamp of step 0 of the grid
    validation_step: int
    test_step: int
    steps: int
    digest: str  # md5 of the raw table

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """The schema that `asdict` and JSON made `content` of."""
        lists: dict[str, Any] = {
            key: tuple(v) if isinstance(v, list) else v for key, v in content.items()
        }
        return cls(**lists)


@dataclass(frozen=True)
class Panel:
    """Series on one grid.

    Attributes:
        values: float32 (rows, columns); the first `data.reach` rows are NaN, so that a window may
            reach back before the first series; row r of a series is step `first_step + r`.
        index: one row a series: unique_id, first_step, start (row in `values`), length, mean, std
            and mase_scale of the target's training part, and `static.*`.
        schema: what the columns mean.
        quality: the content of quality.json.
    """

    values: NDArray[np.float32]
    index: pd.DataFrame
    schema: Schema
    quality: dict[str, Any]

    @property
    def grid(self) -> pd.DatetimeIndex:
        """The time stamps of all steps."""
        schema = self.schema
        return pd.date_range(schema.origin, periods=schema.steps, freq=schema.frequency)


def build(table: Table, data: Data) -> Panel:
    """Put a table on its grid, split it in time and fit what is fitted.

    Raises:
        DataError: no series is long enough, or no value lies in a part of the split.
    """
    frame, skipped = _usable(table, data)
    grid = _grid(frame, table.frequency)
    validation_step, test_step = _split(grid, data)
    steps = grid.get_indexer(pd.DatetimeIndex(frame["ds"]))
    training = steps < validation_step
    _check_parts(steps[frame["y"].notna().to_numpy()], validation_step, test_step, data)
    _check_precision(frame, data)
    categories = _categories(frame[training], data)

    # Rows are sorted by series and time: a series begins where the id changes.
    codes, names = pd.factorize(frame["unique_id"])
    first = np.flatnonzero(np.r_[True, np.diff(codes) != 0])
    last = np.r_[first[1:], len(codes)] - 1
    first_step = steps[first]
    length = steps[last] - first_step + 1
    start = data.reach + np.r_[0, np.cumsum(length)[:-1]]
    index = pd.DataFrame(
        {"unique_id": names, "first_step": first_step, "start": start, "length": length}
    )

    past, past_names = encode(frame, data.past_covariates, categories)
    known, known_names = encode(frame, data.known_covariates, categories)
    calendar = calendars.features(
        grid, table.frequency, data.calendar, data.holidays, data.timezone
    )
    calendar_names = calendars.feature_names(table.frequency, data.calendar, data.holidays)
    columns = ("y", *past_names, *known_names, *calendar_names)
    values = np.full((data.reach + length.sum(), len(columns)), np.nan, dtype=np.float32)
    given = np.column_stack([frame["y"].to_numpy(), past, known])
    values[start[codes] + steps - first_step[codes], : given.shape[1]] = given
    step_of_row = np.arange(data.reach, len(values)) - np.repeat(start - first_step, length)
    values[data.reach :, given.shape[1] :] = calendar[step_of_row]

    means, deviations = _moments(values[data.reach :][step_of_row < validation_step], columns)
    index = index.join(_target_scales(values[:, 0], index, validation_step, data.season_length))
    static, static_names = encode(frame.iloc[first], data.static_covariates, categories)
    for name, column in zip(static_names, static.T, strict=True):
        index[f"static.{name}"] = column
    static_means, static_deviations = _moments(static, static_names)
    schema = Schema(
        data=data.model_dump(mode="json"),
        frequency=table.frequency,
        columns=columns,
        past=len(past_names),
        known=len(known_names) + len(calendar_names),
        static=static_names,
        categories=categories,
        means=(0.0, *means[1:]),
        deviations=(1.0, *deviations[1:]),
        static_means=static_means,
        static_deviations=static_deviations,
        origin=str(grid[0]),
        validation_step=validation_step,
        test_step=test_step,
        steps=len(grid),
        digest=table.findings.digest,
    )
    return Panel(values, index, schema, quality.describe(values, index, grid, table, data, skipped))


def encode(
    frame: pd.DataFrame, columns: Iterable[str], categories: dict[str, list[str]]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Covariate columns as numbers, (rows, features), with the features' names.

    A categorical column becomes one column of 0 and 1 a category; a category that the training
    part does not have is 0 in all of them.
    """
    parts: list[NDArray[np.float64]] = [np.empty((len(frame), 0))]
    names: list[str] = []
    for column in columns:
        if column in categories:
            text = frame[column].to_numpy(dtype=object)
            for category in categories[column]:
                parts.append((text == category).astype(np.float64)[:, None])
                names.append(f"{column}={category}")
        else:
            parts.append(frame[column].to_numpy(dtype=np.float64)[:, None])
            names.append(column)
    return np.hstack(parts), tuple(names)


def _usable(table: Table, data: Data) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """The rows of the series that can be learned from, and the others by name with the reason."""
    frame, reasons = table.frame, dict[str, str]()
    # Without the series left out the grid may be shorter and validation begin at another time.
    while more := _reasons(frame, table.frequency, data):
        reasons |= more
        frame = frame[~frame["unique_id"].isin(list(more))]
        if frame.empty:
            lines = [f"{name}: {reason}" for name, reason in sorted(reasons.items())]
            raise DataError(
                f"{data.path}: no series can be learned from; shorten data.context_length or "
                f"data.horizon, move data.split, or bring more rows:\n{listed(lines)}"
            )
    return frame, [{"unique_id": name, "reason": reasons[name]} for name in sorted(reasons)]


def _reasons(frame: pd.DataFrame, frequency: str, data: Data) -> dict[str, str]:
    """Why some of the series of `frame` cannot be learned from, by name."""
    grid = _grid(frame, frequency)
    needed = data.context_length + data.horizon
    begins = _split(grid, data)[0]
    codes, names = pd.factorize(frame["unique_id"])
    steps = grid.get_indexer(pd.DatetimeIndex(frame["ds"]))
    seen = frame["y"].notna().to_numpy()
    observed = pd.DataFrame({"code": codes[seen], "step": steps[seen]})
    observed["training"] = observed["step"] < begins
    spans = observed.groupby("code").agg(
        first=("step", "min"), last=("step", "max"), training=("training", "sum")
    )
    reasons: dict[str, str] = {}
    for code, name in enumerate(names):
        if code not in spans.index:
            reasons[name] = "it has no values"
            continue
        first, last, training = map(int, spans.loc[code].to_numpy())
        if last - first + 1 < needed:
            reasons[name] = (
                f"{last - first + 1} steps are fewer than context_length + horizon = {needed}"
            )
        elif training < 2:
            reasons[name] = f"fewer than 2 values before validation begins at {grid[begins]}"
    return reasons


def _grid(frame: pd.DataFrame, frequency: str) -> pd.DatetimeIndex:
    return pd.date_range(frame["ds"].min(), frame["ds"].max(), freq=frequency)


def _split(grid: pd.DatetimeIndex, data: Data) -> tuple[int, int]:
    """The grid steps at which validation and test begin."""

    def step(boundary: Boundary) -> int:
        if isinstance(boundary, float):
            return int(len(grid) * boundary)
        stamp = pd.Timestamp(boundary)
        if data.timezone is not None:  # the grid is in UTC
            stamp = stamp.tz_localize(data.timezone).tz_convert("UTC").tz_localize(None)
        return int(grid.searchsorted(stamp))

    validation, test = step(data.split.validation), step(data.split.test)
    for name, begin, end in (
        ("validation", validation, test),
        ("test", test, len(grid)),
    ):
        if begin == 0 or end - begin < data.horizon:
            raise DataError(
                f"{data.path}: data.split.{name} leaves {max(end - begin, 0):,} of {len(grid):,} "
                f"steps ({grid[0]} to {grid[-1]}) for {name}; it needs at least the horizon "
                f"of {data.horizon}, with values before it to learn from"
            )
    return validation, test


def _check_parts(
    observed: NDArray[np.intp], validation_step: int, test_step: int, data: Data
) -> None:
    """Every part of the split must hold values of the target."""
    for part, begin, end in (
        ("validation", validation_step, test_step),
        ("test", test_step, np.iinfo(np.int64).max),
    ):
        if not ((observed >= begin) & (observed < end)).any():
            raise DataError(
                f"{data.path}: the {part} part has no value of the target; move data.split"
            )


def _check_precision(frame: pd.DataFrame, data: Data) -> None:
    """Arrays are float32: refuse values that it cannot tell apart, or cannot hold."""
    groups = frame.groupby("unique_id", sort=False)["y"]
    spread = groups.std(ddof=0).to_numpy()
    level = frame["y"].abs().groupby(frame["unique_id"], sort=False).max().to_numpy()
    with np.errstate(over="ignore"):
        spacing = np.spacing(level.astype(np.float32)).astype(np.float64)
    bad = ~np.isfinite(spacing) | ((spread > 0) & (spread < 100 * spacing))
    if bad.any():
        names = groups.first().index[bad]
        raise DataError(
            f"{data.path}: values too large for what they vary by (32-bit numbers hold seven "
            f"digits); subtract a constant from the column, or change its unit, in "
            f"{len(names)} series:\n{listed([str(name) for name in names])}"
        )


def _categories(training: pd.DataFrame, data: Data) -> dict[str, list[str]]:
    categories = {}
    for column in data.categorical:
        categories[column] = sorted(training[column].dropna().unique())
        if len(categories[column]) > MAX_CATEGORIES:
            raise DataError(
                f"{data.path}: column {column!r} has {len(categories[column]):,} categories; at "
                f"most {MAX_CATEGORIES} are encoded: group them, or leave the column out"
            )
    return categories


def _moments(
    rows: NDArray[Any], columns: tuple[str, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each column; 0 and 1 where there is nothing to measure."""
    means, deviations = [], []
    for number in range(len(columns)):
        column = rows[:, number].astype(np.float32).astype(np.float64)  # as a network sees it
        column = column[np.isfinite(column)]
        means.append(float(column.mean()) if len(column) else 0.0)
        deviation = float(column.std()) if len(column) else 0.0
        deviations.append(deviation if deviation > 0 else 1.0)
    return tuple(means), tuple(deviations)


def _target_scales(
    y: NDArray[np.float32], index: pd.DataFrame, validation_step: int, season_length: int
) -> pd.DataFrame:
    """Mean, deviation and MASE scale (Hyndman & Koehler 2006) of each series' training part.

    The MASE scale is the mean absolute difference to the value one season before; a series that
    repeats itself exactly has none (NaN) and is left out of the MASE.
    """
    scales = np.empty((len(index), 3))
    training = validation_step - index["first_step"].to_numpy()
    counts = np.minimum(index["length"].to_numpy(), training)
    for number, start in enumerate(index["start"].to_numpy()):
        part = y[start : start + counts[number]].astype(np.float64)
        season = np.abs(part[season_length:] - part[:-season_length])
        season = season[np.isfinite(season)]
        part = part[np.isfinite(part)]
        naive_error = season.mean() if len(season) else 0.0
        scales[number] = part.mean(), part.std() or 1.0, naive_error or np.nan
    return pd.DataFrame(scales, columns=["mean", "std", "mase_scale"])


def save(panel: Panel, folder: Path) -> None:
    """Write a panel into an existing folder; the bytes are a function of the panel alone."""
    np.save(folder / "values.npy", panel.values, allow_pickle=False)
    panel.index.to_parquet(folder / "index.parquet", index=False)
    for name, content in (("schema", asdict(panel.schema)), ("quality", panel.quality)):
        text = json.dumps(content, indent=2, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def load(folder: Path) -> Panel:
    """Read what `save` wrote; the values stay on disk and are mapped into memory."""
    content = json.loads((folder / "schema.json").read_text(encoding="utf-8"))
    return Panel(
        values=np.load(folder / "values.npy", mmap_mode="r", allow_pickle=False),
        index=pd.read_parquet(folder / "index.parquet"),
        schema=Schema.from_json(content),
        quality=json.loads((folder / "quality.json").read_text(encoding="utf-8")),
    )
