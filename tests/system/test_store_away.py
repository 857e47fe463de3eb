"""A tracking server that is away delays what is sent; it stops no training, and loses nothing."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from .conftest import environment, free_port, run
from .test_stopped import start, wait_for


class Server:
    """A real `mlflow server` on loopback that can be stopped and started again."""

    def __init__(self, folder: Path):
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"]
        words += ["--port", str(self.port), "--backend-store-uri", "sqlite:///server.db"]
        words += ["--artifacts-destination", str(self.folder / "artifacts")]
        self.process = subprocess.Popen(
            words,
            cwd=self.folder,
            env=environment() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health") as answer:
                if answer.status == 200:
                    return
            time.sleep(0.2)
        pytest.fail("the server did not start")

    def stop(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def ask(self, path: str, **question: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.uri}/api/2.0/mlflow/{path}",
            json.dumps(question).encode() if question else None,
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return dict(json.load(answer))

    def runs(self) -> list[dict[str, Any]]:
        found = self.ask("runs/search", experiment_ids=["1"]).get("runs", [])
        return [one for one in found if "mlflow.parentRunId" in tags(one)]  # trainings

    def curve(self, run: dict[str, Any], key: str) -> list[int]:
        query = f"metrics/get-history?run_id={run['info']['run_id']}&metric_key={key}"
        return [point["step"] for point in self.ask(query)["metrics"]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "server"
    folder.mkdir()
    made = Server(folder)
    yield made
    made.stop()


def pending(project: Path) -> list[Path]:
    return list((project / "mlruns" / "pending").glob("*"))


def tags(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["data"]["tags"]}


@pytest.mark.long
def test_without_a_server_all_is_kept_and_sent_later(
    clone: Callable[[], Path], server: Server
) -> None:
    folder = clone()
    run(folder, "dvc", "checkout")
    away = {"MLFLOW_TRACKING_URI": server.uri}
    done = run(folder, "python", "pipelines/train.py", "small", "lstm", **away)
    assert f"the tracking store {server.uri} does not answer" in done.stdout
    assert "pending: small lstm, 2024-01-20, in mlruns/pending/" in done.stdout
    done = run(folder, "python", "pipelines/evaluate.py", "small", **away)
    assert (
        "pending: the scores of small; sent by the next stage, or by `retain sync`" in done.stdout
    )
    done = run(folder, "python", "pipelines/register.py", "small", code=2, **away)
    assert f"error: the tracking store {server.uri} does not answer" in done.stderr
    assert len(pending(folder)) == 2

    server.start()
    done = run(folder, "retain", "sync", **away)
    assert done.stdout.splitlines() == [
        "small lstm, 2024-01-20 of small",
        "the scores of small",
    ]
    assert not pending(folder)
    trained, restored = sorted(server.runs(), key=lambda one: "restored" in tags(one))
    assert (trained["info"]["status"], restored["info"]["status"]) == ("FINISHED", "FINISHED")
    assert server.curve(trained, "train/loss") == server.curve(restored, "train/loss")
    assert len(server.curve(trained, "train/loss")) == 3
    for one in (trained, restored):
        assert "test/mae" in {metric["key"] for metric in one["data"]["metrics"]}
    run(folder, "python", "pipelines/register.py", "small", **away)
    assert run(folder, "retain", "sync", **away).stdout == "nothing is pending\n"


@pytest.mark.long
def test_a_server_that_restarts_during_a_training_hears_all_of_it(
    clone: Callable[[], Path], server: Server
) -> None:
    folder = clone()
    run(folder, "dvc", "checkout")
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(
        text.replace("max_epochs: 3", "max_epochs: 30\n      patience: 30")
    )
    server.start()
    away = {"MLFLOW_TRACKING_URI": server.uri}
    process = start(folder, "python", "pipelines/train.py", "small", "rnn", **away)
    wait_for(process, "epoch 2/")
    server.stop()
    wait_for(process, "epoch 6/")
    server.start()
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert not pending(folder), said
    (only,) = server.runs()
    assert only["info"]["status"] == "FINISHED"
    assert len(server.curve(only, "train/loss")) == 30
