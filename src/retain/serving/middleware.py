"""Around every request: who may ask, what is logged and counted, what a browser may do with it."""

import hmac
import json
import logging
import re
import time
import uuid
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retain.serving.metrics import Meter

log = logging.getLogger("retain.serving")

OPEN = ("/", "/health")  # asked without a key
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


class Guard:
    """Lets a request through to `app`, or answers itself.

    Args:
        key: what clients must show as X-API-Key or as a bearer token; None asks for nothing.
        hosts: names under which the server may be asked; empty means any. Without a key it keeps
            a page in a browser from reaching a loopback server under a name of its own.
    """

    def __init__(self, app: ASGIApp, meter: Meter, key: str | None, hosts: tuple[str, ...]):
        self._app, self._meter, self._hosts = app, meter, hosts
        self._key = None if key is None else key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI asks for it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, headers = time.perf_counter(), dict(scope["headers"])
        number = _request_id(headers.get(b"x-request-id", b""))
        status = 0

        async def tell(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    *HEADERS,
                    (b"x-request-id", number.encode()),
                ]
            await send(message)

        try:
            refusal = self._refusal(scope["path"], headers)
            if refusal is None:
                await self._app(scope, receive, tell)
            else:
                await _answer(tell, *refusal)
        except Exception:
            log.exception("failed", extra={"request": number})
        finally:
            seconds = time.perf_counter() - begun
            self._meter.request(scope["path"], status, seconds)
            log.info(
                "request",
                extra={
                    "request": number,
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "ms": round(1000 * seconds, 2),
                },
            )

    def _refusal(self, path: str, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        host = re.sub(r":\d+$", "", headers.get(b"host", b"").decode("latin-1"))
        if self._hosts and host not in self._hosts:
            return 421, f"this server is asked as {' or '.join(self._hosts)}, not as {host[:100]!r}"
        if self._key is None or path in OPEN:
            return None
        bearer = headers.get(b"authorization", b"").removeprefix(b"Bearer ")
        if hmac.compare_digest(headers.get(b"x-api-key", bearer), self._key):
            return None
        return 401, "the key is missing or wrong: send it as the header X-API-Key"


class JsonLines(logging.Formatter):
    """A record as one line of JSON."""

    FIELDS = ("request", "method", "path", "status", "ms", "version")

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
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
    """The client's own, if it can stand in a log, or a new one."""
    if re.fullmatch(rb"[\w.-]{1,64}", given):
        return given.decode()
    return uuid.uuid4().hex


async def _answer(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"error": sentence}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
