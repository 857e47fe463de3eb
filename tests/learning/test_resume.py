"""A training that was stopped anywhere ends with the bits of one that was not."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from retain.config.schema import Training
from retain.errors import RetainError, Terminated
from retain.training import checkpoints, trainer
from retain.training.setup import Epoch, TrainingSetup

PARAMS = Training(
    batch_size=8, max_epochs=6, patience=2, learning_rate=0.02, checkpoint_every=1, seed=3
)
STEPS = 5  # batches of an epoch
Outcome = tuple[str, list[Epoch]]


class Numbers:
    """Examples made from their own number."""

    def __init__(self, count: int, shift: float):
        self.x = torch.linspace(-1, 1, count).unsqueeze(1) + shift

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, numbers: NDArray[np.int64]) -> Tensor:
        return self.x[torch.from_numpy(numbers)]


def train(folder: Path | None, stop_after: int | None = None) -> Outcome:
    """Train a small network with dropout; stop at the n-th call of the loss, as a signal would."""
    trainer.seed_everything(PARAMS)
    network = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 1))
    calls = 0

    def loss(network: nn.Module, batch: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal calls
        calls += 1
        if calls == stop_after:
            raise Terminated
        error = network(batch) - torch.sin(3 * batch)
        return error.square().sum(), torch.tensor(float(len(batch)))

    task = TrainingSetup(network, Numbers(8 * STEPS, 0.0), Numbers(40, 0.01), loss)
    history = trainer.fit(task, PARAMS, "lstm", "numbers", folder=folder)
    weights = b"".join(p.numpy().tobytes() for p in network.state_dict().values())
    return hashlib.sha256(weights).hexdigest(), history


@pytest.fixture(scope="module")
def undisturbed() -> Outcome:
    return train(None)


def stopped_and_resumed(folder: Path, calls: list[int]) -> Outcome:
    for stop_after in calls:
        with pytest.raises(Terminated):
            train(folder, stop_after)
    return train(folder)


# An epoch here is five training batches and two of validation; these are as 1 to 13 are.
LONG = (2, 3, 7, 9, 12, 14, 17, 20, 23)


@pytest.mark.parametrize(
    "call", [1, 5, 6, 8, 13, 28, *(pytest.param(call, marks=pytest.mark.long) for call in LONG)]
)
def test_stopped_once_it_ends_with_the_same_bits(
    tmp_path: Path, undisturbed: Outcome, call: int
) -> None:
    assert stopped_and_resumed(tmp_path, [call]) == undisturbed


def test_stopped_again_and_again_it_ends_with_the_same_bits(
    tmp_path: Path, undisturbed: Outcome
) -> None:
    generator = np.random.default_rng(0)
    assert stopped_and_resumed(tmp_path, generator.integers(1, 9, 8).tolist()) == undisturbed


def test_it_goes_on_from_the_newest_checkpoint_and_not_from_the_start(tmp_path: Path) -> None:
    with pytest.raises(Terminated):
        train(tmp_path, 4)
    assert checkpoints.newest(tmp_path) == tmp_path / checkpoints.name(3)
    with pytest.raises(Terminated):
        train(tmp_path, 2)  # one more batch than before
    assert checkpoints.newest(tmp_path) == tmp_path / checkpoints.name(4)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def changed(content: bytes) -> bytes:
    return content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]


def emptied(content: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [cut, changed, emptied])
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_it_taken(
    tmp_path: Path,
    undisturbed: Outcome,
    damage: Callable[[bytes], bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(Terminated):
        train(tmp_path, 4)
    newest = checkpoints.newest(tmp_path)
    assert newest is not None
    newest.write_bytes(damage(newest.read_bytes()))
    assert train(tmp_path) == undisturbed
    said = capsys.readouterr().out
    assert "000000000003.checkpoint is damaged: the checkpoint before it is taken" in said
    assert "resumes at step 2" in said


def test_a_disk_that_is_full_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints.write(tmp_path / checkpoints.name(1), {"a": torch.ones(3)})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.os, "fsync", full)
    with pytest.raises(
        RetainError, match=f"written into {tmp_path}: No space left on device; free"
    ):
        checkpoints.write(tmp_path / checkpoints.name(2), {"a": torch.ones(3)})
    assert checkpoints.newest(tmp_path) == tmp_path / checkpoints.name(1)


def test_a_checkpoint_holds_what_was_written_and_no_pickle(tmp_path: Path) -> None:
    state = {
        "optimizer": {0: {"step": torch.tensor(3.0), "none": None}},
        "pairs": [(1, 2.5), ("x", float("inf"))],
        "half": torch.tensor([1.5], dtype=torch.bfloat16),
        "flag": True,
    }
    path = tmp_path / checkpoints.name(7)
    checkpoints.write(path, state)
    assert str(checkpoints.read(path)) == str(state)
    with pytest.raises(TypeError, match="type set is not JSON"):
        checkpoints.write(path, {"a": {1, 2}})


def test_two_checkpoints_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        checkpoints.write(tmp_path / checkpoints.name(step), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        checkpoints.name(2),
        checkpoints.name(3),
    ]
