"""A retraining starts from the champion; the result is recorded, repeats, and is proved."""

from collections.abc import Callable
from pathlib import Path

import pytest

from retain import model_files
from retain.config import loader
from retain.project import fingerprint
from retain.registry import ledger

from .conftest import commit, run, small_table


@pytest.mark.long
def test_a_retraining_starts_from_the_champion(clone: Callable[[], Path]) -> None:
    folder = clone()
    lock = (folder / "dvc.lock").read_bytes()
    params = folder / "params.yaml"
    text = params.read_text().replace("epochs: 3\n", "epochs: 3\n      warm_start: champion\n")
    assert "warm_start" in text
    params.write_text(text)
    # Without a parent it is the model of random weights, whose params alone have another key.
    run(folder, "dvc", "repro")
    before = fingerprint.folder_md5(folder / "models/small/lstm")
    assert before in lock.decode()
    commit(folder)
    refused = run(folder, "retain", "warm-start", "small", code=2)
    assert "not registered here: `retain rehydrate small`" in refused.stderr
    run(folder, "retain", "rehydrate", "small")

    small_table(520).to_csv(folder / "data/raw/small.csv", index=False)
    done = run(folder, "python", "pipelines/retrain.py", "small")
    assert "small: starts from the champion, version 1" in done.stdout
    parents = loader.load(folder)["small"].training.parents
    assert parents["lstm"] == before
    config = model_files.read_config(folder / "models/small/lstm")
    assert config["parent"] == before
    assert model_files.read_config(folder / "models/small/final")["parent"] == before
    assert [entry.parent for entry in ledger.read(folder, "small")] == ["", before]
    traced = run(folder, "retain", "trace", "models:/small/2").stdout
    assert f"started from version 1, md5 {before[:12]}" in traced
    again = run(folder, "python", "pipelines/retrain.py", "small").stdout
    assert "nothing to do" in again

    commit(folder)
    lock = (folder / "dvc.lock").read_bytes()
    run(folder, "dvc", "repro", "--force", "register@small")
    assert (folder / "dvc.lock").read_bytes() == lock
    proved = run(folder, "retain", "prove", "models:/small/2", "--chain").stdout
    assert proved.count("\n  identical\n") == 2
    assert "small version 1" in proved[proved.index("small version 2") :]
