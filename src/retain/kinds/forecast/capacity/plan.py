"""What prepare, train, evaluate and forecast need for many more series, on several nodes."""

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from retain.kinds.forecast.capacity import arithmetic, held, measure
from retain.kinds.forecast.capacity.arithmetic import STAGES, Costs, StagePlan
from retain.kinds.forecast.config import Problem

GB = 1e9
ASSUMED = (
    "prepare, evaluate and forecast are maps over parts of the series, one process on each core",
    "training is data-parallel: nodes × training.devices processes share each global batch, and "
    "each builds the windows of all series",
    "the driver reads and writes the index of all series, and adds the sums of the parts",
    f"nodes like this machine, {arithmetic.NETWORK * 8 / 1e9:.0f} Gbit/s between them",
    "memory is that of the table measured here, and for each further series what the scale table"
    " of benchmarks/README.md shows, and in training its row of the classical base",
    "theta and ets cost for each series what they did here; beyond a limit they sample the series",
)


def plan(problem: Problem, name: str, root: Path, series: int, nodes: Sequence[int]) -> str:
    """Measure a problem's costs on this machine, and return the plan as Markdown.

    Args:
        series: how many there will be, at least one, each as long as those of the problem's table.
        nodes: numbers of nodes to plan for, each at least one.

    Raises:
        ParamsError: the table is in the wide layout.
        DataError: the table cannot be read.
    """
    with TemporaryDirectory(prefix="retain-plan-") as scratch:
        costs, shape = measure.costs(problem, root, Path(scratch))
    examples = held.examples(problem, costs.windows * series)
    training = problem.training
    steps = arithmetic.training_updates(
        examples, training.batch_size, training.epochs(examples), training.epoch_steps
    )
    cores, devices = os.cpu_count() or 1, problem.training.devices
    planned = {
        count: arithmetic.plan(
            costs,
            series,
            count,
            cores,
            1 if devices == "auto" else devices,
            training.batch_size,
            steps,
        )
        for count in sorted({*nodes})
    }
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    rows = round(series * shape["steps"])
    heading = (
        f"{name}: {series:,} series, {rows:,} rows, {examples:,} windows of training, "
        f"{round(series * shape['test_windows']):,} of the test part; measured here with "
        f"{shape['series']:,.0f} series ({cores} cores, {have / GB:.0f} GB)."
    )
    parts = [heading, _table(planned), *_sentences(planned, have), _costs(costs, series, steps)]
    return "\n\n".join([*parts, "Assumed:", "\n".join(f"* {line}" for line in ASSUMED)])


def _table(planned: dict[int, dict[str, StagePlan]]) -> str:
    names = [f"{count} node{'s' * (count > 1)}" for count in planned]
    lines = ["| | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    for stage in STAGES:
        cells = [time(stages[stage].seconds) for stages in planned.values()]
        lines.append(f"| {stage} | " + " | ".join(cells) + " |")
    total = {
        count: sum(stage.seconds for stage in stages.values()) for count, stages in planned.items()
    }
    lines.append("| all | " + " | ".join(time(seconds) for seconds in total.values()) + " |")
    hours = [f"{count * seconds / 3600:,.2f}" for count, seconds in total.items()]
    lines.append("| node-hours | " + " | ".join(hours) + " |")
    most = [max(stage.memory for stage in stages.values()) / GB for stages in planned.values()]
    lines.append("| memory of a node, GB | " + " | ".join(f"{each:,.1f}" for each in most) + " |")
    return "\n".join(lines)


def _sentences(planned: dict[int, dict[str, StagePlan]], have: float) -> list[str]:
    """Name the stage that takes longest, with its reason, and a memory that does not suffice."""
    sentences = []
    for count, stages in planned.items():
        total = sum(stage.seconds for stage in stages.values())
        slowest = max(stages, key=lambda name: stages[name].seconds)
        share = stages[slowest].seconds / total
        sentence = (
            f"On {count} node{'s' * (count > 1)} the bottleneck is {slowest}, {share:.0%} of the "
            f"time: {stages[slowest].limit}."
        )
        largest = max(stages, key=lambda name: stages[name].memory)
        if stages[largest].memory > have:
            sentence += (
                f" Memory comes first: {largest} needs {stages[largest].memory / GB:,.1f} GB, "
                f"and a node has {have / GB:,.1f} GB."
            )
        sentences.append(sentence)
    return sentences


def _costs(costs: Costs, series: int, steps: int) -> str:
    disk = {name: line.at(series) / GB for name, line in costs.disk.items()}
    work = {name: costs.work[name] for name in ("prepare", "evaluate", "forecast")}
    each = ", ".join(f"{name} {line.each * 1e3:.3g} ms" for name, line in work.items())
    return (
        f"Disk: {', '.join(f'{name} {size:,.1f} GB' for name, size in disk.items())}. A series "
        f"costs, on one core: {each}. An update costs {costs.update.fixed * 1e3:.2f} ms and "
        f"{costs.update.each * 1e6:.1f} µs for each of its windows; networks that are "
        f"trained: {costs.networks}, for {steps:,} updates each at most."
    )


def time(seconds: float) -> str:
    """Write a duration.

    >>> time(0.25), time(59), time(600), time(90000)
    ('0.2 s', '59 s', '10 min', '25 h')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.0f} h"
