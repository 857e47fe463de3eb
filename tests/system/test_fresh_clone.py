"""CI's jobs in a clone as a runner has it: what git holds, and nothing in DVC's cache."""

import shutil
from pathlib import Path

import pytest

from retain.retraining import decide

from .conftest import REPOSITORY, environment, put_store, run
from .test_retraining import COMMANDS


@pytest.fixture
def fresh(finished: Path, tmp_path: Path) -> Path:
    """A clone without cache, whose environment is set up."""
    folder = tmp_path / "fresh"
    run(tmp_path, "git", "clone", "-q", str(finished), str(folder))
    for name in ("Makefile", "requirements.lock", "requirements-team.lock"):
        shutil.copy(REPOSITORY / name, folder / name)
    dvc = shutil.which("dvc", path=environment()["PATH"])
    assert dvc is not None
    (folder / ".venv").symlink_to(Path(dvc).parents[1])
    put_store(folder)
    return folder


def make(folder: Path, job: str, **settings: str) -> str:
    """Run what a job runs, after `make setup`, and return what it prints."""
    return run(folder, *COMMANDS[job].replace("make", "make -o setup").split(), **settings).stdout


@pytest.mark.parametrize(
    ("key", "stages"),
    [
        ("", []),
        (
            "hidden_size: 8",
            [
                "code@small",
                "train@small-lstm",
                "train@small-rnn",
                "train@small-gru",
                "refit@small",
                "evaluate@small, if its inputs change",
                "register@small, if its inputs change",
            ],
        ),
        (
            "bootstrap: 200",
            ["code@small", "evaluate@small", "register@small, if its inputs change"],
        ),
    ],
)
def test_changes_names_the_stages_that_params_change(
    key: str, stages: list[str], fresh: Path
) -> None:
    path = fresh / "params.yaml"
    if key:
        path.write_text(path.read_text().replace(key, f"{key[:-1]}6"))
    said = make(fresh, "changes", BASE="HEAD")
    lines = [line.replace("`", "")[2:] for line in said.splitlines() if line.startswith("- `")]
    assert lines == stages
    assert ("Nothing: all stages are up to date." in said) == (not key)
    assert (f"problems.small.{'model' if 'hid' in key else 'evaluation'}" in said) == bool(key)


def test_without_registry_cache_and_remote_there_is_no_champion_today_as_tomorrow(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "fresh"
    run(tmp_path, "git", "clone", "-q", str(finished), str(folder))
    for said in ("could be rebuilt: see above; there is no champion to compare with", ""):
        assert decide._find_champion(folder, "small") is None
        assert said in capsys.readouterr().out


@pytest.mark.long
def test_retrain_makes_the_same_again(fresh: Path) -> None:
    said = make(fresh, "retrain")
    assert "small: retrain" in said
    assert run(fresh, "git", "status", "--porcelain", "dvc.lock", "params.yaml").stdout == ""
