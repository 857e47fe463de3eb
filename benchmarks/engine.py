"""What the engines of the parts of a stage cost: their start, and a part that does nothing.

Ray is a cluster that it starts on this machine; a cluster that runs already is connected to in less
time.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from benchmarks import commands, tables
from retain import engine
from retain.engine import Job, Part

ENGINES = ("local", "local:2", "ray")
FUNCTION = "benchmarks.engine:nothing"


def add_options(parser: argparse.ArgumentParser) -> None:
    """How often, and how many parts."""
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", type=int, default=300)
    parser.add_argument("--here", action="store_true", help="measure in this process")


def run(options: argparse.Namespace) -> None:
    """Measure each engine in processes of its own, in turns, and write the table."""
    if options.here:
        here(options.parts)
        return
    rows = []
    for _ in range(options.rounds):
        for name in ENGINES:
            words = [sys.executable, "-m", "benchmarks", "engine", "--here"]
            words += ["--parts", str(options.parts)]
            root = tables.HERE.parent
            more = {"RETAIN_ENGINE": name, "PYTHONPATH": str(root)}
            _, said = commands.run(root, words, more)
            first, each = map(float, said.split()[-2:])
            rows.append({"engine": name, "first_two_parts_s": first, "part_ms": each})
            print(rows[-1], flush=True)
    frame = pd.DataFrame(rows)
    command = f"python -m benchmarks engine --rounds {options.rounds}"
    tables.write("engine", frame, shown(frame), command)


def here(count: int) -> None:
    """Print the seconds of the first two parts, and the milliseconds of a part after them."""
    with tempfile.TemporaryDirectory() as scratch:
        job = Job("benchmark", "engine", Path(scratch))
        seconds = []
        for number in (2, count):
            folder = job.folder({"parts": number})
            begin = time.perf_counter()
            parts = (Part(folder / f"{part}") for part in range(number))
            for _ in engine.map(FUNCTION, parts, job):
                pass
            seconds.append(time.perf_counter() - begin)
    print(seconds[0], 1000 * seconds[1] / count)


def nothing(out: Path) -> None:
    """Write an empty file."""
    out.touch()


def shown(rows: pd.DataFrame) -> str:
    """The medians, with the lowest and the highest."""

    def cell(values: "pd.Series[float]") -> str:
        return f"{values.median():.2g} ({values.min():.2g} to {values.max():.2g})"

    made = [
        {
            "engine": f"`{name}`",
            "the first two parts, s": cell(some["first_two_parts_s"]),
            "a part, ms": cell(some["part_ms"]),
        }
        for name, some in rows.groupby("engine", sort=False)
    ]
    return tables.markdown(pd.DataFrame(made))
