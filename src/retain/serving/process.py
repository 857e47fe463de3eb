"""The process: a socket, the champion, and uvicorn between them."""

import asyncio
import ipaddress
import logging
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from retain.errors import ParamsError, Terminated
from retain.serving import app
from retain.serving.champion import Live
from retain.serving.endpoint import Limits
from retain.serving.middleware import JsonLines

KEY = "RETAIN_API_KEY"
CONNECTIONS = 1000


class Patient(HttpToolsProtocol):
    """HTTP for clients that may take their time over a request's head, but not for ever."""

    seconds = 30.0
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for a request."""
        super().connection_made(transport)
        self._wait()

    def on_message_begin(self) -> None:
        """Wait for the rest of its head."""
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        """Go on."""
        self._stop()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._stop()
        self._patience = self.loop.call_later(self.seconds, self.transport.close)

    def _stop(self) -> None:
        if self._patience is not None:
            self._patience.cancel()


def serve(root: Path, name: str, host: str, port: int, limits: Limits) -> None:
    """Serve a problem's champion until SIGTERM or Ctrl-C; requests under way are answered first.

    Args:
        root: the project's folder.
        name: the problem.
        host: an address of this machine.
        port: 0 takes one that is free.

    Raises:
        ParamsError: the address cannot be used, or is open to others and no key is set.
        RegistryError: there is no champion, or the registry does not answer.
    """
    key = os.environ.get(KEY) or None
    loopback = _is_loopback(host)
    if not loopback and key is None:
        raise ParamsError(
            f"--host {host} lets other machines in: set a key in the environment as {KEY}, or take "
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
        torch.set_num_threads(1)  # one for the network, one for the clients
        live = Live(root, name)
        _log_as_json()
        hosts = () if key else ("localhost", "127.0.0.1", "[::1]", host)
        config = uvicorn.Config(
            app.build(live, limits, key, hosts),
            loop="uvloop",
            http=type("Patient", (Patient,), {"seconds": limits.receive}),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=30,
        )
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{listening.getsockname()[1]}"
        print(f"{name} version {live.model.version} on {address}", flush=True)
        with suppress(Terminated, KeyboardInterrupt):  # it has stopped as it should
            uvicorn.Server(config).run(sockets=[listening])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _log_as_json() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for logger in ("retain.serving", "uvicorn.error"):
        logging.getLogger(logger).handlers = [handler]
        logging.getLogger(logger).propagate = False
    logging.getLogger("retain.serving").setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
