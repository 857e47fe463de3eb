"""`retain init` and `retain upgrade`: what is written, and what is left alone."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

import retain
from retain import cli
from retain.config import loader, release
from retain.errors import ParamsError
from retain.project import managed, scaffold
from retain.project.git import Git
from retain.retraining import doctor, upgrade

HERE = retain.__version__


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new project, in a folder with a blank and an umlaut."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "a tester")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "tester@example.org")
    folder = tmp_path / "Übersicht 1"
    scaffold.make(folder, example=False, wheel=None)
    for key, value in (("user.name", "a tester"), ("user.email", "tester@example.org")):
        Git(folder).run("config", key, value)
    return folder


@pytest.fixture
def later(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same with a later release, whose Makefile is another."""
    texts = managed.texts()
    monkeypatch.setattr(retain, "__version__", "9.0")

    def anew(line: str = "", folders: Sequence[str] = ()) -> dict[str, str]:
        found = {name: managed.stamped(text) for name, text in texts.items()}
        changed = found["Makefile"].replace("PORT ?= 5000", "PORT ?= 5001")
        return found | {"Makefile": managed.stamped(changed)}

    monkeypatch.setattr(managed, "texts", anew)
    return project


def test_a_new_project_is_committed_and_has_no_problem(project: Path) -> None:
    assert Git(project).run("status", "--porcelain") == ""
    assert Git(project).run("log", "--format=%s") == f"A project of retain {HERE}"
    assert loader.load(project) == {}
    assert (project / "params.yaml").read_text().startswith(managed.FIRST_LINE)
    assert release.of_project(project) == HERE


def test_a_program_is_warned_where_nothing_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", str(tmp_path / "none"))
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.useConfigOnly")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "true")
    with pytest.warns(UserWarning, match="git does not know who you are"):
        retain.Project.create(tmp_path / "p")


def test_the_folder_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    folder = tmp_path / "Anna's sales"
    result = CliRunner().invoke(cli.app, ["init", str(folder)])
    (line,) = [line for line in result.output.splitlines() if line.startswith("next: ")]
    assert shlex.split(line)[1:4] == ["cd", str(folder), "&&"]


def test_nothing_is_overwritten(project: Path) -> None:
    with pytest.raises(ParamsError, match=r"has files .* nothing is overwritten"):
        scaffold.make(project, example=False, wheel=None)


def test_the_example_has_the_sample_of_the_checkout(project: Path, tmp_path: Path) -> None:
    scaffold.make(tmp_path / "example", example=True, wheel=None)
    assert "traffic" in loader.load(tmp_path / "example")
    text = (tmp_path / "example/dvc.yaml").read_text()
    assert managed.is_untouched(text)
    assert "models/traffic/lstm" in text


def test_a_wheel_of_another_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "retain-8.0-py3-none-any.whl").touch()
    with pytest.raises(ParamsError, match=f"is no wheel of retain {HERE}"):
        scaffold.make(tmp_path / "p", False, tmp_path / "retain-8.0-py3-none-any.whl")


def test_an_upgrade_rewrites_files_and_keeps_what_is_below_the_line(later: Path) -> None:
    with (later / "dvc.yaml").open("a") as file:
        file.write("artifacts:\n  sales:\n    path: models/sales/lstm\n")
    Git(later).run("commit", "-aqm", "a problem")
    found = upgrade.plan(later)
    upgrade.carry_out(later, found)
    assert (found.before, found.beside, found.removed) == (HERE, {}, [])
    assert "5001" in (later / "Makefile").read_text()
    assert (later / "dvc.yaml").read_text().endswith("    path: models/sales/lstm\n")
    assert release.of_project(later) == "9.0"
    release.check(later)
    assert "  Makefile: rewritten" in upgrade.describe(later, found, dry_run=False)
    Git(later).run("restore", ".")
    assert release.of_project(later) == HERE


def test_a_file_that_a_person_changed_stays(later: Path) -> None:
    for name in ("Makefile", ".gitignore"):
        with (later / name).open("a") as file:
            file.write("# mine\n")
    Git(later).run("commit", "-aqm", "mine")
    upgrade.carry_out(later, upgrade.plan(later))
    assert (later / "Makefile").read_text().endswith("# mine\n")
    assert "5001" in (later / "Makefile.new").read_text()
    changed = {line[3:] for line in Git(later).run("status", "--porcelain").splitlines()}
    assert not {"Makefile", ".gitignore"} & changed


def test_a_file_that_projects_have_no_longer_is_removed(later: Path) -> None:
    gone = later / "pipelines" / "former.py"
    gone.write_text(managed.stamped(f"# {managed.MARK}\nx = 1\n"))
    Git(later).run("add", "-A")
    Git(later).run("commit", "-qm", "as it was")
    found = upgrade.plan(later)
    upgrade.carry_out(later, found)
    assert found.removed == ["pipelines/former.py"]
    assert not gone.exists()


def test_what_git_could_not_take_back_is_refused(later: Path) -> None:
    with (later / "dvc.yaml").open("a") as file:
        file.write("artifacts: {}\n")
    with pytest.raises(ParamsError, match="commit them first"):
        upgrade.plan(later)


@pytest.mark.parametrize(
    ("installed", "oldest", "said"),
    [
        ("0.0.1", "0.0.1", "newer than 0.0.1: `make setup` installs what"),
        ("9.0", "8.0", "first, by `retain upgrade --to 8.0`"),
    ],
)
def test_a_project_that_is_too_new_or_too_old_is_told_the_way(
    project: Path, installed: str, oldest: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retain, "__version__", installed)
    monkeypatch.setattr(upgrade, "OLDEST", oldest)
    with pytest.raises(ParamsError, match=said):
        upgrade.plan(project)


@pytest.mark.parametrize(
    ("installed", "said"), [("0.0.1", "with `make setup`"), ("9.0", "`retain upgrade` brings")]
)
def test_commands_refuse_a_project_of_another_release(
    project: Path, installed: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retain, "__version__", installed)
    monkeypatch.chdir(project)
    with pytest.raises(ParamsError, match=said):
        loader.find_root()
    with pytest.raises(ParamsError, match=said):
        loader.load_problem(project, "sales")
    assert loader.find_root(any_release=True) == project


def test_a_checkout_of_retain_is_no_project() -> None:
    root = Path(retain.__file__).parents[2]
    release.check(root)
    with pytest.raises(ParamsError, match="upgraded by git"):
        upgrade.plan(root)


def test_the_doctor_finds_what_is_wrong_and_how_to_mend_it(project: Path) -> None:
    lock = project / "requirements.lock"
    lock.write_text(lock.read_text().replace("torch==2", "torch==1"))
    (project / "params.yaml").write_text("problem: 1\n")
    (project / "Makefile").unlink()
    found = {finding.topic: finding for finding in doctor.examine(project)}
    wrong = {topic for topic, finding in found.items() if finding.state == doctor.WRONG}
    assert {"versions", "params.yaml", "managed files"} <= wrong
    assert "git" not in wrong
    assert found["versions"].remedy == "make setup"
    assert "torch 2" in found["versions"].text
    assert found["DVC remote"].state == doctor.NOTE


def test_the_doctor_sees_who_holds_a_lock(project: Path) -> None:
    held = project / ".dvc" / "tmp" / "rwlock"
    held.parent.mkdir()
    held.write_text('{"write": {"a": {"pid": 999999999, "cmd": "dvc repro"}}}')
    (finding,) = [each for each in doctor.examine(project) if each.topic == "locks"]
    assert (finding.state, finding.remedy) == (doctor.WRONG, "rm .dvc/tmp/rwlock")
