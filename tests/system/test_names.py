"""Names of problems that are code to a shell: DVC starts no command that has them."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from .conftest import PARAMS, REPOSITORY, run, small_table, write_project

NAMES = (
    "small;touch broken;echo ",
    "small'; touch broken; '",
    "$(touch broken)",
    "a\ntouch broken",
)


def test_no_command_of_a_stage_takes_text_of_params() -> None:
    stages = YAML(typ="safe").load(REPOSITORY / "dvc.yaml")["stages"]
    commands = [stage.get("do", stage)["cmd"] for stage in stages.values()]
    assert len(commands) == 6
    assert [command for command in commands if "${" in command] == []


@pytest.mark.parametrize("name", NAMES, ids=["semicolon", "quote", "dollar", "line"])
def test_a_name_that_is_code_to_a_shell_runs_nothing(name: str, tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", small_table(60))
    content = YAML(typ="safe").load(PARAMS)
    content["problems"] = {name: content["problems"]["small"]}
    YAML().dump(content, project / "params.yaml")
    done = run(project, "dvc", "repro", f"code@{name}", code=None)
    assert done.returncode != 0
    assert "a problem's name has only lower-case letters, digits and _" in done.stderr
    for command in (["run"], ["changes", "HEAD"], ["results"]):
        done = run(project, "retain", *command, code=2)
        assert "a problem's name has only lower-case letters" in done.stderr, command
    assert not list(project.rglob("broken"))
