"""A Parquet file, or a folder of them that have the same columns, as a table in blocks.

Folders named `column=value`, as Hive and Spark write them, are columns of text.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from retain.errors import DataError
from retain.kinds.forecast.data.formats import PLACE, Origin
from retain.kinds.forecast.data.sources import (
    File,
    Source,
    check_size,
    check_unique,
    limit,
    md5_of,
)
from retain.project.files import md5
from retain.words import clipped

ROWS = 1 << 16  # of a block
CELL = 4  # bytes of a value in memory, at least
NULL = "__HIVE_DEFAULT_PARTITION__"  # Hive's name of the folder of rows without a value


@dataclass(frozen=True)
class Parquet:
    """A Parquet file, or the files of a folder, which have the same columns."""

    path: str
    sources: Mapping[str, Source]  # by name in the folder; of one file the name is empty
    max_bytes: int | None = None
    separator: str = ""

    @cached_property
    def schemas(self) -> list[pa.Schema]:
        """The columns of each file; DataError where a name is missing in one, or there twice."""
        schemas = [schema for schema, _ in self._footers]
        first_name = next(iter(self.sources))
        for name, schema in zip(self.sources, schemas, strict=True):
            check_unique(self._where(name), schema.names)
            for column in sorted(set(schema.names) ^ set(schemas[0].names)):
                has, lacks = (name, first_name) if column in schema.names else (first_name, name)
                raise DataError(f"{self.path}: column `{column}` is in {has} and not in {lacks}")
        sizes = [limit(source, self.max_bytes) for source in self.sources.values()]
        for name, (schema, rows), most in zip(self.sources, self._footers, sizes, strict=True):
            check_size(self._where(name), rows * len(schema) * CELL, most)
        return schemas

    @property
    def partitions(self) -> tuple[str, ...]:
        """The columns that the names of folders hold."""
        return tuple(_partition(next(iter(self.sources))))

    @property
    def names(self) -> list[str]:
        """The names of its columns."""
        return list(self.schemas[0].names)

    @property
    def origin(self) -> Origin:
        """Where its rows come from."""
        starts = itertools.accumulate((rows for _, rows in self._footers), initial=0)
        parts = tuple(zip(self.sources, starts, strict=False))
        return Origin(self.path, 1, () if "" in self.sources else parts)

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(rows for _, rows in self._footers)

    def digest(self) -> str:
        """Return the md5 of the file, or that of the md5 and name of each in the folder.

        Raises:
            DataError: a file has changed since it was opened.
        """
        digests = {n: md5_of(source, self._where(n)) for n, source in self.sources.items()}
        listing = "".join(f"{digest} {name}\n" for name, digest in digests.items())
        return digests.get("") or md5(listing.encode())

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield some columns, or all, and PLACE; raise DataError where they cannot be read."""
        begin, columns = 0, list(columns or self.names)
        for name in self.sources:
            folders = _partition(name)
            stored = [column for column in columns if column not in folders]
            with self._open(name) as file:
                for batch in file.iter_batches(ROWS, columns=stored, use_threads=False):
                    places = pa.array(np.arange(begin, begin + len(batch)))
                    begin += len(batch)
                    block = pa.Table.from_batches([batch])
                    for column in set(columns) - set(stored):
                        text = pa.repeat(pa.scalar(folders[column], pa.string()), len(batch))
                        block = block.append_column(column, text)
                    yield block.select(columns).append_column(PLACE, places)
        if not begin:
            raise DataError(f"{self.path} has no rows")

    @cached_property
    def _footers(self) -> list[tuple[pa.Schema, int]]:
        """The schema of each file, and how many rows it has."""
        footers = []
        for name in self.sources:
            with self._open(name) as file:
                schema, folders = file.schema_arrow.remove_metadata(), _partition(name)
                if (*folders,) != self.partitions:
                    raise DataError(
                        f"{self.path}: {name} lies in folders of the columns "
                        f"{[*folders]}, and other files in those of {[*self.partitions]}"
                    )
                for column in folders:
                    schema = schema.append(pa.field(column, pa.string()))
                footers.append((schema, file.metadata.num_rows))
        return footers

    @contextmanager
    def _open(self, name: str) -> Iterator[pyarrow.parquet.ParquetFile]:
        source = self.sources[name]
        try:
            file = source.path if isinstance(source, File) else pa.BufferReader(source)
            with pyarrow.parquet.ParquetFile(file, memory_map=True) as opened:
                yield opened
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{self._where(name)} cannot be read as Parquet: {clipped(error, 300)}"
            ) from None

    def _where(self, name: str) -> str:
        return f"{self.path.rstrip('/')}/{name}" if name else self.path


def _partition(name: str) -> dict[str, str | None]:
    """Return the columns and values that the folders of a file name.

    >>> _partition("region=north/id=a%2Fb/part-0.parquet")
    {'region': 'north', 'id': 'a/b'}
    """
    pairs = (folder.partition("=") for folder in name.split("/")[:-1] if "=" in folder)
    return {unquote(key): None if text == NULL else unquote(text) for key, _, text in pairs}
