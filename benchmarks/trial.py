"""What a trial of `retain tune` costs beside its training alone.

Both are done in a process that is forked from one with the libraries, as `retain tune` does, in
turns: the same settings, cell and seed. The figures are seconds of the processor of those
processes. The tables are projects of the benchmark `tune`.
"""

import argparse
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import tables
from benchmarks.ordinary import sources
from benchmarks.tune import CELLS, Measured
from retain.config import loader
from retain.config.kind import kind_of
from retain.config.schema import Problem
from retain.training import trainer
from retain.tuning import worker

NOTES = """\
Seconds of the processor, the median of {rounds} in turns, with the settings as they are: the
training of a trial alone, and the trial, which also looks for its prepared data, scores every epoch
and waits for answers."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which tables, and how often."""
    parser.add_argument("--tables", nargs="+", default=["walmart", "wiki"])
    parser.add_argument("--rounds", type=int, default=5)


def run(options: argparse.Namespace) -> None:
    """Measure, print, and write the section."""
    found = {source.name: source for source in sources.find([options.data / "tables"])}
    rows = []
    for name in options.tables:
        measured = Measured(name, found.get(name), "none", options)
        problem = loader.parse(name, measured.entry)
        prepared = worker.prepare(measured.folder, name, problem)
        for cell in CELLS:
            task = {"entry": measured.entry, "cell": cell}
            ways: dict[str, Callable[[], object]] = {
                "training": lambda c=cell, p=problem, f=prepared: train(p, f, c),
                "trial": lambda t=task, n=name, f=measured.folder: worker.run(
                    f, n, t, send=lambda message: None, stops=lambda: False
                ),
            }
            seconds: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(options.rounds):
                for way, work in ways.items():
                    seconds[way].append(cpu_of(work))
            row = {way: statistics.median(every) for way, every in seconds.items()}
            ratios = [b / a for a, b in zip(*seconds.values(), strict=True)]
            rows.append(
                {"table": name, "model": cell.upper(), **row, "ratio": statistics.median(ratios)}
            )
    frame = pd.DataFrame(rows)
    shown = frame.round({"training": 2, "trial": 2, "ratio": 3})
    shown.columns = ["table", "model", "training, CPU s", "trial, CPU s", "trial ÷ training"]
    text = f"{tables.markdown(shown)}\n\n{NOTES.format(rounds=options.rounds)}"
    print(text)
    words = f"--tables {' '.join(options.tables)} --rounds {options.rounds}"
    tables.write("trial", frame, text, f"python -m benchmarks trial {words}")


def train(problem: Problem, prepared: Path, cell: Any) -> None:
    """Train a cell as a trial does, without its scores."""
    build = kind_of(problem).trial
    assert build is not None
    trainer.seed_everything(problem.training)
    setup = build.load(problem, prepared, cell).setup
    for module in setup.network.modules():
        module._forward_hooks.clear()
    trainer.fit(setup, problem.training, cell, cell)


def cpu_of(work: Callable[[], object]) -> float:
    """Return the seconds of the processor of a process that is forked for some work."""
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(null, stream)
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status, usage = os.wait4(child, 0)
    if status != 0:
        raise SystemExit("a training failed")
    return usage.ru_utime + usage.ru_stime
