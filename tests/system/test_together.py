"""Several at once: first users of a store, reproductions of two problems, queued experiments."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import PARAMS, run, small_table, write_project
from .test_pipeline import PARENT, lock, runs, store
from .test_stopped import start

TWICE = PARAMS + textwrap.indent(textwrap.dedent(PARAMS.partition("problems:\n")[2]), "  ").replace(
    "small:", "other:", 1
)

FIRST_USE = """
import sys
from pathlib import Path
from retain.tracking import offline_run
message = offline_run.Message(sys.argv[1], "small", "first", offline_run.now())
run = offline_run.OfflineRun(Path(), message)
run.log({"loss": 1.0}, 0)
run.end("FINISHED")
"""


@pytest.mark.long
def test_a_fresh_store_is_made_once_by_processes_that_start_together(tmp_path: Path) -> None:
    (tmp_path / "first_use.py").write_text(FIRST_USE)
    started = [start(tmp_path, "python", "first_use.py", f"run{n}") for n in range(4)]
    for process in started:
        said, errors = process.communicate(timeout=120)
        assert (process.returncode, said, errors) == (0, "", "")
    client = store(tmp_path)
    experiment = client.get_experiment_by_name("small")
    made = client.search_runs([experiment.experiment_id])
    assert [one.info.status for one in made] == ["FINISHED"] * 4
    assert {one.data.metrics["loss"] for one in made} == {1.0}


@pytest.fixture
def two(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project", small_table(), TWICE)


@pytest.mark.long
def test_two_problems_are_reproduced_at_once(two: Path) -> None:
    started = [start(two, "dvc", "repro", f"train@{name}-lstm") for name in ("small", "other")]
    for process in started:
        said, errors = process.communicate(timeout=240)
        assert process.returncode == 0, said + errors
    assert {"models/small/lstm", "models/other/lstm"} <= lock(two).keys()
    client = store(two)
    for name in ("small", "other"):
        experiment = client.get_experiment_by_name(name)
        found = client.search_runs([experiment.experiment_id])
        (made,) = (one for one in found if PARENT in one.data.tags)
        assert made.data.tags["model.md5"] == lock(two)[f"models/{name}/lstm"]
    assert "didn't change" in run(two, "dvc", "repro", "train@small-lstm").stdout


@pytest.mark.long
def test_two_queued_experiments_are_two_rows_in_the_one_store(
    clone: Callable[[], Path],
) -> None:
    folder = clone()
    run(folder, "dvc", "checkout")
    for size in ("6", "12"):
        change = f"problems.small.model.hidden_size={size}"
        words = ("--queue", "-n", f"size-{size}", "-S", change, "train@small-lstm")
        run(folder, "dvc", "exp", "run", *words)
    run(folder, "dvc", "exp", "run", "--run-all", "--jobs", "2")
    made = runs(folder).sort_values("DVC_EXP_NAME")
    assert made["status"].tolist() == ["FINISHED"] * 2
    assert made["DVC_EXP_NAME"].tolist() == ["size-12", "size-6"]
    assert made["model.hidden_size"].tolist() == ["12", "6"]
    assert made["model.md5"].nunique() == 2
    assert "size-12" in run(folder, "dvc", "exp", "show", "--csv").stdout
    assert not (folder / "mlruns/pending").exists()


@pytest.mark.long
def test_retain_runs_two_problems_at_once(two: Path) -> None:
    said = run(two, "retain", "run", "--engine", "local:2").stdout
    first = {name: said.index(f"Running stage 'code@{name}'") for name in ("small", "other")}
    last = {name: said.rindex(f"Running stage 'register@{name}'") for name in first}
    assert max(first.values()) < min(last.values())
    for name in first:
        assert len((two / "models" / name / "ledger.csv").read_text().splitlines()) == 2
    assert "Running stage" not in run(two, "dvc", "repro").stdout
