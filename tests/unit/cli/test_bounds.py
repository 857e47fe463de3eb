"""Options and variables with values that no command can use."""

import pytest
from typer.testing import CliRunner

from retain import cli, errors
from retain.cli import app


@pytest.mark.parametrize(
    ("option", "value"),
    [("--length", "100001"), ("--temperature", "inf"), ("--temperature", "nan")],
)
def test_what_no_continuation_can_have_is_refused(option: str, value: str) -> None:
    answer = CliRunner().invoke(app, ["complete", "rhyme", "the cat", option, value])
    assert answer.exit_code == 2
    assert f"Invalid value for '{option}'" in answer.output


def test_an_address_of_the_store_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cli._TRACKING_URI, "http://[")
    with pytest.raises(errors.ParamsError, match=r"MLFLOW_TRACKING_URI is 'http://\[', which is"):
        cli._run()
