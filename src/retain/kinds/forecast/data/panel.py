"""From a validated table to arrays on a regular grid: what `prepare` writes and training reads.

All series stand one after another in one array, in data units; a missing value is NaN and stays
NaN. Whatever is fitted to data (scales, categories, means) is fitted on the training part alone.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.errors import DataError, setting
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import calendars, origins, powers, quality, scaling
from retain.kinds.forecast.data.chunks import Chunks, in_memory
from retain.kinds.forecast.data.features import encode, feature_names, find_categories
from retain.kinds.forecast.data.series import (
    STATIC,
    check_precision,
    check_training,
    grid_of,
    select,
    split,
)
from retain.kinds.forecast.data.tables import Table


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
    minimum: float | None = None  # of the target's training part; models of format 2 have it not
    whole: bool = False  # whether every value of the target is a whole number
    power: float | None = None  # of the transform of the target, None where it is not transformed

    @property
    def low(self) -> float | None:
        """What no forecast may be below: `data.minimum`.

        Where it is not given, 0 if the training part has no negative value.
        """
        given: float | None = self.data.get("minimum")
        if given is not None:
            return given
        return 0.0 if self.minimum is not None and self.minimum >= 0 else None

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Return the schema that `asdict` and JSON made `content` of."""
        lists: dict[str, Any] = {
            key: tuple(v) if isinstance(v, list) else v for key, v in content.items()
        }
        return cls(**lists)


def steps_between(schema: Schema, stamps: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Return the step of a schema's grid at each stamp, before its origin or after its end too."""
    first, last = pd.Timestamp(stamps.min()), pd.Timestamp(stamps.max())
    origin = pd.Timestamp(schema.origin)
    before = pd.date_range(min(first, origin), origin, freq=schema.frequency)
    grid = before[:-1].append(pd.date_range(origin, max(last, origin), freq=schema.frequency))
    steps: NDArray[np.int64] = grid.get_indexer(pd.DatetimeIndex(stamps)) - (len(before) - 1)
    return steps


@dataclass(frozen=True)
class Panel:
    """Series on one grid.

    Attributes:
        values: float32 (rows, columns); the first `data.reach` rows are NaN, so that a window may
            reach back before the first series; row r of a series is step `first_step + r`.
        index: one row a series: unique_id, first_step, start (row in `values`), length, mean, std,
            mase_scale and rmsse_scale of the target's training part (of a late series as `scaling`
            says), `phase` with `align: series`, and `static.*`.
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

    @property
    def counts(self) -> bool:
        """Whether every value of the target is a whole number."""
        targets = (self.values[rows, 0] for _, rows in scaling.blocks(self.index))
        return all(bool(np.all((y == np.round(y)) | np.isnan(y))) for y in targets)

    def cut(self, validation_step: int, test_step: int, steps: int) -> "Panel":
        """Split the series elsewhere, and end them before grid step `steps`.

        Means, deviations, scales and the smallest value are those of what precedes
        `validation_step`; the columns, with the categories of their encoding, stay.
        """
        moments = [(0.0, 1.0)]  # the target is scaled by series or by window
        for number in range(1, len(self.schema.columns)):
            moments.append(scaling.column_moments(self.values, number, self.index, validation_step))
        lengths = self.schema.data["season_length"], self.schema.data["context_length"]
        scales = scaling.target_scales(self.values, self.index, validation_step, *lengths)
        index = self.index.drop(columns=scales.columns, errors="ignore")
        place = list(index.columns).index("length") + 1
        index = pd.concat([index.iloc[:, :place], scales, index.iloc[:, place:]], axis=1)
        schema = replace(
            self.schema,
            means=tuple(mean for mean, _ in moments),
            deviations=tuple(deviation for _, deviation in moments),
            power=powers.fit(self.values, self.index, self.schema.data, validation_step),
            minimum=scaling.smallest(self.values, self.index, validation_step),
            validation_step=validation_step,
            test_step=test_step,
            steps=steps,
        )
        return replace(self, index=index, schema=schema)


def build(table: Table | Chunks, data: Data, file: Path | None = None) -> Panel:
    """Put a table on its grid, split it in time and fit what is fitted.

    Args:
        file: where the values are written, and mapped from, if they are not to be held in memory.

    Raises:
        DataError: no series is long enough, a part of the split has no window, or a value cannot
            be transformed.
    """
    chunks = table if isinstance(table, Chunks) else in_memory(table, data)
    usable, skipped = select(chunks.series, chunks.frequency, data)
    series = chunks.series[usable].sort_values("unique_id")
    grid = grid_of(series, chunks.frequency)
    series = series.assign(last=series["last"].where(series["last"] <= grid[-1], grid[-1]))
    validation_step, test_step = steps = split(grid, data)
    check_precision(series, data)
    categories = find_categories(chunks, usable, grid[validation_step], data)
    index = _index(series, grid, data.reach)
    check_training(index, grid, validation_step, data)

    past = feature_names(data.past_covariates, categories)
    known = feature_names(data.known_covariates, categories)
    calendar_names = calendars.feature_names(chunks.frequency, data.calendar, data.holidays)
    columns = ("y", *past, *known, *calendar_names)
    calendar = calendars.features(grid, chunks.frequency, data.calendar, data.holidays, data.zone)
    values = _without_values(file, index, calendar, data.reach, len(columns))
    places = np.full(len(usable), -1)  # of each series in the index
    places[series.index] = np.arange(len(series))
    for frame in chunks.frames():
        _fill(values, frame, places, index, grid, categories, data)
    section = data.model_dump(mode="json")
    powers.check(values, index, section)
    for part, begin, end in (("validation", *steps), ("test", test_step, len(grid))):
        if not any(len(rows) for rows, _ in origins.find(values, index, section, begin, end)):
            raise DataError(
                f"{data.path}: no window of the {part} part has a value of the target both in its "
                f"context and in its horizon; move {setting(f'data.split.{part}')}"
            )

    static_names = feature_names(data.static_covariates, categories)
    static = encode(series, data.static_covariates, categories, STATIC).T
    for name, column in zip(static_names, static, strict=True):
        index[f"{STATIC}{name}"] = column
    static_moments = [scaling.static_moments(column) for column in static]
    schema = Schema(
        data=section,
        frequency=chunks.frequency,
        columns=columns,
        past=len(past),
        known=len(known) + len(calendar_names),
        static=static_names,
        categories=categories,
        means=(),
        deviations=(),
        static_means=tuple(mean for mean, _ in static_moments),
        static_deviations=tuple(deviation for _, deviation in static_moments),
        origin=str(grid[0]),
        validation_step=validation_step,
        test_step=test_step,
        steps=len(grid),
        digest=chunks.findings.digest,
    )
    panel = Panel(values, index, schema, {})
    panel = replace(panel, schema=replace(schema, whole=panel.counts))
    panel = panel.cut(validation_step, test_step, len(grid))
    described = quality.describe(
        values, panel.index, grid, chunks, data, columns, skipped, validation_step
    )
    return replace(panel, quality=described)


def _index(series: pd.DataFrame, grid: pd.DatetimeIndex, reach: int) -> pd.DataFrame:
    """Return where each series lies on the grid and in the array."""
    first_step = grid.get_indexer(pd.DatetimeIndex(series["first"]))
    length = grid.get_indexer(pd.DatetimeIndex(series["last"])) - first_step + 1
    columns = {
        "unique_id": series["unique_id"].reset_index(drop=True),
        "first_step": first_step,
        "start": reach + np.cumsum(length) - length,
        "length": length,
    }
    if "phase" in series:
        columns["phase"] = series["phase"].to_numpy(dtype=np.int64)
    return pd.DataFrame(columns)


def _without_values(
    file: Path | None, index: pd.DataFrame, calendar: NDArray[np.float32], reach: int, width: int
) -> NDArray[np.float32]:
    """Return the array, in memory or mapped from `file`, with the calendar's columns alone."""
    shape = reach + int(index["length"].sum()), width
    if file is None:
        values = np.empty(shape, dtype=np.float32)
    else:
        values = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=shape)
    values[:reach] = np.nan
    given = width - calendar.shape[1]
    for block, rows in scaling.blocks(index):
        values[rows, :given] = np.nan
        values[rows, given:] = calendar[scaling.steps_of(index[block])]
    return values


def _fill(
    values: NDArray[np.float32],
    frame: pd.DataFrame,
    places: NDArray[np.int64],
    index: pd.DataFrame,
    grid: pd.DatetimeIndex,
    categories: dict[str, list[str]],
    data: Data,
) -> None:
    """Write the target and the covariates of some rows.

    Args:
        places: where in the index each series of the table is, -1 if it is left out.
    """
    place = places[frame["series"]]
    frame, place = frame[place >= 0], place[place >= 0]
    within = (frame["ds"] <= grid[-1]).to_numpy()
    if not within.all():  # rows of the future
        frame, place = frame[within], place[within]
    step = grid.get_indexer(pd.DatetimeIndex(frame["ds"]))
    row = (index["start"] - index["first_step"]).to_numpy()[place] + step
    covariates = encode(frame, [*data.past_covariates, *data.known_covariates], categories)
    values[row, : 1 + covariates.shape[1]] = np.column_stack([frame["y"], covariates])


def save(panel: Panel, folder: Path) -> None:
    """Write a panel into an existing folder; the bytes are a function of the panel alone."""
    file = folder / "values.npy"
    if isinstance(panel.values, np.memmap) and Path(str(panel.values.filename)) == file.resolve():
        panel.values.flush()  # that is where they are
    else:
        np.save(file, panel.values, allow_pickle=False)
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
