"""The stages, run by DVC on small data: what they leave, and that it is the same again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML

from retain.project import fingerprint, lock_file
from retain.registry import model_card

from .conftest import run

OUTPUTS = {
    "data/prepared/small": {"values.npy", "index.parquet", "schema.json", "quality.json"},
    "models/small/lstm": {"weights.safetensors", "config.json", "history.csv"},
    "models/small/rnn": {"weights.safetensors", "config.json", "history.csv"},
    "models/small/final": {"weights.safetensors", "config.json", "history.csv"},
}
PARENT = "mlflow.parentRunId"
PLOTS = {"calibration", "error_by_series", "error_by_step", "look_back", "training"}


def lock(folder: Path) -> dict[str, str]:
    """The md5 of every out in dvc.lock."""
    stages = YAML(typ="safe").load(folder / "dvc.lock")["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}


def store(folder: Path) -> Any:
    from mlflow import MlflowClient

    uri = f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def runs(folder: Path) -> pd.DataFrame:
    """The runs of trainings, each of which is a part of the run of a pipeline."""
    client = store(folder)
    experiment = client.get_experiment_by_name("small")
    found = client.search_runs([experiment.experiment_id])
    return pd.DataFrame(
        [
            {"status": r.info.status, **r.data.tags, **r.data.metrics, **r.data.params}
            for r in found
            if PARENT in r.data.tags
        ]
    )


def test_every_stage_leaves_what_it_declares(finished: Path) -> None:
    for place, names in OUTPUTS.items():
        assert {path.name for path in (finished / place).iterdir()} == names
    reports = finished / "reports" / "small"
    assert {path.stem for path in (reports / "plots").glob("*.csv")} == PLOTS
    assert (reports / "report.html").read_text().count("<svg") == 8
    assert json.loads((reports / "verdict.json").read_text())["passed"]
    left = [path.name for path in (finished / "scratch").rglob("*") if path.suffix != ".lock"]
    assert {*left} == {"checkpoints", *lock_file.COPIES}  # the first is empty


def test_lstm_and_rnn_have_equal_budgets_and_are_scored_beside_the_naive(finished: Path) -> None:
    metrics = json.loads((finished / "reports/small/metrics.json").read_text())
    models = metrics["models"]
    assert list(models) == ["lstm", "rnn", "seasonal_naive", "naive"]
    assert models["rnn"]["parameters"] == pytest.approx(models["lstm"]["parameters"], rel=0.05)
    assert {"lstm_minus_rnn", "lstm_minus_seasonal_naive"} <= set(metrics["differences"])


def test_nothing_that_dvc_tracks_names_a_time_a_user_or_a_place(finished: Path) -> None:
    for out in lock(finished):
        for path in [finished / out, *(finished / out).rglob("*")]:
            if path.suffix in (".json", ".csv", ".md", ".html", ".svg"):
                text = path.read_text()
                assert str(finished) not in text, path
                assert "run_id" not in text, path


def test_a_second_repro_does_nothing_and_says_so(finished: Path) -> None:
    assert "up to date" in run(finished, "dvc", "repro").stdout


@pytest.mark.long
def test_the_lock_is_the_same_after_everything_ran_again_elsewhere(
    finished: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "a clone"
    run(tmp_path, "git", "clone", "-q", str(finished), str(elsewhere))
    run(elsewhere, "dvc", "repro", "-f", MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path}/other.db")
    assert run(elsewhere, "git", "status", "--porcelain").stdout == ""


def test_a_run_is_found_by_the_md5_in_the_lock(finished: Path) -> None:
    made = runs(finished)
    assert set(made["status"]) == {"FINISHED"}
    refits = made["DVC_STAGE"] == "refit@small"
    (refit,) = made[refits].to_dict("records")
    assert (refit["cell"], refit["refit"]) == ("lstm", "true")
    assert lock(finished)["models/small/final"] == refit["model.md5"]
    made = made[~refits]
    assert sorted(made["cell"]) == ["lstm", "rnn"]
    for cell, md5 in zip(made["cell"], made["model.md5"], strict=True):
        assert lock(finished)[f"models/small/{cell}"] == md5
        assert fingerprint.folder_md5(finished / "models" / "small" / cell) == md5
    assert set(made["data.md5"]) == {lock(finished)["data/prepared/small"]}
    assert set(made["DVC_STAGE"]) == {"train@small-lstm", "train@small-rnn"}
    assert made["test/mae"].notna().all()
    assert made["validation/loss"].notna().all()
    assert set(made["model.hidden_size"]) == {"8"}


def test_runs_of_one_pipeline_lie_below_it_with_names_and_the_data_set(finished: Path) -> None:
    client = store(finished)
    experiment = client.get_experiment_by_name("small")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    found = client.search_runs([experiment.experiment_id], order_by=["start_time ASC"])
    (whole,) = (one for one in found if PARENT not in one.data.tags)
    parts = [one for one in found if one is not whole]
    assert whole.info.run_name == "small, 2024-01-20"
    assert sorted(one.info.run_name for one in parts) == [
        "small lstm refit, 2024-01-20",
        "small lstm, 2024-01-20",
        "small rnn, 2024-01-20",
    ]
    assert {one.data.tags[PARENT] for one in parts} == {whole.info.run_id}
    for one in parts:
        (entry,) = one.inputs.dataset_inputs
        assert entry.dataset.digest == lock(finished)["data/prepared/small"]
        assert json.loads(entry.dataset.profile)["rows"] == 940
    judged = json.loads((finished / "reports/small/metrics.json").read_text())["models"]
    assert whole.data.metrics["test/mae"] == judged["lstm"]["mae"]
    assert whole.data.metrics["mae/rnn"] == judged["rnn"]["mae"]
    groups = {key.partition("/")[0] for one in found for key in one.data.metrics}
    assert groups == {"train", "validation", "test", "model", "mae"}
    assert "report.html" in {file.path for file in client.list_artifacts(whole.info.run_id)}


def test_a_version_has_a_card_beside_its_models_and_as_its_description(finished: Path) -> None:
    client = store(finished)
    assert client.get_registered_model("small").description.startswith("Forecasts `y` of each")
    text = client.get_model_version("small", "1").description
    (card,) = (finished / "mlruns" / "artifacts").rglob("README.md")
    assert text == model_card.description(card.read_text())
    assert text.startswith("# small\n")
    assert "## How to make it anew" in text


def test_the_champion_is_registered_once_however_often_the_stage_runs(
    finished: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    run(folder, "dvc", "repro", "-f", "-s", "register@small")
    versions = store(folder).search_model_versions("name = 'small'")
    assert [version.version for version in versions] in (["1"], [1])
    assert versions[0].tags["model.md5"] == lock(folder)["models/small/lstm"]
    champion = store(folder).get_model_version_by_alias("small", "champion")
    assert int(champion.version) == 1


def test_no_file_of_a_registered_model_is_a_pickle(finished: Path) -> None:
    files = [path for path in (finished / "mlruns" / "artifacts").rglob("*") if path.is_file()]
    assert any(path.name == "weights.safetensors" for path in files)
    for path in files:
        assert path.suffix not in (".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt"), path
        assert not path.read_bytes().startswith(b"\x80"), path


def test_forecast_answers_for_every_series(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "forecast.csv"
    run(finished, "retain", "forecast", "small", "-o", str(out))
    answer = pd.read_csv(out, parse_dates=["ds"])
    assert answer["store"].unique().tolist() == ["north", "south"]
    assert list(answer.columns[:5]) == ["store", "ds", "mean", "median", "0.1"]
    assert (
        answer.groupby("store")["ds"].agg(["min", "size"]).values.tolist()
        == [[pd.Timestamp("2024-01-21"), 6]] * 2
    )


def test_the_report_and_the_command_draw_the_same_forecast(finished: Path, tmp_path: Path) -> None:
    plot, here = tmp_path / "f.svg", ("-o", str(tmp_path / "out.csv"))
    run(finished, "retain", "forecast", "small", *here, "--plot", str(plot))
    assert (finished / "reports/small/figures/future.svg").read_text() == plot.read_text()
    assert plot.read_text() in (finished / "reports/small/report.html").read_text()
    for words in (("--plot", "f.jpg"), ("--plot", "f.svg", "-o", "folder")):
        refused = run(finished, "retain", "forecast", "small", *words, code=2)
        assert "name an .svg or a .png" in refused.stderr


def test_results_prints_table_verdict_and_report(finished: Path) -> None:
    printed = run(finished, "retain", "results").stdout
    for word in ("LSTM", "RNN", "seasonal naive", "MASE", "CRPS", "95", "@champion"):
        assert word in printed
    assert "reports/small/report.html" in printed


@pytest.mark.long
def test_a_store_that_never_saw_the_training_gets_its_runs_written_anew(
    clone: Callable[[], Path],
) -> None:
    folder = clone()
    run(folder, "dvc", "repro", "-f", "prepare@small")
    run(folder, "dvc", "checkout")
    run(folder, "dvc", "repro", "-f", "-s", "evaluate@small")
    made = runs(folder)
    assert sorted(made["cell"]) == ["lstm", "rnn"]
    assert set(made["restored"]) == {"true"}
    assert made["test/mae"].notna().all()
    assert made["train/loss"].notna().all()
    assert run(folder, "git", "status", "--porcelain").stdout == ""


@pytest.mark.long
def test_metrics_and_plots_can_be_compared_between_revisions(clone: Callable[[], Path]) -> None:
    folder = clone()
    run(folder, "dvc", "checkout")
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("hidden_size: 8", "hidden_size: 10"))
    run(folder, "dvc", "repro", "evaluate@small")
    shown = json.loads(run(folder, "dvc", "metrics", "diff", "HEAD", "--json").stdout)
    assert "reports/small/scores.json" in str(shown)
    assert "metrics.json" not in str(shown)
    drawn = run(folder, "dvc", "plots", "diff", "HEAD", "-o", "plots-out")
    assert "could not find" not in drawn.stderr
    page = (folder / "plots-out" / "index.html").read_text()
    assert "error_by_step" in page
    assert '{"field": "model", "type": "nominal"}' in page  # a line for each model


def test_bad_data_stops_with_code_2_and_a_sentence_and_writes_nothing(
    clone: Callable[[], Path],
) -> None:
    folder = clone()
    table = folder / "data" / "raw" / "small.csv"
    table.write_text(table.read_text().replace("2024-01-05 05:00:00,north,", "soon,north,"))
    done = run(folder, "python", "pipelines/prepare.py", "small", code=2)
    assert "data/raw/small.csv" in done.stderr
    assert "'soon'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "data" / "prepared" / "small").exists()


def test_a_typo_in_params_stops_every_stage_with_its_whole_key_path(
    clone: Callable[[], Path],
) -> None:
    folder = clone()
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("hidden_size", "hiden_size"))
    for stage, words in (("prepare", ["small"]), ("train", ["small", "lstm"])):
        done = run(folder, "python", f"pipelines/{stage}.py", *words, code=2)
        assert "`problems.small.model.hiden_size`; did you mean `hidden_size`?" in done.stderr


def test_a_problem_without_champion_says_how_to_get_one(clone: Callable[[], Path]) -> None:
    done = run(clone(), "retain", "forecast", "small", code=2)
    assert "no version of `small` is @champion" in done.stderr
    assert "retain run small" in done.stderr
