# Managed by retain: in a project `retain upgrade` rewrites this file unless it was changed
"""Stage `refit@P`: the recipe of the evaluated model on all rows: the model that forecasts.

python pipelines/refit.py PROBLEM
"""

import sys
from pathlib import Path

from retain import errors, model_files
from retain.config import loader
from retain.config.kind import kind_of
from retain.evaluation import choice
from retain.project import code_deps, dvc, files, fingerprint, lock_file, parents
from retain.project.layout import Layout
from retain.tracking import runs
from retain.training import portable_cpu


def main() -> None:
    """Train the judged cell of one problem once more, under a run of its own."""
    root, (name,) = Path(), dvc.stage_words(sys.argv[1:])
    lock_file.keep(root)
    problem, layout = loader.load_problem(root, name), Layout(root, name)
    kind, stage = kind_of(problem), f"refit-{name}"
    if kind.refit is None or not problem.refit:
        why = "params say refit: false" if kind.refit else f"kind {kind.name} has no refit"
        files.leave_out(root, stage, layout.final, why)
        return
    portable_cpu.pin_cpu_kernels(problem.training.reproducible)
    from retain.training import devices, ray_workers, trainer  # torch reads the settings once

    if ray_workers.wanted(problem.training):
        ray_workers.train(Path(__file__), [name], problem.training, layout.final)
        return
    devices.check_sees(layout.prepared)
    trainer.seed_everything(problem.training)
    folders = {str(cell): layout.model(cell) for cell in problem.training.cells}
    cell = choice.choose(problem.register_cell, folders)["model"]
    setup = kind.refit.load(problem, layout.prepared, folders[cell])
    with parents.parent_folder(root, name, problem, cell, devices.rank()) as parent:
        setup.warm(parent, problem.training.parents.get(cell))
    tags = fingerprint.training_tags(root, name, problem, cell) | {"cell": cell, "refit": "true"}
    md5s = fingerprint.folder_md5(folders[cell]), code_deps.training_md5(root, kind, "refit")
    recipe = (
        tags["data.md5"],
        tags["params.md5"],
        *md5s,
    )  # the evaluated model names its parent
    kept = files.checkpoint_folder(root, stage, fingerprint.text_md5(" ".join(recipe)))
    if devices.follow():
        trainer.fit(setup, problem.training, cell, f"{name} refit", folder=kept)
        return
    with (
        files.folder(root, stage) as scratch,
        runs.training_run(root, name, problem, cell, tags, kept, f"refit@{name}") as run,
    ):
        try:
            history = trainer.fit(setup, problem.training, cell, f"{name} refit", run, kept)
        except errors.ModelError as error:  # the loss is no number: `calibrate` refuses the network
            print(error, flush=True)
            history = []
        setup.calibrate()
        model_files.write_model(scratch, setup.model, setup.config, history)
        run.tag({"model.md5": fingerprint.folder_md5(scratch)})
        files.publish(scratch, layout.final)
    files.remove(kept.parent)  # those of other recipes too
    print(f"{name}: {setup.config['refit']['sentence']}")


if __name__ == "__main__":
    errors.run(main)
