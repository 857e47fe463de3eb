"""Another champion takes over, or the server is killed, and no request is lost."""

import http.client
import itertools
import json
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import pytest

from retain.kinds.forecast.predict import predictor
from retain.tracking import store

from .serving_process import JSON, by_column, serving_process


@pytest.fixture(scope="module")
def project(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, for a version that was made and deleted leaves its number behind."""
    folder = tmp_path_factory.mktemp("swap") / "project"
    shutil.copytree(finished, folder)
    return folder


@pytest.fixture(scope="module")
def body(project: Path) -> bytes:
    model = predictor.load(project / "models/small/final")
    return json.dumps(by_column(model.example(project / "data/prepared/small"))).encode()


@pytest.fixture
def promote(project: Path) -> Iterator[Callable[[], str]]:
    """Makes one of two versions of the same model champion, in turns, and says which."""
    client = store.connect(project)
    first = client.get_model_version("small", "1")
    second = client.create_model_version("small", first.source, first.run_id, dict(first.tags))
    turns = itertools.cycle([second.version, first.version])

    def other() -> str:
        version = str(next(turns))
        client.set_registered_model_alias("small", "champion", version)
        return version

    yield other
    client.set_registered_model_alias("small", "champion", "1")
    client.delete_model_version("small", second.version)


class Clients:
    """Threads that ask until they are told to stop; each tries again where no answer came."""

    def __init__(self, body: bytes, count: int = 8):
        self.port: int | None = None
        self.answers: list[tuple[int, str]] = []  # status and version
        self.asked, self.lost = 0, 0
        self._body, self._stop = body, threading.Event()
        self._pool = ThreadPoolExecutor(count)
        for _ in range(count):
            self._pool.submit(self._run)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        self._pool.shutdown()

    def wait_for(self, more: int = 1, version: str | None = None) -> None:
        """Return when so many more answers have come, the last of them of a version."""
        deadline, before = time.monotonic() + 60, len(self.answers)
        while len(self.answers) < before + more or version not in (None, self.answers[-1][1]):
            assert time.monotonic() < deadline, f"no answers, or none of version {version}"
            time.sleep(0.01)

    def _run(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._stop.is_set():
            self.asked += 1
            while True:
                # An answer that began must come whole; where none began, it asks again.
                if connection is None or connection.port != self.port:
                    if self.port is None and not self._stop.is_set():
                        time.sleep(0.01)
                        continue
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                try:
                    connection.request("POST", "/forecast", self._body, {"Content-Type": JSON})
                    answer = connection.getresponse()
                except (OSError, http.client.BadStatusLine):
                    connection.close()
                    connection = None
                    if self._stop.is_set():
                        break
                    time.sleep(0.01)
                    continue
                try:
                    said = json.loads(answer.read())
                    self.answers.append((answer.status, said["model"]["version"]))
                except (OSError, http.client.HTTPException, ValueError, KeyError):
                    self.lost += 1
                break


def test_another_champion_takes_over_under_load(
    project: Path, body: bytes, promote: Callable[[], str]
) -> None:
    clients = Clients(body)
    with serving_process(project, "--follow", "0.1") as server:
        with clients:
            clients.port = server.port
            for _ in range(3):
                clients.wait_for(20)
                clients.wait_for(version=promote())
        assert (clients.lost, len(clients.answers)) == (0, clients.asked)
        assert {status for status, _ in clients.answers} == {200}


def test_killed_while_another_champion_comes_no_request_is_lost(
    project: Path, body: bytes, promote: Callable[[], str]
) -> None:
    with Clients(body) as clients:
        for number, code in ((signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)):
            with serving_process(project, "--follow", "0.1") as server:
                clients.port = server.port
                clients.wait_for(20)
                version = promote()
                time.sleep(0.13)  # it has begun to load
                clients.port = None
                assert server.stop(number) == code
                assert number == signal.SIGKILL or clients.lost == 0
        with serving_process(project) as server:
            clients.port = server.port
            clients.wait_for(20)
            clients.__exit__()
    assert len(clients.answers) + clients.lost == clients.asked
    assert {status for status, _ in clients.answers} == {200}
    assert clients.answers[-1] == (200, version)
