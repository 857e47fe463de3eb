"""`retain serve` as a process of its own, and what is sent to it."""

import fcntl
import http.client
import json
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from .conftest import environment

JSON, CSV = "application/json", "text/csv"


@dataclass(frozen=True)
class Server:
    """A process that serves, and its port."""

    process: subprocess.Popen[str]
    port: int
    log: Path

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """Status and body of the answer to a request of its own connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def forecast(self, content: Any, kind: str = JSON, **headers: str) -> tuple[int, Any]:
        """The same of a forecast; what comes is read as JSON."""
        return self.post("/forecast", content, kind, **headers)

    def post(self, path: str, content: Any, kind: str = JSON, **headers: str) -> tuple[int, Any]:
        """The same of a request with a body."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        code, said = self.ask("POST", path, body, Content_Type=kind, **headers)
        return code, json.loads(said)

    def at_once(
        self, path: str, *contents: Any, **headers: str
    ) -> tuple[list[tuple[int, Any]], list[int]]:
        """Answers to requests that it gets at the same time, and in which order it gave them.

        It is stopped while they arrive: so they wait together on a machine of any speed.
        """
        bodies = [json.dumps(content).encode() for content in contents]
        names = [f"at-once-{time.monotonic_ns()}-{number}" for number in range(len(bodies))]
        clients = [http.client.HTTPConnection("127.0.0.1", self.port, timeout=60) for _ in bodies]
        for client in clients:
            client.request("GET", "/health")
            assert client.getresponse().read()
        heads = {"Content-Type": JSON} | {k.replace("_", "-"): v for k, v in headers.items()}
        begun = [max(len(body) - 10_000, 0) for body in bodies]
        for client, body, length, name in zip(clients, bodies, begun, names, strict=True):
            if length:
                _begin(client, path, body, heads | {"X-Request-ID": name}, length)
                _until_sent(client)  # the rest fits into the buffer then
        self.process.send_signal(signal.SIGSTOP)
        try:
            for client, body, length, name in zip(clients, bodies, begun, names, strict=True):
                if not length:
                    _begin(client, path, body, heads | {"X-Request-ID": name}, 0)
                client.send(body[length:])
        finally:
            self.process.send_signal(signal.SIGCONT)
        answers = []
        for client in clients:
            answer = client.getresponse()
            answers.append((answer.status, json.loads(answer.read())))
            client.close()
        return answers, [names.index(name) for name in self._answered(names)]

    def _answered(self, names: list[str]) -> list[str]:
        """The names of requests in the order of the log, which has a line after each answer."""
        deadline = time.monotonic() + 60
        while True:
            lines = [json.loads(line) for line in self.log.read_text().splitlines()]
            found = [line["request"] for line in lines if line.get("request") in names]
            if len(found) == len(names):
                return found
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=40)


def _begin(
    client: http.client.HTTPConnection, path: str, body: bytes, heads: dict[str, str], length: int
) -> None:
    """Send the head of a request and so many bytes of its body."""
    client.putrequest("POST", path)
    for name, value in (heads | {"Content-Length": str(len(body))}).items():
        client.putheader(name, value)
    client.endheaders(body[:length])


def _until_sent(client: http.client.HTTPConnection) -> None:
    """Wait until nothing that was sent lies in the buffer of this end."""
    deadline = time.monotonic() + 60
    while any(fcntl.ioctl(client.sock, termios.TIOCOUTQ, bytes(4))):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def serving_process(
    folder: Path, *words: str, name: str = "small", **extra: str
) -> Iterator[Server]:
    """`retain serve` of a problem in a project, while the block runs."""
    log = folder.parent / f"server-{time.monotonic_ns()}.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            ["retain", "serve", name, "--port", "0", *words],
            cwd=folder,
            env=environment() | extra,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith(f"{name} version "), log.read_text()
        yield Server(process, int(said.rpartition(":")[2]), log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def by_column(table: pd.DataFrame) -> dict[str, Any]:
    columns = {name: table[name].astype(object) for name in table}
    return {
        "history": {
            name: values.where(values.notna(), None).tolist() for name, values in columns.items()
        }
    }


def try_schema(server: Server, examples: int) -> "subprocess.CompletedProcess[str]":
    """Send what the server's own description allows, and what it does not."""
    return subprocess.run(
        [
            *("schemathesis", "run", f"http://127.0.0.1:{server.port}/openapi.json"),
            *("--max-examples", str(examples), "--seed", "1", "--no-color"),
            # A table or a text may be wrong in more ways than a schema can say.
            *("--exclude-checks", "positive_data_acceptance"),
        ],
        cwd=server.log.parent,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
