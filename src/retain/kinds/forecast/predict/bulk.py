"""Forecasts of a table of any size: read, forecast and written in chunks of whole series.

Finished chunks are kept next to the output until all are finished, so that a stopped run continues
where it was. The chunks and their bytes depend only on the table and the model.
"""

import json
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from retain import engine
from retain.config.forecasts import BulkForecasts, ForecastOptions
from retain.engine import Job, Part, mapping
from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import chunks, keys, reader, tables
from retain.kinds.forecast.data.parquet import Parquet
from retain.kinds.forecast.data.reader import AnyTable, Raw
from retain.project import files

OnProgress = Callable[[int, int], None]  # rows done, and of how many; 0 where that is not known


def forecast_bulk(
    folder: Path,
    history: str | None,
    root: Path,
    output: Path,
    md5: str,
    on_progress: OnProgress,
    options: ForecastOptions,
) -> BulkForecasts:
    """Forecast the series of a table into a folder of Parquet files.

    A series counts as ended if other series of its chunk have later values, since the rest of the
    table is not read yet.

    Args:
        folder: of the model.
        history: CSV or Parquet file or a folder of Parquet files, in which the rows of each series
            are adjacent; the model's table if None.
        root: the project's folder, to which the path of the model's table is relative.
        output: the folder, which must not exist; `.NAME.part` next to it has the finished chunks.
        md5: of the model, since a continued run must use the same one.
        on_progress: called with the amount done and the total.
        options: of the forecast.

    Raises:
        DataError: the table cannot be used; a series stands in several places; `output` exists; no
            series can be forecast, or not all, if that is an error.
    """
    from retain.kinds.forecast.predict import (
        bulk_part,
        forecast_table,
        future,
        predictor,
        table_predictor,
    )

    model = predictor.load(folder)
    data = model.read_as(model.data.path if history is None else history)
    table = reader.open_for(data, root if history is None else Path())
    coming = None if options.future is None else future.read(options.future, data)
    if output.exists():
        raise DataError(f"{output} exists already; remove it, or name another folder")
    scratch = output.absolute().with_name(f".{output.name}.part")
    recipe = {"model": md5, "table": table.digest(), "rows": chunks.ROWS, **vars(options)}
    _begin(scratch, recipe | {"future": coming and coming.digest, "code": mapping.code_md5()})
    shared: dict[str, Any] = {"where": data.path, "options": vars(options), "md5": md5}
    if not engine.in_process():  # for processes that do not see what this one has
        shared["model"] = str(shutil.copytree(folder, scratch / "model", dirs_exist_ok=True))
        described = coming and bulk_part.share_future(coming, scratch / "future.arrow")
        shared["future"] = described
    total = table.rows if isinstance(table, Parquet) else 0
    made: deque[_Chunk] = deque()
    names: set[str] = set()

    def parts() -> Iterator[Part]:
        for number, (raw, rows, ids) in enumerate(_raw_chunks(table, data)):
            target = scratch / f"part-{number:06}.parquet"
            reasons, raw_rows = target.with_suffix(".json"), target.with_suffix(".arrow")
            made.append(_Chunk(target.exists(), int(raw.frame.index[-1]) + 1))
            if coming is not None:
                names.update(data.value_columns or ids or keys.ids(raw.frame, data, raw.origin))
            of_part = {"rows": str(raw_rows), "origin": asdict(raw.origin)}
            yield Part(
                target,
                shared | of_part | {"reasons": str(reasons)},
                None if rows is None else partial(chunks.write_rows, rows, raw_rows),
                partial(bulk_part.forecast_raw, model, raw, options, coming, data.path, reasons),
            )

    count, done_before, noted = 0, 0, 0
    left_out: dict[str, str] = {}
    unknown: Counter[str] = Counter()
    place = files.md5(str(output.absolute()).encode())[:8]  # another for an output of this name
    job = Job("forecast", f"{output.name}-{place}", root)
    with closing(engine.map(bulk_part.FUNCTION, parts(), job)) as targets:
        for target in targets:
            chunk = made.popleft()
            target.with_suffix(".arrow").unlink(missing_ok=True)
            done_before += chunk.done_before
            marks = pyarrow.parquet.read_table(target, columns=[table_predictor.NOTE])
            count += len(marks) // data.horizon
            noted += pc.sum(pc.not_equal(marks[table_predictor.NOTE], "")).as_py() or 0
            of_part = json.loads(target.with_suffix(".json").read_text("utf-8"))
            left_out |= of_part[0]
            unknown.update(of_part[1])
            on_progress(chunk.end, total)
    if coming is not None:
        future.check_series(names, coming, data.path)
    if not count:
        raise forecast_table.none_left(left_out, data.path)
    _empty(scratch, "part-*.parquet")
    scratch.rename(output)
    return BulkForecasts(count, done_before, noted, left_out, dict(unknown))


class _Chunk(NamedTuple):
    """A chunk that is read: whether its part was done then, and the rows up to its end."""

    done_before: bool
    end: int


def _begin(scratch: Path, recipe: dict[str, Any]) -> None:
    """Make an empty scratch folder, unless there is one of the same recipe to continue."""
    file = scratch / "recipe.json"
    if scratch.exists():
        if file.is_file() and json.loads(file.read_text("utf-8")) == recipe:
            return
        _empty(scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    files.write_text(file, json.dumps(recipe))


def _empty(folder: Path, keep: str = "") -> None:
    """Remove what is in a folder, but files of a pattern."""
    for other in folder.iterdir():
        if other.is_dir():
            shutil.rmtree(other)
        elif not keep or not other.match(keep):
            other.unlink()


def _raw_chunks(table: AnyTable, data: Data) -> Iterator[tuple[Raw, pa.Table | None, set[str]]]:
    """Read a table in chunks of whole series, each also as its rows are, and with their ids.

    A table without such chunks is read as a whole, and its ids are not.
    """
    if data.aggregate is not None or not chunks.can_be_cut(table, data):  # its end is for all
        yield reader.load(table), None, set()
        return
    tables.check_columns(data.path, table.names, data)
    seen: set[str] = set()
    for rows, origin in chunks.row_chunks(table, data):
        raw = Raw(reader.to_frame(rows, table.path), origin)
        ids = set(keys.ids(raw.frame, data, raw.origin).unique())
        if again := seen & ids:
            by = ", ".join(f"`{name}`" for name in data.id_columns)
            raise DataError(
                f"{data.path}: series {min(again)!r} stands in several places; sort the table by "
                f"{by}, so that each series stands together"
            )
        seen |= ids
        yield raw, rows, ids
