"""Forecasts of a table of any size: read, forecast and written in parts of whole series.

What is done lies beside the output until all is, so that a run that was stopped goes on where it
was. The parts depend on the table and the model alone, and so do their bytes.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import blocks, chunks, reader
from retain.kinds.forecast.data import tables as source
from retain.kinds.forecast.data.reader import Origin, Raw
from retain.project import files as outputs

if TYPE_CHECKING:
    from retain.kinds.forecast.predict.predictor import Predictor

OnProgress = Callable[[int, int], None]  # rows done, and of how many; 0 where that is not known


def forecast(
    served: "Predictor",
    path: str | None,
    root: Path,
    output: Path,
    md5: str,
    on_progress: OnProgress,
) -> tuple[int, int]:
    """Forecast every series of a table into a folder of Parquet files.

    Args:
        path: CSV or Parquet file or a folder of Parquet files whose series stand one after another;
            the model's own table if None.
        root: the project's folder, from which the model's own table is named.
        output: the folder, which must not exist; `.NAME.part` beside it is what is done of it.
        md5: of the model, for a run that goes on must do so with the same.
        on_progress: called with how much is done, and of how much.

    Returns:
        How many series there are, and how many of their parts an earlier run had done.

    Raises:
        DataError: the table cannot be used; a series stands in several places; `output` exists.
    """
    data = served.read_as(served.data.path if path is None else path)
    place = root if path is None else Path()
    if output.exists():
        raise DataError(f"{output} exists already; remove it, or name another folder")
    scratch = output.with_name(f".{output.name}.part")
    _begin(scratch, {"model": md5, "table": _state(data, place), "rows": chunks.ROWS})
    count, done_before = 0, 0
    for number, (raw, rows, of) in enumerate(_raw_parts(data, place)):
        target = scratch / f"part-{number:06}.parquet"
        if target.exists():
            done_before += 1
            count += pyarrow.parquet.read_metadata(target).num_rows // data.horizon
        else:
            answer = served.forecast(source.check(raw, data), data.path)
            unfinished = target.with_suffix(".part")
            answer.to_parquet(unfinished, index=False)
            unfinished.replace(target)
            count += len(answer) // data.horizon
        on_progress(rows, of)
    (scratch / "recipe.json").unlink()
    scratch.rename(output)
    return count, done_before


def _begin(scratch: Path, recipe: dict[str, Any]) -> None:
    """An empty scratch folder, unless one of the same recipe is there to go on with."""
    written = scratch / "recipe.json"
    if scratch.exists():
        found = json.loads(written.read_text("utf-8")) if written.is_file() else None
        if found == recipe:
            return
        for file in scratch.iterdir():
            file.unlink()
    scratch.mkdir(parents=True, exist_ok=True)
    outputs.write_text(written, json.dumps(recipe))


def _state(data: Data, root: Path) -> list[Any]:
    """What tells one state of the table from another: its files' names, sizes and times."""
    system, place = reader.locate(data.path, root)
    found = reader.parquet_files(system, place) if reader.is_folder(data.path, root) else [place]
    try:
        infos = [system.info(name) for name in found]
    except FileNotFoundError:
        reader.fetch(data.path, root)  # which has the words
        raise
    return [[info["name"], info["size"], str(info.get("mtime", ""))] for info in infos]


def _raw_parts(data: Data, root: Path) -> Iterator[tuple[Raw, int, int]]:
    """Parts of whole series as they stand in the file; rows up to their end, and of how many."""
    try:
        if data.unique_id is None:
            raise blocks.UnsuitedError("the table has one series, or a column for each")
        table = blocks.open_table(data, root)
        used = source.used_columns(data)
        source.check_columns(data.path, list(table.names), data)
        tables = chunks.of_whole_series(table.tables(used), data.unique_id)
    except blocks.UnsuitedError:
        raw = reader.load(data.path, root, data.separator)
        yield raw, len(raw.frame), len(raw.frame)
        return
    origin, total = _origin(data.path, table)
    seen: set[Any] = set()
    begin = 0
    for part in _worded(tables, data.path):
        ids = part[data.unique_id].unique().to_pylist()
        again = seen.intersection(ids)
        if again:
            raise DataError(
                f"{data.path}: series {min(map(str, again))!r} stands in several places; sort the "
                f"table by `{data.unique_id}`, so that each series stands together"
            )
        seen.update(ids)
        frame = reader.to_frame(part)
        frame.index = pd.RangeIndex(begin, begin + len(frame))
        begin += len(frame)
        yield Raw(frame, origin, ""), begin, total


def _worded(tables: Iterator[pa.Table], path: str) -> Iterator[pa.Table]:
    """The tables; a file that cannot be read to its end is the user's to mend."""
    try:
        yield from tables
    except blocks.UnsuitedError as error:
        raise DataError(f"{path} cannot be read to its end: {error}") from None


def _origin(path: str, table: blocks.Csv | blocks.Parquet) -> tuple[Origin, int]:
    """Where the rows come from, and how many they are, if that is known."""
    if isinstance(table, blocks.Csv):
        return Origin(path), 0
    counts = [pyarrow.parquet.read_metadata(place).num_rows for place in table.places]
    if table.base is None:
        return Origin(path, 1), counts[0]
    starts = np.cumsum([0, *counts])[:-1].tolist()
    names = [place.relative_to(table.base).as_posix() for place in table.places]
    return Origin(path, 1, tuple(zip(names, starts, strict=True))), sum(counts)


def forecast_bulk(
    folder: Path,
    history: str | None,
    root: Path,
    output: Path,
    md5: str,
    on_progress: OnProgress,
) -> tuple[int, int]:
    """Forecast every series of a table with the model in a folder; see `forecast`."""
    from retain.kinds.forecast.predict import predictor

    return forecast(predictor.load(folder), history, root, output, md5, on_progress)
