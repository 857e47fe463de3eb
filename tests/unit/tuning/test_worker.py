"""What trials are forked from says why it cannot start, and removes what a kill left."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

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


@pytest.mark.parametrize(
    ("error", "needs"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 4 bytes"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_a_trial_that_needs_too_much_memory_has_failed(error: Exception, needs: bool) -> None:
    assert worker.needs_memory(error) is needs


def test_torch_says_that_memory_is_too_small_as_it_is_known_to() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert worker.needs_memory(caught.value)


def test_data_prepared_of_another_table_are_removed_before_the_first_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(tmp_path)
    kind = SimpleNamespace(prepare=SimpleNamespace(load=lambda *args: None))
    monkeypatch.setattr(worker, "kind_of", lambda problem: kind)
    monkeypatch.setattr(worker.code_deps, "code_list", lambda *args: [])
    problem = loader.load_problem(tmp_path, plan.name)
    (tmp_path / "t.txt").write_text("a")
    first = worker.prepare(tmp_path, plan.name, problem, as_it_is=True)
    data = problem.data.model_copy(update={"words": 7})  # type: ignore[attr-defined]
    tried = worker.prepare(tmp_path, plan.name, problem.model_copy(update={"data": data}))
    assert worker.prepare(tmp_path, plan.name, problem, as_it_is=True) == first
    assert tried.exists()
    (tmp_path / "t.txt").write_text("b")
    second = worker.prepare(tmp_path, plan.name, problem, as_it_is=True)
    assert [path for path in second.parent.iterdir() if path.is_dir()] == [second]


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
