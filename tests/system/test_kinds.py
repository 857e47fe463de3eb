"""A kind is a package and a line: a toy one and a recall problem go through all stages together."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from .conftest import commit, run, small_table, write_project

pytestmark = pytest.mark.long

PARAMS = """\
problems:
  toy:
    kind: toy
    preset: fast
    data: {path: data/raw/small.csv}
    model: {}
    training: {max_epochs: 2, cells: [lstm]}
    evaluation: {}
    gate: [{check: finite}, {check: at_least, metric: luck, value: 0.5}]

  key:
    kind: recall
    preset: fast
    data:
      source: copy
      path: pipelines/prepare.py
      train_gaps: [3, 20]
      test_gaps: [3, 20, 60]
      symbols: 3
      train: 2000
      validation: 40
      test: 60
    model: {hidden_size: 10, chrono: 100}
    training:
      cells: [lstm, rnn]
      learning_rates: {lstm: [0.03, 0.1], rnn: [0.003, 0.01]}
      batch_size: 16
      epoch_steps: 40
      max_epochs: 4
      seeds: 2
    evaluation: {bootstrap: 200}
    gate:
      - {check: finite}
      - {check: at_least, metric: memory_horizon, value: 60}
      - {check: beats_or_ties, baseline: rnn}
      - {check: champion}
"""
TOY = {
    "__init__.py": '"""A kind made by a test."""\n',
    "params.py": """
from typing import Literal
from retain.params import Problem as CommonProblem, Section

class Data(Section):
    path: str

class Problem(CommonProblem):
    kind: Literal["toy"]
    data: Data
    model: Section = Section()
    evaluation: Section = Section()
""",
    "prepare.py": """
def prepare(problem, root, folder):
    text = (root / problem.data.path).read_text()
    (folder / "lines.txt").write_text(str(text.count(chr(10))))
""",
    "task.py": """
import torch
from torch import nn
from retain.training import TrainingSetup

class Numbers:
    def __init__(self, count):
        self.x = torch.linspace(-1, 1, count).unsqueeze(1)
    def __len__(self):
        return len(self.x)
    def batch(self, numbers):
        return self.x[torch.from_numpy(numbers)]

def loss(network, batch):
    return (network(batch) - 2 * batch).square().sum(), torch.tensor(float(len(batch)))

def build(problem, prepared, cell):
    lines = int((prepared / "lines.txt").read_text())
    config = {"kind": "toy", "cell": cell, "lines": lines}
    return TrainingSetup(nn.Linear(1, 1), Numbers(lines), Numbers(8), loss), config

def calibrate(task):
    pass
""",
    "evaluate.py": """
from dataclasses import dataclass
import pandas as pd
from retain.toy import serving

@dataclass
class Evaluation:
    metrics: dict

    def plots(self):
        return {"toy": pd.DataFrame({"x": [1], "lstm": [2]})}

def evaluate(problem, prepared, folders):
    lines = serving.load(folders["lstm"]).config["lines"]
    models = {"lstm": {"luck": 0.75, "lines": lines, "not_finite": 0}}
    return Evaluation({"models": models, "differences": {}})
""",
    "summary.py": """
from retain.report import Check, Report

def report(name, problem, result, checks):
    own = tuple(Check(c.check, c.passed, c.sentence) for c in checks)
    return Report(name, "A toy.", all(c.passed for c in checks), own)
""",
    "serving.py": """
import json
from dataclasses import dataclass
import pandas as pd

@dataclass
class Predictor:
    config: dict

    def span(self):
        return "a toy's life"

    def columns(self):
        return ["x"]

    def example(self, prepared):
        return pd.DataFrame({"x": [1.0]})

    def answer(self, table):
        return pd.DataFrame({"y": 2 * table["x"]})

def load(folder):
    return Predictor(json.loads((folder / "config.json").read_text()))
""",
}


def add_toy(folder: Path) -> None:
    """The package, and the line that names it."""
    package = folder / "src" / "retain" / "toy"
    package.mkdir()
    for name, text in TOY.items():
        (package / name).write_text(text)
    table = folder / "src" / "retain" / "kinds.py"
    text = table.read_text()
    table.write_text(text.replace("KINDS = {\n", 'KINDS = {\n    "toy": "retain.toy",\n'))
    assert table.read_text() != text


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both problems, with the code of the project's own folder, after `dvc repro`."""
    place = tmp_path_factory.mktemp("kinds") / "project"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(place / "src"))
        folder = write_project(place, small_table(), PARAMS)
        add_toy(folder)
        run(folder, "dvc", "repro")
    commit(folder)
    return folder


@pytest.fixture
def own_code(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(project / "src"))
    return project


def read(folder: Path, name: str) -> dict[str, dict[str, dict[str, float]]]:
    content: dict[str, dict[str, dict[str, float]]] = json.loads((folder / name).read_text())
    return content


def test_a_toy_kind_goes_through_all_stages_without_touching_another_file(project: Path) -> None:
    metrics = read(project, "reports/toy/metrics.json")
    assert metrics["models"]["lstm"] == {"luck": 0.75, "lines": 941, "not_finite": 0}
    assert read(project, "reports/toy/verdict.json")["passed"]
    assert "A toy." in (project / "reports/toy/report.html").read_text()
    decision = read(project, "reports/toy/decision.json")
    assert "toy version 1 passed the gate and is @champion" in str(decision["sentence"])


def test_a_cell_that_is_not_asked_for_is_left_out_and_says_so(project: Path) -> None:
    for place in ("models/toy/rnn", "models/toy/gru", "models/key/gru"):
        (file,) = (project / place).iterdir()
        assert file.read_text() == "training.cells does not name this cell\n"


def test_a_recall_problem_leaves_what_every_problem_leaves(project: Path) -> None:
    models = read(project, "reports/key/metrics.json")["models"]
    assert list(models) == ["lstm", "rnn"]
    assert models["lstm"]["memory_horizon"] == 60
    assert models["rnn"]["parameters"] == pytest.approx(models["lstm"]["parameters"], rel=0.1)
    html = (project / "reports/key/report.html").read_text()
    assert html.count("<svg") == 4  # accuracy, gradients, gates, training
    assert "<script" not in html
    plots = {path.name for path in (project / "reports/key/plots").iterdir()}
    assert plots == {"accuracy_by_gap.csv", "look_back.csv", "training.csv"}
    decision = read(project, "reports/key/decision.json")
    assert "key version 1 passed the gate and is @champion" in str(decision["sentence"])


def test_everything_is_the_same_when_it_runs_again(own_code: Path) -> None:
    run(own_code, "dvc", "repro", "-f", "-s", "train@key-lstm", "evaluate@key", "register@key")
    assert run(own_code, "git", "status", "--porcelain").stdout == ""


def stages_run(folder: Path) -> list[str]:
    printed = run(folder, "dvc", "repro").stdout
    return re.findall(r"Running stage '(.*)'", printed)


def test_a_change_of_one_kind_runs_no_stage_of_another(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(project, folder)
    monkeypatch.setenv("PYTHONPATH", str(folder / "src"))
    with (folder / "src/retain/toy/evaluate.py").open("a") as file:
        file.write("# a thought\n")
    ran = stages_run(folder)
    assert sorted(ran[:2]) == ["code@key", "code@toy"]
    assert ran[2:] == ["evaluate@toy", "register@toy"]


def test_the_registered_model_answers_sequences(own_code: Path, tmp_path: Path) -> None:
    code = (
        "import mlflow, pandas as pd\n"
        f"mlflow.set_tracking_uri('sqlite:///{own_code}/mlruns/mlflow.db')\n"
        "model = mlflow.pyfunc.load_model('models:/key@champion')\n"
        "table = pd.DataFrame({'sequence': ['B a c ?', 'A b ?']})\n"
        f"model.predict(table).to_csv('{tmp_path}/answer.csv', index=False)\n"
    )
    run(tmp_path, "python", "-c", code)
    answer = pd.read_csv(tmp_path / "answer.csv")
    assert answer["answer"].tolist() == ["B", "A"]
    assert (answer["probability"] > 0.5).all()


def test_commands_say_what_they_can_do_with_a_kind(own_code: Path) -> None:
    asked = run(own_code, "retain", "ask", "key", "C a b ?").stdout
    assert re.match(r" *\d+\.\d %  C\n", asked)
    served = run(own_code, "retain", "serve", "toy", "--port", "0", code=2).stderr
    assert "`retain serve` cannot ask models of kind toy: ask toy version 1 with" in served
    forecast = run(own_code, "retain", "forecast", "key", code=2).stderr
    assert "problems.key is of kind recall: `retain ask key" in forecast
    wrong = run(own_code, "retain", "ask", "toy", "1", code=2).stderr
    assert "`retain ask` puts one sequence; problems.toy is of kind toy" in wrong
    assert run(own_code, "retain", "problems", "--kind", "recall").stdout == "key\n"
    assert run(own_code, "retain", "problems").stdout == "toy\nkey\n"
    assert "Memory horizon" in run(own_code, "retain", "results", "key").stdout


def test_plots_of_two_revisions_can_be_compared(own_code: Path, tmp_path: Path) -> None:
    drawn = run(own_code, "dvc", "plots", "diff", "HEAD", "-o", str(tmp_path / "plots"))
    assert "could not find" not in drawn.stderr
    assert "accuracy_by_gap" in (tmp_path / "plots" / "index.html").read_text()
