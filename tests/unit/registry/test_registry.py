"""Whose fault it is when a model cannot be registered."""

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from retain.registry import registry
from retain.tracking import runs

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("error", [FULL, FileNotFoundError("config.json")])
def test_a_full_disk_and_a_missing_file_are_not_blamed_on_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    client = SimpleNamespace(search_model_versions=lambda query: [])
    monkeypatch.setattr(runs, "find_run", lambda *words: SimpleNamespace(client=client))
    (tmp_path / "mlruns").mkdir()

    def fail(folder: Path) -> Any:
        raise error

    monkeypatch.setattr(registry, "load_model", fail)
    problem: Any = None
    with pytest.raises(type(error), match=str(error.args[-1])):
        registry.add(tmp_path, "small", problem, {})
