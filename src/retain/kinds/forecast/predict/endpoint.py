"""The endpoint of a forecaster: tables of history in JSON and CSV."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fastapi import Response
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Histogram
from pydantic import Field
from starlette.exceptions import HTTPException

from retain.config.monitoring import LogLimit
from retain.errors import ModelError
from retain.kinds.forecast.data import sources, timestamps
from retain.kinds.forecast.data.formats import Origin
from retain.kinds.forecast.data.reader import Raw
from retain.kinds.forecast.monitoring import forecast_log
from retain.kinds.forecast.monitoring.forecast_log import Answered
from retain.kinds.forecast.predict import future
from retain.kinds.forecast.predict.batcher import Batcher
from retain.kinds.forecast.predict.request import CHUNK, FUTURE, HISTORY, Request, frame_of
from retain.kinds.forecast.predict.table_predictor import TablePredictor
from retain.project.day_log import DayLog
from retain.serving import endpoint, http_io, pages
from retain.serving.champion import LoadedChampion
from retain.serving.endpoint import Limits
from retain.serving.http_io import RawRequest

QUICK = 2**20  # bytes of JSON that are read in a few milliseconds
SIZES = (1, 2, 4, 8, 16, 32, 64)
SHAPE = 'send {"history": {"COLUMN": [VALUE, ...], ...}} or {"history": [{"COLUMN": VALUE}, ...]}'
VALUE: dict[str, Any] = {"type": ["number", "string", "null"]}
DESCRIBED = {
    *(
        "unique_id",
        "ds",
        "ds_is_step",
        "known_covariates",
        "timezone",
        "time_format",
        "separator",
        "decimal",
    ),
    *("thousands", "dates_across"),
    *("context_length", "horizon", "unit"),
}

Columns = dict[str, list[Any]]  # a table as values by column
Champion = LoadedChampion[TablePredictor]


class ForecastAnswer(endpoint.Answer):
    """Mean and quantiles of every series."""

    forecast: dict[str, list[Any]] = Field(
        description="By column: series and time stamp as the table names them, mean, median, and "
        "one for each quantile, null at times when a series never had a value; `note`, which says "
        "so; the horizon's steps of each series one after the other."
    )


class ForecastEndpoint:
    """Forecasts the series of a table; waiting requests are run together."""

    path = "/forecast"
    summary = "Forecast every series of a table of history"
    answer_model: type[endpoint.Answer] = ForecastAnswer

    def __init__(self, limits: Limits, counters: CollectorRegistry):
        self.max_body, self._max_rows = limits.body, limits.rows
        self.page = pages.page("kinds/forecast/predict/page.html.j2")
        self._series = Counter("retain_series", "Series forecast.", registry=counters)
        runs = Histogram(
            "retain_batch_series",
            "Series in a run of the network.",
            buckets=SIZES,
            registry=counters,
        )
        self._batcher = Batcher(limits.waiting, runs.observe)
        self._log: DayLog[Answered] | None = None

    def keep_answers(
        self, folder: Path, limit: LogLimit, counters: CollectorRegistry
    ) -> DayLog[Answered]:
        """Keep all forecasts from now on in a log."""
        self._log = forecast_log.open_log(folder, limit, counters)
        return self._log

    async def answer(self, champion: Champion, request: RawRequest) -> Response:
        """Answer a table of history with mean and quantiles."""
        predictor = champion.predictor
        parsed = await self._parse(predictor, request)
        forecasts = await self._batcher.predict(predictor, parsed)
        self._series.inc(len(parsed))
        write = partial(write_answer, champion, parsed, forecasts, request.wants_csv)
        if len(parsed) <= CHUNK and not request.wants_csv:
            response = write()
        else:
            response = await asyncio.to_thread(write)
        if self._log is not None:
            forecast_log.add(self._log, champion, parsed, forecasts)
        return response

    async def _parse(self, predictor: TablePredictor, request: RawRequest) -> Request:
        body, reader = request.body, predictor.requests
        if request.is_csv:
            if body.count(b"\n") > self._max_rows + 1:
                raise _too_many(body.count(b"\n"), self._max_rows)
            return await asyncio.to_thread(reader.read_csv, body)
        parsed = None
        if len(body) < QUICK:
            columns, coming = parse_tables(body, self._max_rows)
            if coming is None:
                parsed = reader.read_plain(columns)
        else:
            columns, coming = await asyncio.to_thread(parse_tables, body, self._max_rows)
            if coming is None:
                parsed = await asyncio.to_thread(reader.read_plain, columns)
        if coming is not None and not columns:
            return await asyncio.to_thread(_read_new, predictor, coming)
        if parsed is None:
            parsed = await asyncio.to_thread(reader.read_columns, columns, coming)
        return parsed

    def describe(self, champion: Champion) -> dict[str, Any]:
        """Describe the fields of a request and of its answer."""
        predictor, data = champion.predictor, champion.predictor.data
        return data.model_dump(mode="json", include=DESCRIBED) | {
            "columns": predictor.input_columns(),
            "y": list(data.value_columns or (data.y,)),
            "frequency": predictor.schema.frequency,
            "quantiles": list(predictor.levels),
            "trained_until": timestamps.text(predictor.trained_until(), data),
            "evaluated_until": predictor.evaluated_until(),
        }

    def example_csv(self, champion: Champion) -> str:
        """Write the example in the format of the training table."""
        data = champion.predictor.data
        table = champion.example.to_csv(
            index=False, sep=data.separator, decimal=data.decimal, float_format="%.9g"
        )
        return "\n" * data.skip_rows + table

    def describe_request(self, champion: Champion) -> dict[str, Any]:
        """Describe the tables of this model's columns, by column and by row, with its example."""
        data, example = champion.predictor.data, champion.example
        more = data.dates_across  # a column for each time stamp
        tables = {HISTORY: _describe_table(champion.predictor.input_columns(), more)}
        values = example.astype(object).where(example.notna(), None)
        examples = {
            "By column": {HISTORY: values.to_dict("list")},
            "By row": {HISTORY: values.to_dict("records")},
        }
        if data.known_covariates:
            names = future.needed_columns(data)
            tables[FUTURE] = _describe_table(names, False) | {
                "description": "Known covariates of the steps to forecast, if they are not in rows "
                "of the history after the last value."
            }
            past, ahead = values[: -data.horizon], values[-data.horizon :][names]
            examples["With a table of the future"] = {
                HISTORY: past.to_dict("list"),
                FUTURE: ahead.to_dict("list"),
            }
        as_json = {
            "schema": {
                "type": "object",
                "required": [HISTORY],
                "additionalProperties": False,
                "properties": tables,
            },
            "examples": {name: {"value": value} for name, value in examples.items()},
        }
        return {"requestBody": http_io.describe_body(as_json, self.example_csv(champion))}


def _describe_table(names: list[str], more: bool) -> dict[str, Any]:
    """Return the schema of a table by column or by row.

    Args:
        more: whether it may have other columns.
    """
    table = {"type": "object", "required": names, "additionalProperties": more}
    values = {"type": "array", "minItems": 1, "items": VALUE}
    by_column = table | {"title": "By column", "properties": dict.fromkeys(names, values)}
    row = table | {"properties": dict.fromkeys(names, VALUE)}
    by_row = {"title": "By row", "type": "array", "minItems": 1, "items": row}
    return {"oneOf": [by_column, by_row]}


# The columns of a request depend on the champion, and validation by pydantic would take longer than
# all other reading: so its tables are checked here.
def parse_tables(body: bytes, max_rows: int) -> tuple[Columns, Columns | None]:
    """Parse the tables of a request in JSON as values by column: the history, and the future.

    The future alone is that of series without history.

    Raises:
        HTTPException: 400, 413 or 422, with what is wrong.
    """
    content = http_io.parse_json(body)
    tables = content if isinstance(content, dict) else {}
    alone = tables.get(FUTURE) is not None and HISTORY not in tables
    if (tables.get(HISTORY) is None and not alone) or tables.keys() - {HISTORY, FUTURE}:
        raise HTTPException(
            422, f"the body has no `history`, or more than that and `future`; {SHAPE}"
        )
    history = {} if alone else _parse_table(tables[HISTORY], HISTORY, max_rows)
    coming = tables.get(FUTURE)
    return history, None if coming is None else _parse_table(coming, FUTURE, max_rows)


def _read_new(predictor: TablePredictor, coming: Columns) -> Request:
    """Read series without history, from the table of the future alone."""
    # Late: a server with onnxruntime imports no torch.
    from retain.kinds.forecast.predict import cold_start
    from retain.kinds.forecast.predict.predictor import Predictor

    if not isinstance(predictor, Predictor):
        raise HTTPException(
            422, "the body has no `history`, without which `--runtime onnx` forecasts nothing"
        )
    try:
        raw = Raw(frame_of(coming, FUTURE), Origin(FUTURE, 1))
        return cold_start.read(predictor, raw)[0]
    except ModelError as error:  # it was not taught to
        raise HTTPException(422, f"the body has no `history`; {error}") from None


def _parse_table(table: Any, where: str, max_rows: int) -> Columns:
    if isinstance(table, list):
        table = _by_column(table, where)
    if not isinstance(table, dict) or not table:
        raise HTTPException(422, f"`{where}` is no table; {SHAPE}")
    if (columns := len(table)) > sources.COLUMNS:
        most = f"at most {sources.COLUMNS:,} are read: send the model's, which `/model` names"
        raise HTTPException(413, f"{where} has {columns:,} columns; {most}")
    for name, values in table.items():
        if not isinstance(values, list):
            raise HTTPException(422, f"{where}: column `{name}` is no list; {SHAPE}")
    rows = max(map(len, table.values()))
    if rows > max_rows:
        raise _too_many(rows, max_rows, where)
    if rows == 0:
        raise HTTPException(422, f"{where} has no rows")
    return table


def _by_column(rows: list[Any], where: str) -> Columns:
    if not rows:
        raise HTTPException(422, f"{where} has no rows")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise HTTPException(422, f"{where}: row {number} is no object; {SHAPE}")
        if row.keys() != rows[0].keys():
            other = sorted(row.keys() ^ rows[0].keys())[0]
            raise HTTPException(
                422, f"{where}: row {number} and row 1 differ in `{other}`; a missing value is null"
            )
    return {name: [row[name] for row in rows] for name in rows[0]}


def _too_many(rows: int, max_rows: int, where: str = HISTORY) -> HTTPException:
    sentence = f"{where} has {rows:,} rows; at most {max_rows:,} are read: send fewer series"
    return HTTPException(413, sentence)


def write_answer(
    champion: Champion, request: Request, forecasts: NDArray[np.float32], as_csv: bool
) -> Response:
    """Write the answer to a request."""
    table = champion.predictor.tabulate(request, forecasts)
    if as_csv:
        return http_io.answer(champion, pd.DataFrame(table))
    columns = {name: _to_json(values) for name, values in table.items()}
    return http_io.answer(champion, {"ignored": list(request.ignored), "forecast": columns})


def _to_json(values: Any) -> Any:
    """Return a column as orjson takes it."""
    if isinstance(values, pd.DatetimeIndex):
        return [stamp.isoformat() for stamp in values]
    return values.tolist() if values.dtype == object else values
