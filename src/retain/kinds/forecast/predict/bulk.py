"""Forecasts of a table of any size: read, forecast and written in chunks of whole series.

What is done lies beside the output until all is, so that a run that was stopped goes on where it
was. The chunks depend on the table and the model alone, and so do their bytes.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet

from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import chunks, reader, tables
from retain.kinds.forecast.data.formats import Csv, Parquet
from retain.kinds.forecast.data.reader import Raw
from retain.project import files

OnProgress = Callable[[int, int], None]  # rows done, and of how many; 0 where that is not known


def forecast_bulk(
    folder: Path, history: str | None, root: Path, output: Path, md5: str, on_progress: OnProgress
) -> tuple[int, int]:
    """Forecast every series of a table into a folder of Parquet files.

    Args:
        folder: of the model.
        history: CSV or Parquet file or a folder of Parquet files whose series stand one after
            another; the model's own table if None.
        root: the project's folder, from which the model's own table is named.
        output: the folder, which must not exist; `.NAME.part` beside it is what is done of it.
        md5: of the model, for a run that goes on must do so with the same.
        on_progress: called with how much is done, and of how much.

    Returns:
        How many series there are, and how many of their chunks an earlier run had done.

    Raises:
        DataError: the table cannot be used; a series stands in several places; `output` exists.
    """
    from retain.kinds.forecast.predict import predictor  # here: it brings torch

    model = predictor.load(folder)
    data = model.read_as(model.data.path if history is None else history)
    table = reader.open_table(data.path, root if history is None else Path(), data.separator)
    if output.exists():
        raise DataError(f"{output} exists already; remove it, or name another folder")
    scratch = output.with_name(f".{output.name}.part")
    _begin(scratch, {"model": md5, "table": table.digest(), "rows": chunks.ROWS})
    total = table.rows if isinstance(table, Parquet) else 0
    count, done_before = 0, 0
    for number, raw in enumerate(_raw_chunks(table, data)):
        target = scratch / f"part-{number:06}.parquet"
        if target.exists():
            done_before += 1
            count += pyarrow.parquet.read_metadata(target).num_rows // data.horizon
        else:
            forecasts = model.forecast(tables.check(raw, data), data.path)
            unfinished = target.with_suffix(".part")
            forecasts.to_parquet(unfinished, index=False)
            unfinished.replace(target)
            count += len(forecasts) // data.horizon
        on_progress(int(raw.frame.index[-1]) + 1, total)
    (scratch / "recipe.json").unlink()
    scratch.rename(output)
    return count, done_before


def _begin(scratch: Path, recipe: dict[str, Any]) -> None:
    """Make an empty scratch folder, unless there is one of the same recipe to go on with."""
    file = scratch / "recipe.json"
    if scratch.exists():
        if file.is_file() and json.loads(file.read_text("utf-8")) == recipe:
            return
        for other in scratch.iterdir():
            other.unlink()
    scratch.mkdir(parents=True, exist_ok=True)
    files.write_text(file, json.dumps(recipe))


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
