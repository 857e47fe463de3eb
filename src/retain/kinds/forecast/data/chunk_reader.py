"""Read and check a long table in chunks of whole series: one pass reads, and a map checks.

What is checked of each chunk goes to disk, and what is known of each series stays.
"""

import dataclasses
import functools
import json
import operator
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retain import engine
from retain.engine import Job, Part
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
from retain.kinds.forecast.data.chunks import (
    Chunks,
    can_be_cut,
    in_memory,
    numbered,
    read_frame,
    read_rows,
    row_chunks,
    write_frame,
    write_rows,
)
from retain.kinds.forecast.data.formats import Origin
from retain.kinds.forecast.data.reader import AnyTable, Raw
from retain.kinds.forecast.data.series import STATIC, summarize
from retain.kinds.forecast.data.tables import Findings

FUNCTION = "retain.kinds.forecast.data.chunk_reader:check_rows"
FIELDS = ("rows", "duplicates", "out_of_range", "blank")  # of `Findings`, of a chunk


def read(data: Data, root: Path, scratch: Path, job: Job | None = None) -> Chunks:
    """Read and check the table at `data.path`, relative to `root` or a URL.

    Args:
        scratch: a folder for what is checked; the chunks lie there.
        job: what the parts belong to.

    Raises:
        DataError: the table cannot be used as it is.
    """
    table = reader.open_for(data, root)
    job = job or Job("prepare", scratch.name, root)
    checked = _in_chunks(table, data, scratch, job) if can_be_cut(table, data) else None
    if checked is None:
        for other in scratch.iterdir():
            shutil.rmtree(other) if other.is_dir() else other.unlink()
        return in_memory(tables.check(reader.load(table), data), data)
    return checked


def check_rows(
    out: Path, rows: str, origin: dict[str, Any], data: dict[str, Any], where: str, like: str | None
) -> None:
    """Check a chunk that is written to a file: a part.

    Args:
        where: the path of the table, for messages.
        like: the file with a row of an earlier chunk.
    """
    raw = read_raw(rows, origin, where)
    parsed, first = Data.model_validate(data), None
    if like is not None:
        row = reader.to_frame(read_rows(Path(like)), where)
        first = timestamps.column(row, parsed).iloc[0]
    check_raw(raw, parsed, first, out)


def read_raw(rows: str, origin: dict[str, Any], where: str) -> Raw:
    """Read a chunk that is written to a file, with the fields of its origin as JSON has them."""
    parts = tuple((name, first) for name, first in origin["parts"])
    return Raw(reader.to_frame(read_rows(Path(rows)), where), Origin(**origin | {"parts": parts}))


def check_raw(raw: Raw, data: Data, like: object, out: Path) -> None:
    """Check a chunk, and write its rows, its series, its times and its findings into a folder.

    Args:
        like: see `timestamps.parse`.
    """
    long, findings = tables.to_long(raw, data, like)
    series = summarize(long, data)
    frame = numbered(long, series, data)
    times = frequency.count_times(frame["series"].to_numpy(), frame["ds"])
    out.mkdir()
    write_frame(frame, out / "rows.arrow")
    write_frame(series, out / "series.arrow")
    content = {key: getattr(findings, key) for key in FIELDS}
    (out / "findings.json").write_text(json.dumps(content), encoding="utf-8")
    arrays = dict(zip(frequency.Times._fields, times, strict=True))
    stamps = {f"stamps.{number}": some for number, some in enumerate(findings.stamps)}
    np.savez(out / "times.npz", **arrays, **stamps)  # type: ignore[arg-type]


def _read_times(folder: Path) -> tuple[frequency.Times, Findings]:
    content = json.loads((folder / "findings.json").read_text(encoding="utf-8"))
    with np.load(folder / "times.npz", allow_pickle=False) as arrays:
        times = frequency.Times(*(arrays[name] for name in frequency.Times._fields))
        count = len(arrays.files) - len(times)
        stamps = tuple(arrays[f"stamps.{number}"] for number in range(count))
    return times, Findings(**content, stamps=stamps)


def _parts(table: AnyTable, data: Data, scratch: Path, written: deque[Path]) -> Iterator[Part]:
    """Read the chunks of a table, and add to `written` the files that may be written of them."""
    content = data.model_dump(mode="json", by_alias=True, round_trip=True)
    first, like = scratch / "first.arrow", None
    for number, (rows, origin) in enumerate(row_chunks(table, data)):
        if number == 0:
            write_rows(rows.slice(0, 1), first)
            one = reader.to_frame(rows.slice(0, 1), table.path)
        written.append(scratch / f"raw-{number:06}.arrow")
        yield Part(
            scratch / f"chunk-{number:06}",
            {
                "rows": str(written[-1]),
                "origin": dataclasses.asdict(origin),
                "data": content,
                "where": table.path,
                "like": str(first) if number else None,
            },
            partial(write_rows, rows, written[-1]),
            partial(_check_here, rows, table.path, origin, data, like),
        )
        like = timestamps.column(one, data).iloc[0]


def _check_here(rows: Any, where: str, origin: Origin, data: Data, like: object, out: Path) -> None:
    check_raw(Raw(reader.to_frame(rows, where), origin), data, like, out)


def _in_chunks(table: AnyTable, data: Data, scratch: Path, job: Job) -> Chunks | None:
    """Read and check a table; None where a series stands in several places."""
    unused = tables.check_columns(data.path, table.names, data)
    series: list[pd.DataFrame] = []
    findings: list[Findings] = []
    times: list[frequency.Times] = []
    paths: list[tuple[Path, int]] = []  # of the rows, and the number of their first series
    count, written = 0, deque[Path]()
    with closing(engine.map(FUNCTION, _parts(table, data, scratch, written), job)) as folders:
        for folder in folders:
            written.popleft().unlink(missing_ok=True)
            series.append(read_frame(folder / "series.arrow"))
            if len(series) == 2 and not pd.concat(series)["unique_id"].is_unique:
                return None  # as it is in a table in order of time, which shows it early
            of_chunk = _read_times(folder)
            times.append(of_chunk[0])
            findings.append(of_chunk[1])
            paths.append((folder / "rows.arrow", count))
            count += len(series[-1])
    every = pd.concat(series, ignore_index=True)
    if not every["unique_id"].is_unique:
        return None
    total = functools.reduce(operator.add, findings)
    tables.check_values(total, data, table.origin)
    total = dataclasses.replace(total, unused=unused, digest=table.digest())

    def frames() -> Iterator[pd.DataFrame]:
        for path, first in paths:
            frame = read_frame(path)
            yield frame.assign(series=frame["series"] + first) if first else frame

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
) -> tuple[pd.DataFrame, frequency.Times, list[tuple[Path, int]]]:
    """Bring aggregated chunks to the end of the table, which is known after the last of them."""
    names, paths = series["unique_id"].to_numpy(), list[tuple[Path, int]]()
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
        whole = numbered(long, summaries[-1], data)
        times.append(frequency.count_times(whole["series"].to_numpy(), whole["ds"]))
        paths.append((scratch / f"whole-{len(paths):06}.arrow", count))
        write_frame(whole, paths[-1][0])
        count += len(summaries[-1])
    return pd.concat(summaries, ignore_index=True), frequency.merge_times(times), paths
