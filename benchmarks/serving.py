"""How fast forecasts come over HTTP: `retain serve` beside `mlflow models serve` and a bare call.

A small panel is trained and registered, the servers answer with the same champion, and clients ask
them in turns: so many at once, with so many series a request, over connections that stay open.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks import tables

ROOT = Path(__file__).parents[1]
SCRATCH = ROOT / "scratch" / "serving-benchmark"
CONTEXT, SERIES = 168, 64
CLIENTS, SIZES = (1, 8, 64), (1, 64)
BARE, RETAIN, MLFLOW = "bare call", "`retain serve`", "`mlflow models serve`"
BARE_ONNX, ONNX = "bare call, onnxruntime", "`retain serve --runtime onnx`"
PROBLEM = {
    "kind": "forecast",
    "preset": "fast",
    "data": {
        **{"path": "data/raw/panel.csv", "unique_id": "store", "frequency": "h"},
        **{"horizon": 24, "context_length": CONTEXT, "season_length": 24},
        "split": {"validation": 0.7, "test": 0.85},
    },
    "model": {"segment_length": 1},
    "training": {"max_epochs": 1, "epoch_steps": 20, "accelerator": "cpu"},
    "evaluation": {"bootstrap": 100},
    "gate": [{"check": "finite"}],
}

NOTES = """\
An LSTM of {hidden} units that reads {context} hours step by step and forecasts 24, one processor
thread each; {rounds} rounds of {seconds:g} s in turns, figures over all of them. “Bare call” is the
network in Python alone, with its windows ready: no table is read and none is written. Clients are
{connections} at most, in one process of their own, each with one connection and the next request
right after the answer. Requests are JSON: by column for `retain serve`, `dataframe_split` for
`mlflow models serve`, the same numbers in both."""


def table() -> pd.DataFrame:
    """Series with a daily cycle and noise."""
    noise, hours = np.random.default_rng(1), np.arange(1000)
    ds = pd.date_range("2024-01-01", periods=len(hours), freq="h")
    level = 100 + 10 * np.sin(hours / 24 * 2 * np.pi)
    return pd.concat(
        pd.DataFrame(
            {
                "ds": ds,
                "store": f"store {number}",
                "y": (level + noise.normal(0, 2, len(hours))).round(2),
            }
        )
        for number in range(SERIES)
    )


def register() -> None:
    """Make the project: its stages, without DVC."""
    from ruamel.yaml import YAML

    if (SCRATCH / "reports" / "panel" / "decision.json").is_file():
        return
    (SCRATCH / "data" / "raw").mkdir(parents=True, exist_ok=True)
    YAML().dump({"problems": {"panel": PROBLEM}}, SCRATCH / "params.yaml")
    table().to_csv(SCRATCH / "data" / "raw" / "panel.csv", index=False)
    for stage in ("prepare", "train lstm", "train rnn", "refit", "evaluate", "register"):
        name, *cells = stage.split()
        script = [sys.executable, str(ROOT / "pipelines" / f"{name}.py"), "panel", *cells]
        subprocess.run(script, cwd=SCRATCH, env=environment(), check=True)


def environment() -> dict[str, str]:
    """The tracking store is the scratch project's; one thread for each server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return kept | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{SCRATCH / 'mlruns' / 'mlflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


@contextmanager
def server(words: list[str], port: int, ready: str) -> Iterator[None]:
    """A server on a port of loopback, while the block runs."""
    with (SCRATCH / f"{words[0]}-{port}.log").open("w") as log:
        process = subprocess.Popen(
            words, cwd=SCRATCH, env=environment(), stdout=log, stderr=log, start_new_session=True
        )
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{ready}", timeout=5)
                break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit(f"{words[0]} ended; see {log.name}") from None
                time.sleep(0.1)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def message(port: int, path: str, content: Any) -> bytes:
    """A request of HTTP."""
    body = json.dumps(content).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def client(port: int, request: bytes, until: float, found: list[float]) -> None:
    """Ask again and again; `found` gets the seconds of each answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**26)
    try:
        while (begun := time.perf_counter()) < until:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            if " 200 " not in head.partition("\r\n")[0]:
                raise SystemExit(f"the server answered {head}")
            await reader.readexactly(int(head.partition("content-length:")[2].split()[0]))
            found.append(time.perf_counter() - begun)
    finally:
        writer.close()


def ask(port: int, request: bytes, clients: int, seconds: float) -> tuple[list[float], float]:
    """Latencies of so many clients for some time, and the time that it took."""
    import uvloop

    async def all_of_them() -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(client(port, request, until, found) for _ in range(clients)))

    found: list[float] = []
    begun = time.perf_counter()
    uvloop.run(all_of_them())
    return found, time.perf_counter() - begun


def call(work: Callable[[], object], seconds: float) -> tuple[list[float], float]:
    """Latencies of a call in this process."""
    found, begun = [], time.perf_counter()
    while (now := time.perf_counter()) < begun + seconds:
        work()
        found.append(time.perf_counter() - now)
    return found, time.perf_counter() - begun


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)


def run(options: argparse.Namespace) -> None:
    """Measure, print, and write the section."""
    from retain.kinds.forecast.export import onnx_predictor
    from retain.kinds.forecast.predict import predictor

    register()
    torch.set_num_threads(1)
    folder = SCRATCH / "models" / "panel" / "final"  # what the servers answer with
    served = predictor.load(folder)
    quick = onnx_predictor.load(folder, SCRATCH / "scratch" / "onnx")
    newest = table().groupby("store", sort=False).tail(CONTEXT)
    newest["ds"] = newest["ds"].astype(str)
    ports = {RETAIN: free_port(), ONNX: free_port(), MLFLOW: free_port()}
    contestants: dict[tuple[str, int], Any] = {}
    for size in SIZES:
        rows = newest.head(size * CONTEXT)
        batch = served.requests.read_columns(rows.to_dict("list")).batch
        contestants[BARE, size] = lambda batch=batch: served.predict_batch(batch)
        contestants[BARE_ONNX, size] = lambda batch=batch: quick.predict_batch(batch)
        split = {"columns": list(rows.columns), "data": rows.to_numpy().tolist()}
        bodies = {
            RETAIN: ("/forecast", {"history": rows.to_dict("list")}),
            ONNX: ("/forecast", {"history": rows.to_dict("list")}),
            MLFLOW: ("/invocations", {"dataframe_split": split}),
        }
        for name, (path, content) in bodies.items():
            contestants[name, size] = message(ports[name], path, content)
    found: dict[tuple[str, int, int], list[tuple[list[float], float]]] = {}
    ours = ["retain", "serve", "panel", "--port", str(ports[RETAIN])]
    theirs = ["mlflow", "models", "serve", "-m", "models:/panel@champion"]
    theirs += ["--env-manager", "local", "--port", str(ports[MLFLOW])]
    with ExitStack() as servers:
        servers.enter_context(server(ours, ports[RETAIN], "/health"))
        by_onnx = [*ours[:-1], str(ports[ONNX]), "--runtime", "onnx"]
        servers.enter_context(server(by_onnx, ports[ONNX], "/health"))
        servers.enter_context(server(theirs, ports[MLFLOW], "/ping"))
        for number in range(-1, options.rounds):  # the first to warm up
            for clients in CLIENTS:
                for (name, size), work in contestants.items():
                    if name in (BARE, BARE_ONNX) and clients > 1:
                        continue
                    seconds = options.seconds if number >= 0 else 0.5
                    if name in (BARE, BARE_ONNX):
                        measured = call(work, seconds)
                    else:
                        measured = ask(ports[name], work, clients, seconds)
                    if number >= 0:
                        found.setdefault((name, size, clients), []).append(measured)
    rows = pd.DataFrame(_rows(found))
    notes = NOTES.format(
        hidden=served.config["hidden_size"],
        context=CONTEXT,
        rounds=options.rounds,
        seconds=options.seconds,
        connections=max(CLIENTS),
    )
    text = f"{tables.markdown(_shown(rows))}\n\n{notes}"
    print(text)
    command = (
        f"python -m benchmarks serving --rounds {options.rounds} --seconds {options.seconds:g}"
    )
    tables.write("serving", rows, text, command)


def _rows(found: dict[tuple[str, int, int], list[tuple[list[float], float]]]) -> Iterator[Any]:
    for (name, size, clients), measured in found.items():
        latencies = np.concatenate([each for each, _ in measured])
        rates = [len(each) / seconds for each, seconds in measured]
        yield {
            "contestant": name,
            "series": size,
            "clients": clients,
            "p50_ms": 1000 * np.median(latencies),
            "p99_ms": 1000 * np.quantile(latencies, 0.99),
            "requests_per_s": np.median(rates),
            "series_per_s": size * np.median(rates),
        }


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    theirs = rows[rows["contestant"] == MLFLOW].set_index(["series", "clients"])["requests_per_s"]
    lines = []
    for _, row in rows.sort_values(["series", "clients"], kind="stable").iterrows():
        rate = row["requests_per_s"]
        other = theirs.get((row["series"], row["clients"]), np.nan)
        lines.append(
            {
                "series a request": row["series"],
                "clients": row["clients"],
                "contestant": row["contestant"],
                "p50, ms": f"{row['p50_ms']:.2f}",
                "p99, ms": f"{row['p99_ms']:.2f}",
                "requests/s": f"{rate:,.0f}",
                "series/s": f"{row['series_per_s']:,.0f}",
                "× mlflow": f"{rate / other:.1f}",
            }
        )
    return pd.DataFrame(lines)
