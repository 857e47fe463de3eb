"""Whether other processors give the same bytes, and what that costs.

The stages of a small problem run here and under `qemu-x86_64`, which emulates processors of several
makers, and the md5 of what they leave are compared. Then the sample problem is trained with
`reproducible: portable` and `machine` in turns. Nothing is imported above the functions that looks
at the processor: the trainings are processes of this module, and settle on their mode first.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retain.config import loader, schema
from retain.config.kind import kind_of
from retain.project import fingerprint
from retain.training import portable_cpu

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(__file__).parents[1]
SCRATCH = ROOT / "scratch" / "portable"
NEWEST_WRONG = 9  # qemu's first versions with AVX2 compute some of it wrongly

# Libraries look at the maker as well as at the instructions: Intel, AMD, and one that they do not
# know. `max` is all that the emulator can do. None has AVX-512: the emulator does not know it.
PROCESSORS = ("Haswell", "Skylake-Client", "EPYC", "YongFeng", "max")
HERE = "this processor"
MODES: tuple[schema.Mode, ...] = ("portable", "machine")
STAGES = (("prepare",), ("train", "lstm"), ("train", "rnn"), ("refit",), ("evaluate",))
OUTPUTS = {
    "prepared": "data/prepared/small",
    "lstm": "models/small/lstm",
    "rnn": "models/small/rnn",
    "metrics": "reports/small/metrics.json",
    "report": "reports/small/report.html",
}
SETTLED = {*portable_cpu.NUMPY, *portable_cpu.TORCH}

NOTES = """\
“same”: the md5 is that of the same mode on this processor. `lstm` and `rnn` are the folders of the
models: weights, configuration and history. The processors are those of `qemu-x86_64` {version},
which emulates their instructions up to AVX2, without AVX-512: two of Intel, one of AMD, one of a
maker unknown to the libraries, and one with everything that the emulator supports. Its approximate
reciprocals and roots are not those of any real processor, so code that uses them is detected.
`prepare` is portable in either mode. {here}"""

COST_NOTES = """\
Processor milliseconds a training step of `{problem}`, validation included, one thread, {steps:,}
steps at least; the median of {rounds} rounds in turns, and of each round's ratio, with the lowest
and the highest."""


def problem(mode: schema.Mode) -> dict[str, Any]:
    """The entry of params.yaml: small, since an emulated step takes a hundred times as long."""
    return {
        "kind": "forecast",
        "preset": "fast",
        "data": {
            **{"path": "data/raw/small.csv", "unique_id": "store"},
            **{"horizon": 24, "context_length": 48, "season_length": 24},
            "split": {"validation": 0.7, "test": 0.85},
        },
        "model": {
            **{"hidden_size": 32, "segment_length": 12, "dropout": 0.2, "series_embedding": 4},
            **{"normalisation": "mean_std", "residual": "seasonal"},
        },
        "training": {"max_epochs": 2, "reproducible": mode, "accelerator": "cpu"},
        "evaluation": {"bootstrap": 100},
        "gate": [{"check": "finite"}],
    }


def write_project(folder: Path, mode: schema.Mode) -> None:
    """params.yaml and a table: two series with a daily cycle and noise, a gap in one of them."""
    import numpy as np
    import pandas as pd
    from ruamel.yaml import YAML

    (folder / "data" / "raw").mkdir(parents=True)
    YAML().dump({"problems": {"small": problem(mode)}}, folder / "params.yaml")
    noise = np.random.default_rng(1)
    hours = np.arange(600)
    parts = []
    for store, level in (("north", 100.0), ("south", 40.0)):
        y = level + 10 * np.sin(2 * np.pi * hours / 24) + noise.normal(0, 2, len(hours))
        ds = pd.date_range("2024-01-01", periods=len(hours), freq="h")
        parts.append(pd.DataFrame({"ds": ds, "store": store, "y": y.round(2)}))
    table = pd.concat(parts).drop(index=range(50, 60))
    table.to_csv(folder / "data" / "raw" / "small.csv", index=False)


def emulator(given: Path | None) -> tuple[Path, str] | None:
    """The emulator and its version; None where there is none, or an old one."""
    names = [str(given)] if given else ["qemu-x86_64", "qemu-x86_64-static"]
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"version (\d+)\.[\d.]+", said)
    if version is None or int(version[1]) <= NEWEST_WRONG:
        return None
    return Path(found).absolute(), version[0].removeprefix("version ")


def environment() -> dict[str, str]:
    """Without what would settle a mode from outside; one tracking store for all processors.

    It is made by the first run, on this processor: emulated that takes minutes.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in SETTLED and not name.startswith("MLFLOW_")
    }
    return kept | {"DVC_ROOT": str(SCRATCH), "MLFLOW_DISABLE_TELEMETRY": "true"}


def stages(processor: str, mode: schema.Mode, qemu: Path) -> dict[str, str]:
    """Run the stages of a project of its own; the md5 of what they leave, by output."""
    folder = SCRATCH / mode / processor.replace(" ", "-")
    write_project(folder, mode)
    emulated = [] if processor == HERE else [str(qemu), "-cpu", processor]
    for stage, *cells in STAGES:
        script = ROOT / "pipelines" / f"{stage}.py"
        command = [*emulated, sys.executable, str(script), "small", *cells]
        begin = time.monotonic()
        done = subprocess.run(
            command, cwd=folder, env=environment(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
        took = time.monotonic() - begin
        print(f"{processor}, {mode}: {' '.join([stage, *cells])}, {took:.0f} s", flush=True)
    left = fingerprint.output_md5s(folder, "small")
    return {name: left[path] for name, path in OUTPUTS.items()}


def identities(processors: list[str], qemu: Path) -> Iterator[dict[str, str]]:
    """A row for each mode, processor and output."""
    for mode in MODES:
        native = stages(HERE, mode, qemu)
        emulated = processors if mode == "portable" else processors[:1]  # one shows the difference
        for processor in (HERE, *emulated):
            found = native if processor == HERE else stages(processor, mode, qemu)
            count = sum(md5 == native[output] for output, md5 in found.items())
            print(f"{processor}, {mode}: {count} of {len(found)} outputs are the same", flush=True)
            for output, md5 in found.items():
                same = "same" if md5 == native[output] else "other"
                row = {"mode": mode, "processor": processor, "output": output}
                yield row | {"md5": md5, "answer": same}


def costs(name: str, steps: int, rounds: int) -> Iterator[dict[str, Any]]:
    """A row for each round, cell and mode."""
    for number in range(rounds):
        for cell in ("lstm", "rnn"):
            for mode in MODES if number % 2 else MODES[::-1]:
                command = [sys.executable, "-m", "benchmarks.portable", name, mode, cell]
                done = subprocess.run(
                    [*command, str(steps)],
                    cwd=ROOT,
                    env=environment(),
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                )
                milliseconds = json.loads(done.stdout.splitlines()[-1])
                row = {"round": number, "cell": cell, "mode": mode, "milliseconds": milliseconds}
                print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
                yield row


def train(name: str, mode: schema.Mode, cell: str, steps: int) -> None:
    """What the process of a training does: settle, train, say what a step took."""
    portable_cpu.pin_cpu_kernels(mode)
    from retain.training import trainer

    made = loader.load_problem(ROOT, name)
    changed = {"reproducible": mode, "max_steps": steps, "patience": steps, "accelerator": "cpu"}
    how = made.training.model_copy(update=changed)
    trainer.seed_everything(how)
    task = kind_of(made).training.load(made, ROOT / "data" / "prepared" / name, cell)
    begin = time.process_time()
    history = trainer.fit(task, how, cell, f"{name} {cell}, {mode}")
    print(1e3 * (time.process_time() - begin) / history[-1].step)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this benchmark."""
    parser.add_argument("--qemu", type=Path, help="qemu-x86_64, version 10 or newer")
    parser.add_argument("--processors", nargs="+", default=PROCESSORS, help="qemu-x86_64 -cpu help")
    parser.add_argument("--problem", default="traffic", help="prepared, to be trained in turns")
    parser.add_argument("--steps", type=int, default=600, help="of such a training")
    parser.add_argument("--rounds", type=int, default=5)


def run(options: argparse.Namespace) -> None:
    """Compare, measure, print, and write the section."""
    found = emulator(options.qemu)
    if found is None:
        print(
            "skipped: there is no qemu-x86_64 of version 10 or newer, and older ones compute AVX2 "
            "wrongly; install qemu-user, or say --qemu PATH"
        )
        return
    prepared = ROOT / "data" / "prepared" / options.problem
    if not prepared.is_dir():
        print(f"skipped: {prepared} is not there; run: dvc repro prepare@{options.problem}")
        return
    import pandas as pd

    from benchmarks import tables

    qemu, version = found
    shutil.rmtree(SCRATCH, ignore_errors=True)
    compared = pd.DataFrame(identities(list(options.processors), qemu))
    measured = pd.DataFrame(costs(options.problem, options.steps, options.rounds))
    notes = NOTES.format(version=version, here=between(compared))
    text = "\n\n".join(
        [
            tables.markdown(shown(compared)),
            notes,
            tables.markdown(ratios(measured)),
            COST_NOTES.format(**vars(options)),
        ]
    )
    print(text)
    every = pd.concat([compared.assign(part="identity"), measured.assign(part="cost")])
    tables.write("portable", every, text, "python -m benchmarks portable")
    shutil.rmtree(SCRATCH)


def shown(compared: "pd.DataFrame") -> "pd.DataFrame":
    """A line for each mode and emulated processor, a column for each output."""
    emulated = compared[compared["processor"] != HERE]
    order = emulated[["mode", "processor"]].drop_duplicates()
    wide = emulated.pivot(index=["mode", "processor"], columns="output", values="answer")
    return wide[list(OUTPUTS)].loc[list(order.itertuples(index=False, name=None))].reset_index()


def between(compared: "pd.DataFrame") -> str:
    """What the two modes give on this processor, as a sentence."""
    own = compared[compared["processor"] == HERE].pivot(
        index="output", columns="mode", values="md5"
    )
    other = [name for name in OUTPUTS if own.loc[name].nunique() > 1]
    if not other:
        return "On this processor both modes give the same bytes."
    return f"On this processor the two modes differ in: {', '.join(other)}."


def ratios(measured: "pd.DataFrame") -> "pd.DataFrame":
    """The medians of both modes and of their ratio, a line for each cell."""
    import pandas as pd

    lines = []
    for cell, group in measured.groupby("cell"):
        by_round = group.pivot(index="round", columns="mode", values="milliseconds")
        ratio = by_round["portable"] / by_round["machine"]
        medians = {str(mode): f"{by_round[mode].median():.2f}" for mode in MODES}
        spread = f"{ratio.median():.2f} ({ratio.min():.2f}–{ratio.max():.2f})"
        lines.append({"cell": cell, **medians, "portable ÷ machine": spread})
    return pd.DataFrame(lines)


if __name__ == "__main__":
    train(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))  # type: ignore[arg-type]
