"""The refit: the evaluated model's recipe on all rows, checked against it, whole or not at all."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from retain import model_files
from retain.config.forecasts import ForecastOptions
from retain.errors import DataError, Terminated
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel, tables
from retain.kinds.forecast.evaluation import evaluate, fan, outlook, report
from retain.kinds.forecast.model import refit, setup
from retain.kinds.forecast.model.forecaster import CALIBRATION
from retain.kinds.forecast.predict import forecast_table, predictor
from retain.kinds.forecast.predict.example import series_frame

from .small import trained, weights

HOURS = 24 * 40
PROBLEM = Problem.model_validate(
    {
        "kind": "forecast",
        "preset": "fast",
        "data": {
            "path": "t.csv",
            "unique_id": "store",
            "horizon": 6,
            "context_length": 24,
            "season_length": 24,
            "split": {"validation": "20d", "test": "10d"},
        },
        "model": {"hidden_size": 4, "segment_length": 6},
        "training": {
            "max_epochs": 3,
            "batch_size": 64,
            "learning_rate": 0.01,
            "checkpoint_every": 1,
        },
        "evaluation": {"floors": ["seasonal_naive"]},
        "gate": [{"check": "finite"}],
    }
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    hours = np.arange(HOURS)
    noise = np.random.default_rng(0)
    parts = []
    for store, level in (("a", 100), ("b", 40)):
        y = level + 10 * np.sin(2 * np.pi * hours / 24) + noise.normal(0, 1, HOURS)
        ds = pd.date_range("2024-01-01", periods=HOURS, freq="h")
        parts.append(pd.DataFrame({"ds": ds, "store": store, "y": y}))
    folder = tmp_path_factory.mktemp("refit") / "prepared"
    folder.mkdir()
    data = PROBLEM.data
    panel.save(panel.build(tables.clean(pd.concat(parts), data, "t.csv"), data), folder)
    return folder


@pytest.fixture(scope="module")
def evaluated(prepared: Path) -> Path:
    return trained(setup.build, PROBLEM, prepared, "lstm", prepared.parent / "lstm")


def build(evaluated: Path) -> Any:
    """The refit as a part `training`, for the helpers."""
    return lambda problem, prepared, cell: refit.build(problem, prepared, evaluated)


@pytest.fixture(scope="module")
def final(prepared: Path, evaluated: Path) -> Path:
    return trained(build(evaluated), PROBLEM, prepared, "lstm", prepared.parent / "final")


def test_it_is_trained_until_the_end_of_the_table(prepared: Path, final: Path) -> None:
    source, model = panel.load(prepared), predictor.load(final)
    assert model.trained_until() == source.grid[-1] + pd.Timedelta("1h")
    assert model.config["refit"]["accepted"]
    assert model.config["refit"]["evaluated_until"] == str(
        source.grid[source.schema.validation_step]
    )
    whole = panel.load(prepared).values[source.schema.data["context_length"] + 24 :, 0]
    assert model.config["series"]["mean"] == pytest.approx([h.mean() for h in np.split(whole, 2)])


def test_its_calibration_is_the_evaluated_model_s(evaluated: Path, final: Path) -> None:
    before, after = (predictor.load(folder).network for folder in (evaluated, final))
    for name in CALIBRATION:
        assert torch.equal(after.get_buffer(name), before.get_buffer(name))
    assert before.offsets.abs().max() > 0
    heads = [next(network.members[0].parameters()) for network in (before, after)]
    assert not torch.equal(*heads)


def test_it_trains_as_many_updates_more_as_there_are_windows_more(
    prepared: Path, evaluated: Path, final: Path
) -> None:
    source = panel.load(prepared)
    length = refit.training_length(PROBLEM, source, [evaluated], 2000)
    history = pd.read_csv(evaluated / "history.csv")
    best = history.loc[history["validation_loss"].idxmin()]
    windows = 2 * (20 * 24 - 24 - 6 + 1)
    assert length.updates == round(best["step"] / windows * 2000)
    planned = 3 * -(-windows // 64)
    assert length.updates / length.schedule == pytest.approx(best["step"] / planned, rel=0.02)
    rows = pd.read_csv(final / "history.csv")
    updates = predictor.load(final).config["refit"]["updates"]
    assert updates <= rows["step"].iloc[-1] < updates + len(rows)
    assert rows["validation_loss"].isna().all()
    last, end = rows["learning_rate"].iloc[-1], best["learning_rate"]
    assert last == pytest.approx(end, rel=0.5)  # where the evaluated one ended, not at zero


def test_with_folds_the_length_is_their_median_and_the_calibration_the_newest_fold_s(
    prepared: Path, evaluated: Path, tmp_path: Path
) -> None:
    folds = tmp_path / "lstm"
    shutil.copytree(evaluated, folds)
    for number, step in ((2, 7), (3, 1000)):
        fold = folds / f"fold-{number}"
        shutil.copytree(evaluated, fold)
        row = f"epoch,step,learning_rate,train_loss,validation_loss\n0,{step},0.01,1,1\n"
        (fold / "history.csv").write_text(row)
        state = load_file(fold / "weights.safetensors")
        save_file(
            state | {"offsets": state["offsets"] + number / 1000}, fold / "weights.safetensors"
        )
    source = panel.load(prepared)
    paths = [folds, folds / "fold-2", folds / "fold-3"]
    one = refit.training_length(PROBLEM, source, paths[:1], 2000)
    assert refit.training_length(PROBLEM, source, paths, 2000) == one  # 7, some 40, and 1000
    built = refit.build(PROBLEM, prepared, folds)
    before = predictor.load(evaluated).network
    built.network.load_state_dict(before.state_dict())
    built.calibrate()
    assert built.config["refit"]["accepted"]
    assert torch.equal(built.network.offsets, before.offsets + 0.003)


@pytest.mark.parametrize("weight", [float("nan"), 1e4])
def test_a_refit_that_went_wrong_leaves_the_evaluated_model(
    prepared: Path, evaluated: Path, tmp_path: Path, weight: float
) -> None:
    built = refit.build(PROBLEM, prepared, evaluated)
    with torch.no_grad():
        for parameter in built.network.parameters():
            parameter.fill_(weight)
    built.calibrate()
    model_files.write_model(tmp_path, built.network, built.config, [])
    kept, before = predictor.load(tmp_path), predictor.load(evaluated)
    for name, tensor in before.network.state_dict().items():
        assert torch.equal(kept.network.state_dict()[name], tensor)
    assert not kept.config["refit"]["accepted"]
    assert "the evaluated one is kept" in kept.config["refit"]["sentence"]
    assert kept.trained_until() == before.trained_until()


def test_stopped_and_started_again_it_ends_with_the_same_bits(
    prepared: Path, evaluated: Path, tmp_path: Path
) -> None:
    whole = weights(build(evaluated), PROBLEM, prepared, "lstm", None)
    for stop_after in (2, 9, 20):
        with pytest.raises(Terminated):
            weights(build(evaluated), PROBLEM, prepared, "lstm", tmp_path, stop_after)
    resumed = weights(build(evaluated), PROBLEM, prepared, "lstm", tmp_path)
    assert all(torch.equal(one, other) for one, other in zip(whole, resumed, strict=True))


def test_the_best_cell_is_judged_and_the_report_says_what_the_other_would_give(
    prepared: Path, evaluated: Path
) -> None:
    rnn = trained(setup.build, PROBLEM, prepared, "rnn", prepared.parent / "rnn")
    history = pd.read_csv(rnn / "history.csv")
    history["validation_loss"] = [0.5, 0.01, 0.7]
    history.to_csv(rnn / "history.csv", index=False)
    models = {"lstm": evaluated, "rnn": rnn}
    best = PROBLEM.model_copy(update={"register_cell": "best"})
    found = evaluate.evaluate(best, prepared, models)
    assert found.metrics["model"] == "rnn"
    naive = {"lstm_minus_seasonal_naive", "rnn_minus_seasonal_naive"}
    assert {"lstm_minus_rnn", "rnn_minus_lstm", *naive} <= found.metrics["differences"].keys()
    assert next(iter(found.views[0].quantiles)) == "rnn"  # whose intervals are drawn
    page = report.report("small", best, found, [])
    assert "the MAE of the RNN is " in page.lead
    loss = found.metrics["validation_loss"]["lstm"]
    assert (
        "The RNN is used: it has the lowest validation loss. The LSTM has the higher " in page.lead
    )
    assert f"validation loss, {loss:.4g} against 0.01, and on the test windows MAE " in page.lead
    facts = dict(page.facts)
    assert facts["Evaluated model trained until"] == facts["Validation from"]

    default = evaluate.evaluate(PROBLEM, prepared, models)
    assert default.metrics["model"] == "lstm"
    assert "rnn_minus_lstm" not in default.metrics["differences"]
    lead = report.report("small", PROBLEM, default, []).lead
    assert "The LSTM is used: params say so. The RNN has the lower validation loss, 0.01" in lead


def test_the_report_forecasts_what_the_command_does(
    prepared: Path, evaluated: Path, final: Path, tmp_path: Path
) -> None:
    source = panel.load(prepared)
    table = pd.concat([series_frame(source, number, PROBLEM.data) for number in (0, 1)])
    csv = tmp_path / "t.csv"
    table.rename(columns={"unique_id": "store"}).to_csv(csv, index=False)
    found = forecast_table.forecast_file(final, str(csv), tmp_path, ForecastOptions())
    fans, levels = fan.fans_of(found)
    page = outlook.build("small", PROBLEM, prepared, evaluated, final)
    (figure,) = page.forecast.figures
    assert figure.svg == fan.future(fans, levels, "lstm", "y")
    assert page.forecast.title == "The next 6 hours"
    assert page.opening.startswith(
        "Forecast of y for 2 series (store), the next 6 hours: 10 Feb 2024 00:00 to 10 Feb 2024 "
        "05:00. It is made by the LSTM, trained on all rows until 9 Feb 2024 23:00 (model "
    )
    alone = outlook.build("small", PROBLEM, prepared, evaluated, None)
    assert "by the LSTM, trained on the rows before 21 Jan 2024 (model " in alone.opening
    assert alone.forecast.figures[0].svg != figure.svg
    facts = dict(page.data.facts)
    assert (
        facts["Table"] == "1,920 rows, 2 series, 1 Jan 2024 00:00 to 9 Feb 2024 23:00, every hour"
    )
    assert facts["Steps without a value"] == "none"
    assert facts["Drift"].startswith("none in the newest part, ")


def test_drift_of_the_newest_part_is_said(prepared: Path, evaluated: Path, tmp_path: Path) -> None:
    source = panel.load(prepared)
    values = np.array(source.values)
    for _, series in source.index.iterrows():  # the last ten days are on another level
        values[
            series["start"] + series["length"] - 240 : series["start"] + series["length"], 0
        ] += 90
    panel.save(dataclasses.replace(source, values=values), tmp_path)
    page = outlook.build("small", PROBLEM, tmp_path, evaluated, None)
    drifted = dict(page.data.facts)["Drift"]
    assert drifted.startswith("in the newest part, ")
    assert "y has changed by " in drifted
    assert "standard deviations" in drifted


def test_the_report_names_what_is_left_out(prepared: Path, evaluated: Path, tmp_path: Path) -> None:
    source = panel.load(prepared)
    skipped = [{"unique_id": f"s{n}", "reason": "it has no values"} for n in range(22)]
    missing = {"steps": 96, "longest_gap": 48, "longest_gap_series": "a"}
    missing |= {"longest_gap_from": "2024-01-03 05:00:00"}
    quality = source.quality | {"skipped_series": skipped, "missing": missing}
    panel.save(dataclasses.replace(source, quality=quality), tmp_path)
    facts = dict(outlook.build("small", PROBLEM, tmp_path, evaluated, None).data.facts)
    left_out = facts["Left out: 22 series"]
    assert left_out.startswith("s0: it has no values; s1: it has no values; ")
    assert left_out.endswith("s19: it has no values; and 2 more")
    assert "(5\N{NO-BREAK SPACE}%)" in facts["Steps without a value"]
    assert "48 hours from 3 Jan 2024 05:00 in a" in facts["Steps without a value"]


def test_where_there_is_no_forecast_the_report_says_why(
    prepared: Path, evaluated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise DataError("the promotions are not known")

    monkeypatch.setattr(forecast_table, "forecast_table", refuse)
    page = outlook.build("small", PROBLEM, prepared, evaluated, None)
    assert page.forecast.figures == ()
    assert "the promotions are not known. Where values of the future must be known" in (
        page.forecast.text
    )
    assert page.opening.startswith("Forecast of y for 2 series (store), the next 6 hours. It is")
