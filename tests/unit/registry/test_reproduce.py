"""Which retain a model of a project is made anew with."""

import importlib.metadata
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from retain.errors import ProofError
from retain.project import fingerprint
from retain.project.git import Git
from retain.registry import reproduce
from retain.registry.provenance import Provenance

RECORDED, OTHER = "0.1.0 sha256 aa", "0.1.0 sha256 bb"


def model(retain: str) -> Provenance:
    tags = {"env.retain": retain} if retain else {}
    return Provenance("sales", "sales version 1", "c0ffee", "", {"a": "b"}, tags, {})


def test_another_wheel_than_was_recorded_is_refused(tmp_path: Path) -> None:
    def check(recorded: str, fresh: bool = False) -> None:
        reproduce._check_release(tmp_path, model(recorded), {"env.retain": OTHER}, fresh)

    check(OTHER)
    check("")  # of a run that did not record it
    with pytest.raises(ProofError, match="is installed: `retain prove --fresh`"):
        check(RECORDED)
    with pytest.raises(ProofError, match="the lock of that commit gives retain"):
        check(RECORDED, fresh=True)
    (tmp_path / "src/retain").mkdir(parents=True)  # a checkout, whose commit is what counts
    check(RECORDED)


@pytest.mark.parametrize(("entry", "tolerance"), [("", 0.01), ("prove: {tolerance: 0.2}", 0.2)])
def test_the_tolerance_is_that_of_the_commit(tmp_path: Path, entry: str, tolerance: float) -> None:
    (tmp_path / "params.yaml").write_text(f"problems:\n  sales:\n    kind: a\n    {entry}\n")
    assert reproduce._tolerance(tmp_path, "sales") == tolerance
    with pytest.raises(ProofError, match="no problem `visits` at that commit"):
        reproduce._tolerance(tmp_path, "visits")


TORCH = "torch==2+cpu \\\n    --hash=sha256:b\n    # via retain\n"
LOCK = f"numpy==1 \\\n    --hash=sha256:a\n{TORCH}urllib3==1\n"


@pytest.mark.parametrize("has_cpu", [True, False])
def test_a_fresh_environment_takes_what_is_locked_from_folders_of_wheels(
    tmp_path: Path, has_cpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[tuple[str, ...]] = []

    def run(_: Path, *command: str) -> str:
        commands.append(command)
        if command[-1] == ".venv/torch.lock" and not has_cpu:
            raise ProofError("no matching distribution")
        return ""

    monkeypatch.setattr(reproduce, "_run", run)
    for name in ("wheels", ".venv"):
        (tmp_path / name).mkdir()
    (tmp_path / "requirements.lock").write_text(LOCK)
    (tmp_path / "requirements-cuda.lock").touch()
    python = reproduce._fresh_python(tmp_path, [tmp_path / "wheels", tmp_path / "none"])
    installs = [command for command in commands if "pip" in command]
    files = [".venv/torch.lock", *["requirements-cuda.lock"] * (not has_cpu), ".venv/rest.lock"]
    assert [command[-1] for command in installs] == files
    assert all({"--no-deps", f"--find-links={tmp_path}/wheels"} <= {*c} for c in installs)
    assert {command[0] for command in installs} == {str(python)}
    assert (tmp_path / ".venv/rest.lock").read_text() == LOCK.replace(TORCH, "")


def test_a_project_in_a_folder_of_a_repository_is_checked_out_there(tmp_path: Path) -> None:
    project = tmp_path / "repository" / "energy"
    project.mkdir(parents=True)
    git = Git(project, "-c", "user.name=a", "-c", "user.email=a@b.c")
    git.run("init", "-q", str(project.parent))
    (project / "params.yaml").write_text("problems: {}")
    git.run("add", "-A")
    git.run("commit", "-q", "-m", "a project")
    recorded = replace(model(""), commit=git.run("rev-parse", "HEAD"))
    tree = reproduce._check_out(project, recorded, tmp_path / "tree")
    assert (tree / "params.yaml").read_text() == "problems: {}"


def test_a_library_that_an_old_lock_lacks_is_no_part_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def version(name: str) -> str:
        if name == "tokenizers":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(importlib.metadata, "version", version)
    tags = fingerprint.environment(1)
    assert tags["env.torch"] == "1"
    assert "env.tokenizers" not in tags


def test_an_environment_in_which_retain_does_not_run_is_said(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no module named pydantic >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(ProofError, match="no module named pydantic"):
        reproduce._environment(tmp_path, python, "1")
    assert "env.torch" in reproduce._environment(tmp_path, Path(sys.executable), "1")
