"""Questions about a table: asked on a terminal, answered by --yes, or refused with the options."""

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from retain.cli import dialogue
from retain.errors import AmbiguousError, Choice, ParamsError, naming_options, setting

DAYS = (
    Choice("day first", {"time_format": "%d/%m/%Y"}),
    Choice("month first", {"time_format": "%m/%d/%Y"}),
)


def doubt(proposal: int | None = None) -> AmbiguousError:
    return AmbiguousError("t.csv: column `day`: '01/02/2020' may be two days", DAYS, proposal)


def ask(text: str, monkeypatch: pytest.MonkeyPatch, proposal: int | None = None) -> Any:
    """Answer a question on what counts as a terminal; return the settings, and what was shown."""
    monkeypatch.setattr(dialogue, "on_terminal", lambda: True)
    chosen: list[Any] = []
    app = typer.Typer()
    app.command()(lambda: chosen.append(dialogue.choose(doubt(proposal), yes=False)))
    result = CliRunner().invoke(app, [], input=text)
    return chosen, result.output


def test_the_error_names_an_option_for_each_reading() -> None:
    with naming_options():
        assert str(doubt()) == (
            "t.csv: column `day`: '01/02/2020' may be two days; say which:\n"
            "  --time-format %d/%m/%Y: day first\n"
            "  --time-format %m/%d/%Y: month first"
        )
    assert '\n  `time_format: "%d/%m/%Y"`: day first\n' in str(doubt())  # where no `add` runs


def test_an_option_is_written_as_a_shell_takes_it() -> None:
    choice = Choice("two", {"value_columns": ["a", "b c"], "ds_is_step": True})
    assert choice.options == "--value-column a --value-column 'b c' --ds-is-step"


def test_a_person_chooses_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, shown = ask("2\n", monkeypatch)
    assert chosen == [{"time_format": "%m/%d/%Y"}]
    assert "1  day first (--time-format %d/%m/%Y)" in shown
    chosen, shown = ask("3\nday\n1\n", monkeypatch)
    assert chosen == [{"time_format": "%d/%m/%Y"}]
    assert shown.count("Type one of 1, 2") == 2


def test_a_name_of_thousands_of_letters_is_not_printed_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "a" * 5000
    choices = [Choice(f"what `{name}` is", {"y": name}), Choice("another", {"y": "b"})]
    dialogue.choose(AmbiguousError(f"`{name}` is doubtful", choices, proposal=0), yes=True)
    assert 300 < len(capsys.readouterr().out) < 1500
    monkeypatch.setattr(dialogue, "on_terminal", lambda: True)
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: "1")
    dialogue.choose(AmbiguousError(f"`{name}` is doubtful", choices), yes=False)
    assert 300 < len(capsys.readouterr().out) < 1500


def test_the_proposal_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, shown = ask("\n", monkeypatch, proposal=1)
    assert chosen == [{"time_format": "%m/%d/%Y"}]
    assert "Number [2]" in shown


def test_yes_takes_a_proposal_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert dialogue.choose(doubt(0), yes=True) == {"time_format": "%d/%m/%Y"}
    assert "taken is --time-format %d/%m/%Y (day first)" in capsys.readouterr().out
    with pytest.raises(AmbiguousError):
        dialogue.choose(doubt(None), yes=True)


def test_where_nobody_can_be_asked_the_options_are_named() -> None:
    with pytest.raises(AmbiguousError, match="may be two days"):
        dialogue.choose(doubt(0), yes=False)
    with pytest.raises(ParamsError, match="say so with --yes"):
        dialogue.confirm("Remove sales?", yes=False, default=False)
    assert dialogue.confirm("Remove sales?", yes=True, default=False)


def test_settings_are_added_to_what_was_given() -> None:
    given = {"drop": ["a"], "y": "b"}
    assert dialogue.merged(given, {"drop": ["c"], "y": "d"}) == {"drop": ["a", "c"], "y": "d"}
    assert given == {"drop": ["a"], "y": "b"}


def test_a_remedy_is_a_key_or_an_option() -> None:
    assert setting("na_values", "n/a") == '`na_values: ["n/a"]`'
    assert setting("thousands", ".") == '`thousands: "."`'
    assert setting("ds_is_step", True) == "`ds_is_step: true`"
    with naming_options():
        assert setting("na_values", "n/a") == "`--na-value n/a`"
        assert setting("data.split.test") == "`--test`"
        assert setting("ds_is_step", True) == "`--ds-is-step`"
    assert setting("data.split.test") == "data.split.test"
