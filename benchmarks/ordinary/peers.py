"""The peers of the benchmark `ordinary`: their forecasts of the same windows, and a cache of them.

A forecast may use all rows before its origin. Models of machine learning are trained once for each
fold, on all rows before it; classical ones are fitted to each series at the beginning of a fold and
again every few origins, and updated in between. All see the target alone, its gaps filled by the
value before.
"""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmarks.ordinary.scoring import Floats, Test, score
from benchmarks.peers import setup

CACHE = setup.FOLDER.parent / "ordinary" / "peers"


class Peer(NamedTuple):
    """A peer: the environment and the worker that it runs in, and how many windows it can do."""

    name: str
    environment: str
    worker: str
    most: int | None = None


PEERS = (
    Peer("AutoETS", "nixtla", "statsforecast_worker.py"),
    Peer("theta", "nixtla", "statsforecast_worker.py"),
    Peer("MSTL", "nixtla", "statsforecast_worker.py"),
    Peer("LightGBM", "nixtla", "mlforecast_worker.py"),
    Peer("LightGBM, d 1", "nixtla", "mlforecast_worker.py"),
    Peer("LightGBM, d season", "nixtla", "mlforecast_worker.py"),
    Peer("LightGBM, d 1 and season", "nixtla", "mlforecast_worker.py"),
    Peer("NHITS", "neuralforecast", "neuralforecast_windows.py"),
    Peer("LSTM (neuralforecast)", "neuralforecast", "neuralforecast_windows.py"),
    Peer("AutoGluon", "autogluon", "autogluon_worker.py", 2_000),  # refits to every window
)
RIVALS = tuple(peer.name for peer in PEERS if peer.environment == "nixtla")


def require(environments: Iterable[str]) -> None:
    """Stop where an environment is missing."""
    setup.require(sorted(set(environments)))


def scores(test: Test, names: list[str]) -> list[dict[str, Any]]:
    """Return a row of scores a peer; its forecasts come from the cache, where it has them."""
    rows = []
    for peer in (peer for peer in PEERS if peer.name in names):
        if peer.most is not None and len(test.series) > peer.most:
            continue
        answer = forecast(test, peer)
        levels = tuple(answer["levels"].tolist())
        row: dict[str, Any] = {"model": peer.name}
        row |= score(test, levels, answer["forecasts"].astype(np.float64))
        row |= {"cpu_seconds": float(answer["seconds"]), "failed": int(answer["failed"])}
        rows.append(row)
    return rows


def forecast(test: Test, peer: Peer) -> dict[str, Floats]:
    """Return a peer's answer: levels, forecasts (windows, horizon, levels), seconds, failed."""
    problem, options = _problem(test)
    worker = setup.HERE / peer.worker
    parts = [worker, setup.HERE / "windows.py", setup.HERE / f"requirements/{peer.environment}.txt"]
    digest = hashlib.md5(usedforsecurity=False)
    for array in problem.values():
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(json.dumps(options, sort_keys=True).encode())
    for path in parts:
        digest.update(path.read_bytes())
    name = "".join(letter if letter.isalnum() else "-" for letter in peer.name)
    kept = CACHE / f"{name}-{digest.hexdigest()[:12]}.npz"
    if not kept.is_file():
        folder = kept.with_suffix("")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        np.savez(folder / "problem.npz", **problem)
        (folder / "problem.json").write_text(json.dumps(options), encoding="utf-8")
        words = [str(setup.python(peer.environment)), str(worker), str(folder), peer.name]
        with (folder / "log.txt").open("w", encoding="utf-8") as log:
            done = subprocess.run(words, stdout=log, stderr=log, check=False)
        text = (folder / "log.txt").read_text(encoding="utf-8")
        if done.returncode != 0:
            raise SystemExit(f"{peer.name}: exit {done.returncode}\n{text[-3000:]}")
        print(text.splitlines()[-1], flush=True)
        shutil.move(folder / f"{peer.name}.npz", kept)
        shutil.rmtree(folder)
    with np.load(kept, allow_pickle=False) as answer:
        return dict(answer)


def _problem(test: Test) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a worker reads: arrays, and options."""
    filled = [pd.Series(y).ffill().bfill().to_numpy() for y in test.y]
    arrays = {
        "values": np.concatenate(filled),
        "lengths": np.array([len(y) for y in filled]),
        "first": test.first,
        "series": test.series,
        "step": test.step,
        "fold": test.fold,
    }
    options = {
        "begins": test.begins,
        "horizon": test.horizon,
        "season": test.season,
        "frequency": test.frequency,
        "origin": test.origin,
    }
    return arrays, options
