"""A checked table in chunks of whole series, which need not lie in memory together.

A long table whose series stand one after another is read in chunks; what is checked of each goes
to disk, and what is known of each series stays. Any other table is read whole.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import tables
from retain.kinds.forecast.data.formats import PLACE, Csv, Origin
from retain.kinds.forecast.data.reader import EXACT_INTEGERS, AnyTable
from retain.kinds.forecast.data.series import summarize
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
    frame = numbered(table.frame, series, data)
    return Chunks(series, lambda: [frame], table.frequency, table.findings)


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


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame, for `read_frame`."""
    write_rows(pa.Table.from_pandas(frame), path)


def read_frame(path: Path) -> pd.DataFrame:
    """Read what `write_frame` wrote."""
    frame: pd.DataFrame = read_rows(path).to_pandas()
    return frame


def write_rows(rows: pa.Table, path: Path) -> None:
    """Write rows as they are in a table."""
    with pa.ipc.new_file(str(path), rows.schema) as file:
        file.write_table(rows)


def read_rows(path: Path) -> pa.Table:
    """Read what `write_rows` wrote; the rows are mapped into memory."""
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def numbered(long: pd.DataFrame, series: pd.DataFrame, data: Data) -> pd.DataFrame:
    """Return rows with the numbers of their series, from 0, for what is one a series."""
    numbers = np.repeat(np.arange(len(series)), series["rows"])
    return long.drop(columns=["unique_id", *data.static_covariates]).assign(series=numbers)
