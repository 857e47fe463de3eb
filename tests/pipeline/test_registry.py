"""Which model gets which alias, on a real store, with models that were never trained."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from retain import gate, params, registry, store
from retain.gate import Result

PASSED = [Result("finite", True, "every forecast is finite", {})]
FAILED = [Result("coverage", False, "the 80 % interval covers 10 %", {})]


@pytest.fixture(scope="module")
def template(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with prepared data and a model, and an empty store whose tables are made."""
    folder = tmp_path_factory.mktemp("registry") / "project"
    for name in ("data/prepared", "models", "reports"):
        shutil.copytree(finished / name, folder / name)
    shutil.copy(finished / "params.yaml", folder / "params.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DVC_ROOT", raising=False)
        store.connect(folder)
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(template, folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(folder)
    return folder


def register(folder: Path, checks: list[Result] = PASSED) -> registry.Decision:
    metrics = json.loads((folder / "reports/small/metrics.json").read_text())
    problem = params.load_problem(folder, "small")
    return registry.register(folder, "small", problem, metrics, checks)


def alias(folder: Path, name: str) -> str | None:
    version = registry.alias_version(store.connect(folder), "small", name)
    return None if version is None else str(version.version)


@pytest.fixture
def change(project: Path) -> Callable[[float], None]:
    """Makes another model of the LSTM: the weights of its heads times a factor."""
    from safetensors.torch import load_file, save_file

    path = project / "models/small/lstm/weights.safetensors"
    trained = load_file(path)

    def scaled(factor: float) -> None:
        heads = {name: w * factor for name, w in trained.items() if ".head." in name}
        save_file(trained | heads, path)

    return scaled


def test_a_model_that_passes_is_champion_and_one_that_fails_is_challenger(project: Path) -> None:
    decision = register(project, FAILED)
    assert (decision.alias, alias(project, "champion"), alias(project, "challenger")) == (
        "challenger",
        None,
        "1",
    )
    assert "coverage: the 80 % interval covers 10 %" in decision.sentence
    decision = register(project, PASSED)
    assert (decision.alias, alias(project, "champion"), alias(project, "challenger")) == (
        "champion",
        "1",
        None,
    )


def test_the_same_model_is_registered_once(project: Path) -> None:
    first, second = register(project), register(project)
    assert first.version == second.version
    assert second.sentence == "small version 1 is @champion already"


def test_an_experiment_promotes_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "wider")
    decision = register(project)
    assert decision.alias == "challenger"
    assert "dvc repro -f -s register@small" in decision.sentence
    monkeypatch.delenv("DVC_EXP_NAME")
    assert register(project).alias == "champion"


def test_a_model_of_another_target_is_not_compared(
    project: Path, change: Callable[[float], None]
) -> None:
    register(project)
    change(30.0)
    for place in ("data/prepared/small/schema.json", "models/small/lstm/config.json"):
        path = project / place
        content: dict[str, Any] = json.loads(path.read_text())
        content.get("schema", content)["data"]["y"] = "visitors"
        path.write_text(json.dumps(content))
    (said,) = [c["sentence"] for c in register(project).checks if "champion" in c["check"]]
    assert "the champion cannot be compared" in said
    assert "was trained with y y; the data has visitors" in said


def test_a_worse_model_does_not_replace_the_champion(
    project: Path, change: Callable[[float], None]
) -> None:
    register(project)
    change(30.0)
    decision = register(project)
    assert decision.alias == "challenger"
    assert "not worse than champion version 1: MAE worse on today's test windows" in (
        decision.sentence
    )
    assert alias(project, "champion") == "1"
    assert alias(project, "challenger") == "2"


def test_a_better_model_makes_the_champion_before_it_previous(
    project: Path, change: Callable[[float], None]
) -> None:
    change(30.0)
    register(project)
    change(1.0)
    assert register(project).alias == "champion"
    assert alias(project, "champion") == "2"
    assert alias(project, "previous") == "1"


def test_a_champion_that_cannot_read_todays_data_is_named_as_such(
    project: Path, change: Callable[[float], None]
) -> None:
    register(project)
    config = project / "models/small/lstm/config.json"
    content: dict[str, Any] = json.loads(config.read_text())
    schema = project / "data/prepared/small/schema.json"
    today: dict[str, Any] = json.loads(schema.read_text())
    for target in (content["schema"], today):
        target["columns"] = [*target["columns"][:-1], "renamed"]
    config.write_text(json.dumps(content))
    schema.write_text(json.dumps(today))
    decision = register(project)
    assert decision.alias == "champion"
    (said,) = [c["sentence"] for c in decision.checks if "champion" in c["check"]]
    assert "the champion cannot be compared" in said
    assert "columns" in said


def test_the_verdict_is_a_function_of_metrics_and_params_alone(project: Path) -> None:
    metrics = json.loads((project / "reports/small/metrics.json").read_text())
    problem = params.load_problem(project, "small")
    verdict = gate.verdict(gate.judge(metrics, problem.gate))
    register(project)
    assert gate.verdict(gate.judge(metrics, problem.gate)) == verdict
    assert [check["check"] for check in verdict["checks"]] == ["finite", "coverage"]


def test_the_version_says_where_its_model_comes_from(project: Path) -> None:
    register(project)
    client = store.connect(project)
    tags = client.get_model_version("small", "1").tags
    assert {"model.md5", "data.md5", "params.md5", "test.mae", "gate.finite", "verdict"} <= set(
        tags
    )
    assert tags["gate.finite"] == PASSED[0].sentence


def test_the_registered_model_answers_as_the_model_folder_does(project: Path) -> None:
    import mlflow

    from retain.forecast import serving

    register(project)
    served = serving.load(project / "models/small/lstm")
    example = served.example(project / "data/prepared/small")
    torch.set_num_threads(1)
    loaded = mlflow.pyfunc.load_model("models:/small@champion")
    assert loaded.metadata.signature is not None
    answer = loaded.predict(example)
    assert answer.equals(served.answer(example))
