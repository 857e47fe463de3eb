"""What the processes of `python -m benchmarks scale` do: generate a table, run a stage on it.

python -m benchmarks.scale_stages STAGE FOLDER ...
"""

import itertools
import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

SERIES_AT_ONCE = 10_000  # that a run of the base is asked for
ROWS_AT_ONCE = 1_000_000  # that are generated
BATCH = 256
WARM_UP = 20  # batches that are not timed
MB = 2**20


@dataclass(frozen=True)
class Shape:
    """The series of a table, in steps.

    Attributes:
        frequency: as pandas names it.
        steps: of each series.
    """

    frequency: str
    steps: int
    horizon: int
    context: int
    season: int


SHAPES = {"days": Shape("D", 100, 7, 28, 7), "hours": Shape("h", 10_000, 24, 168, 24)}


def problem(path: str, shape: str = "days", base: str = "none") -> dict[str, Any]:
    """The entry of params.yaml: one covariate, a week or a day ahead."""
    of = SHAPES[shape]
    return {
        "kind": "forecast",
        "preset": "fast",
        "data": {
            **{"path": path, "unique_id": "id", "ds": "ds", "y": "sold"},
            **{"past_covariates": ["rain"], "valid_range": {"rain": [0, None]}},
            **{"horizon": of.horizon, "context_length": of.context, "season_length": of.season},
            "split": {"validation": 0.7, "test": 0.85},
        },
        "model": {
            **{"base": base, "hidden_size": 32, "segment_length": of.season},
            "normalisation": "series",
        },
        "training": {
            **{"cells": ["lstm"], "batch_size": BATCH, "accelerator": "cpu"},
            "alone": False,
        },
        "evaluation": {"floors": ["seasonal_naive", "naive"], "bootstrap": 200},
        "gate": [],
    }


def name_of(form: str) -> str:
    """What the table is called: a file, or a folder of Parquet files."""
    return "table" if form == "parquet" else "table.csv"


def generate(folder: Path, form: str, series: int, shape: str = "days") -> None:
    """Write a long table: a season with noise and gaps, a level of its own for each id."""
    folder.mkdir(exist_ok=True)
    noise, of = np.random.default_rng(series), SHAPES[shape]
    steps, at_once = of.steps, ROWS_AT_ONCE // of.steps
    written = "%Y-%m-%d" if of.frequency == "D" else "%Y-%m-%d %H:%M"
    stamps = pd.date_range("2022-01-03", periods=steps, freq=of.frequency).strftime(written)
    season = 1 + 0.4 * np.sin(np.arange(steps) * 2 * np.pi / of.season)
    table = folder / name_of(form)
    writer = None
    if form == "parquet":
        table.mkdir()
    for first in range(0, series, at_once):
        count = min(at_once, series - first)
        level = noise.gamma(4, 25, count)[:, None]
        sold = np.round(level * season + noise.normal(0, 5, (count, steps)), 1).ravel()
        rain = np.round(noise.gamma(0.5, 4, sold.size), 1)
        names = np.array([f"shop-{number:07}" for number in range(first, first + count)])
        part = pa.table(
            {
                "id": pa.array(names).take(np.repeat(np.arange(count), steps)),
                "ds": pa.array(stamps.to_numpy().astype(str)).take(
                    np.tile(np.arange(steps), count)
                ),
                "sold": pa.array(sold, mask=noise.random(sold.size) < 0.01),
                "rain": pa.array(rain),
            }
        )
        if form == "parquet":
            pyarrow.parquet.write_table(part, table / f"part-{first:09}.parquet")
            continue
        writer = writer or pyarrow.csv.CSVWriter(table, part.schema)
        writer.write_table(part)
    if writer is not None:
        writer.close()


def memory(pid: int | str) -> tuple[int, int]:
    """The anonymous memory of a process in bytes, 0 once it ended, and the most ever resident."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    lines = dict(line.split(":", 1) for line in status.splitlines())
    anonymous, most = (int(lines.get(key, "0 kB").split()[0]) for key in ("RssAnon", "VmHWM"))
    return anonymous * 1024, most * 1024


def stage(name: str, folder: Path, *options: str) -> None:
    """What the process of a stage does: warm up, wait to be watched, measure."""
    measures = {
        "prepare": prepare,
        "base": base,
        "train": train,
        "evaluate": evaluate,
        "forecast": forecast,
    }
    measure = measures[name]
    measure(folder / "small", *options)
    small = measure(folder / "small", *options)
    fixed = {"fixed": small["seconds"], "fixed_cpu": small["cpu_seconds"]}
    fixed["fixed_build_cpu"] = small.get("build_cpu_seconds", 0.0)
    print("ready", flush=True)
    sys.stdin.readline()
    found = measure(folder, *options)
    print(json.dumps(found | fixed | {"peak_resident": memory("self")[1] / MB}))


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds, seconds of the processor, and what `work` answered."""
    wall, cpu = time.perf_counter(), time.process_time()
    answer = work()
    return time.perf_counter() - wall, time.process_time() - cpu, answer


def prepare(folder: Path, form: str, shape: str) -> dict[str, float]:
    """The stage `prepare`."""
    from retain.kinds.forecast.config import Problem
    from retain.kinds.forecast.prepare import prepare as stage_prepare

    made = Problem.model_validate(problem(name_of(form), shape))
    target = folder / "prepared"
    target.mkdir(exist_ok=True)
    seconds, cpu, _ = timed(lambda: stage_prepare(made, folder, target))
    return {"seconds": seconds, "cpu_seconds": cpu}


def base(folder: Path, shape: str) -> dict[str, float]:
    """The fit of the classical base, and its run along all series up to the end."""
    from retain.kinds.forecast.data import panel
    from retain.kinds.forecast.model.learner import fit_base

    def fit() -> None:
        source = panel.load(folder / "prepared")
        _, run = fit_base(source)
        of = SHAPES[shape]
        ends = (source.index["start"] + source.index["length"]).to_numpy() - of.horizon
        for first in range(0, len(ends), SERIES_AT_ONCE):
            some = np.arange(first, min(first + SERIES_AT_ONCE, len(ends)))
            run.at(some, ends[some], of.context)

    seconds, cpu, _ = timed(fit)
    return {"seconds": seconds, "cpu_seconds": cpu}


def train(folder: Path, form: str, shape: str, base: str, batches: str) -> dict[str, float]:
    """What an epoch of training begins with, then some of its steps."""
    import torch

    from retain.kinds.forecast.config import Problem
    from retain.kinds.forecast.model import setup
    from retain.training import trainer
    from retain.training.sampler import ResumableSampler

    made = Problem.model_validate(problem(name_of(form), shape, base))
    trainer.seed_everything(made.training)
    build, build_cpu, built = timed(lambda: setup.build(made, folder / "prepared", "lstm"))
    optimizer = torch.optim.AdamW(built.network.parameters(), lr=1e-3, fused=True)
    epoch = iter(ResumableSampler(built.train, BATCH, seed=1))
    order, _, _ = timed(lambda: next(epoch))

    def step(batch: Any) -> None:
        optimizer.zero_grad()
        total, weight = built.loss(built.network, batch)
        (total / weight.clamp(min=1)).backward()
        optimizer.step()

    def steps(limit: int) -> int:
        done = 0
        for batch in itertools.islice(epoch, limit):
            step(batch)
            done += 1
        return done

    count = int(batches)
    steps(WARM_UP)
    gather, _, read = timed(lambda: sum(1 for _ in itertools.islice(epoch, count)))
    epoch = iter(ResumableSampler(built.train, BATCH, seed=2))
    next(epoch)
    seconds, cpu, done = timed(lambda: steps(count))
    write_model(folder, built)
    return {
        "windows": len(built.train),
        "build_seconds": build,
        "build_cpu_seconds": build_cpu,
        "order_seconds": order,
        "gather_seconds": gather / max(read * BATCH, 1),
        "seconds": seconds / max(done * BATCH, 1),
        "cpu_seconds": cpu / max(done * BATCH, 1),
    }


def write_model(folder: Path, built: Any) -> None:
    """Write the network, as it is after the timed steps, for the stages that follow."""
    from retain import model_files
    from retain.training.setup import Epoch

    built.calibrate()
    model = folder / "model"
    shutil.rmtree(model, ignore_errors=True)
    model.mkdir()
    model_files.write_model(model, built.model, built.config, [Epoch(0, 1, 1e-3, 1.0, 1.0)])


def evaluate(folder: Path, form: str, shape: str, base: str) -> dict[str, float]:
    """The scores of one network and two baselines on the test windows, and all that is drawn."""
    from retain.kinds.forecast.config import Problem
    from retain.kinds.forecast.evaluation import evaluate as stage_evaluate

    made = Problem.model_validate(problem(name_of(form), shape, base))
    models = {"lstm": folder / "model"}
    seconds, cpu, found = timed(lambda: stage_evaluate.evaluate(made, folder / "prepared", models))
    windows = found.metrics["windows"]["test"]
    return {"seconds": seconds, "cpu_seconds": cpu, "windows": windows}


def forecast(folder: Path, form: str) -> dict[str, float]:
    """The forecasts of a table, in chunks of whole series, into a folder."""
    from retain.config.forecasts import ForecastOptions
    from retain.kinds.forecast.predict import bulk

    output = folder / "forecasts"
    shutil.rmtree(output, ignore_errors=True)
    table = str(folder / name_of(form))

    def run() -> Any:
        return bulk.forecast_bulk(
            folder / "model", table, folder, output, "", lambda done, of: None, ForecastOptions()
        )

    seconds, cpu, _ = timed(run)
    return {"seconds": seconds, "cpu_seconds": cpu, "written_mb": size(output)}


def size(place: Path) -> float:
    """MB of a file, or of a folder's files."""
    files = [place] if place.is_file() else place.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file()) / MB


if __name__ == "__main__":
    stage(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
