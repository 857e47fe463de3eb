"""Parts are done once, in any process, in order, and a lost worker costs one of them."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from retain import engine
from retain.engine import choice, command, mapping, processes
from retain.engine.mapping import Job, Part
from retain.errors import DataError, ParamsError, RetainError

FUNCTIONS = """\
import os, signal
from pathlib import Path
from retain.errors import DataError

def square(out, number, log, bad=()):
    with open(log, "a") as file:
        file.write(f"{number} {os.getpid()}\\n")
    if number in bad:
        raise DataError(f"row {number}: no number")
    out.write_text(str(number ** 2))

def killed_once(out, number, log):
    if not Path(log).exists():
        Path(log).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    out.write_text(str(number ** 2))

def killed(out):
    os.kill(os.getpid(), signal.SIGKILL)

def defect(out):
    return 1 / 0

def folder(out, number):
    out.mkdir()
    (out / "a").write_text(str(number))

def nothing(out):
    pass
"""


@pytest.fixture(autouse=True)
def _functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "engine_functions.py").write_text(FUNCTIONS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("RETAIN_ENGINE", raising=False)
    monkeypatch.setattr(choice, "settings_file", lambda: tmp_path / "settings.yaml")
    monkeypatch.setattr(command, "OWN", "", raising=False)
    yield
    sys.modules.pop("engine_functions", None)
    for pool in processes._KEPT.values():
        pool.close()
    processes._KEPT.clear()


def job(tmp_path: Path) -> Job:
    return Job("evaluate", "shop", tmp_path)


def squares(tmp_path: Path, count: int = 6, **keys: object) -> list[Part]:
    folder = job(tmp_path).folder({"count": count})
    log = {"log": str(tmp_path / "log")}
    return [Part(folder / f"{n}.txt", {"number": n, **log, **keys}) for n in range(count)]


def calls(tmp_path: Path) -> list[str]:
    log = tmp_path / "log"
    return sorted(line.split()[0] for line in log.read_text().splitlines()) if log.exists() else []


@pytest.mark.parametrize("chosen", ["local", "local:2"])
def test_outputs_come_in_the_order_of_the_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    monkeypatch.setenv("RETAIN_ENGINE", chosen)
    outputs = list(engine.map("engine_functions:square", squares(tmp_path), job(tmp_path)))
    assert [path.read_text() for path in outputs] == ["0", "1", "4", "9", "16", "25"]
    of_others = {line.split()[1] for line in (tmp_path / "log").read_text().splitlines()} - {
        str(os.getpid())
    }
    assert bool(of_others) == (chosen != "local")
    assert not list(outputs[0].parent.glob(".*"))


def test_what_is_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETAIN_ENGINE", "local:2")
    parts = squares(tmp_path, 4)
    parts[2].output.write_text("done before")
    outputs = [
        path.read_text() for path in engine.map("engine_functions:square", parts, job(tmp_path))
    ]
    assert outputs == ["0", "1", "done before", "9"]
    assert calls(tmp_path) == ["0", "1", "3"]


def test_one_part_needs_no_other_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETAIN_ENGINE", "local:2")
    list(engine.map("engine_functions:square", squares(tmp_path, 1), job(tmp_path)))
    assert (tmp_path / "log").read_text() == f"0 {os.getpid()}\n"


def test_a_lost_worker_costs_one_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETAIN_ENGINE", "local:2")
    outputs = engine.map("engine_functions:killed_once", squares(tmp_path), job(tmp_path))
    assert [path.read_text() for path in outputs] == ["0", "1", "4", "9", "16", "25"]


def test_a_part_that_ends_every_worker_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETAIN_ENGINE", "local:2")
    folder = job(tmp_path).folder({})
    parts = [Part(folder / name) for name in ("a", "b")]
    with pytest.raises(
        RetainError, match=r"part 1 of evaluate of shop ended 3 times \(exit code -9"
    ):
        list(engine.map("engine_functions:killed", parts, job(tmp_path)))
    assert not processes._KEPT


@pytest.mark.parametrize("chosen", ["local", "local:2"])
def test_the_earliest_error_is_raised_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    monkeypatch.setenv("RETAIN_ENGINE", chosen)
    outputs = engine.map("engine_functions:square", squares(tmp_path, bad=[3, 1]), job(tmp_path))
    assert next(outputs).read_text() == "0"
    with pytest.raises(DataError, match=r"^row 1: no number$"):
        next(outputs)


def test_an_error_of_the_caller_comes_after_the_parts_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parts(good: int) -> Iterator[Part]:
        yield from squares(tmp_path)[:good]
        raise DataError("the table ends")

    for chosen in ("local", "local:2"):
        monkeypatch.setenv("RETAIN_ENGINE", chosen)
        for good in (1, 3):
            outputs = engine.map("engine_functions:square", parts(good), job(tmp_path))
            assert [next(outputs).read_text() for _ in range(good)] == ["0", "1", "4"][:good]
            with pytest.raises(DataError, match="the table ends"):
                next(outputs)


def test_a_defect_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETAIN_ENGINE", "local:2")
    folder = job(tmp_path).folder({})
    with pytest.raises(RuntimeError, match="return 1 / 0"):
        list(engine.map("engine_functions:defect", [Part(folder / n) for n in "ab"], job(tmp_path)))


def test_an_output_may_be_a_folder_that_another_worker_has_made(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def late(scratch: Path) -> None:
        scratch.mkdir()
        out.mkdir()
        (out / "a").write_text("of another")

    mapping.write(out, late)
    assert (out / "a").read_text() == "of another"
    assert [path.name for path in tmp_path.glob("*out*")] == ["out"]


def test_a_part_must_write_something(tmp_path: Path) -> None:
    with pytest.raises(RetainError, match="wrote nothing"):
        list(engine.map("engine_functions:nothing", [Part(tmp_path / "a")], job(tmp_path)))


def test_parts_of_other_data_go(tmp_path: Path) -> None:
    old = squares(tmp_path, 3)[0].output.parent
    new = squares(tmp_path, 4)[0].output.parent
    assert (old.exists(), new.exists()) == (False, True)
    other = Job("evaluate", "shop-2", tmp_path).folder({})
    assert Job("evaluate", "shop", tmp_path).folder({"count": 4}).parent == other.parent
    assert other.exists()


def test_a_worker_that_does_not_see_the_project_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETAIN_ENGINE", "local:2")
    parts = [Part(tmp_path / "away" / name) for name in "ab"]
    with pytest.raises(RetainError, match=rf"^node .* does not see {tmp_path}/away; every node"):
        list(engine.map("engine_functions:defect", parts, job(tmp_path)))


def test_shares_do_the_parts_and_the_same_stage_collects_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETAIN_ENGINE", "command:2")
    parts = squares(tmp_path, 5)
    with pytest.raises(RetainError) as stop:
        list(engine.map("engine_functions:square", parts, job(tmp_path)))
    lines = str(stop.value).splitlines()
    assert "5 parts are missing (0.txt, 1.txt" in lines[0]
    assert [line.strip() for line in lines[1:]] == [
        f"retain stage evaluate shop --part {n}/2" for n in (1, 2)
    ]
    assert command.do_share(tmp_path, "evaluate", "shop", "1/2") == (3, 3)
    assert command.do_share(tmp_path, "evaluate", "shop", "1/2") == (0, 3)
    with pytest.raises(RetainError, match=r"2 parts are missing \(1.txt, 3.txt\)"):
        list(engine.map("engine_functions:square", parts, job(tmp_path)))
    command.do_share(tmp_path, "evaluate", "shop", "1/1")
    outputs = list(engine.map("engine_functions:square", parts, job(tmp_path)))
    assert [path.read_text() for path in outputs] == ["0", "1", "4", "9", "16"]
    with pytest.raises(RetainError, match="nothing of evaluate of shop is waiting"):
        command.do_share(tmp_path, "evaluate", "shop", "1/2")


def test_a_template_starts_the_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share = (
        "import sys; from pathlib import Path; from retain.engine import command; "
        "command.OWN = ''; "
        "command.do_share(Path(), *sys.argv[3:5], sys.argv[6])"
    )
    monkeypatch.setenv("RETAIN_ENGINE", "command:2")
    monkeypatch.setenv("RETAIN_COMMAND", f"{sys.executable} -c {shlex.quote(share)} {{command}}")
    outputs = engine.map("engine_functions:square", squares(tmp_path, 3), job(tmp_path))
    assert [path.read_text() for path in outputs] == ["0", "1", "4"]
    monkeypatch.setenv("RETAIN_COMMAND", "false {command}")
    with pytest.raises(RetainError, match=r"`retain stage .* 1/2` ended with 1"):
        list(engine.map("engine_functions:square", squares(tmp_path, 2), job(tmp_path)))
    monkeypatch.setenv("RETAIN_COMMAND", "true {command}")
    with pytest.raises(RetainError, match=r"and 2 parts are missing \(0.txt, 1.txt\)"):
        list(engine.map("engine_functions:square", squares(tmp_path, 2), job(tmp_path)))
    monkeypatch.setenv("RETAIN_COMMAND", "srun")
    with pytest.raises(ParamsError, match=r"has no \{command\}"):
        list(engine.map("engine_functions:square", squares(tmp_path, 2), job(tmp_path)))
    monkeypatch.setenv("RETAIN_COMMAND", "srun --wrap='{command}")
    with pytest.raises(ParamsError, match="cannot be cut into words: No closing quotation"):
        list(engine.map("engine_functions:square", squares(tmp_path, 2), job(tmp_path)))


def test_commands_that_are_left_have_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "GRACE", 0.1, raising=False)
    started = list[subprocess.Popen[bytes]]()

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, words: list[str], **keys: Any):
            if started:
                raise OSError("no more processes")
            # one that ignores the request to end, once it is seen to have begun
            super().__init__(["sh", "-c", "trap '' TERM; echo; exec sleep 60"], stdout=-1, **keys)
            assert self.stdout is not None
            self.stdout.readline()
            started.append(self)

    monkeypatch.setattr(command.subprocess, "Popen", Popen)
    monkeypatch.setenv("RETAIN_ENGINE", "command:2")
    monkeypatch.setenv("RETAIN_COMMAND", "srun {command}")
    with pytest.raises(RetainError, match="cannot be started: no more processes"):
        list(engine.map("engine_functions:square", squares(tmp_path, 2), job(tmp_path)))
    code = started[0].returncode  # what was known when the map ended
    started[0].kill()
    started[0].communicate()
    assert code == -signal.SIGKILL


@pytest.mark.parametrize(
    ("stage", "name", "message"),
    [
        ("../../x", "shop", "no stage `../../x` is done in parts"),
        ("evaluat", "shop", "did you mean `evaluate`?"),
        ("train", "shop", "no stage `train`"),
        ("evaluate", "../shop", "'../shop' is no name of a problem or an output"),
    ],
)
def test_words_of_a_share_name_no_other_file(
    tmp_path: Path, stage: str, name: str, message: str
) -> None:
    with pytest.raises(ParamsError, match=re.escape(message)):
        command.do_share(tmp_path, stage, name, "1/2")


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"function": "os:abort", "environment": {}, "parts": []},
        {"function": "retain.x:y", "environment": {"A": 1}, "parts": []},
        {"function": "retain.x:y", "environment": {"OMP_X": "\0"}, "parts": []},
        {"function": "retain.x:y", "environment": {"PATH": "/x"}, "parts": []},
        {"function": "retain.x:y", "environment": {"OMP_=": "1"}, "parts": []},
        {"function": "retain.x:y", "environment": {}, "parts": [{"output": "/x"}]},
        {"function": "retain.x:y", "environment": {}, "parts": [{"output": 1, "arguments": {}}]},
        {"function": "retain.x:y", "environment": {}, "parts": [{"output": "/x", "arguments": []}]},
        {"function": "retain.x:y", "environment": {}, "parts": [{"output": "\0", "arguments": {}}]},
    ],
)
def test_a_damaged_list_of_parts_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object
) -> None:
    monkeypatch.setattr(command, "OWN", "retain.", raising=False)
    file = tmp_path / "scratch" / "parts" / "evaluate-shop.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(content))
    with pytest.raises(RetainError, match=r"evaluate-shop\.json is damaged.*--engine command"):
        command.do_share(tmp_path, "evaluate", "shop", "1/1")


@pytest.mark.parametrize("share", ["0/2", "3/2", "1", "a/b", "1/2/3", "", "x" * 9999])
def test_a_share_that_there_is_not_is_an_error(tmp_path: Path, share: str) -> None:
    with pytest.raises(ParamsError, match="expected a share such as 1/8") as raised:
        command.do_share(tmp_path, "evaluate", "shop", share)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rey", "RETAIN_ENGINE is 'rey': expected local, .*; did you mean `ray`?"),
        ("local:0", "RETAIN_ENGINE is 'local:0'"),
        ("local:9999", "at most 4,096"),
        ("ray:2", "RETAIN_ENGINE is 'ray:2'"),
        ("local:-1", "RETAIN_ENGINE is 'local:-1'"),
    ],
)
def test_an_engine_that_there_is_not_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.setenv("RETAIN_ENGINE", text)
    with pytest.raises(ParamsError, match=message):
        choice.chosen()


def test_the_settings_of_the_user_choose_where_the_variable_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert engine.in_process()
    (tmp_path / "settings.yaml").write_text("engine: command:4\ncommand: srun {command}\n")
    assert choice.chosen() == choice.Engine("command", 4, "srun {command}")
    monkeypatch.setenv("RETAIN_ENGINE", "local:2")
    assert choice.chosen() == choice.Engine("local", 2)
    monkeypatch.delenv("RETAIN_ENGINE")
    for text, message in (
        ("engin: ray", "unknown key `engin`; did you mean `engine`?"),
        ("engine: 2", "`engine` is 2; expected a text"),
        ("[ray]", "expected a mapping"),
        ("engine: [", "is not valid YAML"),
        ("engine: rays", "settings.yaml is 'rays'"),
    ):
        (tmp_path / "settings.yaml").write_text(text)
        with pytest.raises(ParamsError, match=message.replace("[", r"\[").replace("?", r"\?")):
            choice.chosen()


def test_arguments_are_json(tmp_path: Path) -> None:
    for part in squares(tmp_path):
        assert json.loads(json.dumps(part.arguments)) == part.arguments
