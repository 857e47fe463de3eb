"""Devices that are not there are refused, and no follower outlives its leader."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from retain.config.schema import Training
from retain.errors import ParamsError, RetainError
from retain.training import devices


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"devices": 99, "accelerator": "cpu"}, f"has {os.cpu_count()} processors"),
        ({"accelerator": "abacus"}, "accelerator abacus.*cannot be used here"),
        ({"strategy": "by_committee"}, "strategy by_committee.*cannot be used here"),
        ({"accelerator": "gpu"}, "accelerator gpu.*cannot be used here"),
    ],
)
def test_what_is_not_there_is_a_sentence(settings: dict[str, Any], words: str) -> None:
    if settings.get("accelerator") == "gpu" and _has_gpu():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ParamsError, match=words):
        devices.build_trainer(Training(**settings), logger=False)


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()


FOLLOWER = """
import time
from retain.training import devices
print(devices.follow(0.05), flush=True)
time.sleep(60)
"""
LEADER = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {FOLLOWER!r}]).wait()"


def test_a_follower_ends_when_its_leader_is_killed() -> None:
    leader = subprocess.Popen(
        [sys.executable, "-c", LEADER],
        env=os.environ | {"LOCAL_RANK": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert leader.stdout is not None
    assert leader.stdout.readline().strip() == "True"
    (follower,) = psutil.Process(leader.pid).children()
    leader.kill()
    leader.wait()
    until = time.monotonic() + 20
    while follower.is_running() and follower.status() != "zombie" and time.monotonic() < until:
        time.sleep(0.05)
    assert not follower.is_running() or follower.status() == "zombie"


def test_a_leader_follows_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert not devices.follow()


def test_several_nodes_need_something_that_starts_them() -> None:
    with pytest.raises(ParamsError, match=r"num_nodes is 2.*RETAIN_ENGINE=ray.*torchrun"):
        devices.build_trainer(Training(num_nodes=2), logger=False)


@pytest.mark.parametrize(("training", "fits"), [((2, 1), True), ((1, 2), True), ((1, 1), False)])
def test_params_say_how_many_processes_train_together(
    training: tuple[int, int], fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1"}
    for key, value in (started | {"RANK": "1", "LOCAL_RANK": "0"}).items():
        monkeypatch.setenv(key, value)
    settings = Training(devices=training[0], num_nodes=training[1], accelerator="cpu")
    if not fits:
        with pytest.raises(ParamsError, match=r"2 processes were started.*is 1"):
            devices.build_trainer(settings, logger=False)
        return
    trainer = devices.build_trainer(settings, logger=False)
    assert (trainer.world_size, trainer.num_nodes, trainer.num_devices) == (2, 2, 1)
    assert devices.rank() == 1


def test_a_node_without_the_data_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devices.check_sees(tmp_path / "prepared")  # on one machine, what reads it says so
    monkeypatch.setenv("RETAIN_RAY_WORKER", "1")
    with pytest.raises(RetainError, match=rf"node {platform.node()}: no folder .*prepared"):
        devices.check_sees(tmp_path / "prepared")
