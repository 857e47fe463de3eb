"""The files that projects are made of: which they are, and what of them a person changed."""

from pathlib import Path

import check_jsonschema
import pytest

from retain.project import managed

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


def validate(folder: Path, params: str) -> object:
    """The exit code of a validator for a params.yaml, by the schema that projects have."""
    (folder / "schema.json").write_text(managed.texts()[managed.SCHEMA])
    (folder / "params.yaml").write_text(params)
    with pytest.raises(SystemExit) as ended:
        check_jsonschema.main(
            ["--schemafile", str(folder / "schema.json"), str(folder / "params.yaml")]
        )
    return ended.value.code


def test_the_schema_allows_the_sample_and_finds_a_typo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = (ROOT / "params.yaml").read_text()
    assert validate(tmp_path, sample) == 0, capsys.readouterr()
    assert validate(tmp_path, sample.replace("      horizon: 24", "      horizont: 24")) == 1
    assert "horizont" in capsys.readouterr().out
    assert validate(tmp_path, "problems: {}\n") == 0


@pytest.mark.parametrize("name", ["params.yaml", *managed.SAMPLE])
def test_the_sample_is_in_the_repository(name: str) -> None:
    assert name in managed.sample()
