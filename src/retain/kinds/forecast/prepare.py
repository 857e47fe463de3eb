"""The stage `prepare` of a forecasting problem; imports no torch."""

import tempfile
from pathlib import Path

from retain.errors import listed
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.data import (
    chunks,
    folds,
    frequency,
    panel,
    quality,
    slots,
    tables,
    unseen,
)
from retain.kinds.forecast.data.chunks import Chunks
from retain.kinds.forecast.data.panel import Panel


def prepare(problem: Problem, root: Path, out: Path) -> None:
    """Read the raw table of a problem and write its panel into `out`."""
    with tempfile.TemporaryDirectory(dir=out, prefix="chunks-") as scratch:
        table = chunks.read(problem.data, root, Path(scratch))
        built = panel.build(table, problem.data, out / "values.npy")
        add_warnings(built, table, problem.data)
    panel.save(built, out)
    counts = built.quality
    steps = f"{counts['steps']:,} {frequency.units(counts['frequency'])}"
    print(
        f"{counts['series']:,} series, {steps} from "
        f"{counts['first']} to {counts['last']}, {counts['missing']['steps']:,} without a value"
    )
    for warning in counts["warnings"]:
        print(f"warning: {warning}")
    if skipped := quality.left_out(counts):
        print(listed(skipped))


def check_table(problem: Problem, root: Path) -> tuple[str, list[str]]:
    """Read a problem's table without training: its path, and what was found, a line each."""
    table = chunks.in_memory(tables.read(problem.data, root), problem.data)
    built = panel.build(table, problem.data)
    folds.find(built.schema, problem.folds)
    add_warnings(built, table, problem.data)
    return problem.data.path, quality.lines(built.quality)


def add_warnings(built: Panel, table: Chunks, data: Data) -> None:
    """Add to a panel's findings what a model of it will not know."""
    found = [*unseen.after_training(table, built, data)]
    for line in slots.warnings(slots.measure(built)):
        found.append(f"{line}; forecasts leave it empty there")
    built.quality["warnings"].extend(found)
