"""Ask a server for a long time with many clients, while its champion changes, and watch its memory.

python -m tests.system.soak --minutes 30

Every few seconds another version of the same model becomes champion, and now and then one whose
files are not those that were registered: the server must keep its model and say so. The exit code
is 1 if a request failed or was lost, or if memory grew by more than 5 %.
"""

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from retain.kinds.forecast.predict import predictor
from retain.tracking import store
from tests import forkserver

from .conftest import environment, finish, small_table
from .serving_process import Server, by_column, serving_process
from .test_swap import Clients

CLIENTS = 32
EVERY = 5.0  # seconds between two changes of the champion
FLAT = 0.05  # by how much memory may grow from the second quarter of the time to the last


@dataclass
class Result:
    """What became of the requests, of the changes and of the server's memory."""

    seconds: float = 0.0
    asked: int = 0
    failed: int = 0
    lost: int = 0
    swaps: int = 0
    broken: int = 0
    unseen: int = 0  # broken versions that the server said nothing about
    missed: int = 0  # champions that did not come
    memory: list[float] = field(default_factory=list)  # MB, twice a second
    log_rows: int = 0

    def quarter(self, number: int) -> float:
        """Return the median of the memory in a quarter of the time, from 0."""
        size = len(self.memory) // 4
        return statistics.median(self.memory[number * size : (number + 1) * size])

    @property
    def growth(self) -> float:
        """By how much memory grew after the first quarter, in which it warms up."""
        return self.quarter(3) / self.quarter(1) - 1

    @property
    def good(self) -> bool:
        """Whether all was as it should be."""
        wrong = self.failed or self.lost or self.unseen or self.missed
        return not wrong and self.growth <= FLAT and self.swaps > 0 and self.broken > 0

    def lines(self) -> list[str]:
        """Return the table in Markdown."""
        rows = {
            "minutes": f"{self.seconds / 60:.1f}",
            "clients": f"{CLIENTS}",
            "requests": f"{self.asked:,}",
            "answers that are not 200": f"{self.failed:,}",
            "requests without an answer": f"{self.lost:,}",
            "other champions, all of which answered": f"{self.swaps:,}",
            "broken champions, all of which were refused": f"{self.broken:,}",
            "rows of forecasts logged": f"{self.log_rows:,}",
            "memory in the second quarter of the time": f"{self.quarter(1):.0f} MB",
            "memory in the last": f"{self.quarter(3):.0f} MB ({100 * self.growth:+.1f} %)",
        }
        return ["| | |", "|---|---:|", *(f"| {name} | {value} |" for name, value in rows.items())]


@contextmanager
def versions(project: Path) -> Iterator[tuple[str, str, str]]:
    """Yield two versions of the same model, and one that is broken; they are removed again."""
    client = store.connect(project)
    first = client.get_model_version("small", "1")
    tags = dict(first.tags)
    second = client.create_model_version("small", first.source, first.run_id, tags)
    wrong = tags | {"final.md5": "0" * 32 + ".dir"}
    broken = client.create_model_version("small", first.source, first.run_id, wrong)
    try:
        yield "1", str(second.version), str(broken.version)
    finally:
        client.set_registered_model_alias("small", "champion", "1")
        for version in (second, broken):
            client.delete_model_version("small", version.version)


def run(project: Path, minutes: float) -> Result:
    """Serve a project's champion for some minutes; the project is changed."""
    model = predictor.load(project / "models/small/final")
    body = json.dumps(by_column(model.example(project / "data/prepared/small"))).encode()
    found, client = Result(), store.connect(project)
    log = project.parent / "soak-log"
    options = ("--follow", "0.5", "--log", str(log))
    path = environment(forked=False)["PATH"]  # the process itself, to see its memory
    with (
        versions(project) as (*good, broken),
        serving_process(project, *options, PATH=path) as server,
    ):
        begin, turns = time.monotonic(), itertools.count(1)
        process, end = psutil.Process(server.process.pid), begin + 60 * minutes
        with Clients(body, CLIENTS) as clients:
            clients.port = server.port
            while time.monotonic() < end:
                turn = next(turns)
                is_broken = turn % 4 == 0
                version = broken if is_broken else good[turn % 2]
                client.set_registered_model_alias("small", "champion", version)
                seen = _wait(server, version, is_broken, process, found)
                found.broken += is_broken
                found.swaps += not is_broken
                found.unseen += is_broken and not seen
                found.missed += not is_broken and not seen
        found.seconds = time.monotonic() - begin
        found.asked, found.lost = clients.asked, clients.asked - len(clients.answers)
        found.failed = sum(status != 200 for status, _ in clients.answers)
        metrics = server.ask("GET", "/metrics")[1].decode()
        assert server.stop() == 0
        assert "Traceback" not in server.log.read_text()
    lines = [line for line in metrics.splitlines() if line.startswith("retain_log_rows_total")]
    found.log_rows = int(float(lines[0].split()[1]))
    return found


def _wait(
    server: Server, version: str, is_broken: bool, process: psutil.Process, found: Result
) -> bool:
    """Watch memory until the next change; return whether the server saw this one."""
    begin, seen = time.monotonic(), False
    while (passed := time.monotonic() - begin) < EVERY or (not seen and passed < 12 * EVERY):
        time.sleep(0.5)
        found.memory.append(process.memory_info().rss / 10**6)
        health = json.loads(server.ask("GET", "/health")[1])
        seen |= bool(health["registry"]) if is_broken else health["version"] == version
    return seen


def main() -> None:
    """Make a project, serve it, and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--project", type=Path, help="a project that an earlier run has made")
    options = parser.parse_args()
    with forkserver.scratch() as folder:
        project = options.project or folder / "project"
        if not project.exists():
            finish(project, small_table())
        found = run(project, options.minutes)
    print("\n".join(found.lines()))
    sys.exit(not found.good)


if __name__ == "__main__":
    main()
