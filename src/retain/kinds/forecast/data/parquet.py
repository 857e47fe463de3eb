"""A Parquet file, or a folder of them that have the same columns, as a table in blocks."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from retain.errors import DataError
from retain.kinds.forecast.data.formats import PLACE, Origin, Source, check_unique, md5_of
from retain.project.files import md5

ROWS = 1 << 16  # of a block


@dataclass(frozen=True)
class Parquet:
    """A Parquet file, or the files of a folder, which have the same columns."""

    path: str
    sources: Mapping[str, Source]  # by name in the folder; of one file the name is empty
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
        return schemas

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
        """Return the md5 of the file, or that of the md5 and name of each in the folder."""
        digests = {name: md5_of(source) for name, source in self.sources.items()}
        listing = "".join(f"{digest} {name}\n" for name, digest in digests.items())
        return digests.get("") or md5(listing.encode())

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield some columns, or all, and PLACE; raise DataError where they cannot be read."""
        begin, columns = 0, columns or self.names
        for name in self.sources:
            with self._open(name) as file:
                for batch in file.iter_batches(ROWS, columns=columns, use_threads=False):
                    places = pa.array(np.arange(begin, begin + len(batch)))
                    begin += len(batch)
                    yield pa.Table.from_batches([batch]).append_column(PLACE, places)
        if not begin:
            raise DataError(f"{self.path} has no rows")

    @cached_property
    def _footers(self) -> list[tuple[pa.Schema, int]]:
        """The schema of each file, and how many rows it has."""
        footers = []
        for name in self.sources:
            with self._open(name) as file:
                footers.append((file.schema_arrow.remove_metadata(), file.metadata.num_rows))
        return footers

    @contextmanager
    def _open(self, name: str) -> Iterator[pyarrow.parquet.ParquetFile]:
        source = self.sources[name]
        try:
            file = source if isinstance(source, Path) else pa.BufferReader(source)
            with pyarrow.parquet.ParquetFile(file, memory_map=True) as opened:
                yield opened
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{self._where(name)} cannot be read as Parquet: {error}") from None

    def _where(self, name: str) -> str:
        return f"{self.path.rstrip('/')}/{name}" if name else self.path
