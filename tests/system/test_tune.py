"""`retain tune`, killed and started again, in a project of its own."""

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retain.tracking import store

from .conftest import PARAMS, put_store, run, small_table, write_project
from .test_stopped import start, wait_for

TUNED = PARAMS + "    tune: {model: {hidden_size: [4, 12]}}\n"
WORDS = ("retain", "tune", "small", "--trials", "3", "--cells", "lstm")


def trials(folder: Path) -> list[dict[str, Any]]:
    """What is known of each trial but how long it took."""
    path = folder / "reports" / "small" / "tune.json"
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["lstm"]["trials"]
    return [{key: value for key, value in one.items() if key != "cpu_seconds"} for one in found]


@pytest.mark.long
def test_a_study_that_is_killed_goes_on_and_params_get_the_best(tmp_path: Path) -> None:
    whole = write_project(tmp_path / "whole", small_table(), TUNED)
    put_store(whole)
    killed = shutil.copytree(whole, tmp_path / "killed")
    done = run(whole, *WORDS)
    assert "Unequal: the RNN had no trials" in done.stdout
    assert run(whole, "git", "status", "--short").stdout == ""

    process = start(killed, *WORDS)
    wait_for(process, "lstm 1/3")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    done = run(killed, *WORDS, "--apply", "--anyway")
    assert "trials of an earlier run: lstm" in done.stdout
    assert trials(killed) == trials(whole)
    assert [one["trial"] for one in trials(whole)] == [1, 2, 3]

    best = json.loads((killed / "reports/small/tune.json").read_text("utf-8"))["lstm"]["best"]
    size = trials(killed)[best - 1]["settings"]["model.hidden_size"]
    text = (killed / "params.yaml").read_text("utf-8")
    assert f"      hidden_size: {size}\n" in text
    assert (best == 1) == (text == TUNED)

    client = store.connect(killed)
    found = client.search_runs([store.experiment_id(client, killed, "small")])
    parents = {one.data.tags.get("mlflow.parentRunId") for one in found}
    assert len(found) == 4
    assert len(parents) == 2  # none, and the study
    assert {one.info.status for one in found} == {"FINISHED"}


@pytest.mark.long
def test_a_study_that_is_killed_ten_times_at_random_has_the_same_trials(tmp_path: Path) -> None:
    params = TUNED.replace("max_epochs: 3", "max_epochs: 6")
    whole = write_project(tmp_path / "whole", small_table(), params)
    put_store(whole)
    killed = shutil.copytree(whole, tmp_path / "killed")
    words = ("retain", "tune", "small", "--trials", "12", "--cells", "lstm")
    run(whole, *words)
    chance = np.random.default_rng(5)
    for _ in range(10):
        process = start(killed, *words)
        wait_for(process, "lstm ")  # a trial has ended, or the study
        time.sleep(chance.uniform(0, 1))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
    run(killed, *words)
    assert trials(killed) == trials(whole)
    assert len(trials(whole)) == 12
