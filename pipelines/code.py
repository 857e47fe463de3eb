"""Stage `code@P`: which files each other stage of a problem runs, and their md5.

The other stages depend on these lists, so that a change of the code runs what it touches and no
more. python pipelines/code.py PROBLEM
"""

import sys
from pathlib import Path

from retain import errors
from retain.config import loader
from retain.config.kind import STAGES, kind_of
from retain.project import code_deps, files, fingerprint


def main() -> None:
    """List the modules of one problem's stages."""
    root, name = Path(), sys.argv[1]
    problem = loader.load_problem(root, name)
    kind = kind_of(problem)
    for sentence in problem.advice():
        print(f"params.yaml: problems.{name}: {sentence}")
    with files.folder(root, f"code-{name}") as scratch:
        for stage in STAGES:
            script = root / "pipelines" / f"{stage}.py"
            reached = code_deps.reached(root / "src", script, kind.targets(stage))
            lines = [f"{fingerprint.file_md5(file)}  {file.as_posix()}" for file in reached]
            (scratch / f"{stage}.txt").write_text("\n".join([kind.name, *lines]) + "\n", "utf-8")
        files.publish(scratch, root / "data" / "code" / name)


if __name__ == "__main__":
    errors.run(main)
