"""A checked table in parts of whole series, which need not lie in memory together.

A long table in a local file, whose series stand one after another, is read in blocks; what is
checked of each part goes to disk, and what is known of each series stays. Any other table, and any
table with a fault, is read whole by `source`, which alone words what is wrong.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import blocks, frequency, reader, series_spans, timestamps
from retain.kinds.forecast.data import tables as source
from retain.kinds.forecast.data.blocks import UnsuitedError
from retain.kinds.forecast.data.tables import Findings, Table

ROWS = 1 << 17  # in a part, of one series at least


@dataclass(frozen=True)
class Parts:
    """A checked table.

    Attributes:
        series: see `spans.of`; and `part`, the number of the part that a series is in.
        frames: the parts, one after another as often as they are asked for: the rows of its series
            as they stand in `series`, each by time, with the columns of `Table.frame`.
    """

    series: pd.DataFrame
    frames: Iterable[pd.DataFrame]
    frequency: str
    findings: Findings

    def own(self, number: int) -> slice:
        """Where in `series` those of one part stand."""
        begin, end = np.searchsorted(self.series["part"].to_numpy(), [number, number + 1])
        return slice(int(begin), int(end))


def in_memory(table: Table, data: Data) -> Parts:
    """A table that is in memory already."""
    series = series_spans.of(table.frame, data)
    end = series["rows"].cumsum().to_numpy()
    part, _ = pd.factorize((end - 1) // ROWS)
    last = np.flatnonzero(np.diff(part, append=-1))
    cuts = [0, *end[last].tolist()]
    frames = [table.frame.iloc[a:b] for a, b in itertools.pairwise(cuts)]
    return Parts(series.assign(part=part), frames, table.frequency, table.findings)


def read(data: Data, root: Path, scratch: Path) -> Parts:
    """Read and check the table at `data.path`, relative to `root` or a URL.

    Args:
        scratch: an empty folder for what is checked; the parts lie there.

    Raises:
        DataError: the table cannot be used as it is.
    """
    try:
        return _in_blocks(data, root, scratch)
    except (UnsuitedError, DataError):
        pass  # and let go of what was read, before the table is read whole
    for file in scratch.iterdir():
        file.unlink()
    return in_memory(source.read(data, root), data)


@dataclass(frozen=True)
class Spilled:
    """Frames in files of Arrow, mapped when it is their turn."""

    paths: Sequence[Path]

    def __iter__(self) -> Iterator[pd.DataFrame]:
        for path in self.paths:
            with pa.memory_map(str(path)) as file:
                yield pa.ipc.open_file(file).read_all().to_pandas()


def _in_blocks(data: Data, root: Path, scratch: Path) -> Parts:
    if data.unique_id is None:
        raise UnsuitedError("the table has one series, or a column for each")
    file = blocks.open_table(data, root)
    unused = source.check_columns(data.path, list(file.names), data)
    series: list[pd.DataFrame] = []
    found: list[Findings] = []
    times: list[frequency.Times] = []
    forms: set[str | None] = set()
    paths: list[Path] = []
    for raw in of_whole_series(file.tables(source.used_columns(data)), data.unique_id):
        frame = reader.to_frame(raw)
        if data.time_format is None:
            forms.add(timestamps.form(frame[data.ds]))
        long, findings = source.clean_part(frame, data, data.path)
        series.append(series_spans.of(long, data).assign(part=len(paths)))
        if len(series) == 2:  # a table in order of time shows it early; of all see below
            _check_apart(pd.concat(series))
        times.append(frequency.times(long.set_index(_codes(series[-1]))["ds"]))
        found.append(findings)
        paths.append(scratch / f"{len(paths):06}.arrow")
        _write(long.drop(columns=["unique_id", *data.static_covariates]), paths[-1])
    every = pd.concat(series, ignore_index=True) if series else pd.DataFrame()
    total = _total(found, unused, file.digest())
    if every.empty or total.blank[data.y] == total.rows:
        raise UnsuitedError("there is no value")
    _check_apart(every)
    if len(forms) > 1:
        raise UnsuitedError("time stamps of several forms")
    made = Parts(every, Spilled(paths), _frequency(frequency.merged(times), data), total)
    if data.frequency is None:
        _check_strangers(made, frequency.merged(times))
    return made


def of_whole_series(tables: Iterator[pa.Table], unique_id: str) -> Iterator[pa.Table]:
    """Blocks of rows, cut anew where a series ends, ROWS at least each but the last."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        if sum(len(block) for block in held) < ROWS:
            continue
        both = pa.concat_tables(held)
        ids = both[unique_id]
        other = pc.fill_null(pc.not_equal(ids, ids[len(ids) - 1]), True)
        places = np.flatnonzero(np.asarray(other))
        cut = int(places[-1]) + 1 if len(places) else 0
        if cut:
            yield both.slice(0, cut)
        held = [both.slice(cut)]
    if held:
        yield pa.concat_tables(held)


def _check_apart(series: pd.DataFrame) -> None:
    if not series["unique_id"].is_unique:
        raise UnsuitedError("a series stands in several places")


def _codes(series: pd.DataFrame) -> "pd.Index[Any]":
    """The number of its series for each row of a part."""
    return pd.Index(np.repeat(np.arange(len(series)), series["rows"]))


def _write(frame: pd.DataFrame, path: Path) -> None:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    with pa.ipc.new_file(str(path), table.schema) as file:
        file.write_table(table)


def _total(found: list[Findings], unused: tuple[str, ...], digest: str) -> Findings:
    def summed(counts: list[dict[str, int]]) -> dict[str, int]:
        return {name: sum(part[name] for part in counts) for name in (counts or [{}])[0]}

    return Findings(
        rows=sum(part.rows for part in found),
        duplicates=sum(part.duplicates for part in found),
        out_of_range=summed([part.out_of_range for part in found]),
        blank=summed([part.blank for part in found]),
        unused=unused,
        digest=digest,
    )


def _frequency(found: frequency.Times, data: Data) -> str:
    """The frequency, given or found, with every stamp on its grid."""
    given = data.frequency
    name = frequency.infer(found) if given is None else frequency.canonical(given)
    if frequency.stamps_off_grid(found.stamps, found.stamp_counts, name).any():
        raise UnsuitedError("a stamp lies off the grid")
    return name


def _check_strangers(parts: Parts, found: frequency.Times) -> None:
    for number, frame in enumerate(parts.frames):
        own = parts.series[parts.own(number)]
        if frequency.strangers(frame.set_index(_codes(own))["ds"], found):
            raise UnsuitedError("a series has a frequency of its own")
