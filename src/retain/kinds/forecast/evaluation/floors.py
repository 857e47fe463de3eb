"""Theta and exponential smoothing along many series: a map, of which each part has a few series.

A series is estimated by its own rows alone, so that no result depends on the parts.
"""

import json
from collections.abc import Generator, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from retain import engine
from retain.engine import Job, Part
from retain.engine.mapping import ranges
from retain.kinds.forecast.data import panel
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.model import classical
from retain.kinds.forecast.model.classical import Classical, Runs
from retain.kinds.forecast.model.smoother import Run, Smoother

AT_ONCE = 8  # series of a part
FUNCTION = "retain.kinds.forecast.evaluation.floors:run_some"


def build(source: Panel, names: Iterable[str], seed: int) -> Classical:
    """Estimate and run the methods along the series of a panel, or along a sample of them.

    Args:
        names: of `classical.NAMES`.
        seed: of the sample.
    """
    names, chosen = tuple(names), classical.plan(source, seed)
    runs = {number: classical.run_series(source, chosen, names, number) for number in chosen.taken}
    return classical.gather(source, chosen, names, runs)


def in_parts(
    count: int, prepared: Path, names: Sequence[str], seed: int, folder: Path, job: Job
) -> Generator[Path, None, None]:
    """Do the same in parts, for `load`.

    Args:
        count: of the series that `classical.plan` takes.
        prepared: the folder of the panel.
        folder: for the outputs of the parts.
    """
    of_all = {"prepared": str(prepared.resolve()), "names": list(names), "seed": seed}
    parts = [
        Part(folder / f"floors-{begin:06}.npz", of_all | {"begin": begin, "end": end})
        for begin, end in ranges(count, AT_ONCE)
    ]
    return engine.map(FUNCTION, parts, job)


def load(source: Panel, names: Iterable[str], seed: int, outputs: Iterable[Path]) -> Classical:
    """Join what the parts wrote."""
    runs: dict[int, Runs] = {}
    for path in outputs:
        runs |= _read(path)
    return classical.gather(source, classical.plan(source, seed), tuple(names), runs)


def run_some(out: Path, prepared: str, names: list[str], seed: int, begin: int, end: int) -> None:
    """Estimate and run the methods along some of the chosen series: a part."""
    source = panel.load(Path(prepared))
    chosen = classical.plan(source, seed)
    described: list[Any] = []
    states: list[Any] = []
    for number in chosen.taken[begin:end]:
        rows, runs = classical.run_series(source, chosen, tuple(names), number)
        pieces = []
        for first, by_name in runs:
            smoothers = {name: asdict(run.smoother) for name, run in by_name.items()}
            lengths = {name: len(run.level) for name, run in by_name.items()}
            states += [array for run in by_name.values() for array in (run.level, run.slope)]
            pieces.append([first, smoothers, lengths])
        described.append([number, rows.tolist(), pieces])
    every = np.concatenate(states) if states else np.empty(0)
    np.savez(out, described=np.array(json.dumps(described)), states=every)


def _read(path: Path) -> dict[int, Runs]:
    with np.load(path, allow_pickle=False) as content:
        described, states = json.loads(str(content["described"])), content["states"]
    found: dict[int, Runs] = {}
    place = 0
    for number, rows, pieces in described:
        runs = []
        for first, smoothers, lengths in pieces:
            by_name = {}
            for name, length in lengths.items():
                level, slope = states[place : place + 2 * length].reshape(2, length)
                content = smoothers[name]
                smoother = Smoother(**content | {"index": tuple(content["index"])})
                by_name[name] = Run(smoother, level, slope)
                place += 2 * length
            runs.append((first, by_name))
        found[number] = np.array(rows, dtype=np.int64), runs
    return found
