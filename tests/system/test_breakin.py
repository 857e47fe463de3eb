"""Input that is made to break retain, in small numbers: `python -m tests.system.breakin`."""

import shutil
from pathlib import Path

import pytest

from retain.config import loader
from retain.errors import ParamsError

from .breakin import commands, kills, params, requests, tables
from .breakin.attempts import LONGEST, Outcome


def bad(attempts: list[tuple[str, Outcome]]) -> list[str]:
    """What broke, of attempts."""
    broken = ((n, end) for n, end in attempts if not end.good)
    return [f"{end.end}: {name}\n{end.detail[-500:]}" for name, end in broken]


def refusal(text: str, folder: Path) -> str:
    """What is said of a params.yaml; empty where it is accepted."""
    (folder / "params.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        loader.load(folder)
    except ParamsError as error:
        return str(error)
    return ""


def test_no_entry_of_params_has_a_traceback(tmp_path: Path) -> None:
    said = [refusal(params.text_of(entry), tmp_path) for entry, _ in params.drawn(40, 1)]
    assert max(map(len, said)) <= LONGEST
    assert 4 < said.count("") < 36  # else the drawn entries try nothing, or too much


@pytest.mark.parametrize("name", params.RAW)
def test_no_text_of_params_has_a_traceback(name: str, tmp_path: Path) -> None:
    assert len(refusal(params.RAW[name], tmp_path)) <= LONGEST


@pytest.mark.long
def test_no_table_has_a_traceback_or_no_answer() -> None:
    tables.warm()
    assert bad(list(tables.run(130))) == []


@pytest.mark.long
def test_no_request_breaks_the_server(finished: Path) -> None:
    found = list(requests.run(220, finished))
    assert len(found) == 220
    assert bad(found) == []


@pytest.mark.long
def test_no_command_has_a_traceback_or_no_answer(finished: Path, tmp_path: Path) -> None:
    found = list(commands.run(60, tmp_path, finished, seed=2))
    assert len(found) == 60
    assert bad(found) == []


@pytest.mark.long
def test_kills_while_dvc_writes_its_lock_are_mended(finished: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(finished, project, symlinks=True)
    assert bad(list(kills.of_the_lock(6, project))) == []
