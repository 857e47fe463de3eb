"""The stage `prepare` of a forecasting problem; imports no torch."""

import tempfile
from pathlib import Path

from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import chunks, panel


def prepare(problem: Problem, root: Path, folder: Path) -> None:
    """Read the raw table of a problem and write its panel into `folder`."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="chunks-") as scratch:
        table = chunks.read(problem.data, root, Path(scratch))
        built = panel.build(table, problem.data, folder / "values.npy")
    panel.save(built, folder)
    quality = built.quality
    print(
        f"{quality['series']:,} series, {quality['steps']:,} steps of {quality['frequency']} from "
        f"{quality['first']} to {quality['last']}, {quality['missing']['steps']:,} without a value"
    )
    for warning in quality["warnings"]:
        print(f"warning: {warning}")
