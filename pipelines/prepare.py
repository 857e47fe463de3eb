"""Stage `prepare@P`: the raw table becomes arrays on a regular grid.

python pipelines/prepare.py PROBLEM
"""

import sys
from pathlib import Path

from retain import errors, machine, outputs, params


def main() -> None:
    """Read, check and write the data of one problem."""
    root, name = Path(), sys.argv[1]
    problem = params.load_problem(root, name)
    machine.settle("portable")  # here it costs nothing
    with outputs.folder(root, f"prepare-{name}") as scratch:
        params.room(problem, "prepare").prepare(problem, root, scratch)
        outputs.publish(scratch, root / "data" / "prepared" / name)


if __name__ == "__main__":
    errors.run(main)
