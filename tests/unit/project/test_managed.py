"""The files that projects are made of: which they are, and what of them a person changed."""

import json
from pathlib import Path

import pytest
from jsonschema import validators
from ruamel.yaml import YAML

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


def test_the_schema_allows_the_sample_and_finds_a_typo() -> None:
    schema = json.loads(managed.texts()[managed.SCHEMA])
    validators.validator_for(schema).check_schema(schema)
    sample = (ROOT / "params.yaml").read_text()

    def errors(params: str) -> list[str]:
        content = YAML(typ="safe").load(params)
        return [
            error.message for error in validators.validator_for(schema)(schema).iter_errors(content)
        ]

    assert errors(sample) == []
    assert errors("problems: {}\n") == []
    found = errors(sample.replace("      horizon: 24", "      horizont: 24"))
    assert any("horizont" in error for error in found)


@pytest.mark.parametrize("name", ["params.yaml", *managed.SAMPLE])
def test_the_sample_is_in_the_repository(name: str) -> None:
    assert name in managed.sample()
