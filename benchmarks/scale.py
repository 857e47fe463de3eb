"""Prepare, train, evaluate and forecast 10³ to 10⁶ generated series: time by row, series and
window, and memory.

Each stage of each size runs in a process of its own, which measures itself after a small warm-up:
the time of a start is in no figure, nor is what a table of 1,000 rows takes to prepare. Memory is
that of Linux: anonymous is what the process holds for itself; the rest of the resident memory are
pages of mapped files, which the system takes back when it needs them.
"""

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from benchmarks import tables
from benchmarks.scale_stages import MB, SHAPES, generate, memory, name_of, size

ROOT = tables.HERE.parent

LARGE = 10_000  # series, from which costs are compared
SMALL = 10  # series to warm up with; what their table takes is subtracted
STAGES = ("prepare", "base", "train", "evaluate", "forecast")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The sizes, shapes and formats, and how often."""
    parser.add_argument("--shape", choices=SHAPES, default="days", help="of the series")
    parser.add_argument("--base", choices=["none", "pool"], default="none", help="of the network")
    parser.add_argument("--series", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--formats", nargs="+", default=["csv", "parquet"])
    parser.add_argument("--batches", type=int, default=400, help="training steps that are timed")
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts")
    parser.add_argument("--scratch", type=Path, default=ROOT / "scratch" / "scale")


def run(options: argparse.Namespace) -> None:
    """Measure all sizes, smallest first, and write the tables."""
    given = [f"--{key} {getattr(options, key)}" for key in ("shape", "base")]
    own = [text for text in given if text not in ("--shape days", "--base none")]
    rows = []
    for form, series in itertools.product(options.formats, sorted(options.series)):
        for _ in range(options.repeats):
            rows.append({"format": form, "series": series} | measured(form, series, options))
            print(", ".join(f"{key} {value:.4g}" for key, value in list(rows[-1].items())[1:]))
    shutil.rmtree(options.scratch, ignore_errors=True)
    found = pd.DataFrame(rows)
    name = "-".join(["scale", *(text.split()[1] for text in own)])
    tables.write(name, found, shown(found), " ".join(["python -m benchmarks scale", *own]))


def measured(form: str, series: int, options: argparse.Namespace) -> dict[str, float]:
    """One table, prepared and trained on: a row of the results."""
    folder = options.scratch / f"{form}-{series}"
    if not folder.is_dir():
        folder.mkdir(parents=True)
        generate(folder, form, series, options.shape)
        generate(folder / "small", form, SMALL, options.shape)
    shutil.rmtree(folder / "prepared", ignore_errors=True)
    (folder / "prepared").mkdir()
    shape, base, steps = options.shape, options.base, SHAPES[options.shape].steps
    prepared = in_process("prepare", folder, form, shape)
    based: dict[str, float] = defaultdict(lambda: float("nan"))
    if base == "none":  # else it is part of the training
        based = in_process("base", folder, shape)
    trained = in_process("train", folder, form, shape, base, str(options.batches))
    evaluated = in_process("evaluate", folder, form, shape, base)
    forecast = in_process("forecast", folder, form)
    rows = series * steps
    # The small table is subtracted: it stands for what does not grow.
    more, more_rows = series - SMALL, rows - SMALL * steps
    windows = evaluated["windows"] * (1 - SMALL / series)
    found = {
        "rows": rows,
        "table_mb": size(folder / name_of(form)),
        "prepared_mb": size(folder / "prepared"),
        "prepare_seconds": prepared["seconds"],
        "prepare_cpu_seconds": prepared["cpu_seconds"],
        "prepare_fixed_seconds": prepared["fixed"],
        "prepare_seconds_per_million_rows": (prepared["seconds"] - prepared["fixed"])
        / more_rows
        * 1e6,
        "prepare_cpu_microseconds_per_row": grown(prepared) / more_rows,
        "base_cpu_milliseconds_per_series": grown(based) / more / 1e3,
        "windows": trained["windows"],
        "build_seconds": trained["build_seconds"],
        "build_cpu_milliseconds_per_series": (
            trained["build_cpu_seconds"] - trained["fixed_build_cpu"]
        )
        / more
        * 1e3,
        "order_seconds": trained["order_seconds"],
        "gather_microseconds_per_window": trained["gather_seconds"] * 1e6,
        "train_microseconds_per_window": trained["seconds"] * 1e6,
        "train_cpu_microseconds_per_window": trained["cpu_seconds"] * 1e6,
        "test_windows": evaluated["windows"],
        "evaluate_seconds": evaluated["seconds"],
        "evaluate_cpu_microseconds_per_window": grown(evaluated) / windows,
        "forecast_seconds": forecast["seconds"],
        "forecast_cpu_milliseconds_per_series": grown(forecast) / more / 1e3,
        "forecast_written_mb": forecast["written_mb"],
    }
    for stage, of in zip(STAGES, (prepared, based, trained, evaluated, forecast), strict=True):
        found |= {
            f"{stage}_{what}_mb": of[what]
            for what in ("peak_anonymous", "start_anonymous", "peak_resident")
        }
    return found


def grown(found: dict[str, float]) -> float:
    """Microseconds of the processor beyond those of the small table."""
    return (found["cpu_seconds"] - found["fixed_cpu"]) * 1e6


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
            "prepare, CPU µs a row": best["prepare_cpu_microseconds_per_row"].map("{:.2f}".format),
            "anonymous / resident MB": _memory(best, "prepare"),
            "base, CPU ms a series": best["base_cpu_milliseconds_per_series"].map("{:.2f}".format),
            "anonymous / resident MB  ": _memory(best, "base"),
            "windows": best["windows"].map("{:,.0f}".format),
            "set-up, s": (best["build_seconds"] + best["order_seconds"]).map("{:.2f}".format),
            "set-up, CPU ms a series": best["build_cpu_milliseconds_per_series"].map(
                "{:.2f}".format
            ),
            "gather, µs a window": best["gather_microseconds_per_window"].map("{:.2f}".format),
            "train, CPU µs a window": best["train_cpu_microseconds_per_window"].map(
                "{:.1f}".format
            ),
            "anonymous / resident MB ": _memory(best, "train"),
            "evaluate, CPU µs a test window": best["evaluate_cpu_microseconds_per_window"].map(
                "{:.0f}".format
            ),
            "anonymous / resident MB   ": _memory(best, "evaluate"),
            "forecast, CPU ms a series": best["forecast_cpu_milliseconds_per_series"].map(
                "{:.2f}".format
            ),
            "anonymous / resident MB    ": _memory(best, "forecast"),
        }
    )
    text = tables.markdown(table).replace("nan / nan", "–").replace("| nan ", "| – ")
    return text + "\n\n" + "\n".join(_ratios(best))


def _memory(best: pd.DataFrame, stage: str) -> "pd.Series[str]":
    anonymous, resident = best[f"{stage}_peak_anonymous_mb"], best[f"{stage}_peak_resident_mb"]
    return anonymous.map("{:,.0f}".format) + " / " + resident.map("{:,.0f}".format)


def _ratios(best: pd.DataFrame) -> Iterator[str]:
    for form, rows in best.groupby("format"):
        # A table of 1,000 series is as much start as work.
        large = rows[rows["series"] >= LARGE]
        low, high = (large if len(large) > 1 else rows).iloc[0], rows.iloc[-1]
        costs = {
            "preparing a row": "prepare_cpu_microseconds_per_row",
            "fitting the base to a series": "base_cpu_milliseconds_per_series",
            "setting up the training of a series": "build_cpu_milliseconds_per_series",
            "training on a window": "train_cpu_microseconds_per_window",
            "scoring a window": "evaluate_cpu_microseconds_per_window",
            "forecasting a series": "forecast_cpu_milliseconds_per_series",
        }
        grown_by = {what: high[key] / low[key] for what, key in costs.items()}
        times = ", ".join(f"{what} ×{by:.2f}" for what, by in grown_by.items() if pd.notna(by))
        peaks = {stage: float(high[f"{stage}_peak_anonymous_mb"]) for stage in STAGES}
        most = max(peaks, key=lambda stage: peaks[stage] if pd.notna(peaks[stage]) else 0)
        yield (
            f"* {form}, from {low['series']:,} to {high['series']:,} series, on the processor: "
            f"{times}; at most {peaks[most]:,.0f} MB of anonymous memory, in "
            f"{most}"
        )


def in_process(stage: str, folder: Path, *options: str) -> dict[str, float]:
    """Run a stage in a process of its own and watch its memory from outside."""
    command = [sys.executable, "-m", "benchmarks.scale_stages", stage, str(folder), *options]
    # As the stages have it: on a busy machine a second thread mostly waits for the first one, and
    # its waiting would count as work.
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env
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
