"""What a refit is worth: the sample's last month, by the evaluated and the refitted model.

Both are the sample's problem as params.yaml has it. The refit ends before the last days of the
table, so that neither model has seen what they are scored on.
"""

import argparse
import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import tables
from retain import model_files
from retain.config import loader
from retain.kinds.forecast import prepare
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.evaluation import scoring
from retain.kinds.forecast.model import refit, setup
from retain.kinds.forecast.predict import predictor
from retain.training import trainer
from retain.training.setup import TrainingSetup

ROOT = Path(__file__).parents[1]
NAME = "traffic"
NOTES = """\
{windows:,} windows, all those whose {horizon} hours lie in the last {days} days, from {begin}.
The evaluated model was trained until {evaluated}; the refitted one, by {updates:,} updates, until
{begin}. The difference is refitted minus evaluated, its interval by a moving-block bootstrap."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which cell, and how much of the table is kept back."""
    parser.add_argument("--cell", choices=("lstm", "rnn", "gru"), default="lstm")
    parser.add_argument("--days", type=int, default=30, help="at the end, to score both on")


def run(options: argparse.Namespace) -> None:
    """Train both, score them, and write the table."""
    problem = loader.load_problem(ROOT, NAME)
    assert isinstance(problem, Problem)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in ("prepared", "evaluated", "refitted"):
            (folder / name).mkdir()
        prepare.prepare(problem, ROOT, folder / "prepared")
        source = panel.load(folder / "prepared")
        until = source.schema.steps - options.days * 24
        before, after = folder / "evaluated", folder / "refitted"
        train(lambda: setup.build_on(source, problem, options.cell), problem, before)
        known = shortened(source, until)
        again = train(lambda: refit.build_until(until, known, problem, before), problem, after)
        rows, text = score(problem, source, until, folder)
    notes = NOTES.format(
        windows=len(Windows(source, (until, source.schema.steps))),
        horizon=problem.data.horizon,
        days=options.days,
        begin=source.grid[until],
        evaluated=source.grid[source.schema.validation_step],
        updates=again["refit"]["updates"],
    )
    text = f"{text}\n\n{notes}"
    print(text)
    command = f"python -m benchmarks refit --cell {options.cell} --days {options.days}"
    tables.write("refit", rows, text, command)


def shortened(source: Panel, until: int) -> Panel:
    """Return the panel as it was before grid step `until`, with its split."""
    index = source.index.copy()
    index["length"] = index["length"].clip(upper=until - index["first_step"])
    return dataclasses.replace(source, index=index)


def train(build: Callable[[], TrainingSetup], problem: Problem, folder: Path) -> dict[str, Any]:
    """Train as the stages do, write the model folder, and return its config."""
    trainer.seed_everything(problem.training)
    training = build()
    cell = str(training.config["cell"])
    history = trainer.fit(training, problem.training, cell, folder.name)
    training.calibrate()
    model_files.write_model(folder, training.model, training.config, history)
    return training.config


def score(problem: Problem, source: Panel, until: int, folder: Path) -> tuple[pd.DataFrame, str]:
    """Score both models on the windows from a grid step on; return figures and a table."""
    windows, levels = Windows(source, (until, source.schema.steps)), problem.model.quantiles
    sums = {}
    for name in ("evaluated", "refitted"):
        model = scoring.network_model(predictor.load(folder / name), source)
        sums[name] = scoring.sum_metrics(model, windows, source, levels)
    change = scoring.compare(sums["refitted"], sums["evaluated"], problem)["mae"]
    keys = ("mae", "rmse", "mase", "crps", "coverage_80")
    scores = {name: of_model.scores() for name, of_model in sums.items()}
    rows = pd.DataFrame([{"model": n} | {key: s[key] for key in keys} for n, s in scores.items()])
    shown = rows.map(lambda value: f"{value:.4g}" if isinstance(value, float) else value)
    sentence = f"MAE {change.value:+.3g} ({change.low:+.3g} to {change.high:+.3g})"
    return rows, f"{tables.markdown(shown)}\n\nDifference, with its 95 % interval: {sentence}."
