"""What the type checker must see at the seam between the engine and the kinds of problems.

`mypy` reads this file with the package, and nothing runs it: where one of these mistakes is no
longer found, its mark is one that is not needed, which is an error, too.
"""

from pathlib import Path
from typing import assert_type

from retain.config.kind import kind_of
from retain.config.schema import Problem


def use(problem: Problem, folder: Path) -> None:
    """Use a part, an argument and an attribute that there are not."""
    kind = kind_of(problem)
    kind.evalute.load(problem, folder, {})  # type: ignore[attr-defined]
    kind.evaluate.load(problem, folder, modls={})  # type: ignore[call-arg]
    found = kind.evaluate.load(problem, folder, {})
    print(found.metrcs["models"])  # type: ignore[attr-defined]
    assert_type(found.metrics["models"]["lstm"]["mae"], float)
