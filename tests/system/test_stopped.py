"""A stage that is stopped says so by its exit code and leaves nothing half-made."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from retain.project import dvc

from .conftest import environment, run
from .test_pipeline import lock, runs

SLOW = ("max_epochs: 3", "max_epochs: 2000\n      patience: 2000")


def start(folder: Path, *words: str, **extra: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words,
        cwd=folder,
        env=environment() | {"PYTHONUNBUFFERED": "1"} | extra,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"never printed {text!r}: {process.communicate()}")


@pytest.fixture
def slow(clone: Callable[[], Path]) -> Path:
    """A clone whose training would take minutes."""
    folder = clone()
    run(folder, "dvc", "checkout")
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace(*SLOW))
    return folder


@pytest.mark.parametrize(
    ("sent", "code", "status"),
    [(signal.SIGTERM, 143, "KILLED"), (signal.SIGINT, 130, "KILLED")],
)
def test_a_signal_ends_the_training_with_its_exit_code(
    slow: Path, sent: signal.Signals, code: int, status: str
) -> None:
    before = (slow / "models/small/lstm/weights.safetensors").read_bytes()
    process = start(slow, "python", "pipelines/train.py", "small", "lstm")
    wait_for(process, "epoch 2/")
    process.send_signal(sent)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert "no output was written" in said
    assert "Traceback" not in said
    assert (slow / "models/small/lstm/weights.safetensors").read_bytes() == before
    assert [path.name for path in (slow / "scratch").glob("*/")] == ["checkpoints"]
    assert runs(slow)["status"].tolist() == [status]


@pytest.mark.long
def test_dvc_records_nothing_of_a_killed_training_and_the_next_repro_makes_the_same(
    slow: Path, finished: Path
) -> None:
    recorded = dvc.locked(dvc.read_lock(slow), "train@small-lstm")
    process = start(slow, "dvc", "repro", "train@small-lstm")
    wait_for(process, "epoch 2/")
    os.killpg(process.pid, signal.SIGKILL)  # dvc and what it started
    process.communicate(timeout=60)
    assert dvc.locked(dvc.read_lock(slow), "train@small-lstm") == recorded
    assert not (slow / "models/small/lstm").exists()

    text = (slow / "params.yaml").read_text()
    (slow / "params.yaml").write_text(text.replace(*reversed(SLOW)))
    run(slow, "dvc", "repro", "-f", "train@small-lstm")
    assert lock(slow) == lock(finished)


def test_a_run_whose_process_died_is_set_to_killed_by_the_next(slow: Path) -> None:
    process = start(slow, "python", "pipelines/train.py", "small", "lstm")
    wait_for(process, "epoch 1/")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert runs(slow)["status"].tolist() == ["RUNNING"]
    text = (slow / "params.yaml").read_text()
    (slow / "params.yaml").write_text(text.replace(*reversed(SLOW)))
    run(slow, "python", "pipelines/train.py", "small", "lstm")
    assert sorted(runs(slow)["status"]) == ["FINISHED", "KILLED"]


def test_a_stage_refuses_to_run_beside_itself(slow: Path) -> None:
    process = start(slow, "python", "pipelines/train.py", "small", "lstm")
    wait_for(process, "epoch 1/")
    done = run(slow, "python", "pipelines/train.py", "small", "lstm", code=2)
    assert "another process runs train-small-lstm" in done.stderr
    process.terminate()
    process.communicate(timeout=60)


@pytest.mark.long
def test_a_fold_that_was_trained_is_not_trained_again_after_a_kill(
    clone: Callable[[], Path],
) -> None:
    folder = clone()
    run(folder, "dvc", "checkout")
    text = (folder / "params.yaml").read_text()
    text = text.replace("max_epochs: 3", "max_epochs: 20\n      patience: 20")
    text = text.replace("evaluation:\n", "evaluation:\n      folds: 2\n")
    (folder / "params.yaml").write_text(text)
    process = start(folder, "python", "pipelines/train.py", "small", "lstm")
    wait_for(process, "fold 2 of 2: epoch 2/")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    (first,) = (folder / "scratch" / "checkpoints").rglob("model/weights.safetensors")
    content = first.read_bytes()

    done = run(folder, "python", "pipelines/train.py", "small", "lstm")
    assert "fold 1 of 2" not in done.stdout
    assert "fold 2 of 2: epoch 20/20" in done.stdout
    model = folder / "models/small/lstm"
    assert (model / "weights.safetensors").read_bytes() == content
    assert (model / "fold-2/weights.safetensors").is_file()
    assert not list((folder / "scratch" / "checkpoints").iterdir())
