"""Bits a letter of tiny Shakespeare: LSTM, GRU and RNN of one size, with one processor time each.

`--data` holds tinyshakespeare.txt (github.com/karpathy/char-rnn, data/tinyshakespeare/input.txt).
Every cell trains as many epochs of 150 batches as fill the seconds, measured beforehand on this
machine. Its learning rate is chosen on the validation part, among the same ones for each, in a
third of the time and with the first seed; the test part is read once by each of the final networks.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks import tables
from retain.config import loader
from retain.kinds.text import dataset, evaluate, prepare, setup
from retain.kinds.text.config import Problem
from retain.training import trainer

FILE = "tinyshakespeare.txt"
CELLS = ("lstm", "gru", "rnn")
RATES = (0.005, 0.01, 0.02)
EPOCH = 150  # batches; validation behind each counts, too

NOTES = """\
Mean ± standard deviation over {seeds} seeds, about {seconds:g} processor seconds each, one thread,
validation included. Capitals and line ends are kept. The last 10 % of the text are the test part,
read with the state carried all the way; the 10 % before them are the validation part, which chose
among the rates {rates}. A batch is {batch} stretches of {length} letters. In one
time a cell whose steps cost less makes more of them: `batches`."""


@dataclass(frozen=True)
class Plan:
    """One training of the benchmark."""

    cell: str
    rate: float
    seed: int
    epochs: int

    def problem(self) -> Problem:
        """It as a problem of params.yaml."""
        entry = {
            "kind": "text",
            "preset": "fast",
            "data": {"path": FILE, "lower": False, "blanks": "keep"},
            "model": {"hidden_size": 128},
            "training": {
                "learning_rate": self.rate,
                "batch_size": 16,
                "chunk": 32,
                "chunks": 2,
                "epoch_steps": EPOCH,
                "max_epochs": self.epochs,
                "seed": self.seed,
            },
            "gate": [],
        }
        found = loader.parse("letters", entry)
        assert isinstance(found, Problem)
        return found


FIRST = Plan("lstm", RATES[0], seed=1, epochs=1)


def add_options(parser: argparse.ArgumentParser) -> None:
    """How much effort."""
    parser.add_argument("--seconds", type=float, default=30, help="processor time of a training")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each cell")


def run(options: argparse.Namespace) -> None:
    """Choose each cell's rate, train every seed, and write the table."""
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch)
        prepare_text(options.data, prepared)
        score(FIRST, prepared)  # the first calls take longer
        rows = []
        for cell in CELLS:
            timed = score(replace(FIRST, cell=cell, epochs=2), prepared)
            epochs = max(2, round(2 * options.seconds / timed["cpu_seconds"]))
            short = replace(FIRST, cell=cell, epochs=max(1, epochs // 3))
            tried = [score(replace(short, rate=rate), prepared) for rate in RATES]
            best = min(tried, key=lambda row: row["validation_bits"])
            long = replace(short, rate=best["rate"], epochs=epochs)
            plans = [replace(long, seed=FIRST.seed + n) for n in range(options.seeds)]
            rows += [{"part": "rates", **row} for row in tried]
            rows += [{"part": "seeds", **score(plan, prepared, test=True)} for plan in plans]
    settings = FIRST.problem().training
    notes = NOTES.format(
        seeds=options.seeds,
        seconds=options.seconds,
        rates=", ".join(map(str, RATES)),
        batch=settings.batch_size,
        length=settings.chunk * settings.chunks,
    )
    text = f"{table(pd.DataFrame(rows))}\n\n{notes}"
    print(text)
    command = f"python -m benchmarks letters --seconds {options.seconds:g} --seeds {options.seeds}"
    tables.write("letters", pd.DataFrame(rows), text, command)


def prepare_text(folder: Path, prepared: Path) -> None:
    """The text as numbers; ends the program with what to do where there is none."""
    if not (folder / FILE).is_file():
        raise SystemExit(
            f"{folder / FILE} does not exist: fetch it from github.com/karpathy/char-rnn "
            f"(data/tinyshakespeare/input.txt) and name it so, or give --data FOLDER"
        )
    prepare.prepare(FIRST.problem(), folder, prepared)


def score(plan: Plan, prepared: Path, test: bool = False) -> dict[str, Any]:
    """Train one network as the pipeline does; bits of the validation part and, if asked, the test.

    Both parts are read once from end to end, with the state carried over everything before.
    """
    problem = plan.problem()
    trainer.seed_everything(problem.training)
    began = time.process_time()
    built = setup.build(problem, prepared, plan.cell)
    trainer.fit(built, problem.training, plan.cell, f"{plan.cell} {plan.rate} seed {plan.seed}")
    seconds = time.process_time() - began
    network, source = built.network.eval(), dataset.load(prepared)
    assert isinstance(network, setup.LanguageModel)
    bits = {
        f"{part}_bits": float(evaluate.carried(network, source.part(part))[0].mean())
        for part in (("validation", "test") if test else ("validation",))
    }
    row = vars(plan) | {
        "parameters": built.config["parameters"],
        "cpu_seconds": round(seconds, 1),
        "threads": torch.get_num_threads(),
        **bits,
    }
    print(json.dumps(row), flush=True)
    return row


def table(rows: pd.DataFrame) -> str:
    """A line for each cell: what it came to over the seeds."""
    lines = []
    for cell, group in rows[rows["part"] == "seeds"].groupby("cell", sort=False):
        bits = group["test_bits"]
        spread = f" ± {bits.std():.3f}" if len(bits) > 1 else " (1 seed)"
        first, seconds = group.iloc[0], group["cpu_seconds"]
        lines.append({
            "cell": cell,
            "parameters": f"{first['parameters']:,}",
            "learning rate": f"{first['rate']:g}",
            "batches": f"{EPOCH * first['epochs']:,}",
            "processor seconds": f"{seconds.min():.0f}–{seconds.max():.0f}",
            "bits a letter, test": f"{bits.mean():.3f}{spread}",
        })  # fmt: skip
    return tables.markdown(pd.DataFrame(lines))
