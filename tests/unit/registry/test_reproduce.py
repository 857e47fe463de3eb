"""Which retain a model of a project is made anew with."""

from pathlib import Path

import pytest

from retain.errors import ProofError
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
