"""The sample of `retain init --example`, installed from the wheel, is the sample of `make run`.

A stage is a function of what DVC records of it: its command, the md5 of its data, its lists of code
and its params. Where these are the same, so is metrics.json, byte for byte.
"""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from retain.config import loader
from retain.config.kind import STAGES, kind_of
from retain.project import code_deps
from retain.project.fingerprint import path_md5

from .conftest import REPOSITORY
from .test_wheel import Machine


def read(path: Path) -> dict[str, dict[str, dict[str, object]]]:
    return dict(YAML(typ="safe").load(path))


@pytest.mark.long
def test_every_stage_of_the_example_has_the_inputs_that_it_has_here(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.install(machine.build("0.1.0"))
    machine.run("retain", "init", machine.project.name, "--example", folder=tmp_path)
    project = machine.project

    ours, theirs = read(REPOSITORY / "params.yaml"), read(project / "params.yaml")
    assert theirs == ours
    stages, installed = read(REPOSITORY / "dvc.yaml"), read(project / "dvc.yaml")
    code = installed["stages"].pop("code"), stages["stages"].pop("code")
    assert installed == stages
    assert code[0]["do"]["cmd"] == code[1]["do"]["cmd"]  # its lists are what the others depend on

    for name, problem in loader.load(REPOSITORY).items():
        machine.run("python", "pipelines/code.py", name)
        for stage in STAGES:
            here = code_deps.code_list(REPOSITORY, kind_of(problem), stage, problem.settings(stage))
            assert (project / "data" / "code" / name / f"{stage}.txt").read_text() == here
            assert " retain/" in here
        path = problem.data.path
        assert path_md5(project / path) == path_md5(REPOSITORY / path) or path.endswith(".py")
