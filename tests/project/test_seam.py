"""The type checker sees the seam between the engine and the kinds of problems."""

import subprocess
import sys
from pathlib import Path

import pytest

from retain.config.kind import BUILT_IN, STAGES, Lazy, find_kind

ROOT = Path(__file__).parents[2]
STUB = """\
from pathlib import Path

from retain.config.kind import kind_of
from retain.config.schema import Problem


def use(problem: Problem, folder: Path) -> None:
    kind = kind_of(problem)
    kind.evalute.load(problem, folder, {})  # a part
    found = kind.evaluate.load(problem, folder, modls={})  # an argument
    print(found.metrcs["models"])  # an attribute of a result
    reveal_type(found.metrics["models"]["lstm"]["mae"])
"""
EXPECTED = (
    (9, 'has no attribute "evalute"; maybe "evaluate"?'),
    (10, 'Unexpected keyword argument "modls" for "__call__" of "Evaluate"'),
    (11, '"Evaluation" has no attribute "metrcs"; maybe "metrics"?'),
    (12, 'Revealed type is "float"'),
)


def test_a_misspelt_part_argument_and_attribute_are_found(tmp_path: Path) -> None:
    stub = tmp_path / "stub.py"
    stub.write_text(STUB)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", str(stub)],  # by the linter's cache
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    for line, message in EXPECTED:
        found = [text for text in done.stdout.splitlines() if f"stub.py:{line}: " in text]
        assert message in found[0]
    assert "Found 3 errors in 1 file" in done.stdout


def test_the_seam_says_any_nowhere() -> None:
    text = (ROOT / "src/retain/config/kind.py").read_text()
    assert "Any" not in text.replace("AnyKind", "")


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_target_of_a_manifest_is_there(name: str) -> None:
    kind = find_kind(name)
    assert kind is not None
    parts = {key: value for key, value in vars(kind).items() if isinstance(value, Lazy)}
    wanted = {part for parts_of in STAGES.values() for part in parts_of}
    assert wanted - {"fold", "refit", "outlook"} <= parts.keys()
    for part in parts.values():
        assert callable(part.load)
