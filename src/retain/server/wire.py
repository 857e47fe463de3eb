"""Requests and answers as bytes: JSON and CSV, with sentences for what cannot be read."""

import asyncio
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import pandas as pd
from fastapi import Request, Response
from numpy.typing import NDArray
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from retain.server.live import Loaded

Refused = HTTPException  # a status and a sentence
TYPES = ("application/json", "text/csv")
SHAPE = 'send {"history": {"COLUMN": [VALUE, ...], ...}} or {"history": [{"COLUMN": VALUE}, ...]}'


def json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, headers, media_type="application/json")


def types(request: Request) -> tuple[str, bool]:
    """The type of a request's body, and whether its answer is to be CSV.

    Raises:
        Refused: 415 or 406, the type is none of ours.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in TYPES:
        raise Refused(415, f"the Content-Type is {kind or 'missing'}; send {' or '.join(TYPES)}")
    accepted = [
        part.partition(";")[0].strip().lower()
        for part in request.headers.get("accept", "*/*").split(",")
    ]
    for wanted in accepted:
        if wanted in ("*/*", "application/*", "application/json"):
            return kind, False
        if wanted in ("text/*", "text/csv"):
            return kind, True
    raise Refused(406, f"no answer can be given as {', '.join(accepted)}; accept {TYPES}")


async def body(request: Request, limit: int, seconds: float) -> bytes:
    """The body of a request.

    Raises:
        Refused: 413, 408 or 400: too large, too slow, or broken off.
    """
    too_large = Refused(413, f"the body is larger than {limit:,} bytes; send fewer series at once")
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > 4 * limit:
        raise too_large  # and the connection is closed
    parts, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size <= limit:
                    parts.append(part)
                elif size > 4 * limit:
                    raise too_large
                else:  # read to its end, and thrown away: who still sends does not hear
                    parts.clear()
    except TimeoutError:
        raise Refused(408, f"the request was not complete within {seconds:g} s") from None
    except ClientDisconnect:
        raise Refused(400, "the client left before its request was complete") from None
    if size > limit:
        raise too_large
    return b"".join(parts)


def columns(body: bytes, limit: int) -> dict[str, list[Any]]:
    """The table of a request in JSON, as values by column.

    Raises:
        Refused: 400, 413 or 422, with what is wrong.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"the body is not JSON: {error}; NaN is written as null") from None
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
        text = io.StringIO()
        pd.DataFrame(table).to_csv(text, index=False, float_format="%.7g")
        answer = Response(text.getvalue(), media_type="text/csv")
    else:
        plain = {name: _plain(values) for name, values in table.items()}
        content = {"model": {"name": model.name, "version": model.version, "md5": model.md5}}
        answer = json(content | {"ignored": list(asked.ignored), "forecast": plain})
    answer.headers["X-Model-Version"] = model.version
    return answer


def _plain(values: Any) -> Any:
    """A column as orjson takes it."""
    if isinstance(values, pd.DatetimeIndex):
        return [stamp.isoformat() for stamp in values]
    return values.tolist() if values.dtype == object else values
