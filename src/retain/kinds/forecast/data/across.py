"""A table with dates across the top: a row is a series, and a column of values a time stamp."""

import functools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from retain.errors import DataError, setting
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import timestamps
from retain.kinds.forecast.data.compression import compress
from retain.kinds.forecast.data.formats import Csv, Origin
from retain.kinds.forecast.data.reader import Raw


def melt(raw: Raw, data: Data) -> tuple[Raw, tuple[str, ...]]:
    """Return a row for each series and time stamp, in the columns `data.time_column` and `data.y`.

    Each has the place of its series in the file.

    Returns:
        The rows, and the columns that are neither used nor a time stamp.

    Raises:
        DataError: no column is a time stamp.
    """
    used = {*data.id_columns, *data.covariates}
    others = [name for name in map(str, raw.frame.columns) if name not in used]
    stamps = stamp_columns(others, data)
    if not stamps:
        raise DataError(
            f"{raw.origin.where}: no name of a column is a time stamp; leave out "
            f"{setting('dates_across')}, or set {setting('time_format')} to how they are written"
        )
    frame, size = raw.frame, len(stamps)
    places = np.repeat(np.arange(len(frame)), size)
    long = frame[[name for name in frame if name in used]].iloc[places]
    values = frame[stamps].astype(object).to_numpy().reshape(-1)
    long = long.assign(**{data.time_column: np.tile(np.array(stamps, dtype=object), len(frame))})
    long[data.time_column] = long[data.time_column].astype("str")
    numeric = all(pd.api.types.is_numeric_dtype(dtype) for dtype in frame[stamps].dtypes)
    column = pd.Series(values, index=long.index, dtype=object)
    long[data.y] = column.astype("float64") if numeric else column.fillna("").astype("str")
    known = set(stamps)
    return Raw(long, raw.origin, raw.digest), tuple(n for n in others if n not in known)


def stamp_columns(names: list[str], data: Data) -> list[str]:
    """Return the names that `timestamps.parse` reads, in their order."""
    if not names:
        return []
    try:
        timestamps.parse(pd.Series(names, dtype="str"), data, Origin(data.path))
    except DataError:
        if len(names) == 1:
            return []
        middle = len(names) // 2
        return stamp_columns(names[:middle], data) + stamp_columns(names[middle:], data)
    return names


def lay_across(table: pd.DataFrame, data: Data) -> pd.DataFrame:
    """Return a table of one row a series and stamp as the table of the problem has it."""
    rows = [*data.id_columns, *data.static_covariates]
    wide = table.pivot_table(
        index=rows, columns=data.time_column, values=data.y, sort=False, dropna=False, observed=True
    )
    return wide.reset_index(drop=not rows).rename_axis(columns=None)


def extend(
    old: pd.DataFrame, more: pd.DataFrame, gaps: Sequence[pd.DataFrame], data: Data
) -> pd.DataFrame:
    """Return a table with the values, columns and rows that another one has besides.

    Both have dates across the top, as they are in their files; what both have is the same.

    Args:
        gaps: which cells of `old` and of `more` have no value.
    """
    keys = list(data.id_columns)
    each = (old.mask(gaps[0]), more.mask(gaps[1]), old, more)
    by_series = [one.set_index(keys) if keys else one.reset_index(drop=True) for one in each]
    whole = functools.reduce(pd.DataFrame.combine_first, by_series)
    if keys:
        names = pd.concat([old[keys], more[keys]]).drop_duplicates()
        index = pd.MultiIndex.from_frame(names) if len(keys) > 1 else pd.Index(names[keys[0]])
        whole = whole.reindex(index).reset_index()
    columns = [*old.columns, *(name for name in more.columns if name not in old.columns)]
    return whole[columns].fillna("")


def rewritten(table: Csv, frame: pd.DataFrame) -> bytes:
    """Return the bytes of a CSV file with other columns and rows, below its titles."""
    text = table.text()
    mark = text.startswith("\N{BYTE ORDER MARK}")
    above = text.splitlines(keepends=True)[: table.dialect.skip_rows]
    body = frame.to_csv(index=False, sep=table.separator, lineterminator=table.line_end)
    sign = "\N{BYTE ORDER MARK}" * (mark and not above)
    return compress(table.encode(sign + "".join(above) + body, whole=True), table.path)
