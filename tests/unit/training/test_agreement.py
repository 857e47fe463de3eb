"""Processes that would not train the same network from the same step are stopped, with a reason."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from retain.errors import RetainError
from retain.training.callbacks import Agreement

HERE = Path("scratch/checkpoints/train-p-lstm/abc")


def start(monkeypatch: pytest.MonkeyPatch, *others: tuple[str, str, str, str]) -> None:
    """Start a training of a process on node a, and of others."""
    agreement = Agreement("p lstm", HERE, HERE / "000000000021.checkpoint")

    def gather(everyone: list[Any], mine: Any) -> None:
        everyone[:] = [(*mine[:3], "a"), *others]

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    trainer: Any = SimpleNamespace(world_size=1 + len(others))
    agreement.setup(trainer, None, "fit")  # type: ignore[arg-type]


def test_the_same_start_is_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    start(monkeypatch, ("p lstm", HERE.as_posix(), "step 21", "b"))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (("p lstm", "scratch/other", "step 21", "b"), "node b has other data, params or code"),
        (("p lstm", HERE.as_posix(), "the start", "b"), "node b would train from the start.*21"),
        (("p lstm, fold 2 of 3", HERE.as_posix(), "step 21", "b"), "fold 2 of 3"),
    ],
)
def test_another_start_is_named(
    other: tuple[str, str, str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RetainError, match=words):
        start(monkeypatch, other)
