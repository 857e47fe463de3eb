"""Rows that go into the file of a table: in place of some of its rows, and behind all of them."""

import contextlib
import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from retain.errors import DataError
from retain.kinds.forecast.data.compression import compress
from retain.kinds.forecast.data.formats import LINE_ENDS, Csv

Row: TypeAlias = tuple[Any, ...]

MARK = "\N{BYTE ORDER MARK}"


def to_csv(
    table: Csv, content: bytes, old: pd.DataFrame, filled: pd.DataFrame, added: pd.DataFrame
) -> bytes:
    """Return the bytes of a CSV file with new rows; its other rows keep theirs.

    Args:
        content: the bytes of the file.
        old: rows as they are in the file, by their place in it.
        filled: rows by the place of those that they replace.
        added: rows that go behind the others.

    Raises:
        DataError: a row to replace is not found.
    """
    end, names = table.line_end, table.names
    text = table.text()
    behind = "" if text.endswith(("\n", "\r")) else end
    lines = (_line(row, table, end) for row in added[names].itertuples(index=False, name=None))
    behind += "".join(lines)
    if filled.empty:
        return content + compress(table.encode(behind), table.path)
    before, after = (
        rows.itertuples(index=False, name=None)
        for rows in (old.loc[filled.index, names], filled[names])
    )
    replaced = dict(zip(filled.index, zip(before, after, strict=True), strict=True))
    text = _replace(text, table, replaced)
    return compress(table.encode(text + behind * bool(len(added)), whole=True), table.path)


def _replace(text: str, table: Csv, replaced: Mapping[Any, tuple[Row, Row]]) -> str:
    """Return the text of a CSV file with the rows at some places replaced, but not their line ends.

    Args:
        replaced: by place, a row as it is in the file, and another one.
    """
    mark = MARK * text.startswith(MARK)
    lines = LINE_ENDS.split(text.removeprefix(mark))
    skip = table.dialect.skip_rows
    rows, begin, found = csv.reader(lines[skip:], delimiter=table.separator), skip, 0
    with contextlib.suppress(csv.Error):  # as of a quote that is not closed
        for place, row in enumerate(rows, -1):  # the first is the header
            end = skip + rows.line_num
            before, after = replaced.get(place, (None, ()))
            if tuple(row) == before:
                last, found = lines[end - 1], found + 1
                line = _line(after, table, last[len(last.rstrip("\r\n")) :])
                lines[begin:end] = [line, *[""] * (end - begin - 1)]
            begin = end
    if found < len(replaced):
        raise DataError(
            f"{table.path}: {len(replaced) - found:,} rows without values are not found, as where "
            "quotes are not closed; write their values into it yourself"
        )
    return mark + "".join(lines)


def _line(row: Row, table: Csv, end: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=table.separator, lineterminator=end).writerow(row)
    return text.getvalue()


def to_parquet(
    target: Path, filled: pd.DataFrame, added: pd.DataFrame, where: str, alone: bool = False
) -> bytes:
    """Return a Parquet file with new rows, or of these alone, in the types of `target`.

    Args:
        filled: rows by the place of those that they replace.
        added: rows that go behind the others.
        where: names the new rows in an error.

    Raises:
        DataError: a value cannot have its column's type.
    """
    old = pyarrow.parquet.read_table(target)
    try:
        tables = (pa.Table.from_pandas(rows, preserve_index=False) for rows in (filled, added))
        new = pa.concat_tables(rows.select(old.column_names).cast(old.schema) for rows in tables)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"{where}: a column cannot be given the type that it has in {target.name}: {error}"
        ) from None
    whole = new if alone else pa.concat_tables([old, new])
    if len(filled):
        rows = np.arange(len(whole))
        of_filled = rows[len(old) : len(old) + len(filled)]
        rows[filled.index.to_numpy(dtype=np.int64)] = of_filled
        whole = whole.take(np.delete(rows, of_filled))
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(whole, buffer)
    return buffer.getvalue()
