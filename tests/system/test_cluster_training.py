"""One training by two processes: the same bits whatever starts them, and however many are lost."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from retain.project import fingerprint

from .cluster import Nodes
from .conftest import PARAMS, environment, free_port, run, small_table, write_project

pytestmark = pytest.mark.cluster
SCRIPT = ("pipelines/train.py", "small", "lstm")
SETTINGS = "max_epochs: 30\n      checkpoint_every: 3\n      "


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose training takes some seconds, and writes many checkpoints."""
    params = PARAMS.replace("max_epochs: 3\n      ", f"{SETTINGS}devices: 2\n      ")
    folder = write_project(tmp_path_factory.mktemp("nodes") / "project", small_table(), params)
    run(folder, sys.executable, "pipelines/prepare.py", "small")
    return folder


@pytest.fixture(scope="module")
def undisturbed(prepared: Path) -> str:
    """The model of two processes of one machine, which Lightning starts."""
    run(prepared, sys.executable, *SCRIPT)
    return trained(prepared)


@pytest.fixture
def project(prepared: Path, tmp_path: Path) -> Path:
    """The same project without a model; params.yaml names two nodes of one device."""
    folder = tmp_path / "project"
    ignored = shutil.ignore_patterns("checkpoints", "mlruns", "lstm")
    shutil.copytree(prepared, folder, ignore=ignored)
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("devices: 2", "num_nodes: 2"))
    return folder


def trained(folder: Path) -> str:
    assert (folder / "models/small/lstm/config.json").is_file()
    return fingerprint.folder_md5(folder / "models/small/lstm")


@contextmanager
def started(folder: Path, *words: str, **extra: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        words,
        cwd=folder,
        env=environment() | {"RETAIN_ENGINE": ""} | extra,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def wait_for_checkpoint(folder: Path) -> None:
    until = time.monotonic() + 300
    while time.monotonic() < until:
        if list(folder.glob("scratch/checkpoints/*/*/*.checkpoint")):
            return
        time.sleep(0.02)
    pytest.fail("no checkpoint was written")


def kill_one(folder: Path, is_worker: Callable[[list[str]], bool], leader: int) -> None:
    """Kill one of the workers behind a process once there is a checkpoint."""
    wait_for_checkpoint(folder)
    found = psutil.Process(leader).children(recursive=True)
    workers = [each for each in found if is_worker(each.cmdline())]
    assert workers
    workers[-1].kill()


@contextmanager
def torchrun(folder: Path) -> Iterator[list["subprocess.Popen[str]"]]:
    """Start one process on each of two nodes; both are this machine."""
    place = ("--master-addr", "127.0.0.1", "--master-port", str(free_port()))
    command = (sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", *place)
    nodes = [(*command, "--node-rank", str(number), *SCRIPT) for number in range(2)]
    with started(folder, *nodes[0]) as first, started(folder, *nodes[1]) as second:
        yield [first, second]


def test_two_nodes_of_torchrun_give_the_same_bits_after_one_was_killed(
    project: Path, undisturbed: str
) -> None:
    with torchrun(project) as nodes:
        kill_one(project, lambda words: SCRIPT[0] in words, nodes[1].pid)
        for node in nodes:
            node.communicate(timeout=100)
        assert all(node.returncode for node in nodes)  # none waits for the one that is gone
    with torchrun(project) as nodes:
        said = "".join(node.communicate(timeout=100)[0] for node in nodes)
    assert [node.returncode for node in nodes] == [0, 0], said
    assert re.search(r"small lstm: resumes at step \d", said), said
    assert trained(project) == undisturbed


def test_ray_with_a_killed_worker_gives_the_same_bits(project: Path, undisturbed: str) -> None:
    pytest.importorskip("ray")
    with started(project, sys.executable, *SCRIPT, RETAIN_ENGINE="ray", RAY_ADDRESS="") as driver:
        kill_one(project, lambda words: "RayTrainWorker" in " ".join(words), driver.pid)
        said = driver.communicate(timeout=100)[0]
    assert driver.returncode == 0, said
    assert re.search(r"small lstm: resumes at step \d", said), said
    assert trained(project) == undisturbed
    runs = list((project / "mlruns").rglob("*")) if (project / "mlruns").is_dir() else []
    assert runs  # the first worker logged the run
    assert not list((project / "scratch").glob("ray/*/*"))


def test_ray_with_a_killed_node_gives_the_same_bits(project: Path, undisturbed: str) -> None:
    pytest.importorskip("ray")
    nodes = Nodes()
    try:
        with started(
            project, sys.executable, *SCRIPT, RETAIN_ENGINE="ray", RAY_ADDRESS=nodes.address
        ) as driver:
            wait_for_checkpoint(project)
            assert [nodes.working(number) for number in (0, 1)] == [1, 1]
            nodes.kill_worker()
            said = driver.communicate(timeout=300)[0]
    finally:
        nodes.close()
    assert driver.returncode == 0, said
    assert re.search(r"small lstm: resumes at step \d", said), said
    assert trained(project) == undisturbed
