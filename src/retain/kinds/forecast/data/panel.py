"""From a validated table to arrays on a regular grid: what `prepare` writes and training reads.

All series stand one after another in one array, in data units; a missing value is NaN and stays
NaN. Whatever is fitted to data (scales, categories, means) is fitted on the training part alone.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import calendars, quality, rows, scaling, series_spans
from retain.kinds.forecast.data.chunks import Parts, in_memory
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


def build(table: Table | Parts, data: Data, file: Path | None = None) -> Panel:
    """Put a table on its grid, split it in time and fit what is fitted.

    Args:
        file: where the values are written, and mapped from, if they are not to be held in memory.

    Raises:
        DataError: no series is long enough, or no value lies in a part of the split.
    """
    parts = table if isinstance(table, Parts) else in_memory(table, data)
    good, skipped = series_spans.usable(parts.series, parts.frequency, data)
    series = parts.series[good]
    grid = series_spans.grid(series, parts.frequency)
    validation_step, test_step = series_spans.split(grid, data)
    series_spans.check_precision(series, data)
    categories = rows.categories(parts, good, grid[validation_step], data)
    index, place = rows.index_of(series, grid, data.reach)
    places = np.full(len(good), -1)
    places[good] = place

    past = rows.feature_names(data.past_covariates, categories)
    known = rows.feature_names(data.known_covariates, categories)
    calendar = calendars.features(
        grid, parts.frequency, data.calendar, data.holidays, data.timezone
    )
    calendar_names = calendars.feature_names(parts.frequency, data.calendar, data.holidays)
    columns = ("y", *past, *known, *calendar_names)
    values = _empty((data.reach + int(index["length"].sum()), len(columns)), file)
    values[: data.reach] = np.nan
    layout = rows.Layout(data, categories, grid, calendar)
    seen = np.zeros(len(grid), dtype=bool)  # the steps at which a series has a value
    for number, part in enumerate(parts.frames):
        own = parts.own(number)
        counts = parts.series["rows"].to_numpy()[own]
        seen |= rows.fill(values, part, counts, places[own], index, layout)
    _check_parts(np.flatnonzero(seen), validation_step, test_step, data)

    moments = [(0.0, 1.0)]  # the target is scaled by series or by window
    for number in range(1, len(columns)):
        moments.append(scaling.column_moments(values, number, index, validation_step))
    index = index.join(scaling.target_scales(values, index, validation_step, data.season_length))
    of_series = series.iloc[np.argsort(place)]
    static, static_names = rows.encode(
        of_series, data.static_covariates, categories, series_spans.STATIC
    )
    for name, column in zip(static_names, static.T, strict=True):
        index[f"{series_spans.STATIC}{name}"] = column
    static_moments = [scaling.static_moments(column) for column in static.T]
    schema = Schema(
        data=data.model_dump(mode="json"),
        frequency=parts.frequency,
        columns=columns,
        past=len(past),
        known=len(known) + len(calendar_names),
        static=static_names,
        categories=categories,
        means=tuple(mean for mean, _ in moments),
        deviations=tuple(deviation for _, deviation in moments),
        static_means=tuple(mean for mean, _ in static_moments),
        static_deviations=tuple(deviation for _, deviation in static_moments),
        origin=str(grid[0]),
        validation_step=validation_step,
        test_step=test_step,
        steps=len(grid),
        digest=parts.findings.digest,
    )
    found = quality.describe(values, index, grid, parts.frequency, parts.findings, data, skipped)
    return Panel(values, index, schema, found)


def _empty(shape: tuple[int, int], file: Path | None) -> NDArray[np.float32]:
    """An array to be filled, in memory or as a file of NumPy's that is mapped."""
    if file is None:
        return np.empty(shape, dtype=np.float32)
    return np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=shape)


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
