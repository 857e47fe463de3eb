"""What the server answers, path by path.

A request is read by the champion of that moment and answered by the same, whatever becomes champion
meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

from retain import __version__
from retain.errors import RetainError
from retain.server import description, wire
from retain.server.batching import CHUNK, Batcher, OverloadedError
from retain.server.guard import Guard
from retain.server.live import Live, Loaded
from retain.server.meter import Meter
from retain.server.wire import Refused

QUICK = 2**20  # bytes of JSON that are read in a few milliseconds


@dataclass(frozen=True)
class Limits:
    """What a client may ask for."""

    body: int = 32 * 2**20  # bytes
    rows: int = 1_000_000
    waiting: int = 20_000  # series that wait for the network
    receive: float = 30.0  # seconds for a client to send its request
    answer: float = 60.0  # seconds to answer it
    follow: float = 5.0  # seconds between looks for another champion


def build(live: Live, limits: Limits, key: str | None = None, hosts: tuple[str, ...] = ()) -> Any:
    """The application.

    Args:
        live: the champion.
        limits: what a client may ask for.
        key: what clients must show, or None.
        hosts: names under which the server may be asked, or any.
    """
    meter = Meter(live)
    batcher = Batcher(limits.waiting, meter.batch)
    readers = ThreadPoolExecutor(2, "reader")  # for what takes longer than a millisecond
    page = files("retain.server").joinpath("page.html").read_text("utf-8")

    async def aside(work: Callable[..., Any], *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(readers, work, *given)

    def quickly(served: Any, body: bytes) -> tuple[dict[str, list[Any]], Any]:
        columns = wire.columns(body, limits.rows)
        return columns, served.quick_request(columns)

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
        return HTMLResponse(page)

    @app.head("/health", include_in_schema=False)
    @app.get("/health", **description.HEALTH)
    async def health() -> Response:
        return wire.json({"status": "ok", "version": live.model.version, "registry": live.trouble})

    @app.get("/model", **description.MODEL)
    async def model() -> Response:
        return wire.json(live.model.described())

    @app.get("/example", **description.EXAMPLE)
    async def example() -> Response:
        model = live.model
        return Response(model.served.csv(model.example), media_type="text/csv")

    @app.get("/metrics", **description.METRICS)
    async def metrics() -> Response:
        return Response(meter.exposition(), media_type="text/plain; version=0.0.4")

    @app.post("/forecast", **description.FORECAST)
    async def forecast(request: Request) -> Response:
        kind, as_csv = wire.types(request)
        body = await wire.body(request, limits.body, limits.receive)
        try:
            async with asyncio.timeout(limits.answer):
                return await answer(live.model, body, kind, as_csv)
        except TimeoutError:
            sentence = f"no answer within {limits.answer:g} s; ask for fewer series at once"
            raise Refused(503, sentence) from None

    async def answer(model: Loaded, body: bytes, kind: str, as_csv: bool) -> Response:
        served = model.served
        if kind == "text/csv":
            wire.check_lines(body, limits.rows)
            asked = await aside(served.csv_request, body)
        else:
            columns, asked = (
                quickly(served, body) if len(body) < QUICK else await aside(quickly, served, body)
            )
            if asked is None:
                asked = await aside(served.request, columns)
        quantiles = await batcher.predict(served, asked)
        meter.series(len(asked))
        if len(asked) <= CHUNK and not as_csv:
            return wire.written(model, asked, quantiles, as_csv)
        return await aside(wire.written, model, asked, quantiles, as_csv)  # type: ignore[no-any-return]

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return wire.json({"error": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(OverloadedError)
    async def overloaded(request: Request, error: OverloadedError) -> Response:
        return wire.json({"error": str(error)}, 503, {"Retry-After": "1"})

    @app.exception_handler(RetainError)
    async def wrong(request: Request, error: RetainError) -> Response:
        return wire.json({"error": str(error)}, 422)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        sentence = "something went wrong here; the server's log says what"
        return wire.json({"error": sentence}, 500)  # and the error goes on, to the log

    app.openapi = lambda: description.openapi(app, live.model)  # type: ignore[method-assign]
    return Guard(app, meter, key, hosts)


async def follow(live: Live, seconds: float) -> None:
    """Look for another champion, again and again."""
    while True:
        await asyncio.sleep(seconds)
        await asyncio.to_thread(live.refresh)
