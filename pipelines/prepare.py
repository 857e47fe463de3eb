# Managed by retain: in a project `retain upgrade` rewrites this file unless it was changed
"""Stage `prepare@P`: the raw table becomes arrays on a regular grid.

python pipelines/prepare.py PROBLEM
"""

import sys
from pathlib import Path

from retain import errors
from retain.config import loader
from retain.config.kind import kind_of
from retain.project import dvc, files, lock_file
from retain.project.layout import Layout
from retain.training import portable_cpu


def main() -> None:
    """Read, check and write the data of one problem."""
    root, (name,) = Path(), dvc.stage_words(sys.argv[1:])
    lock_file.keep(root)
    problem = loader.load_problem(root, name)
    portable_cpu.pin_cpu_kernels("portable")  # here it costs nothing
    with files.folder(root, f"prepare-{name}") as scratch:
        kind_of(problem).prepare.load(problem, root, scratch)
        files.publish(scratch, Layout(root, name).prepared)


if __name__ == "__main__":
    errors.run(main)
