"""Raw bytes for `retain serve`: wrong heads, wrong bodies, and right ones that are damaged."""

import contextlib
import gzip
import itertools
import json
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ..conftest import small_table
from ..serving_process import Server, by_column, serving_process
from .attempts import LONGEST, Outcome

ANSWER = 3.0  # seconds for an answer to a whole request
QUIET = 0.3  # seconds without a byte, which end it
SECONDS = 15.0  # for the end of a connection
HEAD = (
    "POST /forecast HTTP/1.1\r\nHost: localhost\r\n"
    "Content-Type: {kind}\r\nContent-Length: {size}\r\n\r\n"
)


def table_of_text() -> pd.DataFrame:
    """Return a table that the model forecasts, its time stamps as text."""
    table = small_table(60)
    return table.assign(ds=table["ds"].astype(str))


def post(body: bytes, kind: str = "application/json", more: str = "") -> bytes:
    """Return a request with a body."""
    head = HEAD.format(kind=kind, size=len(body))
    return head.replace("\r\n\r\n", f"\r\n{more}\r\n" if more else "\r\n\r\n").encode() + body


def bodies() -> Iterator[tuple[str, bytes]]:
    """Yield bodies of JSON that are wrong in one way each."""
    right = by_column(table_of_text())
    text = json.dumps(right)
    yield "right", text.encode()
    for value in ("null", "[]", "1", '""', "{}", "true", "[[]]", '{"history": null}', "", " ", "{"):
        yield f"body {value}", value.encode()
    for column in right["history"]:
        for value in (None, 1, "x", [], {}, [[]], [{}] * 60, [1e999] * 60, ["x" * 10**6],
                     [2**70] * 60,
                      [True] * 60, ["\0"] * 60, ["2024-02-30"] * 60, ["9999999-01-01"] * 60,
                      [None] * 60, ["$(x)"] * 60):  # fmt: skip
            history = right["history"] | {column: value}
            with contextlib.suppress(ValueError):
                yield f"{column} is {str(value)[:20]}", json.dumps({"history": history}).encode()
    yield "deep", b"[" * 100_000
    yield "deep and closed", b'{"history":' + b"[" * 5000 + b"]" * 5000 + b"}"
    yield "a key twice", text.replace('"y"', '"ds"').encode()
    yield "a number of a million digits", text.replace("60", "9" * 10**6, 1).encode()
    yield "NaN", text.replace("1", "NaN", 1).encode()
    yield "not UTF-8", b"\xff\xfe" + text.encode()
    yield "UTF-16", text.encode("utf-16")
    yield "a lone surrogate", b'{"history": {"\\ud800": [1]}}'
    yield (
        "more columns than there may be",
        json.dumps({"history": {f"c{n}": [1] for n in range(20_000)}}).encode(),
    )
    yield "zeros", b"\0" * 100_000


def requests() -> Iterator[tuple[str, bytes]]:
    """Yield every request by name; those that are drawn come last and never end."""
    text = json.dumps(by_column(table_of_text())).encode()
    for name, body in bodies():
        yield name, post(body)
    table = small_table(60).to_csv(index=False).encode()
    for name, body in {
        "CSV": table,
        "CSV of one field": b"y\n1\n",
        "CSV without end": table + b'"',
        "CSV of zeros": b"\0" * 10_000,
        "CSV, two marks": b"\xef\xbb\xbf" * 2 + table,
        "CSV, CR alone": table.replace(b"\n", b"\r"),
        "CSV, a long field": table + b"x" * 2_000_000,
        "CSV, blank lines": table + b"\n" * 2_000_000,
        "CSV, 20,000 columns": b",".join(b"c%d" % n for n in range(20_000)) + b"\n",
    }.items():
        yield name, post(body, "text/csv")
    for kind in ("", "x", "text/html", "application/json; charset=utf-99", "multipart/form-data",
                 "application/x-parquet", "\xff", "a" * 5000,
                 "application/json, text/csv"):  # fmt: skip
        yield f"type {kind[:30]!r}", post(text, kind)
    for more in ("Content-Encoding: gzip", "Content-Encoding: x", "Transfer-Encoding: chunked",
                 "Content-Length: 5", "Content-Length: -1", "Content-Length: x", "Host: evil",
                 "Expect: 100-continue", "Connection: Upgrade\r\nUpgrade: websocket",
                 "X-Request-ID: a\tb",
                 "X-Request-ID: " + "a" * 9000, "Authorization: Bearer \xff", "Range: bytes=0-1",
                 "Accept: \0", "Cookie: " + "a=b; " * 500, "X: y\r\n z", " X: y", ": y",
                 "X y"):  # fmt: skip
        yield f"head {more[:40]!r}", post(text, more=more + "\r\n")
    yield (
        "a bomb of gzip",
        post(gzip.compress(b"0" * 50_000_000), more="Content-Encoding: gzip\r\n"),
    )
    for line in ("GET / HTTP/1.1", "GET /health HTTP/1.0", "GET /health HTTP/9.9", "GET /health",
                 "get /health HTTP/1.1", "FOO /forecast HTTP/1.1", "POST /forecast HTTP/1.1",
                 "GET /../../etc/passwd HTTP/1.1", "GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1",
                 "GET //evil.example/ HTTP/1.1", "GET http://evil.example/ HTTP/1.1",
                 "GET * HTTP/1.1",
                 "CONNECT evil.example:443 HTTP/1.1", "OPTIONS /forecast HTTP/1.1",
                 "TRACE / HTTP/1.1", "PUT /forecast HTTP/1.1", "DELETE / HTTP/1.1",
                 "HEAD / HTTP/1.1",
                 "GET /health?" + "a=b&" * 5000 + " HTTP/1.1", "GET /" + "a" * 20_000 + " HTTP/1.1",
                 "GET /%00 HTTP/1.1", "GET /\0 HTTP/1.1", "GET /\xff HTTP/1.1", "GET  HTTP/1.1", "",
                 "GET /metrics HTTP/1.1", "GET /docs HTTP/1.1", "GET /openapi.json HTTP/1.1",
                 "GET /forecast HTTP/1.1", "POST /health HTTP/1.1"):  # fmt: skip
        yield f"line {line[:40]!r}", f"{line}\r\nHost: localhost\r\n\r\n".encode("latin-1")
    for query in (
        "quantiles=x",
        "quantiles=",
        "horizon=-1",
        "horizon=1e9",
        "series=" + "x" * 3000,
        "x=1",
    ):
        yield f"query {query[:30]}", post(text).replace(b"/forecast", f"/forecast?{query}".encode())
    yield "TLS", bytes.fromhex("160301020001000001fc0303") + b"\xaa" * 500
    yield "HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 100
    yield "nothing", b""
    yield "one byte", b"G"
    yield "line ends", b"\r\n" * 1000
    yield (
        "many headers",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 3000 + b"\r\n",
    )
    yield "no host", b"GET /health HTTP/1.1\r\n\r\n"
    yield "two requests", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50
    yield "less body than said", post(text)[:-50]
    yield "more body than said", post(text) + text
    yield "chunks without end", post(b"zz\r\n", more="Transfer-Encoding: chunked\r\n")
    right = post(text)
    for number in itertools.count():
        draw = random.Random(number)  # noqa: S311 - no secrets
        damaged = bytearray(right)
        for _ in range(draw.choice([1, 2, 20])):
            place = draw.randrange(len(damaged) if draw.randrange(2) else 130)
            match draw.randrange(3):
                case 0:
                    damaged[place] = draw.randrange(256)
                case 1:
                    del damaged[place : place + draw.choice([1, 30])]
                case _:
                    damaged[place:place] = draw.randbytes(draw.choice([1, 30]))
        yield f"damaged {number}", bytes(damaged)


def send(port: int, request: bytes) -> Outcome:
    """Send bytes, and judge what comes back.

    A request that is not complete gets no answer: then the connection is closed on this side, and
    the server must close its own.
    """
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
            with contextlib.suppress(ConnectionError):  # it may close before all is sent
                connection.sendall(request)
            for patience in (ANSWER, SECONDS):
                connection.settimeout(patience)
                with contextlib.suppress(TimeoutError):
                    while block := connection.recv(1 << 16):
                        answer += block
                        connection.settimeout(QUIET)
                    return judge(answer)
                if answer:
                    return judge(answer)
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)
    except ConnectionError:
        return judge(answer)
    return Outcome("hang")


def judge(answer: bytes) -> Outcome:
    """Judge an answer: its status, and whether a refusal has a sentence."""
    shown = answer[-600:].decode("latin-1")
    if not answer:
        return Outcome("refused", "closed without an answer")
    status = answer.split(b" ", 2)[1][:3] if answer.count(b" ") > 1 else b""
    if not status.isdigit() or status >= b"500":
        return Outcome("traceback", shown)
    if status < b"400":
        return Outcome("done", shown)
    body = answer.partition(b"\r\n\r\n")[2]
    said = b'"error"' in body or body.startswith(b"Invalid HTTP request")
    brief = len(body) <= LONGEST and b"Traceback" not in body
    return Outcome("sentence" if brief and (said or not body) else "traceback", shown)


def run(count: int, project: Path) -> Iterator[tuple[str, Outcome]]:
    """Yield what comes of so many requests to the champion of a project."""
    with serving_process(project) as server:
        for name, request in itertools.islice(requests(), count):
            yield f"request: {name}", send(server.port, request)
            if not _is_well(server):
                yield f"health after: {name}", Outcome("hang", server.log.read_text()[-2000:])
                return
        log = server.log.read_text()
    if "Traceback" in log or '"failed"' in log:
        yield "the server's log", Outcome("traceback", log[log.find("Traceback") - 500 :][:3000])


def _is_well(server: Server) -> bool:
    with contextlib.suppress(OSError):
        return server.ask("GET", "/health")[0] == 200
    return False
