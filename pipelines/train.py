"""Stage `train@P-C`: one network, from prepared data to weights.

python pipelines/train.py PROBLEM CELL
"""

import sys
from pathlib import Path

from retain import errors, lineage, outputs, params, tracking, training


def main() -> None:
    """Train one cell on one problem, under a run of its own."""
    root, name, cell = Path(), sys.argv[1], sys.argv[2]
    problem = params.load_problem(root, name)
    prepared = root / "data" / "prepared" / name
    kind = params.room(problem, "task")
    training.seed_everything(problem.training)
    task, config = kind.build(problem, prepared, cell)
    if training.is_follower():
        training.fit(task, problem.training, cell, name)
        return
    tags = lineage.training_tags(root, problem, cell, prepared)
    with (
        outputs.folder(root, f"train-{name}-{cell}") as scratch,
        tracking.training_run(root, name, problem, cell, tags) as run,
    ):
        history = training.fit(task, problem.training, cell, f"{name} {cell}", run)
        kind.finish(task)
        training.write_model(scratch, task.network, config, history)
        run.tag({"model.md5": lineage.folder_md5(scratch)})
        outputs.publish(scratch, root / "models" / name / cell)


if __name__ == "__main__":
    errors.run(main)
