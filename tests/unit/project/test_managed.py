"""The files that projects are made of: which they are, and what of them a person changed."""

import subprocess
from pathlib import Path

import pytest

from retain.project import managed
from tests import forkserver

ROOT = Path(__file__).parents[3]
TEXT = f"# {managed.MARK}: in a project\na: 1\n\n{managed.YOURS}.\nb: 2\n"


def test_a_file_is_untouched_until_a_person_changes_what_is_retains() -> None:
    text = managed.stamped(TEXT)
    assert managed.is_untouched(text)
    assert managed.is_untouched(f"{text}c: 3\n")
    assert not managed.is_untouched(text.replace("a: 1", "a: 2"))
    assert not managed.is_untouched(text.partition("\n")[2])
    assert managed.split(text)[1] == "b: 2\n"


def test_a_project_has_the_files_of_the_checkout_that_are_marked() -> None:
    texts = managed.texts("retain==1 \\\n    --hash=sha256:ab\n")
    scripts = {f"pipelines/{path.name}" for path in (ROOT / "pipelines").glob("*.py")}
    workflows = {".github/workflows/changes.yml", ".github/workflows/retrain.yml", ".gitlab-ci.yml"}
    locks = {f"requirements{name}.lock" for name in ("", "-cuda", "-ray", "-team")}
    others = {"Makefile", "dvc.yaml", ".gitignore", ".dvcignore", ".gitattributes", managed.SCHEMA}
    assert texts.keys() == scripts | workflows | locks | others
    assert all(managed.is_untouched(text) for text in texts.values())
    assert texts["requirements.lock"].splitlines()[1] == "retain==1 \\"


def test_the_code_of_a_project_is_what_its_lock_names() -> None:
    text = managed.texts()["dvc.yaml"]
    assert "        - requirements.lock\n" in text
    assert "src/retain" not in text
    assert "artifacts:" not in text
    assert "        - src/retain\n" in (ROOT / "dvc.yaml").read_text()


def validate(folder: Path, params: str) -> "subprocess.CompletedProcess[str]":
    """What a validator says of a params.yaml by the schema that projects have.

    It changes how YAML is read in its process.
    """
    (folder / "schema.json").write_text(managed.texts()[managed.SCHEMA])
    (folder / "params.yaml").write_text(params)
    command = [forkserver.programs() / "python", "-c", "import check_jsonschema as c; c.main()"]
    return subprocess.run(
        [*command, "--schemafile", "schema.json", "params.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_schema_allows_the_sample_and_finds_a_typo(tmp_path: Path) -> None:
    sample = (ROOT / "params.yaml").read_text()
    done = validate(tmp_path, sample)
    assert done.returncode == 0, done.stdout
    done = validate(tmp_path, sample.replace("      horizon: 24", "      horizont: 24"))
    assert done.returncode == 1
    assert "horizont" in done.stdout
    assert validate(tmp_path, "problems: {}\n").returncode == 0


@pytest.mark.parametrize("name", ["params.yaml", *managed.SAMPLE])
def test_the_sample_is_in_the_repository(name: str) -> None:
    assert name in managed.sample()
