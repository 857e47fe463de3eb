"""Stage `train@P-C`: one network, from prepared data to weights.

python pipelines/train.py PROBLEM CELL
"""

import sys
from pathlib import Path

from retain import errors, model_files
from retain.config import schema
from retain.project import files, fingerprint
from retain.tracking import runs
from retain.training import portable_cpu


def main() -> None:
    """Train one cell on one problem, under a run of its own."""
    root, name, cell = Path(), sys.argv[1], sys.argv[2]
    problem = schema.load_problem(root, name)
    if cell not in problem.training.cells:
        files.leave_out(root, f"train-{name}-{cell}", root / "models" / name / cell)
        return
    portable_cpu.pin_cpu_kernels(problem.training.reproducible)
    from retain.training import trainer  # imports torch, and torch looks once at what is settled

    prepared = root / "data" / "prepared" / name
    kind = schema.room(problem, "task")
    trainer.seed_everything(problem.training)
    task, config = kind.build(problem, prepared, cell)
    tags = fingerprint.training_tags(root, name, problem, cell)
    stage = f"train-{name}-{cell}"
    kept = files.checkpoint_folder(root, stage, tags["recipe.md5"])
    if trainer.is_follower():
        trainer.fit(task, problem.training, cell, name, folder=kept)
        return
    with (
        files.folder(root, stage) as scratch,
        runs.training_run(root, name, problem, cell, tags, kept) as run,
    ):
        history = trainer.fit(task, problem.training, cell, f"{name} {cell}", run, kept)
        kind.calibrate(task)
        model_files.write_model(scratch, task.network, config, history)
        run.tag({"model.md5": fingerprint.folder_md5(scratch)})
        files.publish(scratch, root / "models" / name / cell)
    files.remove(kept.parent)  # those of other recipes too


if __name__ == "__main__":
    errors.run(main)
