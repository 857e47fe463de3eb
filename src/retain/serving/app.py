"""The paths of the server.

A request is answered by the model that is champion when it arrives, even if the champion changes
meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, PlainTextResponse
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from retain import __version__
from retain.config.monitoring import LogLimit
from retain.errors import ParamsError, RetainError
from retain.serving import http_io
from retain.serving.champion import ChampionHolder, LoadedChampion
from retain.serving.endpoint import Endpoint, KeepsAnswers, Limits, OpenLog
from retain.serving.http_io import CsvResponse
from retain.serving.metrics import Metrics
from retain.serving.middleware import AccessMiddleware, require_key


class ErrorAnswer(BaseModel):
    """The reason why a request is refused."""

    error: str = Field(description="What is wrong, and what to do.")


def describe_refusals(reasons: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """Describe for OpenAPI why a request may be refused, by status."""
    return {status: {"model": ErrorAnswer, "description": why} for status, why in reasons.items()}


GUARDED = describe_refusals({401: "The key is missing or wrong."})
ANSWERED = describe_refusals(
    {
        400: "The body is no JSON, or broke off.",
        406: "`Accept` names neither JSON nor CSV.",
        408: "The client was too slow.",
        413: "Too large, or too many rows.",
        415: "`Content-Type` names neither JSON nor CSV.",
        422: "The request cannot be used; the sentence names row and column, or key.",
        503: "Too many wait, or no answer came in time.",
    }
)
ANSWERED[200] = {
    "description": "The answer; as CSV where `Accept` asks for text/csv.",
    "headers": {"X-Model-Version": {"schema": {"type": "string"}}},
    "content": {http_io.CSV: {"schema": {"type": "string"}}},
}


def build(
    holder: ChampionHolder,
    limits: Limits,
    key: str | None = None,
    hosts: tuple[str, ...] = (),
    log: tuple[Path, LogLimit] | None = None,
) -> ASGIApp:
    """Build the application.

    Args:
        holder: of the champion.
        limits: of a request.
        key: the API key that clients must send, or None.
        hosts: allowed host names; empty: any.
        log: folder and limit of a log of the answers.

    Raises:
        ParamsError: the kind has no log, or it cannot be written.
    """
    counters = CollectorRegistry()
    endpoint = holder.champion.build_endpoint(limits, counters)
    metrics = Metrics(holder, counters, endpoint.path)
    opened = None if log is None else _open_log(endpoint, *log, counters)

    # The pages of FastAPI's documentation would load scripts from elsewhere.
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan(holder, limits.follow, opened),
        version=__version__,
    )
    guarded = APIRouter()
    if key is not None:
        guarded = APIRouter(dependencies=[Depends(require_key(key))], responses=GUARDED)

    @guarded.post(
        endpoint.path,
        summary=endpoint.summary,
        response_model=endpoint.answer_model,
        responses=ANSWERED,
    )
    async def answer(request: Request) -> Response:
        raw = await http_io.receive(request, endpoint.max_body, limits.receive)
        try:
            async with asyncio.timeout(limits.answer):
                return await endpoint.answer(holder.champion, raw)
        except TimeoutError:
            sentence = f"no answer within {limits.answer:g} s; send fewer rows in a request"
            raise HTTPException(503, sentence) from None

    @guarded.get(
        "/model",
        summary="Version, lineage, metrics of the champion, and what it reads",
        response_model=dict[str, Any],
    )
    async def model() -> Response:
        champion = holder.champion
        return http_io.json(champion.identity | champion.origin | endpoint.describe(champion))

    @guarded.get("/example", summary="A table that the model answers", response_class=CsvResponse)
    async def example() -> Response:
        return CsvResponse(endpoint.example_csv(holder.champion))

    @guarded.get("/metrics", summary="Counters for Prometheus", response_class=PlainTextResponse)
    async def count() -> Response:
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4")

    @guarded.get("/openapi.json", include_in_schema=False)
    async def description() -> Response:
        return http_io.json(_describe_paths(app, endpoint, holder.champion))

    app.include_router(guarded)  # first: routes are tried in their order

    @app.head("/", include_in_schema=False)
    @app.get("/", include_in_schema=False)
    async def index() -> HTMLResponse:
        return HTMLResponse(endpoint.page)

    @app.head("/health", include_in_schema=False)
    @app.get(
        "/health",
        summary="Whether the server answers, and whether its registry does",
        response_model=dict[str, str],
        response_description="`registry` says why the registry could not be asked, if so.",
    )
    async def health() -> Response:
        return http_io.json(
            {"status": "ok", "version": holder.champion.version, "registry": holder.registry_error}
        )

    _add_refusals(app)
    return AccessMiddleware(app, metrics, hosts)


def _lifespan(
    holder: ChampionHolder, seconds: float, log: OpenLog | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Return what follows the champion while the server runs, and closes the log at its end."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # For work of more than a millisecond: two requests, and loading the next champion.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(3))
        following = asyncio.create_task(follow(holder, seconds))
        yield
        following.cancel()
        if log is not None:
            await asyncio.to_thread(log.close)

    return lifespan


def _describe_paths(
    app: FastAPI, endpoint: Endpoint[Any], champion: LoadedChampion[Any]
) -> dict[str, Any]:
    """Return the description for OpenAPI, with the columns and the example of the champion."""
    content = get_openapi(
        title=f"retain: {champion.name}",
        version=app.version,
        summary=f"The champion, version {champion.version}",
        routes=app.routes,
    )
    content["paths"][endpoint.path]["post"] |= endpoint.describe_request(champion)
    return content


def _add_refusals(app: FastAPI) -> None:
    """Answer what goes wrong with a status and a sentence."""

    @app.exception_handler(HTTPException)
    async def refuse(request: Request, error: HTTPException) -> Response:
        return http_io.json({"error": error.detail}, error.status_code, error.headers)

    @app.exception_handler(RetainError)
    async def refuse_content(request: Request, error: RetainError) -> Response:
        return http_io.json({"error": str(error)}, 422)

    @app.exception_handler(Exception)
    async def fail(request: Request, error: Exception) -> Response:
        sentence = "something went wrong here; the server's log says what"
        return http_io.json({"error": sentence}, 500)  # and the error is raised again, for the log


def _open_log(
    endpoint: Endpoint[Any], folder: Path, limit: LogLimit, counters: CollectorRegistry
) -> OpenLog:
    if not isinstance(endpoint, KeepsAnswers):
        raise ParamsError(
            f"--log keeps forecasts of time series; the answers of {endpoint.path} have no log"
        )
    try:
        return endpoint.keep_answers(folder, limit, counters)
    except OSError as error:
        raise ParamsError(f"--log {folder} cannot be written ({error.strerror})") from None


async def follow(holder: ChampionHolder, seconds: float) -> None:
    """Check for another champion at a fixed interval, in seconds."""
    while True:
        await asyncio.sleep(seconds)
        await asyncio.to_thread(holder.refresh)
