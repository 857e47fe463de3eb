"""The stage `prepare` of a forecasting problem; imports no torch."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retain import engine
from retain.engine import Job
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.data import (
    chunk_reader,
    chunks,
    folds,
    frequency,
    panel,
    quality,
    reader,
    slots,
    tables,
    unseen,
)
from retain.kinds.forecast.data.chunks import Chunks
from retain.kinds.forecast.data.panel import Panel
from retain.words import listed


def prepare(problem: Problem, root: Path, out: Path) -> None:
    """Read the raw table of a problem and write its panel into `out`."""
    job = Job("prepare", out.name.removeprefix("prepare-"), root)
    with _scratch(problem, out, job) as scratch:
        table = chunk_reader.read(problem.data, root, scratch, job)
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


@contextmanager
def _scratch(problem: Problem, out: Path, job: Job) -> Iterator[Path]:
    """Yield a folder for the chunks of the table, which several processes can continue."""
    if engine.in_process():
        with tempfile.TemporaryDirectory(dir=out, prefix="chunks-") as scratch:
            yield Path(scratch)
        return
    data = problem.data
    recipe = {
        "data": data.model_dump(mode="json"),
        "table": reader.open_for(data, job.root).digest(),
        "rows": chunks.ROWS,
    }
    folder = job.folder(recipe)
    yield folder
    shutil.rmtree(folder)


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
