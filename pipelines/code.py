"""Stage `code@P`: which files each other stage of a problem runs, and their md5.

The other stages depend on these lists, so that a change of the code runs what it touches and no
more. python pipelines/code.py PROBLEM
"""

import sys
from pathlib import Path

from retain import errors
from retain.config import schema
from retain.config.kind import KINDS
from retain.project import code_deps, fingerprint
from retain.project import files as outputs

STAGES = ("prepare", "train", "evaluate", "register")


def main() -> None:
    """List the modules of one problem's stages."""
    root, name = Path(), sys.argv[1]
    package = KINDS[schema.load_problem(root, name).kind]
    with outputs.folder(root, f"code-{name}") as scratch:
        for stage in STAGES:
            script = root / "pipelines" / f"{stage}.py"
            files = code_deps.reached(root / "src", script, package, set(KINDS.values()))
            lines = [f"{fingerprint.file_md5(file)}  {file.as_posix()}" for file in files]
            (scratch / f"{stage}.txt").write_text("\n".join([package, *lines]) + "\n", "utf-8")
        outputs.publish(scratch, root / "data" / "code" / name)


if __name__ == "__main__":
    errors.run(main)
