"""A project's own kinds come from the folders that params.yaml names."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from retain.config import json_schema, loader, plugins
from retain.config.kind import STAGES, find_kind
from retain.errors import ParamsError
from retain.project import code_deps, managed

KIND = """\
from typing import Literal

import _shared_by_kinds
from retain.config import schema
from retain.config.kind import Kind, Lazy
from retain.config.schema import Section


class Problem(schema.Problem):
    kind: Literal["{name}"]
    data: Section = Section()
    model: Section = Section()
    evaluation: Section = Section()


def part() -> None:
    pass


_part = Lazy("{module}:part")
KIND = Kind(
    name="{name}", command="abacus", problem=Lazy("{module}:Problem"), prepare=_part,
    training=_part, evaluate=_part, report=_part, compare=_part, predictor=_part,
)
"""
PROBLEM = "problems:\n  sums:\n    kind: {name}\n    gate: []\n"
DVC = "stages:\n  code:\n    foreach: ${problems}\n    do:\n      deps:\n        - pipelines\n"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project whose kind `abacus` is in the folder `own kinds`, with a module that it imports."""
    before = list(sys.path)
    write(
        tmp_path / "own kinds" / "abacus_kind.py", KIND.format(name="abacus", module="abacus_kind")
    )
    write(tmp_path / "own kinds" / "_shared_by_kinds.py", "SHARED = 1\n")
    write(tmp_path / "dvc.yaml", DVC)
    write(tmp_path / "params.yaml", "plugins: own kinds\n" + PROBLEM.format(name="abacus"))
    yield tmp_path
    plugins.use(tmp_path, None)
    sys.path[:] = before
    for name in ("abacus_kind", "_shared_by_kinds"):
        sys.modules.pop(name, None)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_a_problem_may_be_of_a_kind_of_the_project(project: Path) -> None:
    assert loader.load(project)["sums"].kind == "abacus"
    kind = find_kind("abacus")
    assert kind is not None
    assert kind.command == "abacus"


def test_names_and_the_schema_are_read_without_running_a_module(project: Path) -> None:
    write(project / "own kinds" / "abacus_kind.py", "1 / 0\nKIND = Kind(name='abacus')\n")
    assert loader.kinds(project) == {"sums": "abacus"}
    schema = json_schema.params_schema()
    assert (
        "abacus"
        in schema["properties"]["problems"]["additionalProperties"]["properties"]["kind"]["enum"]
    )
    assert "abacus" not in schema["$defs"]
    with pytest.raises(ParamsError, match=r"abacus_kind\.py\) cannot be imported: ZeroDivision"):
        loader.load(project)


def test_another_project_does_not_have_the_kind(project: Path, tmp_path: Path) -> None:
    loader.load(project)
    write(tmp_path / "other" / "params.yaml", PROBLEM.format(name="abacus"))
    with pytest.raises(ParamsError, match=r"`problems\.sums\.kind` is 'abacus'; expected one of"):
        loader.load(tmp_path / "other")


def test_the_lists_of_code_have_all_that_the_kind_imports_from_the_folder(project: Path) -> None:
    loader.load(project)
    kind = find_kind("abacus")
    assert kind is not None
    before = {stage: code_deps.code_list(project, kind, stage) for stage in STAGES}
    assert "  abacus_kind.py\n" in before["train"]
    assert "  _shared_by_kinds.py\n" in before["train"]
    write(project / "own kinds" / "_shared_by_kinds.py", "SHARED = 2\n")
    assert code_deps.code_list(project, kind, "train") != before["train"]


def test_dvc_watches_the_folder(project: Path) -> None:
    loader.load(project)
    with pytest.raises(ParamsError, match=r"does not depend on own kinds.*`retain run` adds"):
        managed.check_watched(project, plugins.folders())
    assert "own kinds now" in managed.watch(project, plugins.folders())
    assert (project / "dvc.yaml").read_text() == f"{DVC}        - own kinds\n"
    assert managed.watch(project, plugins.folders()) == ""
    write(project / "dvc.yaml", "stages: {}\n")
    with pytest.raises(ParamsError, match="add it yourself"):
        managed.watch(project, plugins.folders())


def test_a_managed_file_that_watches_is_still_untouched(project: Path) -> None:
    text = managed.texts()["dvc.yaml"] + "artifacts: {}\n"
    write(project / "dvc.yaml", text)
    managed.watch(project, ["own kinds"])
    after = (project / "dvc.yaml").read_text()
    assert after == managed.texts(folders=["own kinds"])["dvc.yaml"] + "artifacts: {}\n"
    assert managed.is_untouched(after)
    assert "        - own kinds\n" in after


@pytest.mark.parametrize(
    ("value", "files", "words"),
    [
        ("nowhere", {}, "`plugins` is 'nowhere'; there is no such folder"),
        ("..", {}, "`plugins` is '..', which is not inside the project"),
        (".", {}, "which is not inside the project"),
        ("[own, 3]", {"own/a_kind.py": "KIND = Kind(name='a')"}, "`plugins` is 3; name a folder"),
        ("own", {"own/notes.txt": ""}, "own/ has no module or package"),
        ("own", {"own/a_kind.py": "KIND = 3"}, r"own/a_kind\.py: it brings no kind; write `KIND ="),
        ("own", {"own/a_kind/__init__.py": ""}, r"own/a_kind/__init__\.py: it brings no kind"),
        ("own", {"own/a_kind.py": "KIND ="}, r"own/a_kind\.py: no valid Python"),
        ("own", {"own/a_kind.py": "KIND = Kind(name='text')"}, "there is a kind `text` already"),
        ("own", {"own/a-kind.py": ""}, "`a-kind` cannot be imported"),
        ("own", {"own/json.py": ""}, "Python has another module `json`"),
        (
            "own",
            {"own/a_kind.py": "KIND = Kind(name='a')", "own/b_kind.py": "KIND = Kind(name='a')"},
            r"own/b_kind\.py: there is a kind `a` already",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_folder_is_said(
    project: Path, value: str, files: dict[str, str], words: str
) -> None:
    write(project / "params.yaml", f"plugins: {value}\nproblems: {{}}\n")
    for name, text in files.items():
        write(project / name, text)
    with pytest.raises(ParamsError, match=words):
        loader.load(project)
