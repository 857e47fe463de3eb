"""What commands print keeps its figures whole, however narrow the terminal is."""

import doctest
from typing import Any

import pytest
from rich.table import Table
from typer.testing import CliRunner

from retain import __version__, cli
from retain.cli import printing
from retain.config import loader

REPORT = """\
| model | MAE | 80 % coverage | parameters | outcome |
| :--- | ---: | ---: | ---: | :--- |
| seasonal naive | 1234.567 | 80.25 % | 1,234,567 | {words} |
"""


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(printing).failed == 0


@pytest.mark.parametrize("columns", ["30", "60", "200"])
def test_a_report_s_figures_are_whole_and_its_words_wrap(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    printing.markdown(f"Words that {'wrap ' * 30}\n\n{REPORT.format(words='wrap ' * 30)}")
    printed = capsys.readouterr().out
    for figure in ("seasonal naive", "1234.567", "80.25 %", "1,234,567"):
        assert figure in printed
    assert "…" not in printed
    words = [line for line in printed.split("model")[0].splitlines() if line]
    assert max(map(len, words)) <= int(columns)
    assert max(map(len, printed.splitlines())) <= max(int(columns), 110)


def test_a_table_of_versions_is_not_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    shown = Table("model", box=None)
    shown.add_column("trained on", no_wrap=True)
    shown.add_row("small", "2024-01-01 00:00 to 2024-01-15 00:00")
    printing.table(shown)
    assert "2024-01-01 00:00 to 2024-01-15 00:00" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "more", "commands"),
    [
        ("forecast", {"horizon": 2, "context_length": 4}, ["retain forecast p -o forecast.csv"]),
        ("text", {}, ['retain complete p "…"']),
        ("chat", {"source": "folder"}, ["retain chat p"]),
    ],
)
def test_the_next_steps_are_those_of_the_kind(
    kind: str, more: dict[str, Any], commands: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    data = {"path": "a.csv", **more}
    problem = loader.parse("p", {"kind": kind, "preset": "fast", "data": data, "gate": []})
    printing.next_steps("p", problem)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("#")[0].strip() for line in lines[1:]] == [
        *commands,
        "retain serve p",
        "make ui",
    ]


def test_the_version_is_printed() -> None:
    assert CliRunner().invoke(cli.app, ["--version"]).output == f"retain {__version__}\n"


def test_no_two_options_of_a_command_have_the_same_help() -> None:
    from typer.main import get_command

    for name, command in get_command(cli.app).commands.items():  # type: ignore[attr-defined]
        helps = [param.help for param in command.params if getattr(param, "help", None)]
        if name != "add":
            assert len(set(helps)) == len(helps), name
