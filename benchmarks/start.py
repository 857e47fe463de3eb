"""From a small table to a registered model: the processor seconds of `retain run`, beside a fit.

Six series of 40 months, 6 months ahead, with the settings that `retain add` writes. The peer
imports itself and fits its LSTM to the same table, with its own settings; it scores nothing,
compares with nothing and keeps nothing.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import commands, tables
from benchmarks.peers import setup

SERIES, MONTHS, HORIZON = 6, 40, 6
PEER = "neuralforecast"
STAGES = ("code", "prepare", "train", "refit", "evaluate", "register")
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
SPANS = "RETAIN_BENCHMARK_SPANS"  # the file into which `run_here` writes

NOTES = """\
Processor seconds (user and system, of all processes, one thread each), the median of {rounds}
rounds; lowest and highest in brackets. Training is the time in `trainer.fit`: {fits} trainings with
{steps:,} updates in all, of LSTM and RNN, each on its base and alone, for each of 2 folds, and of
the refit. The rest of `train` and `refit` makes windows and the runs in MLflow; `evaluate` fits
Theta and ETS and draws the report; the last line of retain is Python, DVC, and the import of torch,
Lightning and MLflow, once for all stages. `retain add` comes before: {add:.1f} s, of which at most
{budget:.0f} try settings. neuralforecast takes {peer_steps:,} updates of one network."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """How often."""
    parser.add_argument("--rounds", type=int, default=2)


def run(options: argparse.Namespace) -> None:
    """Take turns, and write the table."""
    setup.require([PEER])
    rows: list[dict[str, Any]] = []
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            made = table()
            made.to_csv(folder / "table.csv", index=False)
            for part, seconds in (*ours(folder), *theirs(folder)):
                rows.append({"round": number, "part": part, "seconds": seconds})
                print(f"round {number}: {part} {seconds:.2f}", flush=True)
    frame = pd.DataFrame(rows)
    tables.write("start", frame, text(frame), f"python -m benchmarks start --rounds {number + 1}")


def table() -> pd.DataFrame:
    """Return the table: a trend, a season and noise of 5 %, of six shops."""
    noise, month = np.random.default_rng(1), np.arange(MONTHS)
    ds = pd.date_range("2021-01-01", periods=MONTHS, freq="MS")
    parts = []
    for number, level in enumerate((100, 140, 60, 220, 310, 85)):
        season = 1 + 0.2 * np.sin(month * np.pi / 6 + number)
        y = level * season + 0.5 * month + noise.normal(0, 0.05 * level, MONTHS)
        parts.append(pd.DataFrame({"unique_id": f"shop {number}", "ds": ds, "y": y.round(1)}))
    return pd.concat(parts)


def ours(folder: Path) -> list[tuple[str, float]]:
    """Make a project and its problem, run it, and return the seconds of its parts."""
    project, retain = folder / "project", str(Path(sys.executable).with_name("retain"))
    commands.run(folder, [retain, "init", str(project)])
    words = ["add", "sales", "../table.csv", "--horizon", str(HORIZON)]
    add, _ = commands.run(project, [retain, *words], ONE_THREAD)
    spans = folder / "spans.jsonl"
    here = "from benchmarks.start import run_here; run_here()"
    paths = {"PYTHONPATH": str(Path(__file__).parents[1]), SPANS: str(spans)}
    whole, _ = commands.run(project, [sys.executable, "-c", here], ONE_THREAD | paths)
    found = pd.DataFrame(map(json.loads, spans.read_text(encoding="utf-8").splitlines()))
    registered = (project / "reports" / "sales" / "decision.json").is_file()
    assert registered, "no model was registered"
    by_stage = found.groupby("stage")["seconds"].sum().reindex(STAGES, fill_value=0.0)
    training = float(found["fit"].sum())
    parts = [("retain add", add), ("retain run", whole), ("training", training)]
    parts += [(f"stage {stage}", float(seconds)) for stage, seconds in by_stage.items()]
    parts += [("fits", float(found["fits"].sum())), ("updates", float(found["updates"].sum()))]
    return parts


def run_here() -> None:
    """Do what `retain run sales` does, and note what its stages and trainings take."""
    from retain.cli import forked, main

    be, start = forked._be, forked._run

    def timed(words: list[str], cwd: str, environ: dict[str, str]) -> None:
        noted: dict[str, float] = {"fit": 0.0, "fits": 0, "updates": 0}
        if "retain.training.trainer" in sys.modules:
            from retain.training import trainer

            fit = trainer.fit

            def timed_fit(*args: Any, **more: Any) -> Any:
                begin = time.process_time()
                history = fit(*args, **more)
                noted["fit"] += time.process_time() - begin
                noted["fits"] += 1
                noted["updates"] += history[-1].step
                return history

            trainer.fit = timed_fit
        try:
            be(words, cwd, environ)
        finally:
            _note({"stage": Path(words[0]).stem, "seconds": time.process_time(), **noted})

    def started(*args: Any, **more: Any) -> None:
        command = str(args[4])
        before = commands.children_seconds()
        start(*args, **more)
        stage = Path(command.split()[1]).stem
        if stage == "prepare":  # a process of its own
            nothing = {"fit": 0.0, "fits": 0, "updates": 0}
            _note({"stage": stage, "seconds": commands.children_seconds() - before, **nothing})

    forked._be, forked._run = timed, started
    sys.argv = ["retain", "run", "sales"]
    main()


def _note(entry: dict[str, Any]) -> None:
    with Path(os.environ[SPANS]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def theirs(folder: Path) -> list[tuple[str, float]]:
    """Return the seconds of the peer's parts."""
    words = [str(setup.python(PEER)), str(setup.HERE / "neuralforecast_start.py")]
    words += [str(folder / "table.csv"), str(HORIZON), "MS"]
    whole, output = commands.run(folder, words, ONE_THREAD)
    said = json.loads(output.splitlines()[-1])
    return [
        ("peer", whole),
        ("peer's imports", said["imports"]),
        ("peer's updates", said["steps"]),
    ]


def text(frame: pd.DataFrame) -> str:
    """Return the table and its notes."""
    found = frame.pivot_table(index="round", columns="part", values="seconds")

    def shown(seconds: pd.Series) -> str:
        return f"{seconds.median():.1f} ({seconds.min():.1f}–{seconds.max():.1f})"

    stages = found[[f"stage {stage}" for stage in STAGES]]
    heavy = found["stage train"] + found["stage refit"] - found["training"]
    rows = [
        ("**`retain run`: table to registered model**", found["retain run"]),
        ("of which training", found["training"]),
        ("rest of `train` and `refit`", heavy),
        ("`code` and `prepare`", found["stage code"] + found["stage prepare"]),
        ("`evaluate`", found["stage evaluate"]),
        ("`register`", found["stage register"]),
        ("what they share", found["retain run"] - stages.sum(axis=1)),
        ("**neuralforecast: import and fit of its LSTM**", found["peer"]),
        ("of which its imports", found["peer's imports"]),
    ]
    whole = pd.DataFrame([(name, shown(s)) for name, s in rows], columns=["", "processor seconds"])
    notes = NOTES.format(
        rounds=len(found),
        fits=int(found["fits"].median()),
        steps=int(found["updates"].median()),
        peer_steps=int(found["peer's updates"].median()),
        add=found["retain add"].median(),
        budget=8,
    )
    return f"{tables.markdown(whole)}\n\n{notes}"
