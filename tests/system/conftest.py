"""A project of its own for each test: the real stages and dvc.yaml on two small series."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from retain.project import dvc
from tests import forkserver

from .browser import Browser

REPOSITORY = Path(__file__).parents[2]
PARAMS = """\
problems:
  small:
    kind: forecast
    preset: fast
    data:
      path: data/raw/small.csv
      unique_id: store
      horizon: 6
      context_length: 24
      season_length: 24
      split: {validation: 24 horizons, test: 12 horizons}
    model:
      hidden_size: 8
      segment_length: 6
      dropout: 0.2
    training:
      max_epochs: 3
      batch_size: 64
      learning_rate: 0.01
    evaluation:
      floors: [seasonal_naive, naive]
      bootstrap: 200
    gate:
      - check: finite
      - check: coverage
        tolerance: 0.7
      - check: champion
"""


def environment(forked: bool = True) -> dict[str, str]:
    """That of a person without settings of her own.

    Args:
        forked: whether python, dvc and retain are what `forkserver` forks, or real ones.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    places = [*[forkserver.programs()] * forked, Path(sys.executable).parent, os.environ["PATH"]]
    return kept | {
        "PATH": os.pathsep.join(map(str, places)),
        "DVC_NO_ANALYTICS": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def run(
    folder: Path, *words: str, code: int | None = 0, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a project; fails the test, with what it printed, on another exit code."""
    done = subprocess.run(
        words, cwd=folder, env=environment() | extra, capture_output=True, text=True, check=False
    )
    if code is not None and done.returncode != code:
        pytest.fail(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def hourly(hours: Any, noise: np.random.Generator, higher: Any = 0.0) -> pd.DataFrame:
    """Two series with a daily cycle and noise, at some hours since 2024."""
    parts = []
    for store, level in (("north", 100.0), ("south", 40.0)):
        y = level + 10 * np.sin(2 * np.pi * hours / 24) + noise.normal(0, 2, len(hours)) + higher
        ds = pd.Timestamp("2024-01-01") + pd.to_timedelta(hours, unit="h")
        parts.append(pd.DataFrame({"ds": ds, "store": store, "y": y.round(2)}))
    return pd.concat(parts)


def small_table(steps: int = 480) -> pd.DataFrame:
    """Two series with a daily cycle and noise, a gap in one of them."""
    return hourly(np.arange(steps), np.random.default_rng(1)).drop(index=range(50, 60))


def write_project(folder: Path, table: pd.DataFrame, params: str = PARAMS) -> Path:
    """A project as a user's clone has it, with its first commit."""
    folder.mkdir()
    shutil.copytree(REPOSITORY / ".dvc" / "plots", folder / ".dvc" / "plots")
    for name in ("dvc.yaml", ".dvcignore", ".gitignore", ".dvc/config", ".dvc/.gitignore"):
        shutil.copy(REPOSITORY / name, folder / name)
    for name in ("src", "pipelines"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(REPOSITORY / name, folder / name, ignore=ignored)
    text = (folder / "dvc.yaml").read_text()
    (folder / "dvc.yaml").write_text(text[: text.index("\nartifacts:")])
    (folder / "params.yaml").write_text(params)
    (folder / "data" / "raw").mkdir(parents=True)
    table.to_csv(folder / "data" / "raw" / "small.csv", index=False)
    run(folder, "git", "init", "-q")
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    """Commit everything that git does not ignore."""
    run(folder, "git", "add", "-A")
    who = ("-c", "user.name=a tester", "-c", "user.email=tester@example.org")
    run(folder, "git", *who, "commit", "-q", "--allow-empty", "-m", "a state")


def put_store(folder: Path) -> None:
    """Put an empty tracking store into a project; to make its tables takes a second."""
    (folder / "mlruns").mkdir()
    shutil.copy(forkserver.store_template(), folder / "mlruns")


def work_in_copy(source: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy a project, with its store if it has one, and make it the current folder.

    What git, DVC and Python only read is linked: no test may write into a file of `src`.
    """

    def link_or_copy(old: str, new: str) -> None:
        linked = any(part in old for part in ("/.git/objects/", "/.dvc/cache/", "/src/retain/"))
        (os.link if linked else shutil.copy2)(old, new)

    shutil.copytree(source, place, copy_function=link_or_copy)
    monkeypatch.chdir(place)
    return place


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_a_person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "DVC_ROOT"):
            patch.delenv(name, raising=False)
        patch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path_factory.mktemp("site")))
        yield


@pytest.fixture(autouse=True)
def _dvc_starts_in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is called in a test's own process starts DVC as its projects do."""
    monkeypatch.setattr(
        dvc, "sys", SimpleNamespace(executable=str(forkserver.programs() / "python"))
    )


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that is made by the first worker that wants it, and that no test changes."""
    workers = "PYTEST_XDIST_WORKER" in os.environ
    shared = factory.getbasetemp().parent if workers else factory.getbasetemp()
    folder, made = shared / name / "project", shared / name / "made"
    folder.parent.mkdir(exist_ok=True)
    with FileLock(shared / f"{name}.lock"):
        if not made.exists():
            make(folder)
            made.touch()
    return folder


def finish(folder: Path, table: pd.DataFrame, params: str = PARAMS) -> None:
    """Make a project, run its pipeline, and commit what came of it."""
    write_project(folder, table, params)
    put_store(folder)
    run(folder, "dvc", "repro")
    commit(folder)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after `dvc repro`, committed; a test that changes it takes a `clone`."""
    return make_once(tmp_path_factory, "finished", lambda folder: finish(folder, small_table()))


@pytest.fixture(scope="session")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with champions that answer lines of text: `rhyme`, `key` and `sum`."""
    from .lines import write_project

    return make_once(tmp_path_factory, "answering", write_project)


@pytest.fixture
def clone(finished: Path, tmp_path: Path) -> Callable[[], Path]:
    """Makes a clone of the finished project elsewhere, with its DVC cache and an empty store."""

    def make() -> Path:
        folder = tmp_path / "clone"
        run(tmp_path, "git", "clone", "-q", str(finished), str(folder))
        shutil.copytree(finished / ".dvc" / "cache", folder / ".dvc" / "cache")
        put_store(folder)
        return folder

    return make
