"""What params say of refit and of the cell that is judged, and which stage hears of it."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from retain.config import loader
from retain.errors import ParamsError

ROOT = Path(__file__).parents[3]
ENTRY: dict[str, Any] = {
    "kind": "forecast",
    "preset": "fast",
    "data": {"path": "sales.csv", "horizon": 28, "context_length": 56},
    "gate": [{"check": "finite"}],
}
RECALL = {
    "kind": "recall",
    "preset": "fast",
    "data": {"source": "copy", "path": "pipelines/prepare.py", "train_gaps": [1]},
    "gate": [],
}


def test_the_lstm_is_judged_and_refitted_where_params_say_nothing() -> None:
    problem = loader.parse("sales", ENTRY)
    assert (problem.refit, problem.register_cell) == (True, "lstm")
    said = {"refit": False, "register": "best"}
    problem = loader.parse("sales", ENTRY | said)
    assert (problem.refit, problem.register_cell) == (False, "best")
    for stage, heard in (("refit", True), ("evaluate", True), ("train", False), ("prepare", False)):
        assert (said.items() <= problem.settings(stage).items()) is heard


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (ENTRY | {"register": "rnn"}, "`problems.sales.register` is 'rnn': input should be"),
        (
            ENTRY | {"registr": "best"},
            "`problems.sales.registr`; did you mean `register`",
        ),
        (RECALL | {"register": "best"}, "a mean over learning rates, by which no cell is chosen"),
    ],
)
def test_a_mistake_about_it_is_named_by_its_key(entry: Any, said: str) -> None:
    with pytest.raises(ParamsError) as error:
        loader.parse("sales", entry)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (ENTRY | {"refit": False}, "params say refit: false"),
        (RECALL, "kind recall has no refit"),
    ],
)
def test_without_a_refit_the_stage_leaves_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: Any, why: str
) -> None:
    (tmp_path / "params.yaml").write_text(json.dumps({"problems": {"sales": entry}}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["refit.py", "sales"])
    runpy.run_path(str(ROOT / "pipelines" / "refit.py"))["main"]()
    assert (tmp_path / "models/sales/final/left-out.txt").read_text() == f"{why}\n"


def test_another_limit_of_drift_writes_the_report_anew() -> None:
    first, second, third = (
        loader.parse("sales", ENTRY | {"retrain": retrain})
        for retrain in ({"psi": 0.25}, {"psi": 0.5}, {"max_age": "30d"})
    )
    assert first.settings("evaluate") == third.settings("evaluate") != second.settings("evaluate")
    assert first.settings("train") == second.settings("train")
