"""Blocks of rows of a CSV file, as they are there, and what every format of a table shares.

It stays text, so that nothing is guessed here; what would be misread in silence (a row of another
length, a wrong separator, a header that names a column twice) is an error that names the row.
"""

import codecs
import csv
import io
import lzma
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from retain.errors import DataError, setting
from retain.kinds.forecast.data.compression import decompress
from retain.kinds.forecast.data.sources import (
    Bounded,
    Source,
    check_unique,
    limit,
    md5_of,
    open_source,
)
from retain.words import clipped, listed

SEPARATORS = (",", ";", "\t", "|")
BYTES = 1 << 20  # of a block, and at most of a row; Arrow reads dozens of them ahead
HEAD = 1_000_000  # bytes in which the header of a CSV file ends
PLACE = "\0place"  # the column of a block that counts the rows of the file from 0
NOT_DECOMPRESSED = (OSError, EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile)
LINE_ENDS = re.compile(r"(?<=\n)|(?<=\r)(?!\n)")


@dataclass(frozen=True)
class Origin:
    """Where rows come from, so that a message can name file and row.

    A row's place is its index label in the frame, counted from 0; `parts` are the files of a
    folder, each with the place of its first row; `end` is the place of the last row that has been
    read, where there are more behind it.
    """

    where: str
    first_row: int = 2
    parts: tuple[tuple[str, int], ...] = ()
    end: int | None = None

    def row(self, place: int) -> str:
        """Return `row 7`, or `part-1.parquet row 7` where the rows come from several files."""
        if not self.parts:
            return f"row {self.first_row + place:,}"
        part = np.searchsorted([start for _, start in self.parts], place, side="right") - 1
        name, start = self.parts[int(part)]
        return f"{name} row {self.first_row + place - start:,}"


@dataclass(frozen=True)
class Dialect:
    """How a file is written: keys of `data`."""

    separator: str = ","
    encoding: str = "utf-8"
    skip_rows: int = 0  # lines above the header
    sheet: str | None = None  # of a workbook
    max_bytes: int | None = None  # that it may hold, unpacked


@dataclass(frozen=True)
class Csv:
    """A CSV file, plain or compressed."""

    path: str
    source: Source
    dialect: Dialect = Dialect()

    @property
    def separator(self) -> str:
        """What stands between the fields of a row."""
        return self.dialect.separator

    @property
    def origin(self) -> Origin:
        """Where its rows come from."""
        return Origin(self.path, 2 + self.dialect.skip_rows)

    @cached_property
    def head(self) -> str:
        """The text that its header begins."""
        with self.open() as stream:
            head = bytes(stream.read(HEAD)).decode("utf-8-sig", "replace")
        if not head.strip():
            raise DataError(f"{self.path} is empty ({len(head):,} blank characters)")
        return "".join(LINE_ENDS.split(head)[self.dialect.skip_rows :])

    @cached_property
    def names(self) -> list[str]:
        """The names in its first row; DataError where they cannot be meant."""
        names, row = fields(self.head, self.separator, self.path), 1 + self.dialect.skip_rows
        if "\N{REPLACEMENT CHARACTER}" in "".join(names):
            self._check_utf8()
        if len(names) == 1:
            other = max(SEPARATORS, key=names[0].count)
            if names[0].count(other):
                raise DataError(
                    f"{self.path}, row {row}: read with {self.separator!r} there is one column, "
                    f"{clipped(repr(names[0]))}; it looks separated by {other!r}: set "
                    f"{setting('separator', other)}"
                )
        check_unique(f"{self.path}, row {row}", names)
        return names

    @property
    def line_end(self) -> str:
        """What ends its rows."""
        return next((end for end in ("\r\n", "\n", "\r") if end in self.head), "\n")

    def text(self) -> str:
        """Return all that the file holds."""
        with self.open() as stream:
            return bytes(stream.read()).decode("utf-8")

    def digest(self) -> str:
        """Return the md5 of the file; raise DataError where it has changed since it was opened."""
        return md5_of(self.source, self.path)

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield some columns, or all, as text, and PLACE, without blank rows.

        Raises:
            DataError: a row has another length than the header, or the file cannot be read.
        """
        ragged: list[tuple[int, int]] = []  # row, number of fields
        count = begin = read = 0

        def skip(row: Any) -> str:
            nonlocal count
            count += 1
            if count <= 10:
                ragged.append((row.number, row.actual_columns))
            return "skip"

        types = dict.fromkeys(self.names, pa.string())
        try:
            with self.open() as stream, _quiet():
                for batch in pyarrow.csv.open_csv(
                    stream,
                    # with threads, a row would not know its number
                    pyarrow.csv.ReadOptions(
                        use_threads=False, block_size=BYTES, skip_rows=self.dialect.skip_rows
                    ),
                    pyarrow.csv.ParseOptions(
                        delimiter=self.separator,
                        newlines_in_values=True,
                        ignore_empty_lines=False,  # they count as rows
                        invalid_row_handler=skip,
                    ),
                    pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=False),
                ):
                    places = np.arange(begin, begin + len(batch))
                    begin += len(batch)
                    if ragged and ragged[0][0] - 2 < begin:
                        continue  # only the other rows of another length matter now
                    block = pa.Table.from_batches([batch]).select(columns or self.names)
                    block = block.append_column(PLACE, pa.array(places))
                    blank = np.logical_and.reduce([pc.equal(c, "") for c in batch.columns])
                    block = block.filter(pa.array(~blank)) if blank.any() else block
                    read += len(block)
                    yield block
        except pa.ArrowInvalid as error:
            if "UTF8" in str(error) or "Expected" in str(error):
                self._check_utf8()
            if "Empty CSV" not in str(error):
                raise DataError(f"{self.path} cannot be read as CSV: {_reason(error)}") from None
        if ragged:
            rows = [f"row {row:,}: {found} fields" for row, found in ragged]
            raise DataError(
                f"{self.path}: rows of another length than the header's {len(self.names)} fields, "
                f"which would shift the columns ({count:,} row{'s' * (count != 1)}):\n"
                f"{listed(rows, count=count)}\n"
                f"Quote a field that holds {self.separator!r}, and take away a separator too many."
            )
        if not read:
            raise DataError(f"{self.path} has a header and no rows")

    @contextmanager
    def open(self) -> Iterator[Any]:
        """Open what the file holds, decompressed, as UTF-8; DataError where that cannot be read."""
        encoding = self.dialect.encoding
        try:
            with open_source(self.source) as file:
                most = limit(self.source, self.dialect.max_bytes)
                stream = Bounded(decompress(file, self.path), self.path, most)
                if not is_utf8(encoding):
                    stream = pa.transcoding_input_stream(
                        pa.PythonFile(stream, mode="r"), encoding, "utf-8"
                    )
                yield stream
        except UnicodeError as error:
            raise DataError(f"{self.path} is not written in {encoding}: {error}") from None
        except NOT_DECOMPRESSED as error:
            raise DataError(f"{self.path} cannot be decompressed: {error}") from None

    def encode(self, text: str, whole: bool = False) -> bytes:
        """Return text as it is written behind the rows of the file, or in place of all of it."""
        name = codecs.lookup(self.dialect.encoding).name
        if name == "utf-16":
            with open_source(self.source) as file:
                big = decompress(file, self.path).read(2) == codecs.BOM_UTF16_BE
            name = "utf-16-be" if big else "utf-16-le"
            text = "\N{BYTE ORDER MARK}" * whole + text  # `text()` is without it
        try:
            return text.encode("utf-8" if name == "utf-8-sig" else name)
        except UnicodeEncodeError as error:
            raise DataError(f"{self.path}: cannot be written in {name}: {error}") from None

    def _check_utf8(self) -> None:
        """Raise DataError for the first row that is not UTF-8."""
        decoder, row, ended = codecs.getincrementaldecoder("utf-8")(), 1, False
        with self.open() as stream:
            while not ended:
                block = bytes(stream.read(BYTES))
                ended = not block
                try:
                    decoder.decode(block, final=ended)
                except UnicodeDecodeError as error:
                    before = bytes(error.object[: error.start])
                    row += before.count(b"\n") or before.count(b"\r")
                    raise DataError(
                        f"{self.path}, row {row:,}: byte 0x{error.object[error.start]:02x} is not "
                        f"UTF-8; set {setting('encoding')} to how it is written, such as cp1252, "
                        "or save it as UTF-8"
                    ) from None
                row += block.count(b"\n") or block.count(b"\r")


def is_utf8(encoding: str) -> bool:
    """Return whether an encoding is UTF-8, with a byte order mark or without."""
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def fields(text: str, separator: str, where: str) -> list[str]:
    """Return the fields of the first row of CSV text; raise DataError where one never ends."""
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
    except csv.Error as error:
        raise DataError(
            f"{where}: its first rows cannot be read as CSV ({error}), as where a quote is not "
            "closed"
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Let Arrow print nothing of a row of another length that is not UTF-8: it is no row to skip,
    and `Csv._check_utf8` names it.
    """
    hook = sys.unraisablehook
    if getattr(hook, "__name__", "") == "_of_arrow":  # another thread reads, too
        yield
        return

    def _of_arrow(problem: Any) -> None:
        if not isinstance(problem.exc_value, UnicodeDecodeError):
            hook(problem)

    sys.unraisablehook = _of_arrow
    try:
        yield
    finally:
        sys.unraisablehook = hook


def _reason(error: Exception) -> str:
    """Return what Arrow says, in words that help where a row is too long."""
    if "straddl" in str(error) or "out of sync" in str(error):
        return f"a row is longer than {BYTES:,} bytes, as where a quote is not closed"
    return clipped(str(error), 300)
