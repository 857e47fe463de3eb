"""Forecast one chunk of a large table: a part of a forecast in bulk."""

import functools
import json
from pathlib import Path
from typing import Any

from retain.config.forecasts import ForecastOptions
from retain.kinds.forecast.data import chunk_reader, tables
from retain.kinds.forecast.data.chunks import read_frame, write_frame
from retain.kinds.forecast.data.reader import Raw
from retain.kinds.forecast.predict import forecast_table, predictor
from retain.kinds.forecast.predict.future import Future
from retain.kinds.forecast.predict.predictor import Predictor
from retain.project import files

FUNCTION = "retain.kinds.forecast.predict.bulk_part:forecast_rows"


def forecast_raw(
    model: Predictor,
    raw: Raw,
    options: ForecastOptions,
    coming: Future | None,
    where: str,
    reasons: Path,
    out: Path,
) -> None:
    """Forecast a chunk into a Parquet file.

    Args:
        where: the path of the table, for messages.
        reasons: the file for the series without a forecast, and for what the model does not know.
    """
    checked = tables.check(raw, model.read_as(where), part=True)
    forecasts = forecast_table.forecast_table(model, checked, where, options, coming)
    files.write_text(reasons, json.dumps([forecasts.left_out, forecasts.unknown]))
    forecasts.table.to_parquet(out, index=False)


def forecast_rows(
    out: Path,
    model: str,
    md5: str,
    rows: str,
    origin: dict[str, Any],
    options: dict[str, Any],
    future: dict[str, Any] | None,
    where: str,
    reasons: str,
) -> None:
    """Do the same from files: a part.

    Args:
        md5: of the model.
        future: the fields of `Future`, with the path of its frame.
    """
    raw = chunk_reader.read_raw(rows, origin, where)
    coming = None if future is None else _future(json.dumps(future), md5)
    loaded = _load(model, md5)
    forecast_raw(loaded, raw, ForecastOptions(**options), coming, where, Path(reasons), out)


def share_future(coming: Future, path: Path) -> dict[str, Any]:
    """Write a table of the future for other processes; return its description."""
    write_frame(coming.frame, path)
    return vars(coming) | {"frame": str(path)}


@functools.lru_cache(maxsize=1)
def _load(folder: str, _md5: str) -> Predictor:
    return predictor.load(Path(folder))


@functools.lru_cache(maxsize=1)
def _future(described: str, _md5: str) -> Future:
    content = json.loads(described)
    frame, unknown = read_frame(Path(content["frame"])), tuple(content["unknown"])
    return Future(**content | {"frame": frame, "unknown": unknown})
