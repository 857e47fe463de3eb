"""A server that is asked for minutes, while its champion changes: docs/reliability.md."""

import shutil
from pathlib import Path

import pytest

from . import soak


@pytest.mark.long
def test_memory_stays_flat_and_no_request_fails(finished: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(finished, project)
    found = soak.run(project, minutes=3)
    assert found.good, "\n".join(found.lines())


def test_memory_that_grows_is_seen() -> None:
    flat = soak.Result(memory=[90.0] * 10 + [100.0] * 30, swaps=1, broken=1)
    assert flat.good
    assert not soak.Result(memory=[100.0] * 30 + [106.0] * 10, swaps=1, broken=1).good
    assert not soak.Result(memory=[100.0] * 40, swaps=1, broken=1, failed=1).good
