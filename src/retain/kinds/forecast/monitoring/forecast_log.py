"""The log of forecasts: a row for each step of each series, as a version forecast it.

Columns: `version`, its `md5`, `made` (UTC), `unique_id`, `step` (from 1), `ds` (the step on the
model's grid, in UTC where the problem has a time zone), `mean`, and each quantile under its level.
The log has nothing of the history that was sent, and nothing of the client.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.config.monitoring import LogLimit
from retain.errors import DataError
from retain.kinds.forecast.config import Data, level_column
from retain.kinds.forecast.data import alignment, keys, timestamps
from retain.kinds.forecast.data.formats import Origin
from retain.kinds.forecast.predict.request import Request
from retain.kinds.forecast.predict.table_predictor import TablePredictor
from retain.project import day_log
from retain.project.day_log import DayLog

if TYPE_CHECKING:
    import pyarrow as pa
    from prometheus_client import CollectorRegistry

    from retain.serving.champion import LoadedChampion

COLUMNS = ("version", "md5", "made", "unique_id", "step", "ds", "mean", "0.1", "0.5", "0.9")
LONGEST = 100_000  # steps of a forecast
STEP = "\0step"  # a column that no table has


@dataclass(frozen=True)
class Answered:
    """The forecasts of a request, with what they were made by, and when."""

    version: int
    md5: str  # of the model folder
    made: dt.datetime
    predictor: TablePredictor
    names: NDArray[np.object_]  # (series,)
    ahead: NDArray[np.datetime64]  # (series, horizon)
    forecasts: NDArray[np.float32]  # (series, horizon, levels + 1)


def open_log(folder: Path, limit: LogLimit, counters: "CollectorRegistry") -> DayLog[Answered]:
    """Open the log of a problem for a server, which counts its rows; raises OSError."""
    from prometheus_client import Counter, Gauge

    written = Counter("retain_log_rows", "Rows of forecasts logged.", registry=counters)
    dropped = Counter("retain_log_dropped_rows", "Rows of forecasts not logged.", registry=counters)

    def count(new: int, lost: int) -> None:
        written.inc(new)
        dropped.inc(lost)

    log = DayLog(folder, limit, to_table, count)
    is_up = Gauge("retain_log_up", "Whether the log was written last time.", registry=counters)
    is_up.set_function(lambda: not log.error)
    return log


def add(
    log: DayLog[Answered],
    champion: "LoadedChampion[TablePredictor]",
    request: Request,
    forecasts: NDArray[np.float32],
) -> None:
    """Add the forecasts of a request, (series, horizon, levels + 1), to a server's log."""
    answered = Answered(
        version=int(champion.version),
        md5=champion.md5,
        made=dt.datetime.now(dt.UTC),
        predictor=champion.predictor,
        names=request.names,
        ahead=request.ahead,
        forecasts=forecasts,
    )
    log.add(answered, request.ahead.size)


def to_table(items: Sequence[Answered]) -> "pa.Table":
    """Return the rows of some answers; at times when a series never has a value there is none."""
    import pyarrow as pa

    groups: dict[tuple[str, int], list[Answered]] = {}
    for item in items:
        groups.setdefault((item.md5, item.version), []).append(item)
    return pa.concat_tables(map(_rows, groups.values()), promote_options="permissive")


def _rows(items: Sequence[Answered]) -> "pa.Table":
    """Return the rows of answers of one model."""
    import pyarrow as pa

    model = items[0].predictor
    names = np.concatenate([item.names for item in items])
    ahead = np.concatenate([item.ahead for item in items]).astype("datetime64[us]")
    values = np.concatenate([item.forecasts for item in items])
    horizon = ahead.shape[1]
    counts = [len(item.names) * horizon for item in items]
    times = np.array([item.made.replace(tzinfo=None) for item in items], "datetime64[us]")
    made = np.repeat(times, counts)
    is_open = ~model.closed(names, ahead).reshape(-1)
    count = len(is_open)
    by_column = values.reshape(count, -1).T.astype(np.float32, order="C")
    columns = {
        "version": np.full(count, items[0].version, np.int32),
        "md5": [items[0].md5] * count,
        "made": pa.array(made, pa.timestamp("us", "UTC")),
        "unique_id": pa.array(np.repeat(names, horizon), pa.string()),
        "step": np.tile(np.arange(1, horizon + 1, dtype=np.int32), len(names)),
        "ds": pa.array(ahead.reshape(-1)),
        "mean": by_column[-1],
        **dict(zip(map(level_column, model.levels), by_column, strict=False)),
    }
    table = pa.table(columns)
    return table if is_open.all() else table.filter(pa.array(is_open))


def keep(
    model: Path,
    version: int,
    md5: str,
    tables: Iterable[pd.DataFrame],
    log: Path,
    limit: LogLimit,
) -> int:
    """Write tables of forecasts, as `retain forecast` gives them, into a log.

    Args:
        model: the folder of the model that made them; `md5` is that of the folder.
        log: folder of the problem in the log.

    Returns:
        The number of rows that were written.

    Raises:
        OSError: the log cannot be written.
    """
    import pyarrow as pa

    from retain.kinds.forecast.predict import predictor

    loaded = predictor.load(model)
    rows: list[int] = []
    writer: DayLog[pa.Table] = DayLog(
        log, limit, pa.concat_tables, lambda written, dropped: rows.append(written)
    )
    with closing(writer):
        for table in tables:
            columns = _columns(loaded, table)
            count = len(columns["unique_id"])
            same = {"version": pa.array([version] * count, pa.int32()), "md5": [md5] * count}
            logged = pa.table(same | columns)
            for begin in range(0, count, day_log.ROWS):
                part = logged.slice(begin, day_log.ROWS)
                writer.add(part, len(part))
                writer.flush()
    if writer.error:
        raise OSError(writer.error)
    return sum(rows)


def _columns(model: TablePredictor, table: pd.DataFrame) -> dict[str, Any]:
    """Return the columns of a log but `version` and `md5`, of the rows that have a forecast."""
    import pyarrow as pa

    data = model.read_as("the forecast")
    step = table.groupby([*data.names_columns], sort=False).cumcount() + 1
    known = table.assign(**{STEP: step})[table["mean"].notna()].reset_index(drop=True)
    parts = [known[column].astype("str") for column in data.names_columns]
    names = keys.join(parts) if len(parts) > 1 else parts[0]
    ds = _parsed(known[data.time_column], data, names)
    values = {name: known[name] for name in ("mean", *map(level_column, model.levels))}
    return {
        "made": pa.array([dt.datetime.now(dt.UTC)] * len(known), pa.timestamp("us", "UTC")),
        "unique_id": pa.array(names.to_numpy(dtype=object), pa.string()),
        "step": known[STEP].to_numpy(np.int32),
        "ds": pa.array(ds.to_numpy("datetime64[us]")),
        **{name: column.to_numpy(np.float32) for name, column in values.items()},
    }


def _parsed(stamps: "pd.Series[Any]", data: Data, names: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return the steps of a forecast's stamps, which are written as the training table's."""
    if isinstance(stamps.dtype, pd.DatetimeTZDtype):
        ds = stamps.dt.tz_convert("UTC").dt.tz_localize(None)
    elif pd.api.types.is_datetime64_any_dtype(stamps):
        ds = stamps
    else:
        order = "order" if data.zone is not None else data.ambiguous
        data = data.model_copy(update={"ambiguous": order})
        ds = timestamps.parse(stamps, data, Origin("the forecast", 1), None, names)
    return ds if data.align is None else alignment.aligned(ds, data)


def is_level(name: str) -> bool:
    """Whether a column has a quantile."""
    return name.replace(".", "", 1).isdecimal()


def _types() -> dict[str, Callable[[Any], bool]]:
    """Return what tells whether a column has the type that the log gives it."""
    from pyarrow import types

    def is_text(found: Any) -> bool:
        return bool(types.is_string(found) or types.is_large_string(found))

    known = dict.fromkeys(("md5", "unique_id"), is_text)
    known |= dict.fromkeys(("made", "ds"), types.is_timestamp)
    known |= dict.fromkeys(("version", "step"), types.is_integer)
    return {name: known.get(name, types.is_floating) for name in COLUMNS}


def _check_columns(
    path: Path, schema: "pa.Schema", types: Mapping[str, Callable[[Any], bool]]
) -> None:
    """Check that a file has the columns of a log, in their types; it may have other quantiles."""
    if missing := types.keys() - {*schema.names}:
        raise DataError(f"{path} is no file of forecasts: no `{min(missing)}`; remove it")
    for name in schema.names:
        is_right = types.get("mean" if is_level(name) else name)
        found = schema.field(name).type
        if is_right is not None and not is_right(found):
            raise DataError(f"{path} is no file of forecasts: `{name}` is {found}; remove it")


def _check_rows(path: Path, rows: "pa.Table") -> None:
    """Check that no row lacks what a forecast is known by, and that steps are steps."""
    for name in ("version", "md5", "made", "unique_id", "step", "ds"):
        if name in rows.column_names and rows[name].null_count:
            raise DataError(f"{path} is no file of forecasts: a row has no `{name}`; remove it")
    for name, low, high in (("step", 1, LONGEST), ("version", 1, 2**31)):
        if name in rows.column_names:
            values = rows[name].to_numpy()
            for value in values[(values < low) | (values > high)]:
                raise DataError(f"{path} is no file of forecasts: `{name}` is {value}; remove it")


def read(folder: Path, columns: list[str] | None = None) -> Iterator[pd.DataFrame]:
    """Yield the rows of each day of a log that has any, the newest first.

    Files that were removed meanwhile are left out.

    Raises:
        DataError: a file is damaged, or is no file of forecasts.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = _types()

    for day in reversed(day_log.days(folder)):
        parts = []
        for path in sorted(day.glob("[!.]*.parquet")):
            if path.exists() and not path.is_file():  # a pipe would be waited for
                raise DataError(f"{path} is no file; remove it")
            try:
                with pq.ParquetFile(path) as file:
                    _check_columns(path, file.schema_arrow, types)
                    rows = file.read(columns)
                    _check_rows(path, rows)
                    parts.append(rows)
            except FileNotFoundError:  # another process keeps the log within its limit
                continue
            except pa.ArrowException as error:
                raise DataError(f"{path} is damaged ({error}); remove it") from None
        if any(map(len, parts)):
            yield pa.concat_tables(parts, promote_options="permissive").to_pandas()
