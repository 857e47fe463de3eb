"""What the server answers, path by path.

A request is read by the champion of that moment and answered by the same, whatever becomes champion
meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException

from retain import __version__
from retain.errors import RetainError
from retain.serving import description, http_io
from retain.serving.batcher import OverloadedError
from retain.serving.champion import Live
from retain.serving.endpoint import Limits, Service
from retain.serving.http_io import Refused
from retain.serving.metrics import Meter
from retain.serving.middleware import Guard


def build(live: Live, limits: Limits, key: str | None = None, hosts: tuple[str, ...] = ()) -> Any:
    """The application.

    Args:
        live: the champion.
        limits: what a client may ask for.
        key: what clients must show, or None.
        hosts: names under which the server may be asked, or any.
    """
    readers = ThreadPoolExecutor(2, "reader")  # for what takes longer than a millisecond

    async def run_in_thread(work: Callable[..., Any], *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(readers, work, *given)

    counters = CollectorRegistry()
    service: Service = live.model.endpoint(limits, counters, run_in_thread)
    meter = Meter(live, counters, service.path)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        following = asyncio.create_task(follow(live, limits.follow))
        yield
        following.cancel()
        readers.shutdown(wait=False, cancel_futures=True)

    # The pages of FastAPI's documentation would load scripts from elsewhere.
    app = FastAPI(docs_url=None, redoc_url=None, lifespan=lifespan, version=__version__)

    @app.head("/", include_in_schema=False)
    @app.get("/", include_in_schema=False)
    async def index() -> HTMLResponse:
        return HTMLResponse(service.page)

    @app.head("/health", include_in_schema=False)
    @app.get("/health", **description.HEALTH)
    async def health() -> Response:
        return http_io.json(
            {"status": "ok", "version": live.model.version, "registry": live.trouble}
        )

    @app.get("/model", **description.MODEL)
    async def model() -> Response:
        model = live.model
        return http_io.json(model.described() | service.described(model))

    @app.get("/example", **description.EXAMPLE)
    async def example() -> Response:
        return Response(service.csv(live.model), media_type="text/csv")

    @app.get("/metrics", **description.METRICS)
    async def metrics() -> Response:
        return Response(meter.exposition(), media_type="text/plain; version=0.0.4")

    @app.post(service.path, **service.operation)
    async def answer(request: Request) -> Response:
        from_csv, as_csv = http_io.types(request)
        body = await http_io.body(request, service.body, limits.receive)
        try:
            async with asyncio.timeout(limits.answer):
                return await service.answer(live.model, request, body, from_csv, as_csv)
        except TimeoutError:
            sentence = f"no answer within {limits.answer:g} s; ask for less at once"
            raise Refused(503, sentence) from None

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return http_io.json({"error": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(OverloadedError)
    async def overloaded(request: Request, error: OverloadedError) -> Response:
        return http_io.json({"error": str(error)}, 503, {"Retry-After": "1"})

    @app.exception_handler(RetainError)
    async def wrong(request: Request, error: RetainError) -> Response:
        return http_io.json({"error": str(error)}, 422)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        sentence = "something went wrong here; the server's log says what"
        return http_io.json({"error": sentence}, 500)  # and the error goes on, to the log

    app.openapi = lambda: description.openapi(app, live.model, service)  # type: ignore[method-assign]
    return Guard(app, meter, key, hosts)


async def follow(live: Live, seconds: float) -> None:
    """Look for another champion, again and again."""
    while True:
        await asyncio.sleep(seconds)
        await asyncio.to_thread(live.refresh)
