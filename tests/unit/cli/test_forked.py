"""Stages that are forked: which, and that they are what a process of their own would be."""

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from dvc.stage.exceptions import StageCmdFailedError
from ruamel.yaml import YAML

from retain.cli import forked
from retain.config import loader
from retain.engine import choice
from retain.project import code_deps, files
from retain.training.portable_cpu import NUMPY, TORCH

ENTRY = {
    "kind": "recall",
    "preset": "fast",
    "data": {"source": "copy", "path": "pipelines/prepare.py"},
    "gate": [{"check": "finite"}],
}
SCRIPT = """\
import os, sys
from pathlib import Path
words = [__name__, *sys.argv, os.environ["DVC_STAGE"], str(len(os.environ))]
Path("said").write_text(" ".join(words))
sys.exit(int(sys.argv[2]))
"""


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> forked._Stages:
    """Those of one problem; its libraries are not imported, but named in `imported`."""
    imported: list[str] = []
    monkeypatch.setattr(forked, "import_module", imported.append)
    monkeypatch.setattr(forked.empty_store, "create", lambda root: False)
    found = forked._Stages({"small": loader.parse("small", ENTRY)}, pinned=True)
    monkeypatch.setattr(found, "imported_names", imported, raising=False)
    return found


@pytest.mark.parametrize(
    ("command", "heavy"),
    [
        ("python pipelines/code.py code@small", False),
        ("python pipelines/prepare.py small", False),
        ("python pipelines/train.py train@small-lstm", True),
        ("python pipelines/train.py small lstm", True),
        ("python pipelines/register.py register@small", True),
    ],
)
def test_libraries_are_imported_before_the_first_stage_that_needs_them(
    stages: Any, command: str, heavy: bool
) -> None:
    words, label = command.split()[1:], command.split()[2]
    assert stages.script(command, "") == words
    if len(words) == 2:  # else a person gave the arguments, and there is no name of a stage
        assert stages.script(f'python {words[0]} "$DVC_STAGE"', label) == words
    assert ("mlflow" in stages.imported_names) == heavy
    stages.script(command, "")
    assert len(stages.imported_names) == len({*stages.imported_names})


def test_a_module_is_parsed_once_for_all_stages_and_not_looked_through_by_the_collector(
    stages: Any,
) -> None:
    stages.script("python pipelines/code.py small", "")
    parsed, frozen = code_deps._parse.cache_info(), gc.get_freeze_count()
    stages.script("python pipelines/train.py small lstm", "")
    after = code_deps._parse.cache_info()
    assert after.misses == parsed.misses
    assert after.hits > parsed.hits
    assert gc.get_freeze_count() > frozen
    assert gc.isenabled()
    gc.unfreeze()


def test_a_text_is_parsed_once_and_what_was_parsed_is_nobody_elses() -> None:
    calls: list[tuple[str, str]] = []

    def parse(text: str, path: str, typ: str = "safe") -> dict[str, list[str]]:
        calls.append((text, typ))
        if text == "wrong":
            raise ValueError(path)
        return {"read": [text]}

    parsed = forked._remembering(parse)
    parsed("a", "one")["read"].append("changed by its caller")
    assert parsed("a", "two") == {"read": ["a"]}
    assert parsed("b", "one") == {"read": ["b"]}
    parsed("a", "one", typ="rt")  # with comments: DVC writes it back
    assert calls == [("a", "safe"), ("b", "safe"), ("a", "rt")]
    for path in ("one", "two"):
        with pytest.raises(ValueError, match=path):
            parsed("wrong", path)


@pytest.mark.parametrize(
    "command", ["python pipelines/train.py other lstm", "echo small", "sh pipelines/x.sh small"]
)
def test_other_commands_are_started_as_dvc_does_without_what_was_pinned(
    stages: Any, command: str
) -> None:
    started: list[dict[str, str]] = []

    def start(executable: object, command: str, *, cwd: str, env: dict[str, str]) -> None:
        started.append(env)

    pins = dict.fromkeys([*NUMPY, *TORCH], "1")
    forked._run(
        start, stages, {"OMP_NUM_THREADS": "4"}, None, command, cwd=".", env=pins | {"A": "b"}
    )
    assert started == [{"A": "b", "OMP_NUM_THREADS": "4"}]


def test_prepare_is_not_forked_where_its_instructions_would_not_be_pinned() -> None:
    problems = {"small": loader.parse("small", ENTRY)}
    stages = forked._Stages(problems, pinned=False)
    assert stages.script('python pipelines/prepare.py "$DVC_STAGE"', "prepare@small") is None


@pytest.mark.parametrize("code", [0, 3])
def test_a_forked_stage_is_the_script_in_its_folder_and_environment(
    stages: Any, tmp_path: Path, code: int
) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "code.py").write_text(SCRIPT)
    command, here = f"python pipelines/code.py small {code}", Path.cwd()
    arguments = {"cwd": str(tmp_path), "env": {"DVC_STAGE": "code@small"}}
    if code:
        with pytest.raises(StageCmdFailedError, match="exited with 3"):
            forked._run(pytest.fail, stages, {}, None, command, **arguments)
    else:
        forked._run(pytest.fail, stages, {}, None, command, **arguments)
    assert (tmp_path / "said").read_text() == f"__main__ {command[7:]} code@small 1"
    assert Path.cwd() == here
    assert "DVC_STAGE" not in os.environ


PIPELINE = """\
stages:
  code:
    foreach: [b, a-b, c]
    do:
      cmd: sh first.sh ${item}
      outs:
        - first-${item}
  register:
    foreach: [b, a-b, c]
    do:
      cmd: sh meet.sh ${item}
      deps:
        - first-${item}
      outs:
        - out-${item}
"""
FIRST = 'case "$1" in b) sleep 0.5;; esac; echo "$RETAIN_ENGINE" > engine; echo "$1" > "first-$1"'
MEET = """\
touch "here-$1"
for n in $(seq 300); do
  [ -e here-b ] && [ -e here-a-b ] && echo "$1" > "out-$1" && exit 0
  sleep 0.1
done
exit 1
"""


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Problems of which the first two wait for each other."""
    from dvc.repo import Repo

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_NO_ANALYTICS", "true")
    Repo.init(no_scm=True)
    for name, text in {"dvc.yaml": PIPELINE, "first.sh": FIRST, "meet.sh": MEET}.items():
        Path(name).write_text(text)
    return dict.fromkeys(("b", "a-b", "c"), loader.parse("small", ENTRY))


def test_problems_run_at_once_and_leave_the_lock_that_one_after_another_leave(three: Any) -> None:
    assert forked.run(three, [], choice.parse("local:5", "")) == 0
    assert Path("engine").read_text() == "local:1\n"  # of five processes, three have a problem
    at_once = YAML(typ="safe").load(Path("dvc.lock"))
    assert len(at_once["stages"]) == 6
    for file in ("dvc.lock", *Path().glob("first-*"), *Path().glob("out-*")):
        Path(file).unlink()
    assert forked.run(three, [], choice.parse("local", "")) == 0
    assert YAML(typ="safe").load(Path("dvc.lock")) == at_once  # DVC's order is any


AT_ONCE = """\
import os, time
from retain import errors
from retain.cli import forked
from retain.engine.choice import Engine
forked.repro = lambda *words: (os.write(1, b"%d\\n" % os.getpid()), time.sleep(60))
errors.run(lambda: forked.run({"a": None, "b": None}, [], Engine("local", 2)))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_problems_at_once_end_with_their_command(number: int) -> None:
    if number == signal.SIGKILL and sys.platform != "linux":
        pytest.skip("only Linux tells a process of its parent's end")
    words, pipe = [sys.executable, "-c", AT_ONCE], subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True) as command:
        assert command.stdout is not None
        problems = [psutil.Process(int(command.stdout.readline())) for _ in range(2)]
        command.send_signal(number)
        try:
            said = command.communicate(timeout=20)[1]  # the problems have the pipe open, too
        finally:
            for process in problems:
                if process.is_running():
                    process.kill()
    assert command.returncode == (143 if number == signal.SIGTERM else -number)
    assert "Traceback" not in said


def test_after_a_problem_that_fails_no_other_begins(
    three: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def repro(problems: Any, options: list[str], *of_dvc: str) -> int:
        (name,) = problems
        if name == "b":  # until the other was seen to end
            while not Path("failed").exists() or psutil.pid_exists(int(Path("failed").read_text())):
                time.sleep(0.01)
        elif name == "a-b":
            files.write_text(Path("failed"), str(os.getpid()))
        Path(f"out-{name}").touch()
        return 3 * (name == "a-b")

    monkeypatch.setattr(forked, "repro", repro)
    assert forked.run(three, [], choice.parse("local:2", "")) == 3
    assert {path.name for path in Path().glob("out-*")} == {"out-b", "out-a-b"}
