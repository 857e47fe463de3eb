"""A Ray cluster of a head and two nodes does the stages with the bytes of one process.

`make cluster-test` runs this; `make test` does not. Nodes are killed while they work.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retain.registry import manifest

from .cluster import Nodes
from .conftest import environment, run, small_table, write_project

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(find_spec("ray") is None, reason="needs requirements-ray.lock"),
]
SERIES, DAYS = 2_000, 270  # more rows than four chunks, and windows than two blocks
PARAMS = """\
problems:
  small:
    kind: forecast
    preset: fast
    data:
      path: data/raw/small.csv
      unique_id: shop
      horizon: 7
      context_length: 14
      season_length: 7
      split: {validation: 10 horizons, test: 7 horizons}
    model:
      hidden_size: 4
      segment_length: 7
    training:
      cells: [lstm]
      max_steps: 30
      learning_rate: 0.01
      reproducible: portable
    evaluation:
      floors: [seasonal_naive, theta]
      bootstrap: 200
    refit: false
    gate:
      - check: finite
"""


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Nodes]]:
    """One cluster; a test that ends it puts another in its place."""
    running = [Nodes()]
    yield running
    running[0].close()


def sales() -> pd.DataFrame:
    """Shops with a week and noise."""
    noise = np.random.default_rng(1)
    days = pd.date_range("2024-01-01", periods=DAYS).strftime("%Y-%m-%d")
    week = 5 * np.sin(2 * np.pi * np.arange(DAYS) / 7)
    y = 20 + noise.normal(0, 5, (SERIES, 1)) + week + noise.normal(0, 2, (SERIES, DAYS))
    names = np.repeat([f"s{number:05}" for number in range(SERIES)], DAYS)
    return pd.DataFrame({"shop": names, "ds": np.tile(days, SERIES), "y": y.ravel().round(2)})


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes, and a copy of the project as it was before."""
    table = sales()
    project = write_project(tmp_path_factory.mktemp("local") / "p", table, PARAMS)
    shutil.copytree(project, project.parent / "before")
    run(project, "retain", "run", "small", RETAIN_ENGINE="local")
    run(project, "retain", "forecast", "small", "--output", "big", RETAIN_ENGINE="local")
    return project


def began(folder: Path, pattern: str) -> Callable[[], bool]:
    """Whether an output of a part is there, while the others are not done."""
    return lambda: any(folder.glob(pattern))


def start(project: Path, *words: str, address: str) -> subprocess.Popen[str]:
    extra = {"RETAIN_ENGINE": "ray", "RAY_ADDRESS": address}
    return subprocess.Popen(
        words,
        cwd=project,
        env=environment() | extra,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    limit = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < limit
        if process.poll() is not None:
            pytest.fail(f"it ended before a node was killed:\n{process.communicate()[0]}")
        time.sleep(0.005)


def ended(process: subprocess.Popen[str], code: int = 0) -> str:
    text = process.communicate(timeout=150)[0]
    assert process.returncode == code, text
    return text


def test_all_stages_have_the_hashes_of_one_process(local: Path, nodes: list[Nodes]) -> None:
    project = local.parent / "ray"
    shutil.copytree(local.parent / "before", project)
    ended(start(project, "retain", "run", "small", "--engine", "ray", address=nodes[0].address))
    assert (project / "dvc.lock").read_bytes() == (local / "dvc.lock").read_bytes()
    assert not list((project / "scratch" / "parts").iterdir())


def test_two_processes_have_the_hashes_of_one(local: Path) -> None:
    outputs = ("data/prepared/small", "reports/small")
    before = [manifest.of_folder(local / name) for name in outputs]
    for stage in ("prepare", "evaluate"):
        run(local, "python", f"pipelines/{stage}.py", "small", RETAIN_ENGINE="local:2")
    run(local, "retain", "forecast", "small", "-o", "apart", "--engine", "local:2")
    assert [manifest.of_folder(local / name) for name in outputs] == before
    assert manifest.of_folder(local / "apart") == manifest.of_folder(local / "big")


@pytest.mark.parametrize(
    ("stage", "pattern"), [("prepare", "prepare-*/chunk-*"), ("evaluate", "evaluate-*/every-*")]
)
def test_a_node_is_killed_in_a_stage(
    local: Path, nodes: list[Nodes], stage: str, pattern: str
) -> None:
    outputs = {"prepare": ["data/prepared/small"], "evaluate": ["reports/small"]}[stage]
    before = {name: manifest.of_folder(local / name) for name in outputs}
    script = f"pipelines/{stage}.py"
    process = start(local, "python", script, "small", address=nodes[0].address)
    wait_for(began(local / "scratch" / "parts", pattern), process)
    nodes[0].kill_worker()
    ended(process)
    assert {name: manifest.of_folder(local / name) for name in outputs} == before


def test_a_node_is_killed_in_a_forecast(local: Path, nodes: list[Nodes]) -> None:
    process = start(local, "retain", "forecast", "small", "-o", "two", address=nodes[0].address)
    wait_for(began(local / ".two.part", "part-*.parquet"), process)
    nodes[0].kill_worker()
    ended(process)
    assert manifest.of_folder(local / "two") == manifest.of_folder(local / "big")


def test_the_head_is_killed_and_the_next_run_goes_on(local: Path, nodes: list[Nodes]) -> None:
    words = ("retain", "forecast", "small", "-o", "three")
    process = start(local, *words, address=nodes[0].address)
    wait_for(began(local / ".three.part", "part-*.parquet"), process)
    nodes[0].kill_head()
    text = ended(process, code=2)
    assert "error: the Ray cluster was lost in forecast of three" in text
    assert "Traceback" not in text
    nodes[0].close()
    nodes[0] = Nodes()
    text = ended(start(local, *words, address=nodes[0].address))
    assert "were there already" in text
    assert manifest.of_folder(local / "three") == manifest.of_folder(local / "big")


def test_a_study_whose_node_is_killed_has_the_trials_of_one_machine(
    nodes: list[Nodes], tmp_path: Path
) -> None:
    here = write_project(tmp_path / "here", small_table())
    away = shutil.copytree(here, tmp_path / "away")
    words = ("retain", "tune", "small", "--trials", "2", "--jobs", "2")
    run(here, *words, RETAIN_ENGINE="local")
    process = start(away, *words, address=nodes[0].address)
    journals = away / "mlruns" / "tune" / "small"
    wait_for(began(journals, "*.jsonl"), process)  # each node has a trial, or gets one
    nodes[0].kill_worker()
    ended(process)
    studies = []
    for folder in (here, away):
        content = json.loads((folder / "reports" / "small" / "tune.json").read_text("utf-8"))
        for trial in (trial for cell in content.values() for trial in cell["trials"]):
            del trial["cpu_seconds"]
        studies.append(content)
    assert studies[0] == studies[1]
    assert {cell: len(found["trials"]) for cell, found in studies[0].items()} == {
        "lstm": 2,
        "rnn": 2,
    }
