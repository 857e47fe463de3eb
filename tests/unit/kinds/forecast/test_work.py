"""The parts of an evaluation that stops: no process is left at one of them."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from retain import engine
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.evaluation import work as module


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether a map that has more to do was closed; nothing can be printed."""
    closed: list[bool] = []

    def parts(*_: object) -> Iterator[Path]:
        try:
            yield tmp_path / "1"
        finally:
            closed.append(True)

    def full(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(engine, "map", parts)
    monkeypatch.setattr(engine, "in_process", lambda: False)
    monkeypatch.setattr(module.classical, "plan", lambda *_: SimpleNamespace(taken=range(20)))
    monkeypatch.setattr(module, "print", full, raising=False)
    return closed


def made(tmp_path: Path) -> module.Work:
    problem = Problem.model_validate(
        {
            "kind": "forecast",
            "data": {"path": "t.csv", "horizon": 1, "context_length": 1},
            "evaluation": {"floors": ["theta"]},
            "gate": [],
        }
    )
    work = module.Work(problem, tmp_path, {})
    vars(work)["folder"] = tmp_path
    return work


def test_floors_that_stop_close_their_map(tmp_path: Path, closed: list[bool]) -> None:
    with pytest.raises(BrokenPipeError) as stop:
        made(tmp_path).floors(cast("Any", None))
    assert stop.tb is not None  # holds the frame that has the map
    assert closed
