"""Requests and answers as bytes, with error messages for what cannot be read."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pandas as pd
from fastapi import Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from retain.config.kind import Predictor
from retain.serving.champion import LoadedChampion

JSON, CSV = "application/json", "text/csv"
ANSWERS = {"*/*": JSON, "application/*": JSON, JSON: JSON, "text/*": CSV, CSV: CSV}


@dataclass(frozen=True)
class RawRequest:
    """A received request that is not parsed yet."""

    body: bytes
    query: list[tuple[str, str]]
    is_csv: bool  # and not JSON
    wants_csv: bool  # as its answer


class CsvResponse(Response):
    """An answer in CSV."""

    media_type = CSV


class OverloadedError(HTTPException):
    """Too many requests wait."""

    def __init__(self, waiting: str):
        sentence = f"{waiting}; try again in a second"
        super().__init__(503, sentence, headers={"Retry-After": "1"})


def json(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Write an answer in JSON."""
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, headers, media_type=JSON)


def answer(champion: LoadedChampion[Predictor], content: pd.DataFrame | dict[str, Any]) -> Response:
    """Write a model's answer, with the model's identity: a table as CSV, anything else as JSON."""
    if isinstance(content, pd.DataFrame):
        response: Response = CsvResponse(content.to_csv(index=False, float_format="%.7g"))
    else:
        response = json({"model": champion.identity} | content)
    response.headers["X-Model-Version"] = champion.version
    return response


async def receive(request: Request, limit: int, seconds: float) -> RawRequest:
    """Receive a request of at most `limit` bytes.

    Raises:
        HTTPException: 415 or 406, the type is not supported; 413, 408 or 400, the body is too
            large, too slow, or incomplete.
    """
    kind = _media_types(request.headers.get("content-type", ""))[0]
    if kind not in (JSON, CSV):
        raise HTTPException(415, f"the Content-Type is {kind or 'missing'}; send {JSON} or {CSV}")
    accepted = _media_types(request.headers.get("accept", "*/*"))
    wanted = next((ANSWERS[media_type] for media_type in accepted if media_type in ANSWERS), None)
    if wanted is None:
        sentence = f"no answer can be given as {', '.join(accepted)}; accept {JSON} or {CSV}"
        raise HTTPException(406, sentence)
    parts, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size <= limit:
                    parts.append(part)
                elif size > 4 * limit:
                    break
    except TimeoutError:
        raise HTTPException(408, f"the request was not complete within {seconds:g} s") from None
    except ClientDisconnect:
        raise HTTPException(400, "the client left before its request was complete") from None
    if size > limit:  # FastAPI's limit would answer immediately, while the client is still sending
        raise HTTPException(413, f"the body is larger than {limit:,} bytes; send less at once")
    query = request.query_params.multi_items()
    return RawRequest(b"".join(parts), query, kind == CSV, wanted == CSV)


def _media_types(header: str) -> list[str]:
    return [part.partition(";")[0].strip().lower() for part in header.split(",")]


def parse_json(body: bytes) -> Any:
    """Parse a body in JSON.

    Raises:
        HTTPException: 400, it is not JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HTTPException(400, f"the body is not JSON: {error}; NaN is written as null") from None


def describe_body(as_json: dict[str, Any], example_csv: str) -> dict[str, Any]:
    """Describe for OpenAPI a request that may be JSON or CSV."""
    as_csv = {"schema": {"type": "string"}, "examples": {"CSV": {"value": example_csv}}}
    return {"required": True, "content": {JSON: as_json, CSV: as_csv}}
