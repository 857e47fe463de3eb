"""What `make lock` writes: pins with hashes, and those that were locked for the same version."""

import runpy
from pathlib import Path
from typing import Any

import pytest

TEXT = """\
# a title
torch==2.13.0+cpu \\
    --hash=sha256:{a}
    # via retain (pyproject.toml)
uvloop==0.23.1 ; sys_platform != "win32" \\
    --hash=sha256:{b} \\
    --hash=sha256:{c}
    # via retain (pyproject.toml)
"""
HASHES = {letter: letter * 64 for letter in "abc"}


@pytest.fixture(scope="module")
def lock() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).parents[2] / "tools" / "lock.py"), run_name="lock")


def test_a_lock_is_read_and_written_as_it_is(lock: dict[str, Any]) -> None:
    pins = lock["parse"](TEXT.format(**HASHES))
    assert [pins[name][0] for name in ("torch", "uvloop")] == ["2.13.0+cpu", "0.23.1"]
    text = lock["show"](pins)
    assert text == TEXT.format(**HASHES).partition("\n")[2]
    assert lock["parse"](text) == pins


def test_the_hashes_of_a_version_stay_as_long_as_it_is_locked(lock: dict[str, Any]) -> None:
    before = {"torch": ("2.13.0", "", ["x"], ""), "gone": ("1", "", ["y"], "")}
    now = {"torch": ("2.13.0", "", ["z"], ""), "new": ("1", "", ["n"], "")}
    found = lock["with_old_hashes"](now, before)
    assert found["torch"][2] == ["x", "z"]
    assert found["new"][2] == ["n"]
    newer = lock["with_old_hashes"]({"torch": ("2.14.0", "", ["z"], "")}, before)
    assert newer["torch"][2] == ["z"]
