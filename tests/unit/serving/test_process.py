"""What a connection may do before any key is checked: no process, but real sockets."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from retain.serving import process
from retain.serving.endpoint import Limits
from retain.serving.process import HEAD, LimitedProtocol

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /forecast HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
KEEP_ALIVE = 60  # seconds, more than a test takes


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """Answer at once, as to a request without the key; read no body."""
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": b"no"})


async def read_all(scope: Any, receive: Any, send: Any) -> None:
    """Read the body, and answer with its length."""
    length, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length, more = length + len(message.get("body", b"")), message["more_body"]
    body = str(length).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def talk(app: Any, seconds: float, client: Callable[..., Awaitable[Any]]) -> Any:
    """Run a client of a server that closes connections after `seconds`; return what it returns."""

    async def run() -> Any:
        config = uvicorn.Config(app, log_config=None, timeout_keep_alive=KEEP_ALIVE)
        state, protocols = ServerState(), []

        def connect() -> LimitedProtocol:
            protocols.append(LimitedProtocol(config, state, {}))
            protocols[-1].seconds = seconds
            return protocols[-1]

        loop = asyncio.get_running_loop()
        server = await loop.create_server(connect, "127.0.0.1", 0)
        streams = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            return await asyncio.wait_for(client(*streams, protocols), 20)
        finally:
            streams[1].close()
            server.close()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("request_", "rest"),
    [
        (POST + b"Content-Length: 100\r\n\r\n", b"a"),
        (HEALTH, b"\r\n"),
        (HEALTH, b"GET /health HTTP/1.1\r\n"),
    ],
    ids=["the rest of a body", "an empty line", "a head"],
)
def test_a_client_that_sends_something_after_its_answer_is_not_waited_for(
    request_: bytes, rest: bytes
) -> None:
    async def client(reader: Any, writer: Any, protocols: Any) -> None:
        writer.write(request_)
        assert b" 401 " in await reader.readuntil(b"no")
        for byte in rest:  # a byte from time to time does not start the time again
            writer.write(bytes([byte]))
            await asyncio.sleep(0.01)
        assert await reader.read() == b""

    talk(refuse, 0.3, client)


def test_bytes_from_time_to_time_do_not_keep_a_connection() -> None:
    async def client(reader: Any, writer: Any, protocols: Any) -> None:
        writer.write(POST + b"Content-Length: 1000000\r\n\r\n")
        await reader.readuntil(b"no")
        closed = asyncio.create_task(reader.read())
        while not closed.done():
            writer.write(b"a")
            await asyncio.sleep(0.05)

    talk(refuse, 0.3, client)


def test_a_connection_is_used_again_after_more_than_that_time() -> None:
    async def client(reader: Any, writer: Any, protocols: Any) -> None:
        for _ in range(3):
            writer.write(POST + b"Content-Length: 2\r\n\r\nab")
            assert await reader.readuntil(b"no")
            await asyncio.sleep(0.15)

    talk(refuse, 0.1, client)


@pytest.mark.parametrize("trailer", [b"a:b\r\n", b"a"], ids=["many", "one"])
def test_trailers_without_an_end_are_refused(trailer: bytes) -> None:
    async def client(reader: Any, writer: Any, protocols: Any) -> None:
        writer.write(CHUNKED + b"1\r\na\r\n0\r\n")
        sent = 0
        while not protocols[0].transport.is_closing() and sent < 100 * HEAD:
            sent += 5_000
            writer.write(trailer * (5_000 // len(trailer)))
            await asyncio.sleep(0)
        assert protocols[0].transport.is_closing()
        assert len(protocols[0].headers) < 2 * HEAD / len(b"a:b\r\n")
        with suppress(ConnectionError):  # it is closed while bytes are on the way
            assert (await reader.read())[:13] in (b"", b"HTTP/1.1 431 ")

    talk(read_all, 20, client)


@pytest.mark.parametrize("size", [1, 10, 100_000])
def test_a_body_of_any_chunks_is_read(size: int) -> None:
    async def client(reader: Any, writer: Any, protocols: Any) -> None:
        count = 300_000 // max(size, 10)
        chunk = f"{size:x}\r\n".encode() + b"a" * size + b"\r\n"
        writer.write(CHUNKED + chunk * count + b"0\r\nX-Digest: none\r\n\r\n" + HEALTH)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        length = str(size * count).encode()
        assert await reader.readexactly(len(length)) == length
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")

    talk(read_all, 20, client)


def test_a_stop_waits_for_a_request_as_long_as_it_may_take() -> None:
    assert process._grace(Limits(receive=30.0, answer=60.0)) == 91
    assert process._grace(Limits(receive=0.05, answer=0.1)) == 2
    assert process._grace(Limits(answer=math.inf)) is None
