"""Stage `train@P-C`: one network, from prepared data to weights.

python pipelines/train.py PROBLEM CELL
"""

import sys
from pathlib import Path

from retain import errors, model_files
from retain.config import loader
from retain.config.kind import kind_of
from retain.project import code_deps, files, fingerprint
from retain.project.layout import Layout
from retain.tracking import runs
from retain.training import portable_cpu


def main() -> None:
    """Train one cell on one problem, under a run of its own."""
    root, name = Path(), sys.argv[1]
    problem, layout = loader.load_problem(root, name), Layout(root, name)
    cell = next((cell for cell in problem.training.cells if cell == sys.argv[2]), None)
    if cell is None:
        why = "training.cells does not name this cell"
        files.leave_out(root, f"train-{name}-{sys.argv[2]}", layout.model(sys.argv[2]), why)
        return
    portable_cpu.pin_cpu_kernels(problem.training.reproducible)
    from retain.training import trainer  # imports torch, and torch looks at these settings once

    trainer.seed_everything(problem.training)
    kind = kind_of(problem)
    setup = kind.training.load(problem, layout.prepared, cell)
    tags = fingerprint.training_tags(root, name, problem, cell)
    stage = f"train-{name}-{cell}"
    recipe = (tags["data.md5"], tags["params.md5"], code_deps.training_md5(root, kind))
    kept = files.checkpoint_folder(root, stage, fingerprint.text_md5(" ".join(recipe)))
    if trainer.is_follower():
        trainer.fit(setup, problem.training, cell, name, folder=kept)
        return
    with (
        files.folder(root, stage) as scratch,
        runs.training_run(root, name, problem, cell, tags, kept, f"train@{name}-{cell}") as run,
    ):
        history = trainer.fit(setup, problem.training, cell, f"{name} {cell}", run, kept)
        setup.calibrate()
        model_files.write_model(scratch, setup.network, setup.config, history)
        run.tag({"model.md5": fingerprint.folder_md5(scratch)})
        files.publish(scratch, layout.model(cell))
    files.remove(kept.parent)  # those of other recipes too


if __name__ == "__main__":
    errors.run(main)
