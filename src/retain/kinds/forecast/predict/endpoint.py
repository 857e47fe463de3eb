"""How `retain serve` asks a forecaster: tables of history in JSON and CSV."""

from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
from fastapi import Request, Response
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Histogram

from retain.serving import endpoint, http_io
from retain.serving.batcher import CHUNK, Batcher
from retain.serving.champion import Loaded
from retain.serving.description import CSV, operation
from retain.serving.endpoint import Limits, RunInThread
from retain.serving.http_io import Refused

QUICK = 2**20  # bytes of JSON that are read in a few milliseconds
SIZES = (1, 2, 4, 8, 16, 32, 64)
SHAPE = 'send {"history": {"COLUMN": [VALUE, ...], ...}} or {"history": [{"COLUMN": VALUE}, ...]}'
VALUE: dict[str, Any] = {"type": ["number", "string", "null"]}
BY_COLUMN = "By column"
BY_ROW = "By row"
FORECAST: dict[str, Any] = {
    "type": "object",
    "description": "By column: unique_id, ds, and one for each quantile; the horizon's "
    "steps of each series one after the other.",
    "additionalProperties": {"type": "array"},
}


class Service(endpoint.Service):
    """Forecasts the series of a table; those of requests that wait together run together."""

    path = "/forecast"
    summary = "Forecasts"
    operation = operation(
        "Forecast every series of a table of history", "The quantiles", {"forecast": FORECAST}
    )

    def __init__(self, limits: Limits, counters: CollectorRegistry, run_in_thread: RunInThread):
        self.body, self._rows, self._run_in_thread = limits.body, limits.rows, run_in_thread
        self.page = files("retain.kinds.forecast.predict").joinpath("page.html").read_text("utf-8")
        self._series = Counter("retain_series", "Series forecast.", registry=counters)
        runs = Histogram(
            "retain_batch_series",
            "Series in a run of the network.",
            buckets=SIZES,
            registry=counters,
        )
        self._batcher = Batcher(limits.waiting, runs.observe)

    async def answer(
        self, model: Loaded, request: Request, body: bytes, from_csv: bool, as_csv: bool
    ) -> Response:
        """The quantiles for a table of history."""
        served = model.served
        if from_csv:
            check_lines(body, self._rows)
            asked = await self._run_in_thread(served.csv_request, body)
        else:
            columns, asked = (
                self._quickly(served, body)
                if len(body) < QUICK
                else await self._run_in_thread(self._quickly, served, body)
            )
            if asked is None:
                asked = await self._run_in_thread(served.request, columns)
        quantiles = await self._batcher.predict(served, asked)
        self._series.inc(len(asked))
        if len(asked) <= CHUNK and not as_csv:
            return written(model, asked, quantiles, as_csv)
        return await self._run_in_thread(written, model, asked, quantiles, as_csv)  # type: ignore[no-any-return]

    def _quickly(self, served: Any, body: bytes) -> tuple[dict[str, list[Any]], Any]:
        columns = columns_of(body, self._rows)
        return columns, served.quick_request(columns)

    def described(self, model: Loaded) -> dict[str, Any]:
        """Columns, frequency, horizon, quantiles."""
        described: dict[str, Any] = model.served.described()
        return described

    def csv(self, model: Loaded) -> str:
        """The example, written as the table that the model was trained on."""
        return str(model.served.csv(model.example))

    def request(self, model: Loaded) -> dict[str, Any]:
        """The columns of this model, and its example."""
        names = model.served.input_columns()
        by_column = {
            "title": BY_COLUMN,
            "type": "object",
            "required": names,
            "additionalProperties": False,
            "properties": {
                name: {"type": "array", "minItems": 1, "items": VALUE} for name in names
            },
        }
        by_row = {
            "title": BY_ROW,
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": names,
                "additionalProperties": False,
                "properties": dict.fromkeys(names, VALUE),
            },
        }
        schema = {
            "type": "object",
            "required": ["history"],
            "additionalProperties": False,
            "properties": {"history": {"oneOf": [by_column, by_row]}},
        }
        example = model.example.astype(object).where(model.example.notna(), None)
        examples = {
            BY_COLUMN: {"value": {"history": example.to_dict("list")}},
            BY_ROW: {"value": {"history": example.to_dict("records")}},
        }
        as_csv = CSV["text/csv"] | {"examples": {"CSV": {"value": self.csv(model)}}}
        content = {"application/json": {"schema": schema, "examples": examples}, "text/csv": as_csv}
        return {"requestBody": {"required": True, "content": content}}


def columns_of(body: bytes, limit: int) -> dict[str, list[Any]]:
    """The table of a request in JSON, as values by column.

    Raises:
        Refused: 400, 413 or 422, with what is wrong.
    """
    content = http_io.loaded(body)
    history = content.get("history") if isinstance(content, dict) else None
    if history is None or len(content) > 1:
        raise Refused(422, f"the body has no `history`, or more than that; {SHAPE}")
    if isinstance(history, list):
        history = _by_column(history)
    if not isinstance(history, dict) or not history:
        raise Refused(422, f"`history` is no table; {SHAPE}")
    for name, values in history.items():
        if not isinstance(values, list):
            raise Refused(422, f"history: column `{name}` is no list; {SHAPE}")
    rows = max(map(len, history.values()))
    if rows > limit:
        raise _too_many(rows, limit)
    if rows == 0:
        raise Refused(422, "history has no rows")
    return history


def _by_column(rows: list[Any]) -> dict[str, list[Any]]:
    if not rows:
        raise Refused(422, "history has no rows")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise Refused(422, f"history: row {number} is no object; {SHAPE}")
        if row.keys() != rows[0].keys():
            other = sorted(row.keys() ^ rows[0].keys())[0]
            raise Refused(
                422, f"history: row {number} and row 1 differ in `{other}`; a missing value is null"
            )
    return {name: [row[name] for row in rows] for name in rows[0]}


def check_lines(body: bytes, limit: int) -> None:
    """Raise Refused where a CSV file has more than `limit` rows."""
    rows = body.count(b"\n")
    if rows > limit + 1:
        raise _too_many(rows, limit)


def _too_many(rows: int, limit: int) -> Refused:
    return Refused(413, f"history has {rows:,} rows; at most {limit:,} are read: send fewer series")


def written(model: Loaded, asked: Any, quantiles: NDArray[np.float32], as_csv: bool) -> Response:
    """The answer to a request."""
    table = model.served.written(asked, quantiles)
    if as_csv:
        return http_io.answer(model, pd.DataFrame(table))
    plain = {name: _plain(values) for name, values in table.items()}
    return http_io.answer(model, {"ignored": list(asked.ignored), "forecast": plain})


def _plain(values: Any) -> Any:
    """A column as orjson takes it."""
    if isinstance(values, pd.DatetimeIndex):
        return [stamp.isoformat() for stamp in values]
    return values.tolist() if values.dtype == object else values
