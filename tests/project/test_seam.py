"""The type checker sees the seam between the engine and the kinds of problems: `seam.py`."""

import tomllib
from pathlib import Path

import pytest

from retain.config.kind import BUILT_IN, STAGES, Lazy, find_kind

ROOT = Path(__file__).parents[2]


def test_the_linters_check_what_must_be_found_there() -> None:
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert mypy["strict"]  # with it goes an error for each mark that is not needed
    assert "tests/project/seam.py" in mypy["files"]
    assert (ROOT / "tests/project/seam.py").read_text(encoding="utf-8").count(
        "# type: ignore["
    ) == 3
    assert "\n\t@mypy\n" in (ROOT / "checkout.mk").read_text(encoding="utf-8")


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
