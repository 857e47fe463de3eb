"""A sheet of a workbook (Excel's .xlsx, or .ods), read by pandas, as a table in one block.

A column of numbers stays numbers and one of dates dates; a column that mixes them becomes text.
"""

import functools
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from retain.errors import AmbiguousError, Choice, DataError
from retain.kinds.forecast.data.formats import (
    PLACE,
    Dialect,
    Origin,
)
from retain.kinds.forecast.data.sources import (
    Source,
    check_size,
    check_unique,
    limit,
    md5_of,
    open_source,
)
from retain.words import clipped, did_you_mean

Engine = Literal["openpyxl", "odf"]

CELL = re.compile(rb'<(?:\w+:)?c [^>]*?\br="([A-Z]{1,3})(\d{1,7})"')
AREA = 50_000_000  # cells, filled or not, that any sheet may have; above, SPARSE counts
SPARSE = 20  # cells for each that is filled

EXTRA = 'pip install "retain[excel]"'
PACKAGES: dict[Engine, str] = {"openpyxl": "openpyxl", "odf": "odfpy"}


@dataclass(frozen=True)
class Sheet:
    """A sheet of a workbook."""

    path: str
    source: Source
    dialect: Dialect

    @property
    def separator(self) -> str:
        """None: its fields are cells."""
        return ""

    @property
    def origin(self) -> Origin:
        """Where its rows come from."""
        return Origin(self.path, 2 + self.dialect.skip_rows)

    @property
    def names(self) -> list[str]:
        """The names of its columns."""
        return list(self._frame.columns)

    def digest(self) -> str:
        """Return the md5 of the file."""
        return md5_of(self.source, self.path)

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows that are not blank, with some columns, or all, and PLACE."""
        frame = self._frame
        if frame.empty:
            raise DataError(f"{self.path} has a header and no rows")
        table = pa.Table.from_pandas(frame[list(columns or self.names)], preserve_index=False)
        yield table.append_column(PLACE, pa.array(frame.index.to_numpy()))

    def header(self) -> int:
        """Return the row of the header, from 0: the first that is more than half filled."""
        filled = self._cells.notna().sum(axis=1).to_numpy()
        wide = np.flatnonzero(2 * filled > np.median(filled[filled > 0])) if filled.any() else [0]
        return int(wide[0])

    @cached_property
    def _cells(self) -> pd.DataFrame:
        """All cells of the sheet."""
        with open_source(self.source) as file:
            content = io.BytesIO(file.read())
        engine = _engine(content, self.path, limit(self.source, self.dialect.max_bytes))
        try:
            with pd.ExcelFile(content, engine=engine) as book:
                return pd.read_excel(
                    book,
                    sheet_name=self._sheet([str(name) for name in book.sheet_names]),
                    header=None,
                    dtype=object,
                    keep_default_na=False,
                    na_values=[""],
                )
        except ImportError as error:
            raise DataError(
                f"{self.path} is a workbook, and {PACKAGES[engine]} is not installed, which reads "
                f"it: {EXTRA}, or save the sheet as CSV"
            ) from error
        except Exception as error:  # the libraries raise whatever a damaged workbook meets
            raise DataError(
                f"{self.path} cannot be read as a workbook: {clipped(error, 300)}"
            ) from None

    @cached_property
    def _frame(self) -> pd.DataFrame:
        """Its rows, by their place in the sheet."""
        raw, skipped = self._cells, self.dialect.skip_rows
        if len(raw) <= skipped:
            raise DataError(f"{self.path} has no header in row {skipped + 1}")
        header, body = raw.iloc[skipped], raw.iloc[skipped + 1 :]
        used = header.notna() | body.notna().any()
        names = [_cell(name) for name in header[used]]
        check_unique(f"{self.path}, row {skipped + 1}", names)
        body = body.loc[:, used].set_axis(names, axis=1).reset_index(drop=True)
        body = body[body.notna().any(axis=1)]
        return pd.DataFrame({name: _column(body[name]) for name in names}, index=body.index)

    def _sheet(self, sheets: list[str]) -> str:
        """Return the sheet to read; raise DataError where it is not there, or one of several."""
        wanted = self.dialect.sheet
        if wanted is None and len(sheets) == 1:
            return sheets[0]
        if wanted is None:
            choices = [Choice(f"the sheet {sheet}", {"sheet": sheet}) for sheet in sheets]
            raise AmbiguousError(f"{self.path} has {len(sheets)} sheets", choices, 0)
        if wanted not in sheets:
            raise DataError(f"{self.path} has no sheet {wanted!r}{did_you_mean(wanted, sheets)}")
        return wanted


def _engine(content: io.BytesIO, path: str, most: int) -> Engine:
    """Return what reads a workbook; raise DataError for another archive, or too large a one."""
    try:
        with zipfile.ZipFile(content) as archive:
            names = set(archive.namelist())
            check_size(path, sum(entry.file_size for entry in archive.infolist()), most)
            for name in names:
                if name.startswith("xl/worksheets/"):
                    _check_area(archive.read(name), path)
    except zipfile.BadZipFile as error:
        raise DataError(f"{path} cannot be read as a workbook: {error}") from None
    content.seek(0)
    if "xl/workbook.xml" in names:
        return "openpyxl"
    if "content.xml" in names and "mimetype" in names:
        return "odf"
    raise DataError(f"{path} is a zip archive and no workbook; unpack it, and name the table in it")


def _check_area(sheet: bytes, path: str) -> None:
    """Raise DataError where single cells far away make a sheet huge, which is read as a whole."""
    count, rows, columns = 0, 0, 0
    for column, row in CELL.findall(sheet):
        count, rows = count + 1, max(rows, int(row))
        columns = max(columns, functools.reduce(lambda n, c: 26 * n + c - 64, column, 0))
    if rows * columns > max(AREA, SPARSE * count):
        raise DataError(
            f"{path}: its cells reach to row {rows:,} and column {columns:,}, and only {count:,} "
            "are filled; delete what is far from the table"
        )


def _column(cells: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return cells as numbers or dates where all are, and else as text."""
    filled = cells.dropna()
    kinds = set(map(type, filled))
    if kinds and kinds <= {int, float}:
        return cells.astype("float64" if float in kinds else "Int64")
    if kinds and all(issubclass(kind, pd.Timestamp | np.datetime64) for kind in kinds):
        return pd.to_datetime(cells)
    if filled.map(lambda cell: hasattr(cell, "isoformat") and hasattr(cell, "year")).all():
        return pd.to_datetime(cells) if len(filled) else cells.astype("str")
    return cells.map(_cell, na_action="ignore").astype("str").fillna("")


def _cell(cell: Any) -> str:
    """Return a cell as text: a day without its midnight, a whole number without its point."""
    if cell is None or (isinstance(cell, float) and np.isnan(cell)):
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).removesuffix(" 00:00:00") if hasattr(cell, "isoformat") else str(cell)
