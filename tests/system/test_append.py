"""`retain append` in a project: who keeps the table, and that its state before can be had again."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from retain import cli, errors
from retain.config import loader
from retain.errors import DataError
from retain.project import raw_table
from retain.retraining import fetch

from .conftest import PARAMS, commit, run, small_table, write_project

TABLE = "data/raw/small.csv"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose table is git's and ends two days early; `new.csv` has the rest."""
    whole = small_table()
    early = whole["ds"] < "2024-01-19"
    folder = write_project(tmp_path / "project", whole[early], PARAMS)
    whole.to_csv(tmp_path / "new.csv", index=False)
    monkeypatch.chdir(folder)
    return folder


def append(project: Path) -> str:
    done = CliRunner().invoke(cli.app, ["append", "small", "../new.csv"])
    if isinstance(done.exception, errors.RetainError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def to_dvc(project: Path) -> None:
    run(project, "git", "rm", "-q", "--cached", TABLE)
    run(project, "dvc", "add", "-q", TABLE)
    commit(project)


def test_a_table_of_git_grows_and_its_state_before_is_in_the_commit(project: Path) -> None:
    before = (project / TABLE).read_text()
    said = append(project)
    assert said.startswith(f"96 rows added to {TABLE}, which reaches to 2024-01-20 23:00:00, 844 ")
    assert f"commit {TABLE}, then retrain" in said
    assert run(project, "git", "show", f"HEAD:{TABLE}").stdout == before
    commit(project)
    assert append(project) == f"nothing added: {TABLE} has all 940 rows of ../new.csv\n"


def test_values_of_planned_rows_are_filled_in(project: Path) -> None:
    whole = small_table()
    planned = whole.assign(y=whole["y"].where(whole["ds"] < "2024-01-19"))
    planned.to_csv(project / TABLE, index=False)
    commit(project)
    said = append(project)
    assert said.startswith(
        f"0 rows added to {TABLE}, which reaches to 2024-01-20 23:00:00, 96 filled in, 844 it had "
    )
    assert (project / TABLE).read_text() == (project.parent / "new.csv").read_text()


def test_a_table_of_dvc_grows_and_its_state_before_is_in_the_cache(project: Path) -> None:
    to_dvc(project)
    before = (project / TABLE).read_text()
    assert f"commit {TABLE}.dvc, then retrain" in append(project)
    assert (project / TABLE).read_text() != before
    run(project, "git", "stash", "-q")
    run(project, "dvc", "checkout", "-q", f"{TABLE}.dvc")
    assert (project / TABLE).read_text() == before


def test_what_no_commit_has_could_not_be_brought_back(project: Path) -> None:
    append(project)
    with pytest.raises(DataError, match=f"no commit has it as it is now.* commit {TABLE} first"):
        append(project)


def test_a_table_of_dvc_that_was_changed_by_hand_is_refused(project: Path) -> None:
    to_dvc(project)
    path = project / TABLE
    text = path.read_text()
    path.unlink()
    path.write_text(text + "2024-01-19,north,1\n")
    with pytest.raises(DataError, match=f"{TABLE} is not what {TABLE}.dvc says"):
        append(project)


def test_an_imported_table_is_brought_up_from_its_source_alone(project: Path) -> None:
    (project.parent / "source.csv").write_bytes((project / TABLE).read_bytes())
    run(project, "git", "rm", "-q", "--cached", TABLE)
    (project / TABLE).unlink()
    run(project, "dvc", "import-url", "-q", str(project.parent / "source.csv"), TABLE)
    commit(project)
    (project.parent / "source.csv").write_bytes((project.parent / "new.csv").read_bytes())
    fetch.fetch(project, loader.load(project))
    assert len((project / TABLE).read_text().splitlines()) == 941
    commit(project)
    with pytest.raises(DataError, match="is imported from elsewhere: bring it up with `dvc update"):
        append(project)


def test_a_table_at_an_address_cannot_grow_here(project: Path) -> None:
    with pytest.raises(DataError, match="is not in the project"):
        raw_table.check_recoverable(project, "https://example.org/t.csv")


def test_a_table_that_nobody_keeps_is_refused(project: Path) -> None:
    run(project, "git", "rm", "-q", "--cached", TABLE)
    with pytest.raises(DataError, match=f"neither git nor DVC keeps it; run `dvc add {TABLE}`"):
        append(project)
