"""Which model gets which alias, on a real store, with models that were never trained."""

import json
import pickle
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from retain import cli
from retain.config import loader
from retain.errors import DataError, ModelError, RegistryError
from retain.evaluation import quality_gate
from retain.evaluation.quality_gate import CheckResult
from retain.kinds.forecast.predict import predictor
from retain.project import fingerprint
from retain.registry import ledger, logged_model, lookup, promotion, registry
from retain.tracking import store

from .conftest import small_table, work_in_copy

PASSED = [CheckResult("finite", True, "every value is finite", {})]
FAILED = [CheckResult("coverage", False, "the 80 % interval covers 10 %", {})]


@pytest.fixture(scope="module")
def template(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with prepared data and a model, and an empty store whose tables are made."""
    folder = tmp_path_factory.mktemp("registry") / "project"
    for name in ("data/raw", "data/prepared", "models", "reports"):
        shutil.copytree(finished / name, folder / name)
    (folder / "models/small/ledger.csv").unlink()
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(finished / name, folder / name)
    store.connect(folder)
    return folder


@pytest.fixture(scope="module")
def registered(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the model as version 1, the champion."""
    folder = tmp_path_factory.mktemp("registered") / "project"
    with pytest.MonkeyPatch.context() as patch:
        register(work_in_copy(template, folder, patch))
    return folder


CHAMPION = pytest.mark.parametrize("project", ["registered"], indirect=True, ids=["registered"])


@pytest.fixture
def project(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A copy of `template`, and of `registered` where a test has the mark CHAMPION."""
    source: Path = request.getfixturevalue(getattr(request, "param", "template"))
    return work_in_copy(source, tmp_path / "project", monkeypatch)


def register(folder: Path, checks: list[CheckResult] = PASSED) -> registry.Decision:
    metrics = json.loads((folder / "reports/small/metrics.json").read_text())
    problem = loader.load_problem(folder, "small")
    return registry.register(folder, "small", problem, metrics, checks)


def alias(folder: Path, name: str) -> str | None:
    version = registry.alias_version(store.connect(folder), "small", name)
    return None if version is None else str(version.version)


@pytest.fixture
def change(project: Path) -> Callable[[float], None]:
    """Makes another LSTM, evaluated and refitted: the weights of its heads times a factor."""
    from safetensors.torch import load_file, save_file

    paths = [project / f"models/small/{name}/weights.safetensors" for name in ("lstm", "final")]
    trained = {path: load_file(path) for path in paths}

    def scaled(factor: float) -> None:
        for path, weights in trained.items():
            heads = {name: w * factor for name, w in weights.items() if ".head." in name}
            save_file(weights | heads, path)

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


def retain(*words: str) -> Any:
    """A command of `retain`, in this process; raises what it raises."""
    answer = CliRunner().invoke(cli.app, list(words), catch_exceptions=False)
    assert answer.exit_code == 0, answer
    return answer


def test_without_a_champion_the_newest_version_is_asked_and_said_to_be_a_challenger(
    project: Path, change: Callable[[float], None]
) -> None:
    with pytest.raises(RegistryError, match=r"no version of `small` is @champion: train and"):
        retain("forecast", "small")
    register(project, FAILED)
    change(1.5)
    register(project, FAILED)
    answer = retain("forecast", "small")
    assert (
        "no version of small is @champion; version 2 is used; it is a challenger" in answer.stderr
    )
    assert "coverage: the 80 % interval covers 10 %" in answer.stderr
    assert 'retain promote small --version 2 --reason "…"' in answer.stderr
    of_newest = answer.stdout
    answer = retain("forecast", "small", "--version", "1")
    assert "version 1 of small is used; it is a challenger" in answer.stderr
    assert answer.stdout != of_newest
    assert answer.stdout.splitlines()[0].endswith(",note")
    with pytest.raises(RegistryError, match="small has no version 7; there is 1, 2"):
        retain("forecast", "small", "--version", "7")
    retain("promote", "small", "--version", "2", "--reason", "try it", "--by", "Ada")
    assert ledger.read(project, "small")[-1].by == "Ada"
    answer = retain("forecast", "small")
    assert (answer.stderr, answer.stdout) == ("", of_newest)


@CHAMPION
def test_a_series_left_out_is_named_beside_the_forecast(project: Path) -> None:
    table = small_table()
    short = table[(table["store"] == "north") | (table["ds"] > "2024-01-20 12:00")]
    short.to_csv("new.csv", index=False)
    words = ("forecast", "small", "--history", "new.csv", "-o", "out.csv")
    answer = retain(*words)
    assert "1 series cannot be forecast and are left out; out.left-out.csv says" in answer.stderr
    assert Path("out.left-out.csv").read_text() == (
        "id,reason\nsouth,a history of 11 steps of h; the model needs 24\n"
    )
    assert pd.read_csv("out.csv").iloc[:, 0].unique().tolist() == ["north"]
    answer = retain(*words[:-2])
    assert "  south: a history of 11 steps of h" in answer.stderr
    assert "south" not in answer.stdout
    with pytest.raises(DataError, match="1 series cannot be forecast"):
        retain(*words, "--strict")
    answer = retain(*words, "--fill-with", "seasonal_naive")
    assert not Path("out.left-out.csv").exists()
    filled = pd.read_csv("out.csv").set_index("note").loc[:, "0.5"]
    assert len(filled.loc["filled by naive, 11 steps being too few for seasonal_naive"]) == 6
    answer = retain(*words[:-1], "parts")
    assert "1 series in parts/" in answer.stdout
    assert "south" in Path("parts.left-out.csv").read_text()


def test_the_same_model_is_registered_once(project: Path) -> None:
    first, second = register(project), register(project)
    assert first.version == second.version
    assert second.sentence == "small version 1 is @champion already"
    (line,) = ledger.read(project, "small")
    assert (line.by, line.alias, line.why) == ("gate", "champion", "passed")
    assert (line.model, line.metrics) == (
        first.model_md5,
        fingerprint.file_md5(project / "reports/small/metrics.json"),
    )


@pytest.mark.parametrize("fails", [False, True])
def test_a_registration_leaves_the_run_of_the_training_as_it_was(
    project: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    def away(*words: Any, **more: Any) -> None:
        raise RegistryError("the store of the files is away")

    seen: list[Any] = []
    fetch = logged_model._fetch_stored

    def look(run: Any, *words: Any, **more: Any) -> None:
        seen.append(run.client.get_run(run.run_id))
        (away if fails else fetch)(run, *words, **more)

    monkeypatch.setattr(logged_model, "_fetch_stored", look)
    with pytest.raises(RegistryError, match="away") if fails else nullcontext():
        register(project)
    (during,) = seen
    after = store.connect(project).get_run(during.info.run_id)
    for run in (during, after):
        assert (run.info.status, run.info.end_time) == ("FINISHED", run.info.start_time)
    (logged,) = after.outputs.model_outputs
    model = store.connect(project).get_logged_model(logged.model_id)
    assert (model.source_run_id, model.name) == (after.info.run_id, "model")
    assert model.experiment_id == after.info.experiment_id
    assert model.params["model.hidden_size"] == "8"


def test_a_registration_that_was_killed_before_its_line_gets_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*words: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "record", kill)
        with pytest.raises(KeyboardInterrupt):
            register(project, FAILED)
    assert alias(project, "challenger") == "1"
    register(project, FAILED)
    (line,) = ledger.read(project, "small")
    assert (line.alias, line.why) == (
        "challenger",
        "failed coverage: the 80 % interval covers 10 %",
    )


def test_two_machines_that_register_at_once_make_one_version(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    shutil.copytree(project, other)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project / 'mlruns/mlflow.db'}")
    log_model, decisions = registry.log_model, []

    def overtaken(*words: Any) -> tuple[str, str]:
        monkeypatch.setattr(registry, "log_model", log_model)
        made = log_model(*words)
        decisions.append(register(other))
        return made

    monkeypatch.setattr(registry, "log_model", overtaken)
    decisions.append(register(project))
    (only,) = store.connect(project).search_model_versions("name = 'small'")
    assert [decision.version for decision in decisions] == [str(only.version)] * 2
    assert [decision.alias for decision in decisions] == ["champion"] * 2


def test_what_two_machines_write_at_once_is_written_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import BAD_REQUEST

    write, refused = MlflowClient.set_model_version_tag, []

    def refuse_once(client: MlflowClient, name: str, version: str, key: str, value: str) -> None:
        if key not in refused:
            refused.append(key)
            raise MlflowException("duplicate key value", error_code=BAD_REQUEST)
        write(client, name, version, key, value)

    monkeypatch.setattr(MlflowClient, "set_model_version_tag", refuse_once)
    register(project)
    assert refused == ["verdict", "gate"]
    assert set(refused) <= set(store.connect(project).get_model_version("small", "1").tags)


def test_an_experiment_promotes_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "wider")
    decision = register(project)
    assert decision.alias == "challenger"
    assert "dvc repro -f -s register@small" in decision.sentence
    assert ledger.read(project, "small") == []
    monkeypatch.delenv("DVC_EXP_NAME")
    assert register(project).alias == "champion"
    assert [line.alias for line in ledger.read(project, "small")] == ["champion"]


@CHAMPION
def test_a_model_of_another_target_is_not_compared(
    project: Path, change: Callable[[float], None]
) -> None:
    change(30.0)
    for place in ("data/prepared/small/schema.json", "models/small/lstm/config.json"):
        path = project / place
        content: dict[str, Any] = json.loads(path.read_text())
        content.get("schema", content)["data"]["y"] = "visitors"
        path.write_text(json.dumps(content))
    (said,) = [c["sentence"] for c in register(project).checks if "champion" in c["check"]]
    assert "the champion cannot be compared" in said
    assert "was trained with y y; the data has visitors" in said


@CHAMPION
def test_a_worse_model_does_not_replace_the_champion(
    project: Path, change: Callable[[float], None]
) -> None:
    change(30.0)
    decision = register(project)
    assert decision.alias == "challenger"
    said = "better than champion version 1: MAE on today's test windows: worse (+"
    assert said in decision.sentence
    assert alias(project, "champion") == "1"
    assert alias(project, "challenger") == "2"


def test_a_better_model_must_be_better_by_the_margin(
    project: Path, change: Callable[[float], None]
) -> None:
    change(30.0)
    register(project)
    change(1.0)
    text = (project / "params.yaml").read_text()
    for margin, expected in ((0.999, "challenger"), (0.2, "champion")):
        rule = f"- check: champion\n        margin: {margin}"
        (project / "params.yaml").write_text(text.replace("- check: champion", rule))
        decision = register(project)
        assert decision.alias == expected
        (check,) = [c for c in decision.checks if "champion" in c["check"]]
        assert check["check"] == "better than champion version 1"
        assert "the interval must lie below -" in check["sentence"]


def test_a_better_model_makes_the_champion_before_it_previous(
    project: Path, change: Callable[[float], None]
) -> None:
    change(30.0)
    register(project)
    change(1.0)
    assert register(project).alias == "champion"
    assert alias(project, "champion") == "2"
    assert alias(project, "previous") == "1"


@CHAMPION
def test_a_champion_that_cannot_read_todays_data_is_named_as_such(
    project: Path, change: Callable[[float], None]
) -> None:
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


@CHAMPION
def test_a_champion_of_another_horizon_is_named_as_such(
    project: Path, change: Callable[[float], None]
) -> None:
    change(30.0)
    schema = project / "data/prepared/small/schema.json"
    today: dict[str, Any] = json.loads(schema.read_text())
    today["data"]["horizon"] = 12
    schema.write_text(json.dumps(today))
    (said,) = [c["sentence"] for c in register(project).checks if "champion" in c["check"]]
    assert said == (
        "the champion cannot be compared: the champion was trained with horizon 6; the data has 12"
    )
    assert (alias(project, "champion"), alias(project, "previous")) == ("2", "1")


@CHAMPION
def test_a_champion_whose_files_are_gone_stays_until_a_person_decides(
    project: Path, change: Callable[[float], None]
) -> None:
    shutil.rmtree(project / "mlruns/artifacts/small/models")
    change(1.01)
    said = r"small version 2 is not judged, .*the files of small version 1 cannot be read from"
    with pytest.raises(RegistryError, match=said):
        register(project)
    assert alias(project, "champion") == "1"
    promotion.promote(project, "small", 2, "the files of version 1 are gone", "Ada")
    assert alias(project, "champion") == "2"


def exchanged_for_a_pickle(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(pickle.dumps({"weight": [0.0]}))


def exchanged_for_other_weights(folder: Path) -> None:
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def with_a_file_more(folder: Path) -> None:
    (folder / "weights.pkl").write_bytes(pickle.dumps(0))


@CHAMPION
@pytest.mark.parametrize("which", ["lstm", "final"])
@pytest.mark.parametrize(
    "exchange", [exchanged_for_a_pickle, exchanged_for_other_weights, with_a_file_more]
)
def test_a_version_whose_files_were_exchanged_is_refused(
    project: Path, exchange: Callable[[Path], None], which: str
) -> None:
    import mlflow

    recorded = fingerprint.folder_md5(project / "models/small" / which)
    (folder,) = (project / "mlruns/artifacts/small/models").glob(f"*/artifacts/artifacts/{which}")
    exchange(folder)
    said = f"small version 1 are not those .* {fingerprint.folder_md5(folder)}, .* {recorded}"
    with (
        pytest.raises(RegistryError, match=said),
        lookup.registered_folder(project, "models:/small@champion"),
    ):
        pass
    with pytest.raises(ModelError, match=f"recorded is {recorded}"):
        mlflow.pyfunc.load_model("models:/small@champion")


def test_a_pickle_that_is_called_safetensors_is_refused(project: Path) -> None:
    folder = project / "models/small/lstm"
    exchanged_for_a_pickle(folder)
    with pytest.raises(ModelError, match=r"models/small/lstm is damaged .*fetch it with `dvc pull"):
        predictor.load(folder)


def test_the_verdict_is_a_function_of_metrics_and_params_alone(project: Path) -> None:
    metrics = json.loads((project / "reports/small/metrics.json").read_text())
    problem = loader.load_problem(project, "small")
    verdict = quality_gate.verdict(quality_gate.run_checks(metrics, problem.gate))
    register(project)
    assert quality_gate.verdict(quality_gate.run_checks(metrics, problem.gate)) == verdict
    assert [check["check"] for check in verdict["checks"]] == ["finite", "coverage"]


@CHAMPION
def test_the_version_says_where_its_model_comes_from(project: Path) -> None:
    client = store.connect(project)
    described = client.get_model_version("small", "1")
    tags = described.tags
    assert {"model.md5", "data.md5", "params.md5", "test.mae", "verdict"} <= set(tags)
    assert tags["data.span"] == "2024-01-01 00:00 to 2024-01-15 00:00"
    assert tags["final.span"] == "2024-01-01 00:00 to 2024-01-21 00:00"
    assert tags["final.md5"] == fingerprint.folder_md5(project / "models/small/final")
    assert tags["gate"] == "passed"
    assert "- passed: finite: every value is finite" in described.description


def test_another_refit_of_the_champion_s_model_is_a_version_and_champion(project: Path) -> None:
    first = register(project)
    path = project / "models/small/final/weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    second = register(project)
    assert (first.version, second.version, second.alias) == ("1", "2", "champion")
    assert second.model_md5 == first.model_md5
    (said,) = [c["sentence"] for c in second.checks if "champion" in c["check"]]
    assert said == "its evaluated model is the same, refitted anew"
    contents = [line.content for line in ledger.read(project, "small")]
    assert contents == [(d.model_md5, d.final_md5) for d in (first, second)]
    with lookup.registered_folder(project, "models:/small@champion") as folder:
        assert fingerprint.folder_md5(folder) == second.final_md5


def test_a_version_without_a_refitted_model_forecasts_with_the_evaluated_one(project: Path) -> None:
    import mlflow

    shutil.rmtree(project / "models/small/final")
    decision = register(project)
    assert decision.final_md5 == ""
    assert "final.md5" not in store.connect(project).get_model_version("small", "1").tags
    with lookup.registered_folder(project, "models:/small@champion") as folder:
        assert fingerprint.folder_md5(folder) == decision.model_md5
    example = predictor.load(project / "models/small/lstm").example(project / "data/prepared/small")
    assert len(mlflow.pyfunc.load_model("models:/small@champion").predict(example)) == 6


def test_the_cell_that_the_metrics_name_is_registered(project: Path) -> None:
    path = project / "reports/small/metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model": "rnn"}))
    decision = register(project)
    rnn = project / "models/small/rnn"
    assert decision.model_md5 == fingerprint.folder_md5(rnn)
    tags = store.connect(project).get_model_version("small", "1").tags
    assert tags["cell"] == "rnn"
    scores = json.loads(path.read_text())["models"]
    assert float(tags["test.mae"]) == pytest.approx(scores["rnn"]["mae"], rel=1e-5)


@CHAMPION
def test_the_registered_model_answers_as_the_refitted_model_s_folder_does(project: Path) -> None:
    import mlflow

    served = predictor.load(project / "models/small/final")
    example = served.example(project / "data/prepared/small")
    torch.set_num_threads(1)
    loaded = mlflow.pyfunc.load_model("models:/small@champion")
    assert loaded.metadata.signature is not None
    answer = loaded.predict(example)
    assert answer.equals(served.predict(example))
