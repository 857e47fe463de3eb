# Managed by retain: in a project `retain upgrade` rewrites this file unless it was changed
"""Stage `code@P`: which modules each other stage of a problem runs, and the md5 of what they do.

The other stages depend on these lists, so that a change of the code runs what it touches and no
more. python pipelines/code.py PROBLEM
"""

import sys
from pathlib import Path

from retain import errors
from retain.config import loader, plugins
from retain.config.kind import STAGES, kind_of
from retain.project import code_deps, dvc, experiment, files, lock_file, managed
from retain.project.layout import Layout


def main() -> None:
    """List the modules of one problem's stages."""
    root, (name,) = Path(), dvc.stage_words(sys.argv[1:])
    lock_file.keep(root)
    with experiment.keeping_params(root):
        problem = loader.load_problem(root, name)
    managed.check_watched(root, plugins.folders())
    kind = kind_of(problem)
    for sentence in problem.advice():
        print(f"params.yaml: problems.{name}: {sentence}")
    with files.folder(root, f"code-{name}") as scratch:
        for stage in STAGES:
            text = code_deps.code_list(root, kind, stage, problem.settings(stage))
            (scratch / f"{stage}.txt").write_text(text, encoding="utf-8")
        files.publish(scratch, Layout(root, name).code)


if __name__ == "__main__":
    errors.run(main)
