"""A checked table in chunks of whole series, which need not lie in memory together.

A long table whose series stand one after another is read in chunks; what is checked of each goes
to disk, and what is known of each series stays. Any other table is read whole.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import (
    aggregate,
    frequency,
    grid,
    mistyped,
    reader,
    tables,
    timestamps,
)
from retain.kinds.forecast.data.formats import PLACE, Csv, Origin
from retain.kinds.forecast.data.reader import EXACT_INTEGERS, AnyTable, Raw
from retain.kinds.forecast.data.series import STATIC, summarize
from retain.kinds.forecast.data.sheets import Sheet
from retain.kinds.forecast.data.tables import Findings, Table

ROWS = 1 << 17  # in a chunk, of one series at least


@dataclass(frozen=True)
class Chunks:
    """A checked table.

    Attributes:
        series: see `series.summarize`.
        frames: returns the chunks, one after another, whose rows are by series and time and
            indexed by their place in the file: `series`, its row in `series`, and the columns of
            `Table.frame` that may differ within one.
    """

    series: pd.DataFrame
    frames: Callable[[], Iterable[pd.DataFrame]]
    frequency: str
    findings: Findings


def in_memory(table: Table, data: Data) -> Chunks:
    """Make one chunk of a table that is in memory already."""
    series = summarize(table.frame, data)
    frame = _numbered(table.frame, series, 0, data)
    return Chunks(series, lambda: [frame], table.frequency, table.findings)


def read(data: Data, root: Path, scratch: Path) -> Chunks:
    """Read and check the table at `data.path`, relative to `root` or a URL.

    Args:
        scratch: an empty folder for what is checked; the chunks lie there.

    Raises:
        DataError: the table cannot be used as it is.
    """
    table = reader.open_for(data, root)
    checked = _in_chunks(table, data, scratch) if can_be_cut(table, data) else None
    if checked is None:
        for file in scratch.iterdir():
            file.unlink()
        return in_memory(tables.check(reader.load(table), data), data)
    return checked


def can_be_cut(table: AnyTable, data: Data) -> bool:
    """Return whether a chunk of the table means by itself what it means in the whole."""
    if not data.id_columns or data.dates_across or isinstance(table, Sheet):
        return False
    if isinstance(table, Csv):
        return True
    if any(schema != table.schemas[0] for schema in table.schemas):
        return False
    # Categories of other types are other texts where a value is missing, in whatever chunk.
    same_text = [pa.string(), pa.large_string(), *EXACT_INTEGERS]
    types = dict(zip(table.names, table.schemas[0].types, strict=True))
    return all(types.get(name, pa.string()) in same_text for name in data.categorical)


def row_chunks(table: AnyTable, data: Data) -> Iterator[tuple[pa.Table, Origin]]:
    """Read the columns in use in chunks of whole series, ROWS at least in each but the last."""
    pending: list[pa.Table] = []
    for block in table.blocks(tables.used_columns(data)):
        pending.append(block)
        if sum(map(len, pending)) < ROWS:
            continue
        rows = pa.concat_tables(pending)
        of_others = [
            np.asarray(pc.fill_null(pc.not_equal(ids, ids[len(ids) - 1]), True))
            for ids in map(rows.column, data.id_columns)
        ]
        places = np.flatnonzero(np.logical_or.reduce(of_others))
        cut = int(places[-1]) + 1 if len(places) else 0
        if cut:
            chunk = rows.slice(0, cut)
            yield chunk, dataclasses.replace(table.origin, end=chunk[PLACE][-1].as_py())
        pending = [rows.slice(cut)]
    yield pa.concat_tables(pending), table.origin


def _in_chunks(table: AnyTable, data: Data, scratch: Path) -> Chunks | None:
    """Read and check a table; None where a series stands in several places."""
    unused = tables.check_columns(data.path, table.names, data)
    series: list[pd.DataFrame] = []
    findings: list[Findings] = []
    times: list[frequency.Times] = []
    paths: list[Path] = []
    count, like = 0, None
    for rows, origin in row_chunks(table, data):
        raw = Raw(reader.to_frame(rows, table.path), origin)
        long, of_chunk = tables.to_long(raw, data, like)
        like = timestamps.column(raw.frame, data).iloc[0] if like is None else like
        series.append(summarize(long, data))
        if len(series) == 2 and not pd.concat(series)["unique_id"].is_unique:
            return None  # as it is in a table in order of time, which shows it early
        frame = _numbered(long, series[-1], count, data)
        count += len(series[-1])
        times.append(frequency.count_times(frame["series"].to_numpy(), frame["ds"]))
        findings.append(of_chunk)
        paths.append(scratch / f"{len(paths):06}.arrow")
        _write(frame, paths[-1])
    every = pd.concat(series, ignore_index=True)
    if not every["unique_id"].is_unique:
        return None
    total = functools.reduce(operator.add, findings)
    tables.check_values(total, data, table.origin)
    total = dataclasses.replace(total, unused=unused, digest=table.digest())

    def frames() -> Iterator[pd.DataFrame]:
        for path in paths:
            with pa.memory_map(str(path)) as file:
                yield pa.ipc.open_file(file).read_all().to_pandas()

    all_times, names = frequency.merge_times(times), pd.Index(every["unique_id"])
    mistyped.check_ends(frames, all_times, data, table.origin)
    if data.aggregate is not None:
        limits = aggregate.whole_steps(total.stamps, data, data.path)
        every, all_times, paths = _complete(frames(), every, limits, data, scratch)
        names = pd.Index(every["unique_id"])
    name = grid.check_grid(frames, names, all_times, data, table.origin)
    return Chunks(every, frames, name, total)


def _complete(
    frames: Iterable[pd.DataFrame],
    series: pd.DataFrame,
    limits: tuple[int, int],
    data: Data,
    scratch: Path,
) -> tuple[pd.DataFrame, frequency.Times, list[Path]]:
    """Bring aggregated chunks to the end of the table, which is known after the last of them."""
    names, paths = series["unique_id"].to_numpy(), list[Path]()
    summaries: list[pd.DataFrame] = []
    times: list[frequency.Times] = []
    count = 0
    for frame in frames:
        named = frame.assign(unique_id=names[frame["series"]]).drop(columns="series")
        for name in data.static_covariates:
            named[name] = series[STATIC + name].to_numpy()[frame["series"]]
        long = aggregate.complete(named, *limits, data)
        if long.empty:
            continue
        summaries.append(summarize(long, data))
        numbered = _numbered(long, summaries[-1], count, data)
        count += len(summaries[-1])
        times.append(frequency.count_times(numbered["series"].to_numpy(), numbered["ds"]))
        paths.append(scratch / f"whole-{len(paths):06}.arrow")
        _write(numbered, paths[-1])
    return pd.concat(summaries, ignore_index=True), frequency.merge_times(times), paths


def _write(frame: pd.DataFrame, path: Path) -> None:
    arrow = pa.Table.from_pandas(frame)
    with pa.ipc.new_file(str(path), arrow.schema) as file:
        file.write_table(arrow)


def _numbered(long: pd.DataFrame, series: pd.DataFrame, first: int, data: Data) -> pd.DataFrame:
    """Return rows with the numbers of their series, from `first` on, for what is one a series."""
    numbers = first + np.repeat(np.arange(len(series)), series["rows"])
    return long.drop(columns=["unique_id", *data.static_covariates]).assign(series=numbers)
