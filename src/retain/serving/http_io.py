"""Requests and answers as bytes, with sentences for what cannot be read."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pandas as pd
from fastapi import Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from retain.serving.champion import Loaded

Refused = HTTPException  # a status and a sentence
TYPES = ("application/json", "text/csv")


def json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, headers, media_type="application/json")


def answer(model: Loaded, content: pd.DataFrame | dict[str, Any]) -> Response:
    """What a model says, a table as CSV and anything else as JSON, with the model's name."""
    if isinstance(content, pd.DataFrame):
        text = content.to_csv(index=False, float_format="%.7g")
        made = Response(text, media_type="text/csv")
    else:
        who = {"name": model.name, "version": model.version, "md5": model.md5}
        made = json({"model": who} | content)
    made.headers["X-Model-Version"] = model.version
    return made


def types(request: Request) -> tuple[bool, bool]:
    """Whether a request's body is CSV and not JSON, and the same of its answer.

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
            return kind == "text/csv", False
        if wanted in ("text/*", "text/csv"):
            return kind == "text/csv", True
    raise Refused(406, f"no answer can be given as {', '.join(accepted)}; accept {TYPES}")


async def body(request: Request, limit: int, seconds: float) -> bytes:
    """The body of a request.

    Raises:
        Refused: 413, 408 or 400: too large, too slow, or broken off.
    """
    too_large = Refused(413, f"the body is larger than {limit:,} bytes; send less at once")
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


def loaded(body: bytes) -> Any:
    """The body of a request in JSON.

    Raises:
        Refused: 400, it is none.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"the body is not JSON: {error}; NaN is written as null") from None
