"""An experiment of DVC changes the values that it sets, and nothing else of params.yaml."""

import subprocess
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from retain.errors import ParamsError
from retain.project import experiment

PARAMS = """\
# what is learned
problems:
  sales:
    data:
      horizon: 7                # a week
      floors: [naive, drift]    # on one line
      range:
        price: [0, 9]           # of euros
    gate:                       # all must hold
      - check: finite
      - check: coverage         # of each quantile
        tolerance: 0.05         # five points

  # another one
  shops:
    data: {horizon: 3}
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text(PARAMS)
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "-q"), ("add", "-A"), (*who, "commit", "-q", "-m", "a state")):
        subprocess.run(("git", *words), cwd=tmp_path, check=True)
    monkeypatch.setenv("DVC_EXP_NAME", "an-experiment")
    monkeypatch.delenv("DVC_EXP_BASELINE_REV", raising=False)
    return tmp_path


def begun(root: Path, monkeypatch: pytest.MonkeyPatch, *settings: str) -> Path:
    """Do to params.yaml what `dvc exp run` does, and make it the command that runs."""
    apply_overrides(str(root / "params.yaml"), [*settings])
    words = ["dvc", "exp", "run", *(word for setting in settings for word in ("-S", setting))]
    monkeypatch.setattr(experiment, "_command_lines", lambda: iter([["sh", "-c"], words]))
    return root / "params.yaml"


def test_comments_and_lists_are_as_before_but_for_the_value_that_was_set(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = begun(root, monkeypatch, "problems.sales.data.horizon=9")
    assert "five points" not in path.read_text()  # what DVC makes of it
    with experiment.keeping_params(root):
        pass
    assert path.read_text() == PARAMS.replace("horizon: 7", "horizon: 9")


def test_a_list_that_was_set_stays_on_one_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = begun(root, monkeypatch, "problems.sales.data.floors=[theta]")
    with experiment.keeping_params(root):
        pass
    assert path.read_text().split("# on one line")[0].endswith("floors: [theta]           ")


def test_a_problem_that_no_commit_has_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = root / "params.yaml"
    path.write_text(f"{PARAMS}\n  new:              # just added\n    data: {{horizon: 5}}\n")
    begun(root, monkeypatch, "problems.new.data.horizon=6")
    with experiment.keeping_params(root):
        pass
    assert "  new:              # just added\n    data: {horizon: 6}\n" in path.read_text()


def test_a_wrong_value_and_a_new_key_leave_the_file_as_it_was(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("problems.sales.data.floors=[x]", "+problems.sales.dada=1", "problems.shops.data=2")
    path = begun(root, monkeypatch, *settings)
    with pytest.raises(ParamsError, match=r"(?s)unknown key.*is as it was before"):  # noqa: SIM117
        with experiment.keeping_params(root):
            raise ParamsError("unknown key")
    assert path.read_text() == PARAMS


def test_comments_that_a_person_has_just_changed_stay(root: Path) -> None:
    """An experiment of the file as it is, without -S: DVC does not write it."""
    path = root / "params.yaml"
    path.write_text(PARAMS.replace("# of each quantile", "# of all").replace("# another", "# one"))
    text = path.read_text()
    with experiment.keeping_params(root):
        pass
    assert path.read_text() == text


def test_outside_an_experiment_a_person_s_file_is_left_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = begun(root, monkeypatch, "problems.sales.data.horizon=9")
    monkeypatch.delenv("DVC_EXP_NAME")
    text = path.read_text()
    with pytest.raises(ParamsError), experiment.keeping_params(root):
        raise ParamsError("unknown key")
    assert path.read_text() == text
