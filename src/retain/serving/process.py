"""The server process: socket, champion and uvicorn."""

import asyncio
import ipaddress
import logging
import math
import os
import re
import socket
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from retain.config.monitoring import LogLimit
from retain.errors import ParamsError, Terminated
from retain.model_files import load_model, load_onnx
from retain.serving import app
from retain.serving.champion import ChampionHolder, Load
from retain.serving.endpoint import Limits
from retain.serving.middleware import JsonLines

KEY = "RETAIN_API_KEY"
CONNECTIONS = 1000
# What its UTF-8 has in no header; those of the last range stand for bytes that are no UTF-8.
UNSENT = re.compile(r"^ | $|[\x00-\x1f\x7f\ud800-\udfff]")

HEAD = 32_768  # bytes of the head of a request
PIECE = 8_192  # bytes that are parsed between two checks of the length of a head
SENTENCE = f'{{"error": "the head of a request may have at most {HEAD:,} bytes"}}\n'
REFUSED = (
    "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
    f"content-length: {len(SENTENCE)}\r\nconnection: close\r\n\r\n{SENTENCE}"
).encode()


class LimitedProtocol(HttpToolsProtocol):
    """HTTP with limits on what is received before any key is checked.

    A connection is closed if its client sends HEAD bytes in a row that belong to no body, as of a
    head or of what may follow a body (trailers), or takes too long. The handler of a request limits
    body and time while it answers; this class, the time without such a request.
    """

    seconds = 30.0
    _timer: asyncio.TimerHandle
    _head = 0  # bytes since the last ones of a body

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Parse received bytes in pieces."""
        for begin in range(0, len(data), PIECE):
            if self.transport.is_closing():
                return
            piece = data[begin : begin + PIECE]
            self._head += len(piece)
            super().data_received(piece)
            if self._head >= HEAD:
                self.transport.write(REFUSED)
                self.transport.close()
        # Bytes that begin no request, such as an empty line or the rest of a body after its answer,
        # stop the timer of the base class. A timer that runs is not started again: else a byte from
        # time to time would keep the connection.
        is_answered = self.cycle is None or self.cycle.response_complete
        if is_answered and self._timer.cancelled() and not self.transport.is_closing():
            self._start_timer()

    def on_message_begin(self) -> None:
        """Wait for the rest of the head."""
        super().on_message_begin()
        self._timer.cancel()
        self._start_timer()

    def on_headers_complete(self) -> None:
        """Stop the timer: the time for the body is limited where it is read."""
        self._timer.cancel()
        self._head = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count what follows these bytes."""
        super().on_body(body)
        self._head = 0

    def on_message_complete(self) -> None:
        """Count the head of the next request from its first byte."""
        super().on_message_complete()
        self._head = 0

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self.seconds, self.transport.close)


def serve(
    root: Path,
    name: str,
    host: str,
    port: int,
    limits: Limits,
    runtime: str = "torch",
    log: tuple[Path, LogLimit] | None = None,
) -> None:
    """Serve a problem's champion until SIGTERM or Ctrl-C; requests in progress are finished first.

    Args:
        root: the project's folder.
        name: the problem.
        host: an address of this machine.
        port: 0 selects a free one.
        runtime: `torch` or `onnx`, which runs the network.
        log: folder and limit of a log of the answers.

    Raises:
        ParamsError: the address cannot be used, or others can reach it and no key is set; no client
            could send the key; there can be no such log.
        RegistryError: there is no champion, or the registry does not answer.
    """
    key = os.environ.get(KEY) or None
    if key is not None and UNSENT.search(key):
        raise ParamsError(
            f"{KEY} begins or ends with a space, has a control character or is not UTF-8, which no "
            f"header of a request can carry: use a key such as `openssl rand -hex 32` prints"
        )
    loopback = _is_loopback(host)
    if not loopback and key is None:
        raise ParamsError(
            f"--host {host} accepts other machines: set a key in the environment as {KEY}, or use "
            f"127.0.0.1"
        )
    try:
        listening = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
        )
    except OSError as error:
        raise ParamsError(
            f"--host {host} --port {port} cannot be used ({error.strerror}): take another --port"
        ) from None
    with listening:
        holder = ChampionHolder(root, name, _loader(root, runtime))
        _log_as_json()
        hosts = () if key else ("localhost", "127.0.0.1", "[::1]", host.lower())
        config = uvicorn.Config(
            app.build(holder, limits, key, hosts, log),
            loop="uvloop",
            http=type("Protocol", (LimitedProtocol,), {"seconds": limits.receive}),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=_grace(limits),
        )
        address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
        by = "" if runtime == "torch" else " by onnxruntime"
        print(f"{name} version {holder.champion.version}{by} on {address}", flush=True)
        with suppress(Terminated, KeyboardInterrupt):  # a normal stop
            uvicorn.Server(config).run(sockets=[listening])


def _grace(limits: Limits) -> int | None:
    """Return the seconds until a request that has begun to arrive is answered or refused."""
    seconds = limits.receive + limits.answer
    return math.ceil(seconds) + 1 if math.isfinite(seconds) else None


def _loader(root: Path, runtime: str) -> Load:
    """Return what loads a model folder; torch is imported only to run the network."""
    if runtime == "onnx":
        return partial(load_onnx, cache=root / "scratch" / "onnx")
    import torch

    torch.set_num_threads(1)  # one for the network, one for the clients
    return load_model


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _log_as_json() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for logger in ("retain", "uvicorn.error"):
        logging.getLogger(logger).handlers = [handler]
        logging.getLogger(logger).propagate = False
    logging.getLogger("retain.serving").setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
