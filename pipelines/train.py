# Managed by retain: in a project `retain upgrade` rewrites this file unless it was changed
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
from retain.project import code_deps, dvc, files, fingerprint, lock_file, parents
from retain.project.layout import Layout
from retain.tracking import runs
from retain.training import portable_cpu

if TYPE_CHECKING:
    from retain.tracking.offline_run import OfflineRun
    from retain.training.setup import Epoch


def main() -> None:
    """Train one cell on one problem, once for each fold, under a run of its own."""
    root, (name, given) = Path(), dvc.stage_words(sys.argv[1:], ("PROBLEM", "CELL"))
    lock_file.keep(root)
    problem, layout = loader.load_problem(root, name), Layout(root, name)
    cell = next((cell for cell in problem.training.cells if cell == given), None)
    if cell is None:
        why = "training.cells does not name this cell"
        files.leave_out(root, f"train-{name}-{given}", layout.model(given), why)
        return
    portable_cpu.pin_cpu_kernels(problem.training.reproducible)
    from retain.training import devices, plan, ray_workers, trainer  # torch reads the settings once

    if ray_workers.wanted(problem.training):
        words = [name, cell]
        ray_workers.train(Path(__file__), words, problem.training, layout.model(cell))
        return
    devices.check_sees(layout.prepared)
    kind, last = kind_of(problem), problem.folds
    tags = fingerprint.training_tags(root, name, problem, cell)
    stage = f"train-{name}-{cell}"
    kept = files.checkpoint_folder(
        root, stage, recipe_md5(tags, code_deps.training_md5(root, kind))
    )

    # The cell itself and what it is compared with, each with a model for every fold.
    planned = plan.plan(problem)
    # A kill costs no training that was done: all but the last are kept beside their checkpoints.
    done = {each: each.folder(kept) / "model" for each in planned[:-1]}
    kept_before = {each for each, model in done.items() if model.is_dir()}
    with parents.parent_folder(root, name, problem, cell, devices.rank()) as parent:
        setups = {
            each: each.build(kind, problem, layout.prepared, cell, parent)
            for each in planned
            if each not in kept_before
        }

    def fit(each: plan.Planned, run: "OfflineRun | None" = None) -> "list[Epoch]":
        label = each.label(name, cell, last)
        return trainer.fit(setups[each], problem.training, cell, label, run, each.folder(kept))

    if devices.follow():
        for each in setups:
            fit(each)
        return
    with (
        files.folder(root, stage) as scratch,
        runs.training_run(root, name, problem, cell, tags, kept, f"train@{name}-{cell}") as run,
    ):
        for each in planned:
            folder = each.folder(scratch)
            if each in kept_before:
                shutil.copytree(done[each], folder, dirs_exist_ok=True)
                continue
            history, setup = fit(each, run if each == planned[0] else None), setups[each]
            setup.calibrate()
            folder.mkdir(exist_ok=True, parents=True)
            model_files.write_model(folder, setup.model, setup.config, history)
            if each != planned[0]:
                best = min(epoch.validation_loss for epoch in history)
                label = "/".join([*filter(None, [each.beside]), f"fold-{each.fold}"])
                run.log({f"validation/{label}/loss": best}, history[-1].step)
            if each in done:
                keep(folder, done[each])
        run.tag({"model.md5": fingerprint.folder_md5(scratch)})
        files.publish(scratch, layout.model(cell))
    files.remove(kept.parent)  # those of other recipes too


def recipe_md5(tags: dict[str, str], code: str) -> str:
    """Return the md5 of all that a training depends on: checkpoints of another are not resumed."""
    parent = [tags["parent.md5"]] if "parent.md5" in tags else []
    return fingerprint.text_md5(" ".join([tags["data.md5"], tags["params.md5"], code, *parent]))


def keep(folder: Path, kept: Path) -> None:
    """Copy a model to `kept`, whole or not at all."""
    part = kept.with_name("model.part")
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    files.publish(Path(shutil.copytree(folder, part)), kept)


if __name__ == "__main__":
    errors.run(main)
