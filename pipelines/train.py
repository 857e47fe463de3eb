"""Stage `train@P-C`: one network, from prepared data to weights.

python pipelines/train.py PROBLEM CELL
"""

import sys
from pathlib import Path

from retain import errors, lineage, machine, outputs, params, tracking


def main() -> None:
    """Train one cell on one problem, under a run of its own."""
    root, name, cell = Path(), sys.argv[1], sys.argv[2]
    problem = params.load_problem(root, name)
    if cell not in problem.training.cells:
        outputs.leave_out(root, f"train-{name}-{cell}", root / "models" / name / cell)
        return
    machine.settle(problem.training.reproducible)
    from retain import training  # imports torch, and torch looks once at what is settled

    prepared = root / "data" / "prepared" / name
    kind = params.room(problem, "task")
    training.seed_everything(problem.training)
    task, config = kind.build(problem, prepared, cell)
    tags = lineage.training_tags(root, name, problem, cell)
    stage = f"train-{name}-{cell}"
    kept = outputs.checkpoint_folder(root, stage, tags["recipe.md5"])
    if training.is_follower():
        training.fit(task, problem.training, cell, name, folder=kept)
        return
    with (
        outputs.folder(root, stage) as scratch,
        tracking.training_run(root, name, problem, cell, tags, kept) as run,
    ):
        history = training.fit(task, problem.training, cell, f"{name} {cell}", run, kept)
        kind.finish(task)
        training.write_model(scratch, task.network, config, history)
        run.tag({"model.md5": lineage.folder_md5(scratch)})
        outputs.publish(scratch, root / "models" / name / cell)
    outputs.remove(kept.parent)  # those of other recipes too


if __name__ == "__main__":
    errors.run(main)
