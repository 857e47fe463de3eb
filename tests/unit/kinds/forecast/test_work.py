"""The parts of an evaluation: none is left running by one that stops, and sums of all of them."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from retain import engine
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.evaluation import work as module
from retain.kinds.forecast.evaluation.metrics import MetricSums


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


def test_the_errors_of_each_window_are_kept_of_the_first_model_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def merge(path: Path, names: list[str], origins: object, into: dict[str, MetricSums]) -> None:
        for name in names:
            into[name].by_window.append(np.full(3, float(path.name)))

    monkeypatch.setattr(
        engine, "map", lambda *_: (path for path in (tmp_path / "1", tmp_path / "2"))
    )
    monkeypatch.setattr(module.blocks, "merge", merge)
    empty = MetricSums(0, 1, 1, 2, (0.1, 0.5, 0.9))
    nothing = cast("Any", None)
    sums = made(tmp_path).score([], nothing, empty, ["judged", "other"], [], sample=False)
    assert np.concatenate(sums["judged"].by_window).tolist() == [1, 1, 1, 2, 2, 2]
    assert sums["other"].by_window == []
