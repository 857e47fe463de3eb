"""Forecasts of a table of any size: read, forecast and written in parts of whole series.

What is done lies beside the output until all is, so that a run that was stopped goes on where it
was. The parts depend on the table and the model alone, and so do their bytes.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import chunks, reader, tables
from retain.kinds.forecast.data.formats import Csv, Parquet
from retain.kinds.forecast.data.reader import Raw
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
    table = reader.open_table(data.path, root if path is None else Path(), data.separator)
    if output.exists():
        raise DataError(f"{output} exists already; remove it, or name another folder")
    scratch = output.with_name(f".{output.name}.part")
    _begin(scratch, {"model": md5, "table": _state(table), "rows": chunks.ROWS})
    count, done_before = 0, 0
    for number, raw in enumerate(_raw_chunks(table, data)):
        target = scratch / f"part-{number:06}.parquet"
        if target.exists():
            done_before += 1
            count += pyarrow.parquet.read_metadata(target).num_rows // data.horizon
        else:
            forecasts = served.forecast(tables.check(raw, data), data.path)
            unfinished = target.with_suffix(".part")
            forecasts.to_parquet(unfinished, index=False)
            unfinished.replace(target)
            count += len(forecasts) // data.horizon
        on_progress(int(raw.frame.index[-1]) + 1, table.rows)
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


def _state(table: Csv | Parquet) -> list[Any]:
    """Return what tells one state of the table from another: its files' sizes and times."""
    paths = [source for source in table.sources.values() if isinstance(source, Path)]
    if not paths:
        return [table.digest()]
    states = [(str(path.absolute()), path.stat()) for path in paths]
    return [[name, state.st_size, state.st_mtime_ns] for name, state in states]


def _raw_chunks(table: Csv | Parquet, data: Data) -> Iterator[Raw]:
    """Read a table in chunks of whole series, or as a whole where there are none."""
    if not chunks.can_be_cut(table, data):
        yield reader.load(table)
        return
    tables.check_columns(data.path, table.names, data)
    seen: set[Any] = set()
    for raw in chunks.raw_chunks(table, data):
        ids = set(raw.frame[data.unique_id])
        if again := seen & ids:
            raise DataError(
                f"{data.path}: series {min(map(str, again))!r} stands in several places; sort the "
                f"table by `{data.unique_id}`, so that each series stands together"
            )
        seen |= ids
        yield raw


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
