"""Middleware for every request: access, log, counters, and headers for browsers."""

import hmac
import json
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retain.serving.metrics import Metrics

log = logging.getLogger("retain.serving")

HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
        b"connect-src 'self'; img-src data: blob:; form-action 'none'; frame-ancestors 'none'; "
        b"base-uri 'none'",
    ),
]


def require_key(key: str) -> Callable[..., Awaitable[None]]:
    """Make the dependency of a path that requires `key`."""
    header = APIKeyHeader(name="X-API-Key", auto_error=False)
    bearer = HTTPBearer(auto_error=False)

    async def check_key(
        sent: Annotated[str | None, Security(header)],
        token: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
    ) -> None:
        shown = sent or (token.credentials if token else "")
        if not hmac.compare_digest(shown.encode("latin-1"), key.encode()):  # sent as UTF-8
            sentence = "the key is missing or wrong: send it as the header X-API-Key"
            raise HTTPException(401, sentence, {"WWW-Authenticate": "Bearer"})

    return check_key


class AccessMiddleware:
    """Logs and counts requests, adds headers, and refuses other host names.

    Args:
        hosts: allowed host names; empty means any. Without a key they prevent a web page from
            reaching a loopback server under another name (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, hosts: tuple[str, ...]):
        self._app, self._metrics, self._hosts = app, metrics, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request by the ASGI interface."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, headers = time.perf_counter(), dict(scope["headers"])
        request_id = _request_id(headers.get(b"x-request-id", b""))
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                added = [*HEADERS, (b"x-request-id", request_id.encode())]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        try:
            app = self._refuse_host(headers.get(b"host", b"")) or self._app
            await app(scope, receive, send_with_headers)
        except Exception:
            log.exception("failed", extra={"request": request_id})
        finally:
            seconds = time.perf_counter() - begin
            self._metrics.count_request(scope["path"], status, seconds)
            log.info(
                "request",
                extra={
                    "request": request_id,
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "ms": round(1000 * seconds, 2),
                },
            )

    def _refuse_host(self, header: bytes) -> ASGIApp | None:
        """Return the answer to a request under another name than this server's."""
        # Starlette's TrustedHostMiddleware answers 400 without a message, but the right answer from
        # a wrong server is 421 with the right name.
        host = re.sub(r":\d+$", "", header.decode("latin-1")).lower()
        if not self._hosts or host in self._hosts:
            return None
        names = " or ".join(self._hosts)
        return JSONResponse(
            {"error": f"this server answers to the name {names}, not {host[:100]!r}"}, 421
        )


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON."""

    FIELDS = ("request", "method", "path", "status", "ms", "version")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{record.msecs:03.0f}",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= {key: getattr(record, key) for key in self.FIELDS if hasattr(record, key)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _request_id(given: bytes) -> str:
    """Return the client's request id, if it is safe to log, or a new one."""
    if re.fullmatch(rb"[\w.-]{1,64}", given):
        return given.decode()
    return uuid.uuid4().hex
