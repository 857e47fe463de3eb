"""What trials are forked from says why it cannot start, and removes what a kill left."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from retain.config import loader
from retain.errors import RetainError
from retain.tuning import worker

from .test_plan import planned


def test_a_library_that_is_missing_on_a_node_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(tmp_path)
    monkeypatch.setitem(sys.modules, "retain.training.trainer", None)
    with pytest.raises(RetainError, match=r"a trial cannot start on .*retain\.training\.trainer"):
        worker.import_libraries(tmp_path, plan.name)


def test_what_a_kill_left_of_prepared_data_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(tmp_path)
    calls = list[Path]()

    def load(problem: Any, root: Path, scratch: Path) -> None:
        calls.append(scratch)
        (scratch / "data").write_text("all of the table")

    kind = SimpleNamespace(prepare=SimpleNamespace(load=load))
    monkeypatch.setattr(worker, "kind_of", lambda problem: kind)
    monkeypatch.setattr(worker.code_deps, "code_list", lambda *args: [])
    problem = loader.load_problem(tmp_path, plan.name)
    target = worker.prepare(tmp_path, plan.name, problem)
    left = target.with_name(f".{'0' * 32}.{target.name}")
    other = target.with_name(f".{'0' * 32}.{'1' * 32}")
    for folder in (left, other):
        folder.mkdir()
        (folder / "data").write_text("half")
    assert worker.prepare(tmp_path, plan.name, problem) == target
    assert not left.exists()
    assert other.exists()  # its lock may be held
    assert len(calls) == 1
