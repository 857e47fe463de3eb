"""`retain monitor`, and `--log` of the commands that forecast, where they are refused."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from retain.cli import app
from retain.errors import DataError, ParamsError

TEXT = "problems: {rhyme: {kind: text, data: {path: t.txt}, gate: [{check: finite}]}}\n"
SALES = """\
problems:
  sales:
    kind: forecast
    data: {path: t.csv, horizon: 2, context_length: 4}
    gate: [{check: finite}]
"""


def refusal(folder: Path, params: str, *words: str) -> BaseException | None:
    (folder / "dvc.yaml").write_text("stages: {}\n")
    (folder / "params.yaml").write_text(params)
    return CliRunner().invoke(app, [*words]).exception


def test_answers_that_are_never_known_to_be_right_are_not_monitored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    error = refusal(tmp_path, TEXT, "monitor", "rhyme", "--log", "log")
    assert isinstance(error, ParamsError)
    assert "problems.rhyme is of kind text" in str(error)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("monitor", "sales", "--log", "log"), "log has no folder sales"),
        (("monitor", "sales", "--log", "log", "--metrics", "m.txt"), "ends in .prom"),
        (("monitor", "sales", "--log", "log", "--page", "no/m.html"), "a folder that exists"),
        (("forecast", "sales", "--log", "log", "--log-limit", "much"), "such as 500MB or 30d"),
        (("serve", "sales", "--log", "log", "--log-limit", "0d"), "such as 500MB or 30d"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    error = refusal(tmp_path, SALES, *words)
    assert isinstance(error, DataError | ParamsError)
    assert sentence in str(error)
