"""A kind is a package: one of somebody else's goes through all stages beside a recall problem."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from .conftest import (
    REPOSITORY,
    commit,
    make_once,
    put_store,
    run,
    small_table,
    write_project,
)

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
LITTLE = ("epoch_steps: 40\n      max_epochs: 4", "epoch_steps: 2\n      max_epochs: 1")
LEARNED = "      - {check: at_least, metric: memory_horizon, value: 60}\n"
TOY = REPOSITORY / "tests" / "fixtures" / "toy_kind"  # as pip would install it


def make_project(folder: Path, params: str) -> None:
    """Both problems, after `dvc repro`; the toy's package is found from outside the project."""
    write_project(folder, small_table(), params)
    put_store(folder)
    run(folder, "dvc", "repro", PYTHONPATH=str(TOY))
    commit(folder)


def make_hasty(folder: Path) -> None:
    """The same, where nothing is learned."""
    assert LITTLE[0] in PARAMS
    assert LEARNED in PARAMS
    make_project(folder, PARAMS.replace(*LITTLE).replace(LEARNED, ""))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_once(tmp_path_factory, "kinds", make_hasty)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_once(tmp_path_factory, "learned", lambda folder: make_project(folder, PARAMS))


@pytest.fixture(autouse=True)
def _toy_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TOY))


def read(folder: Path, name: str) -> dict[str, dict[str, dict[str, float]]]:
    content: dict[str, dict[str, dict[str, float]]] = json.loads((folder / name).read_text())
    return content


def test_a_kind_of_another_package_goes_through_all_stages(project: Path) -> None:
    metrics = read(project, "reports/toy/metrics.json")
    assert metrics["models"]["lstm"] == {"luck": 0.75, "lines": 941, "not_finite": 0}
    assert read(project, "reports/toy/verdict.json")["passed"]
    assert "A toy." in (project / "reports/toy/report.html").read_text()
    decision = read(project, "reports/toy/decision.json")
    assert "toy version 1 passed the gate and is @champion" in str(decision["sentence"])
    assert "toy_kind/training.py\n" in (project / "data/code/toy/train.txt").read_text()


def test_a_cell_that_is_not_asked_for_is_left_out_and_says_so(project: Path) -> None:
    for place in ("models/toy/rnn", "models/toy/gru", "models/key/gru"):
        (file,) = (project / place).iterdir()
        assert file.read_text() == "training.cells does not name this cell\n"


def test_a_recall_problem_leaves_what_every_problem_leaves(project: Path) -> None:
    models = read(project, "reports/key/metrics.json")["models"]
    assert list(models) == ["lstm", "rnn"]
    assert models["rnn"]["parameters"] == pytest.approx(models["lstm"]["parameters"], rel=0.1)
    html = (project / "reports/key/report.html").read_text()
    assert html.count("<svg") == 4  # accuracy, gradients, gates, training
    assert "<script" not in html
    plots = {path.name for path in (project / "reports/key/plots").iterdir()}
    assert plots == {"accuracy_by_gap.csv", "look_back.csv", "training.csv"}


@pytest.mark.long
def test_a_recall_problem_learns_and_passes_its_gate(learned: Path) -> None:
    models = read(learned, "reports/key/metrics.json")["models"]
    assert models["lstm"]["memory_horizon"] == 60
    decision = read(learned, "reports/key/decision.json")
    assert "key version 1 passed the gate and is @champion" in str(decision["sentence"])


@pytest.mark.long
def test_everything_is_the_same_when_it_runs_again(learned: Path, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    shutil.copytree(learned, folder)
    run(folder, "dvc", "repro", "-f", "-s", "train@key-lstm", "evaluate@key", "register@key")
    assert run(folder, "git", "status", "--porcelain").stdout == ""


@pytest.mark.long
def test_a_change_of_one_kind_runs_no_stage_of_another(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, package = tmp_path / "changed", tmp_path / "site"
    shutil.copytree(project, folder)
    shutil.copytree(TOY, package)
    module = package / "toy_kind" / "evaluation.py"
    module.write_text(module.read_text().replace('"x": [1]', '"x": [2]'))
    monkeypatch.setenv("PYTHONPATH", str(package))
    run(folder, "dvc", "repro", "-f", "-s", "code@toy")  # DVC watches no other package
    printed = run(folder, "dvc", "repro").stdout
    assert re.findall(r"Running stage '(.*)'", printed) == ["evaluate@toy", "register@toy"]


@pytest.mark.long
def test_a_kind_in_a_folder_of_the_project_is_tracked_as_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH")
    toy = PARAMS.partition("  key:")[0]
    folder = write_project(tmp_path / "own", small_table(), f"plugins: own kinds\n{toy}")
    shutil.copytree(TOY / "toy_kind", folder / "own kinds" / "toy_kind")
    refused = run(folder, "dvc", "repro", code=None)
    assert "`retain run` adds the line `- own kinds`" in refused.stdout + refused.stderr
    assert "depends on own kinds now; commit it" in run(folder, "retain", "run").stdout
    assert "toy_kind/training.py\n" in (folder / "data/code/toy/train.txt").read_text()
    module = folder / "own kinds" / "toy_kind" / "evaluation.py"
    module.write_text(module.read_text().replace('"x": [1]', '"x": [2]'))
    printed = run(folder, "dvc", "repro").stdout
    stages = re.findall(r"Running stage '(.*)'", printed)
    assert stages == ["code@toy", "evaluate@toy", "register@toy"]
    code = (
        "import mlflow, pandas as pd\n"
        f"mlflow.set_tracking_uri('sqlite:///{folder}/mlruns/mlflow.db')\n"
        "model = mlflow.pyfunc.load_model('models:/toy@champion')\n"
        "print(model.predict(pd.DataFrame({'x': [2.0]}))['y'].item())\n"
    )
    assert run(tmp_path, "python", "-c", code).stdout.strip() == "4.0"
    assert "are those of manifest.json" in run(folder, "retain", "verify", "toy").stdout


@pytest.mark.long
def test_the_registered_model_answers_sequences(learned: Path, tmp_path: Path) -> None:
    code = (
        "import mlflow, pandas as pd\n"
        f"mlflow.set_tracking_uri('sqlite:///{learned}/mlruns/mlflow.db')\n"
        "model = mlflow.pyfunc.load_model('models:/key@champion')\n"
        "table = pd.DataFrame({'sequence': ['B a c ?', 'A b ?']})\n"
        f"model.predict(table).to_csv('{tmp_path}/answer.csv', index=False)\n"
    )
    run(tmp_path, "python", "-c", code)
    answer = pd.read_csv(tmp_path / "answer.csv")
    assert answer["answer"].tolist() == ["B", "A"]
    assert (answer["probability"] > 0.5).all()


def test_commands_say_what_they_can_do_with_a_kind(project: Path) -> None:
    asked = run(project, "retain", "ask", "key", "C a b ?").stdout
    assert re.match(r" *\d+\.\d %  [ABC]\n", asked)
    served = run(project, "retain", "serve", "toy", "--port", "0", code=2).stderr
    assert "`retain serve` cannot ask models of kind toy: ask toy version 1 with" in served
    forecast = run(project, "retain", "forecast", "key", code=2).stderr
    assert "problems.key is of kind recall: `retain ask key" in forecast
    wrong = run(project, "retain", "ask", "toy", "1", code=2).stderr
    assert "`retain ask` puts one sequence; problems.toy is of kind toy" in wrong
    assert run(project, "retain", "problems", "--kind", "recall").stdout == "key\n"
    assert run(project, "retain", "problems").stdout == "toy\nkey\n"
    assert "Memory horizon" in run(project, "retain", "results", "key").stdout


def test_plots_of_two_revisions_can_be_compared(project: Path, tmp_path: Path) -> None:
    drawn = run(project, "dvc", "plots", "diff", "HEAD", "-o", str(tmp_path / "plots"))
    assert "could not find" not in drawn.stderr
    assert "accuracy_by_gap" in (tmp_path / "plots" / "index.html").read_text()
