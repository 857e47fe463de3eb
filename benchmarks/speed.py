"""Training and inference beside other libraries and a bare loop, and the time to a given error.

ETTh1, seven columns as seven series, 96 steps to 24, one LSTM of 128 units, MAE as the loss. Every
contestant is a process of its own that takes its turn in each round, so that what disturbs the
machine disturbs all; ratios are taken within a round.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd

from benchmarks import tables
from benchmarks.peers import setup
from retain.config import loader
from retain.kinds.forecast.prepare import prepare

ROOT = Path(__file__).parents[1]
SCRATCH = ROOT / "scratch" / "speed"
PEERS = {"Darts": "darts", "neuralforecast": "neuralforecast"}
PEERS |= {"pytorch-forecasting": "pytorch-forecasting"}
OURS = {  # segment_length, bare
    "retain, segments of 24": (24, False),
    "bare loop, segments of 24": (24, True),
    "retain, step by step": (1, False),
    "bare loop, step by step": (1, True),
}
PARTS = ("training", "inference", "race")
TRAINED, PREDICTED = (64, 256), (64, 512)  # batch sizes; 512 is what retain's `evaluate` takes
ORIGINS = 512  # test windows of each series that inference is measured on
TARGET = 0.41  # mean absolute error on all test windows, in the scale of the training part
ROWS, TRAIN = 14_400, 8640  # 20 months; the rows behind them belong to no part
COLUMNS = ["part", "threads", "batch", "contestant", "round", "per_second", "per_cpu_second"]
RACED = ["contestant", "seconds", "training_seconds", "windows", "best_mae"]

NOTES = """\
Windows a second, the median of {rounds} rounds of {seconds:g} s; both sizes of batch, {batches}.
“× peer”: over the fastest peer of the same round at that size.

Training is each library's own: its data loader, its Lightning loop, its optimiser, without
validation, logger, progress bar and checkpoints. The networks are near to one another, not the
same: Darts reads the last 24 states of the LSTM, one for each step ahead, with one linear layer;
neuralforecast adds two layers over all steps; pytorch-forecasting goes on step by step through the
horizon, so that its LSTM takes 120 steps and not 96; retain also normalises each window, which the
others do not do here.

Inference is each library's own call for all windows of a test part: `historical_forecasts` of Darts
(its answers are `TimeSeries`, which costs more than its network), the call within neuralforecast's
`cross_validation`, `predict` of pytorch-forecasting (its data set is made before). retain gives
nine calibrated quantiles, the others one value."""

RACE_NOTES = """\
Processor seconds (user and system, all threads) from the start of Python, imports included, until
the MAE on all test windows is {target} or less, one thread, batches of 64, learning rate 0.002;
“of which training” is counted from the first batch, the rest is mostly the import of Lightning.
Weights are scored every {every:,} windows, later every quarter more; scoring is not counted. Here
the peers normalise each window as retain does (reversible instance norm, `scaler_type`,
`EncoderNormalizer`)."""


@dataclass
class Process:
    """A contestant at work; `turn` has it run for some seconds."""

    name: str
    popen: subprocess.Popen[str]

    @classmethod
    def start(cls, name: str, mode: str, batch: int, threads: int, **more: Any) -> Self:
        """Start a contestant: a peer in its own environment, or retain in this one.

        Args:
            name: a key of PEERS or OURS.
            mode: train, predict or race.
            more: what else the worker's options hold.
        """
        options = {"mode": mode, "batch": batch, "threads": threads, "hidden": 128, "rate": 2e-3}
        options |= {"origins": ORIGINS, "normalise": mode == "race", "table": "etth1.csv"}
        options |= {"prepared": "prepared"} | more
        interpreter, script = sys.executable, "retain"
        if name in PEERS:
            interpreter, script = str(setup.python(PEERS[name])), PEERS[name].replace("-", "_")
        else:
            segment, options["bare"] = OURS[name]
            options["problem"] = problem(segment, options["hidden"], batch, threads, mode == "race")
        path = setup.HERE / f"{script}_worker.py"
        log = (SCRATCH / f"{script}.log").open("w", encoding="utf-8")
        count = str(threads)
        return cls(
            name,
            subprocess.Popen(
                [interpreter, str(path), json.dumps(options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=SCRATCH,
                env=os.environ | {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count},
            ),
        )

    def listen(self) -> list[str]:
        """The next answer, in words; nothing at the end."""
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().split()

    def ready(self) -> None:
        """Wait until it is warm; stop if it fails."""
        if self.listen() != ["ready"]:
            raise SystemExit(f"{self.name} did not start: see {SCRATCH.relative_to(ROOT)}/*.log")

    def turn(self, seconds: float) -> tuple[float, float]:
        """Have it work for so many seconds: windows a second, and a processor second."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(f"{seconds}\n")
        self.popen.stdin.flush()
        windows, passed, spent = map(float, self.listen())
        return windows / passed, windows / spent

    def end(self) -> None:
        """Let it go; a closed input is the sign."""
        assert self.popen.stdin is not None
        self.popen.stdin.close()
        self.popen.wait()


def problem(
    segment: int, hidden: int, batch: int, threads: int, ends: bool = False
) -> dict[str, Any]:
    """The entry of params.yaml that is the same task as the peers'.

    A training that is to end has the number of steps of retain's preset.
    """
    training = {"batch_size": batch, "threads": threads, "accelerator": "cpu"}
    training["learning_rate"] = 2e-3
    endless = {"max_epochs": 10_000, "patience": 10_000, "epoch_steps": 1_000_000}
    return {
        "kind": "forecast",
        "preset": "fast",
        "data": {
            "path": "etth1.csv",
            "ds": "ds",
            "value_columns": ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"],
            "calendar": False,
            "horizon": 24,
            "context_length": 96,
            "season_length": 24,
            "split": {"validation": "2017-06-26", "test": "2017-10-24"},
        },
        "model": {
            "hidden_size": hidden,
            "segment_length": segment,
            "dropout": 0.0,
            "normalisation": "mean_std",
            "loss": "mae",
        },
        "training": training | ({} if ends else endless),
        "gate": [],
    }


def write_data(data: Path) -> None:
    """The table that all read, scaled by its training part, and what retain prepares of it."""
    (SCRATCH / "prepared").mkdir(parents=True, exist_ok=True)
    table = pd.read_csv(data / "ETTh1.csv", nrows=ROWS).rename(columns={"date": "ds"})
    values = table.columns.drop("ds")
    train = table.loc[: TRAIN - 1, values]
    table[values] = (table[values] - train.mean()) / train.std(ddof=0)
    table.to_csv(SCRATCH / "etth1.csv", index=False)
    prepare(loader.parse("benchmark", problem(24, 128, 64, 1)), SCRATCH, SCRATCH / "prepared")


def rounds(part: str, names: list[str], batch: int, threads: int, options: Any) -> list[list[Any]]:
    """Let the contestants take turns; a row of COLUMNS for each turn."""
    mode = {"training": "train", "inference": "predict"}[part]
    contestants: list[Process] = []
    rows: list[list[Any]] = []
    try:
        for name in names:  # one after another, so that none warms up in another's time
            contestants.append(Process.start(name, mode, batch, threads))
            contestants[-1].ready()
        for number in range(options.rounds):
            for one in contestants:
                rates = one.turn(options.seconds)
                rows.append([part, threads, batch, one.name, number, *rates])
                print(*rows[-1][:5], "{:,.0f}/s, {:,.0f}/cpu s".format(*rates), sep=", ")
    finally:
        for one in contestants:
            one.end()
    return rows


def race(name: str, options: Any) -> list[Any]:
    """How many processor seconds a contestant needs to the target: a row of the table."""
    print(f"race, {name}", flush=True)
    more = {"cap": options.cap, "target": TARGET, "every": options.every}
    one = Process.start(name, "race", 64, 1, **more)
    last, best = ["0", "0", "inf", "0"], float("inf")
    while line := one.listen():
        last, best = line, min(best, float(line[2]))
        print(f"race, {name}, {float(line[0]):.1f} s, {line[1]} windows, MAE {float(line[2]):.4f}")
    one.end()
    if best == float("inf"):
        raise SystemExit(f"{name} did not race: see {SCRATCH.relative_to(ROOT)}/*.log")
    reached = float(last[2]) <= TARGET
    seconds = f"{float(last[0]):.1f}" if reached else f"> {options.cap:g}"
    trained = f"{'' if reached else '> '}{float(last[3]):.1f}"
    return [name, seconds, trained, f"{int(last[1]):,}", f"{best:.4f}"]


def summary(rows: pd.DataFrame, part: str, clock: str) -> pd.DataFrame:
    """Medians by contestant, and ratios to the bare loop and to the fastest peer by round."""
    rows = rows[rows["part"] == part]
    lines = []
    for (threads, name), _ in rows.groupby(["threads", "contestant"], sort=False):
        line: dict[str, Any] = {"threads": threads, "contestant": name}
        cells: dict[str, list[str]] = {"windows/s": [], "× bare loop": [], "× peer": []}
        for _, group in rows[rows["threads"] == threads].groupby("batch"):
            table = group.pivot(index="round", columns="contestant", values=clock)
            own = table[name]
            cells["windows/s"].append(f"{own.median():,.0f}")
            loop = table.get(name.replace("retain", "bare loop")) if "retain" in name else None
            cells["× bare loop"].append("–" if loop is None else f"{(own / loop).median():.3f}")
            peers = table[[peer for peer in PEERS if peer in table]].max(axis=1)
            cells["× peer"].append("–" if peers.isna().any() else f"{(own / peers).median():.2f}")
        lines.append(line | {key: " / ".join(each) for key, each in cells.items()})
    table = pd.DataFrame(lines)
    return table.drop(columns="× bare loop") if part == "inference" else table


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=4.0, help="of a turn")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--clock", choices=COLUMNS[-2:], default=COLUMNS[-2], help="of the table")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="contestants; writes nothing")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--cap", type=float, default=300.0, help="processor seconds of a race")
    parser.add_argument(
        "--every", type=int, default=2000, help="windows between two scores, at first"
    )


def run(options: argparse.Namespace) -> None:
    """Measure, print and, if all parts and contestants took part, write the section."""
    names = [*OURS, *PEERS]
    if options.only:
        names = [name for name in names if any(part in name for part in options.only)]
    setup.require([PEERS[name] for name in names if name in PEERS])
    write_data(options.data)
    rows: list[list[Any]] = []
    for part, sizes in (("training", TRAINED), ("inference", PREDICTED)):
        entrants = [name for name in names if part == "training" or "bare" not in name]
        for threads in options.threads if part in options.parts else ():
            for batch in sizes:
                rows += rounds(part, entrants, batch, threads, options)
    entrants = [name for name in names if "bare" not in name and "race" in options.parts]
    times = [race(name, options) for name in entrants]
    measured = pd.DataFrame(rows, columns=COLUMNS)
    text = report(measured, times, options)
    print(text)
    if not options.only and set(options.parts) == set(PARTS):
        raced = pd.DataFrame(times, columns=RACED)
        raced.insert(0, "part", "race")
        command = f"python -m benchmarks speed --rounds {options.rounds}"
        every = pd.concat([measured, raced.replace(",", "", regex=True)])
        tables.write("speed", every, text, f"{command} --seconds {options.seconds:g}")


def report(measured: pd.DataFrame, times: list[list[Any]], options: Any) -> str:
    """The section as Markdown."""
    blocks = []
    for part in [part for part in PARTS[:2] if part in set(measured["part"])]:
        blocks += [
            f"### {part.capitalize()}",
            tables.markdown(summary(measured, part, options.clock)),
        ]
    if blocks:
        text = f"{TRAINED[0]} / {TRAINED[1]} training, {PREDICTED[0]} / {PREDICTED[1]} inference"
        blocks.append(NOTES.format(rounds=options.rounds, seconds=options.seconds, batches=text))
    if times:
        columns = ["contestant", "processor seconds", "of which training"]
        columns += ["windows trained on", "lowest MAE seen"]
        blocks += [
            "### Time to an MAE of 0.41",
            tables.markdown(pd.DataFrame(times, columns=columns)),
        ]
        blocks.append(RACE_NOTES.format(target=TARGET, every=options.every))
    return "\n\n".join(blocks)
