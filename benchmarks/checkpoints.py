"""What checkpoints cost: the sample's training with and without them, taking turns.

A checkpoint is hashed, written and synced while training waits. Many are written in a short
training, so that their time is larger than the noise; the share at the interval that params has by
default follows from the time of one.
"""

import argparse
import math
import shutil
import time
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import tables
from retain.config import loader
from retain.config.schema import Training
from retain.kinds.forecast.model import setup as forecast_task
from retain.training import trainer

ROOT = Path(__file__).parents[1]
SCRATCH = ROOT / "scratch" / "checkpoints-benchmark"
PROBLEM, STEPS, EVERY = "traffic", 200, 5

NOTES = """\
The training of the sample, {steps} batches of {batch}, with a checkpoint every {every} of them and
without; the median of {rounds} rounds. One checkpoint is {size:.1f} MB: weights, their average and
the best so far, AdamW's two moments, the history. At `checkpoint_every: {default}`, the default, it
takes {share:.2%} of the time; 3 % is reached at one every {least:.1f} s."""


def seconds(cell: str, every: int) -> float:
    """Train for some steps from the start, and answer with the time that took."""
    problem = loader.load_problem(ROOT, PROBLEM)
    short = {"max_epochs": 1, "epoch_steps": STEPS, "checkpoint_every": every}
    settings = Training.model_validate(problem.training.model_dump() | short)
    trainer.seed_everything(settings)
    task = forecast_task.build(problem, ROOT / "data" / "prepared" / PROBLEM, cell)  # type: ignore[arg-type]
    shutil.rmtree(SCRATCH, ignore_errors=True)
    begin = time.perf_counter()
    trainer.fit(task, settings, cell, cell, folder=SCRATCH)
    return time.perf_counter() - begin


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=5)


def run(options: argparse.Namespace) -> None:
    """Measure, print, and write the section."""
    if not (ROOT / "data" / "prepared" / PROBLEM).is_dir():
        raise SystemExit(f"prepare the sample first: dvc repro prepare@{PROBLEM}")
    rows: list[dict[str, Any]] = []
    size = 0
    for number in range(options.rounds):
        for cell in ("lstm", "rnn"):
            without = seconds(cell, STEPS + 1)
            many = seconds(cell, EVERY)
            size = max(path.stat().st_size for path in SCRATCH.glob("*.checkpoint"))
            rows.append({"cell": cell, "round": number, "without": without, "with": many})
    shutil.rmtree(SCRATCH)
    found = pd.DataFrame(rows)
    # The last batch of an epoch has none, since validation follows.
    found["each"] = (found["with"] - found["without"]) / (math.ceil(STEPS / EVERY) - 1)
    middle = found.groupby("cell", sort=False)[["without", "with", "each"]].median()
    lines = [
        {
            "cell": cell,
            "without, s": f"{row['without']:.2f}",
            "with, s": f"{row['with']:.2f}",
            "one checkpoint, ms": f"{1000 * row['each']:.1f}",
        }
        for cell, row in middle.iterrows()
    ]
    slowest, default = float(middle["each"].max()), str(Training().checkpoint_every)
    notes = NOTES.format(
        steps=STEPS,
        batch=loader.load_problem(ROOT, PROBLEM).training.batch_size,
        every=EVERY,
        rounds=options.rounds,
        size=size / 1e6,
        default=default,
        share=slowest / (float(default.removesuffix("s")) + slowest),
        least=slowest / 0.03,
    )
    text = f"{tables.markdown(pd.DataFrame(lines))}\n\n{notes}"
    print(text)
    command = f"python -m benchmarks checkpoints --rounds {options.rounds}"
    tables.write("checkpoints", found, text, command)
