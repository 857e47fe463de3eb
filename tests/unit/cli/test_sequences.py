"""Options of the commands for texts that would run for hours, or draw what no model has."""

import pytest
from typer.testing import CliRunner

from retain.cli import app


@pytest.mark.parametrize(
    ("option", "value"),
    [("--length", "100001"), ("--temperature", "inf"), ("--temperature", "nan")],
)
def test_what_no_continuation_can_have_is_refused(option: str, value: str) -> None:
    answer = CliRunner().invoke(app, ["complete", "rhyme", "the cat", option, value])
    assert answer.exit_code == 2
    assert f"Invalid value for '{option}'" in answer.output
