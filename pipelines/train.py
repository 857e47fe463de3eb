"""Stage `train@P-C`: a network for each fold of the test part, from prepared data to weights.

python pipelines/train.py PROBLEM CELL
"""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from retain import errors, model_files
from retain.config import loader
from retain.config.kind import kind_of
from retain.evaluation import choice
from retain.project import code_deps, files, fingerprint
from retain.project.layout import Layout
from retain.tracking import runs
from retain.training import portable_cpu

if TYPE_CHECKING:
    from retain.tracking.offline_run import OfflineRun
    from retain.training.setup import Epoch, TrainingSetup


def main() -> None:
    """Train one cell on one problem, once for each fold, under a run of its own."""
    root, name = Path(), sys.argv[1]
    problem, layout = loader.load_problem(root, name), Layout(root, name)
    cell = next((cell for cell in problem.training.cells if cell == sys.argv[2]), None)
    if cell is None:
        why = "training.cells does not name this cell"
        files.leave_out(root, f"train-{name}-{sys.argv[2]}", layout.model(sys.argv[2]), why)
        return
    portable_cpu.pin_cpu_kernels(problem.training.reproducible)
    from retain.training import trainer  # imports torch, and torch looks at these settings once

    kind, last = kind_of(problem), problem.folds
    tags = fingerprint.training_tags(root, name, problem, cell)
    stage = f"train-{name}-{cell}"
    recipe = (tags["data.md5"], tags["params.md5"], code_deps.training_md5(root, kind))
    kept = files.checkpoint_folder(root, stage, fingerprint.text_md5(" ".join(recipe)))

    def build(fold: int) -> "TrainingSetup":
        trainer.seed_everything(problem.training)
        if fold == 1 or kind.fold is None:
            return kind.training.load(problem, layout.prepared, cell)
        return kind.fold.load(problem, layout.prepared, cell, fold)

    def fit(fold: int, run: "OfflineRun | None" = None) -> "list[Epoch]":
        label = f"{name} {cell}" + f", fold {fold} of {last}" * (last > 1)
        place = choice.fold_folder(kept, fold)
        return trainer.fit(setups[fold], problem.training, cell, label, run, place)

    # A kill costs no training that was done: all but the last are kept beside their checkpoints.
    done = {fold: choice.fold_folder(kept, fold) / "model" for fold in range(1, last)}
    kept_before = {fold for fold, model in done.items() if model.is_dir()}
    setups = {fold: build(fold) for fold in range(1, last + 1) if fold not in kept_before}
    if trainer.is_follower():
        for fold in setups:
            fit(fold)
        return
    with (
        files.folder(root, stage) as scratch,
        runs.training_run(root, name, problem, cell, tags, kept, f"train@{name}-{cell}") as run,
    ):
        for fold in range(1, last + 1):
            place = choice.fold_folder(scratch, fold)
            if fold in kept_before:
                shutil.copytree(done[fold], place, dirs_exist_ok=True)
                continue
            history, setup = fit(fold, run if fold == 1 else None), setups[fold]
            setup.calibrate()
            place.mkdir(exist_ok=True)
            model_files.write_model(place, setup.network, setup.config, history)
            if fold > 1:
                best = min(epoch.validation_loss for epoch in history)
                run.log({f"fold-{fold}/val/loss": best}, history[-1].step)
            if fold < last:
                copy = done[fold].with_name("model.part")
                shutil.rmtree(copy, ignore_errors=True)
                files.publish(Path(shutil.copytree(place, copy)), done[fold])
        run.tag({"model.md5": fingerprint.folder_md5(scratch)})
        files.publish(scratch, layout.model(cell))
    files.remove(kept.parent)  # those of other recipes too


if __name__ == "__main__":
    errors.run(main)
