"""Prepare, fit the classical base and train over 10³, 10⁴ and 10⁵ generated series: time by row,
series and window, and memory.

Each stage of each size runs in a process of its own, which measures itself after a small warm-up:
the time of a start is in no figure, nor is what a table of 1,000 rows takes to prepare. Memory is
that of Linux: anonymous is what the process holds for itself; the rest of the resident memory are
pages of mapped files, which the system takes back when it needs them.
"""

import argparse
import itertools
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from benchmarks import tables

ROOT = tables.HERE.parent

STEPS = 100  # of each series
SMALL = 10  # series to warm up with; what their table takes is subtracted
SERIES_AT_ONCE = 10_000
BATCH = 256
WARM_UP = 20  # batches that are not timed
MB = 2**20


def problem(path: str) -> dict[str, Any]:
    """The entry of params.yaml: daily values, one covariate, a week ahead."""
    return {
        "kind": "forecast",
        "preset": "fast",
        "data": {
            **{"path": path, "unique_id": "id", "ds": "day", "y": "sold"},
            **{"past_covariates": ["rain"], "valid_range": {"rain": [0, None]}},
            **{"horizon": 7, "context_length": 28, "season_length": 7},
            "split": {"validation": 0.7, "test": 0.85},
        },
        "model": {"hidden_size": 32, "segment_length": 7, "normalisation": "series"},
        "training": {"batch_size": BATCH, "accelerator": "cpu"},
        "gate": [],
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    """The sizes and formats, and how often."""
    parser.add_argument("--series", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--formats", nargs="+", default=["csv", "parquet"])
    parser.add_argument("--batches", type=int, default=400, help="training steps that are timed")
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts")
    parser.add_argument("--scratch", type=Path, default=ROOT / "scratch" / "scale")


def run(options: argparse.Namespace) -> None:
    """Measure all sizes, smallest first, and write the tables."""
    rows = []
    for form, series in itertools.product(options.formats, sorted(options.series)):
        for _ in range(options.repeats):
            rows.append({"format": form, "series": series} | measured(form, series, options))
            print(", ".join(f"{key} {value:.4g}" for key, value in list(rows[-1].items())[1:]))
    shutil.rmtree(options.scratch, ignore_errors=True)
    found = pd.DataFrame(rows)
    tables.write("scale", found, shown(found), "python -m benchmarks scale")


def measured(form: str, series: int, options: argparse.Namespace) -> dict[str, float]:
    """One table, prepared and trained on: a row of the results."""
    folder = options.scratch / f"{form}-{series}"
    if not folder.is_dir():
        folder.mkdir(parents=True)
        generate(folder, form, series)
        generate(folder / "small", form, SMALL)
    shutil.rmtree(folder / "prepared", ignore_errors=True)
    (folder / "prepared").mkdir()
    prepared = in_process("prepare", folder, form)
    based = in_process("base", folder)
    trained = in_process("train", folder, form, str(options.batches))
    table = folder / name_of(form)
    files = [table] if table.is_file() else list(table.iterdir())
    rows = series * STEPS
    return {
        "rows": rows,
        "table_mb": sum(file.stat().st_size for file in files) / MB,
        "prepare_seconds": prepared["seconds"],
        "prepare_cpu_seconds": prepared["cpu_seconds"],
        "prepare_fixed_seconds": prepared["fixed"],
        "prepare_seconds_per_million_rows": (prepared["seconds"] - prepared["fixed"])
        / (rows - SMALL * STEPS)
        * 1e6,
        "prepare_peak_anonymous_mb": prepared["peak_anonymous"],
        "prepare_start_anonymous_mb": prepared["start_anonymous"],
        "prepare_peak_resident_mb": prepared["peak_resident"],
        "base_cpu_milliseconds_per_series": (based["cpu_seconds"] - based["fixed_cpu"])
        / (series - SMALL)
        * 1e3,
        "base_peak_anonymous_mb": based["peak_anonymous"],
        "base_start_anonymous_mb": based["start_anonymous"],
        "base_peak_resident_mb": based["peak_resident"],
        "windows": trained["windows"],
        "build_seconds": trained["build_seconds"],
        "order_seconds": trained["order_seconds"],
        "gather_microseconds_per_window": trained["gather_seconds"] * 1e6,
        "train_microseconds_per_window": trained["seconds"] * 1e6,
        "train_cpu_microseconds_per_window": trained["cpu_seconds"] * 1e6,
        "train_peak_anonymous_mb": trained["peak_anonymous"],
        "train_start_anonymous_mb": trained["start_anonymous"],
        "train_peak_resident_mb": trained["peak_resident"],
    }


def shown(found: pd.DataFrame) -> str:
    """The fastest of the repeats and the most memory by size, and how they grow."""
    seconds = [name for name in found if "seconds" in name]
    how = {name: "min" if name in seconds else "max" for name in found.columns[2:]}
    best = found.groupby(["format", "series"], as_index=False).agg(how)
    table = pd.DataFrame(
        {
            "table": best["format"],
            "series": best["series"].map("{:,}".format),
            "rows": best["rows"].map("{:,}".format),
            "prepare, s per million rows": best["prepare_seconds_per_million_rows"].map(
                "{:.2f}".format
            ),
            "anonymous / resident MB": _memory(best, "prepare"),
            "base, CPU ms a series": best["base_cpu_milliseconds_per_series"].map("{:.2f}".format),
            "anonymous / resident MB  ": _memory(best, "base"),
            "windows": best["windows"].map("{:,.0f}".format),
            "set-up, s": (best["build_seconds"] + best["order_seconds"]).map("{:.2f}".format),
            "gather, µs a window": best["gather_microseconds_per_window"].map("{:.2f}".format),
            "train, µs a window": best["train_microseconds_per_window"].map("{:.1f}".format),
            "anonymous / resident MB ": _memory(best, "train"),
        }
    )
    return tables.markdown(table) + "\n\n" + "\n".join(_ratios(best))


def _memory(best: pd.DataFrame, stage: str) -> "pd.Series[str]":
    anonymous, resident = best[f"{stage}_peak_anonymous_mb"], best[f"{stage}_peak_resident_mb"]
    return anonymous.map("{:,.0f}".format) + " / " + resident.map("{:,.0f}".format)


def _ratios(best: pd.DataFrame) -> Iterator[str]:
    for form, rows in best.groupby("format"):
        low, high = rows.iloc[0], rows.iloc[-1]
        grown = {
            "fitting the base to a series": "base_cpu_milliseconds_per_series",
            "preparing a row": "prepare_seconds_per_million_rows",
            "training on a window": "train_microseconds_per_window",
            "on the processor": "train_cpu_microseconds_per_window",
        }
        times = ", ".join(f"{what} ×{high[key] / low[key]:.2f}" for what, key in grown.items())
        more = {
            stage: high[f"{stage}_peak_anonymous_mb"] - low[f"{stage}_peak_anonymous_mb"]
            for stage in ("prepare", "base", "train")
        }
        yield (
            f"* {form}, from {low['series']:,} to {high['series']:,} series: {times}; anonymous "
            f"memory {more['prepare']:+.0f} MB in prepare, {more['base']:+.0f} MB for the base, "
            f"{more['train']:+.0f} MB in training"
        )


def name_of(form: str) -> str:
    """What the table is called: a file, or a folder of Parquet files."""
    return "table" if form == "parquet" else "table.csv"


def generate(folder: Path, form: str, series: int) -> None:
    """Write a long table: a weekly season with noise and gaps, a level of its own for each id."""
    folder.mkdir(exist_ok=True)
    noise = np.random.default_rng(series)
    days = pd.date_range("2022-01-03", periods=STEPS).strftime("%Y-%m-%d").to_numpy()
    season = 1 + 0.4 * np.sin(np.arange(STEPS) * 2 * np.pi / 7)
    table = folder / name_of(form)
    writer = None
    if form == "parquet":
        table.mkdir()
    for first in range(0, series, SERIES_AT_ONCE):
        count = min(SERIES_AT_ONCE, series - first)
        level = noise.gamma(4, 25, count)[:, None]
        sold = np.round(level * season + noise.normal(0, 5, (count, STEPS)), 1).ravel()
        rain = np.round(noise.gamma(0.5, 4, sold.size), 1)
        names = np.array([f"shop-{number:07}" for number in range(first, first + count)])
        part = pa.table(
            {
                "id": pa.array(names).take(np.repeat(np.arange(count), STEPS)),
                "day": pa.array(days.astype(str)).take(np.tile(np.arange(STEPS), count)),
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


def in_process(stage: str, folder: Path, *options: str) -> dict[str, float]:
    """Run a stage in a process of its own and watch its memory from outside."""
    command = [sys.executable, "-m", "benchmarks.scale", stage, str(folder), *options]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()  # warmed up
        start, _ = memory(process.pid)
        print(file=process.stdin, flush=True)
        peak = start
        while (now := memory(process.pid)[0]) > 0:
            peak = max(peak, now)
            time.sleep(0.005)
        said = process.stdout.read().strip()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return found | {"start_anonymous": start / MB, "peak_anonymous": peak / MB}


def memory(pid: int | str) -> tuple[int, int]:
    """The anonymous memory of a process in bytes, 0 once it ended, and the most ever resident."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    lines = dict(line.split(":", 1) for line in status.splitlines())
    anonymous, most = (int(lines.get(key, "0 kB").split()[0]) for key in ("RssAnon", "VmHWM"))
    return anonymous * 1024, most * 1024


def stage(name: str, folder: Path, *options: str) -> None:
    """What the process of a stage does: warm up, wait to be watched, measure."""
    measure = {"prepare": prepare, "base": base, "train": train}[name]
    measure(folder / "small", *options)
    small = measure(folder / "small", *options)
    fixed = {"fixed": small["seconds"], "fixed_cpu": small["cpu_seconds"]}
    print("ready", flush=True)
    sys.stdin.readline()
    found = measure(folder, *options)
    print(json.dumps(found | fixed | {"peak_resident": memory("self")[1] / MB}))


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds, seconds of the processor, and what `work` answered."""
    wall, cpu = time.perf_counter(), time.process_time()
    answer = work()
    return time.perf_counter() - wall, time.process_time() - cpu, answer


def prepare(folder: Path, form: str) -> dict[str, float]:
    """The stage `prepare`."""
    from retain.kinds.forecast.config import Problem
    from retain.kinds.forecast.prepare import prepare as stage_prepare

    made = Problem.model_validate(problem(name_of(form)))
    target = folder / "prepared"
    target.mkdir(exist_ok=True)
    seconds, cpu, _ = timed(lambda: stage_prepare(made, folder, target))
    return {"seconds": seconds, "cpu_seconds": cpu}


def base(folder: Path) -> dict[str, float]:
    """The fit of the classical base, and its run along all series up to the end."""
    from retain.kinds.forecast.data import panel
    from retain.kinds.forecast.model.learner import fit_base

    def fit() -> None:
        source = panel.load(folder / "prepared")
        _, run = fit_base(source)
        ends = (source.index["start"] + source.index["length"]).to_numpy() - 7
        for first in range(0, len(ends), SERIES_AT_ONCE):
            some = np.arange(first, min(first + SERIES_AT_ONCE, len(ends)))
            run.at(some, ends[some], 28)

    seconds, cpu, _ = timed(fit)
    return {"seconds": seconds, "cpu_seconds": cpu}


def train(folder: Path, form: str, batches: str) -> dict[str, float]:
    """What an epoch of training begins with, then some of its steps."""
    import torch

    from retain.kinds.forecast.config import Problem
    from retain.kinds.forecast.model import setup
    from retain.training import trainer
    from retain.training.sampler import ResumableSampler

    made = Problem.model_validate(problem(name_of(form)))
    trainer.seed_everything(made.training)
    build, _, built = timed(lambda: setup.build(made, folder / "prepared", "lstm"))
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
    return {
        "windows": len(built.train),
        "build_seconds": build,
        "order_seconds": order,
        "gather_seconds": gather / max(read * BATCH, 1),
        "seconds": seconds / max(done * BATCH, 1),
        "cpu_seconds": cpu / max(done * BATCH, 1),
    }


if __name__ == "__main__":
    stage(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
