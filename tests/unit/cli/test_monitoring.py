"""`retain monitor`, and `--log` of the commands that forecast, where they are refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from retain.cli import app, forecast_log, predict
from retain.config.monitoring import LogLimit
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
        (("monitor", "sales", "--log", "log", "--metrics", "folder.prom"), "ends in .prom"),
        (("forecast", "sales", "--log", "log", "--log-limit", "much"), "such as 500MB or 30d"),
        (("serve", "sales", "--log", "log", "--log-limit", "0d"), "such as 500MB or 30d"),
        (("forecast", "sales", "--log-limit", "30d"), "name its folder with --log"),
        (("serve", "sales", "--log-limit", "30d"), "name its folder with --log"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    # This process has NumPy already, with whatever kernels.
    monkeypatch.setattr("retain.training.portable_cpu.pin_cpu_kernels", lambda mode: None)
    (tmp_path / "folder.prom").mkdir()
    error = refusal(tmp_path, SALES, *words)
    assert isinstance(error, DataError | ParamsError)
    assert sentence in str(error)


def test_what_the_inputs_have_lost_is_printed_before_the_notes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("retain.training.portable_cpu.pin_cpu_kernels", lambda mode: None)
    inputs = {"worse": ["column `price` has no value"], "notes": ["of the inputs"]}
    content: dict[str, Any] = {"notes": ["of the log"], "inputs": inputs}
    found = SimpleNamespace(content=lambda: content, tables=list)
    monkeypatch.setattr("retain.retraining.live.monitor", lambda *words: found)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text(SALES)
    said = CliRunner().invoke(app, ["monitor", "sales", "--log", "log"]).output
    assert said == (
        "\nworse inputs: column `price` has no value\n\nnote: of the log\n\nnote: of the inputs\n"
    )
    content["inputs"] = None
    said = CliRunner().invoke(app, ["monitor", "sales", "--log", "log"]).output
    assert said == "\nnote: of the log\n"


@pytest.mark.parametrize("output", ["f.csv", "parts"])
def test_a_log_that_cannot_be_written_takes_nobody_his_forecast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found = SimpleNamespace(
        table=pd.DataFrame({"ds": [1], "mean": [2.5]}), series=1, done_before=0, noted=0,
        unknown={}, messages=[], left_out={"b": "short"},
    )  # fmt: skip

    @contextmanager
    def model_folder(*words: Any) -> Iterator[Path]:
        yield tmp_path

    def keeper(*words: Any) -> Any:
        assert LogLimit() == (forecast_log.place(tmp_path, "sales", words[-1]) or [""])[-1]

        def keep(model: Path, made: object) -> None:
            raise DataError("--log log cannot be written")

        return keep

    monkeypatch.setattr(predict, "model_folder", model_folder)
    monkeypatch.setattr(predict, "require", lambda part, text: lambda *words: found)
    monkeypatch.setattr(forecast_log, "keeper", keeper)
    error = refusal(tmp_path, SALES, "forecast", "sales", "--log", "log", "-o", output)
    assert "--log log cannot be written" in str(error)
    assert (tmp_path / output).with_suffix(".left-out.csv").is_file()
    if output == "f.csv":
        assert (tmp_path / output).read_text() == "ds,mean\n1,2.5\n"
