"""Series without history: taught by masked contexts, scored on series that are left out wholly."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from retain import model_files
from retain.config import loader
from retain.config.forecasts import ForecastOptions
from retain.errors import DataError, ModelError, ParamsError
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import left_out, panel, tables
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.evaluation import evaluate, report
from retain.kinds.forecast.model import cold, refit, setup
from retain.kinds.forecast.predict import cold_start, endpoint, forecast_table, predictor
from retain.training import portable_cpu, trainer
from tests.learning import small

KINDS = {"kiosk": 20.0, "shop": 60.0, "market": 200.0}
HORIZON = 6


def table(series: int = 40, days: int = 120) -> pd.DataFrame:
    """Daily series, whose level depends on their kind and size, and which a promotion doubles."""
    random = np.random.default_rng(1)
    parts = []
    for number in range(series):
        kind = [*KINDS][number % 3]
        size = random.uniform(0.5, 1.5)
        ds = pd.date_range("2024-01-01", periods=days)
        promotion = (random.random(days) < 0.2).astype(int)
        week = 1 + 0.3 * np.sin(2 * np.pi * ds.day_of_week / 7)
        y = KINDS[kind] * size * week * (1 + promotion) * random.lognormal(0, 0.05, days)
        parts.append(
            pd.DataFrame(
                {"id": f"s{number:02}", "ds": ds, "y": y.round(2), "promotion": promotion}
            ).assign(kind=kind, size=round(size, 3))
        )
    return pd.concat(parts, ignore_index=True)


def entry(**sections: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": "forecast",
        "data": {
            "path": "t.csv",
            "unique_id": "id",
            "frequency": "D",
            "horizon": HORIZON,
            "context_length": 14,
            "season_length": 7,
            "known_covariates": ["promotion"],
            "static_covariates": ["kind", "size"],
            "categorical": ["kind"],
            "split": {"validation": 0.7, "test": 0.85},
        },
        "model": {"hidden_size": 32, "dropout": 0.0, "normalisation": "series"},
        "training": {
            "cells": ["lstm"],
            "batch_size": 128,
            "learning_rate": 0.01,
            "max_epochs": 10,
            "epoch_steps": 25,
            "mask_contexts": 0.3,
            **sections.get("training", {}),
        },
        "evaluation": {
            "floors": ["seasonal_naive"],
            "bootstrap": 100,
            "cold_start": 0.1,
            **sections.get("evaluation", {}),
        },
        "gate": [],
    }


def train(root: Path, problem: Problem) -> tuple[Path, Path]:
    """Prepare the table, train and write the LSTM; return both folders."""
    portable_cpu.pin_cpu_kernels("machine")
    prepared, folder = root / "prepared", root / "lstm"
    prepared.mkdir()
    panel.save(panel.build(tables.read(problem.data, root), problem.data), prepared)
    return prepared, small.trained(setup.build, problem, prepared, "lstm", folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Problem, Path, Path]:
    root = tmp_path_factory.mktemp("cold")
    table().to_csv(root / "t.csv", index=False)
    problem = Problem.model_validate(entry())
    return root, problem, *train(root, problem)


@pytest.mark.long
def test_series_left_out_wholly_are_forecast_better_than_by_their_group(
    trained: tuple[Path, Problem, Path, Path],
) -> None:
    _, problem, prepared, folder = trained
    found = evaluate.evaluate(problem, prepared, {"lstm": folder})
    scores = found.metrics["cold_start"]
    assert scores["series"] == 4
    mae = {name: score["mae"] for name, score in scores["models"].items()}
    assert mae["lstm"] < 0.8 * mae["group_mean"]
    assert mae["lstm"] < mae["group_seasonal_mean"]
    assert mae["with_history"] < mae["group_mean"]
    change = scores["differences"]["lstm_minus_group_mean"]["mae"]
    assert change["high"] < 0
    assert "Series without history" in [
        shown.title for shown in report.report("t", problem, found, []).tables
    ]


def test_the_model_has_never_seen_the_series_that_are_left_out(
    trained: tuple[Path, Problem, Path, Path],
) -> None:
    _, _, prepared, folder = trained
    source = panel.load(prepared)
    hidden = source.index["unique_id"][left_out.drawn(source, 0.1)]
    known = model_files.read_config(folder)["series"]["unique_id"]
    assert len(hidden) == 4
    assert not {*hidden} & {*known}
    rest = left_out.leave_out(source, 0.1)
    for name, start, length in rest.index[["unique_id", "start", "length"]].to_numpy():
        place = int(np.flatnonzero(source.index["unique_id"] == name)[0])
        begin, rows = (int(source.index[key].iloc[place]) for key in ("start", "length"))
        assert length == rows
        np.testing.assert_array_equal(
            rest.values[start : start + length], source.values[begin : begin + rows]
        )


def test_a_new_series_is_forecast_by_name_and_marked(
    trained: tuple[Path, Problem, Path, Path], tmp_path: Path
) -> None:
    _, _, _, folder = trained
    ds = pd.date_range("2024-04-30", periods=HORIZON)
    new = pd.concat(
        pd.DataFrame({"id": f"new {kind}", "ds": ds, "promotion": [0, 0, 1, 0, 0, 0]}).assign(
            kind=kind, size=1.0
        )
        for kind in KINDS
    )
    new.to_csv(tmp_path / "new.csv", index=False)
    options = ForecastOptions(cold_start=str(tmp_path / "new.csv"))
    answer = forecast_table.forecast_file(folder, None, tmp_path, options).table
    assert len(answer) == 3 * HORIZON
    assert answer["note"].str.startswith("no history").all()
    median = answer.set_index(["id", "ds"])["median"].unstack()
    for kind, level in KINDS.items():
        row = median.loc[f"new {kind}"].to_numpy()
        assert row[2] > 1.5 * row[[1, 3]].mean(), "a promotion"
        assert 0.6 * level < np.delete(row, 2).mean() < 1.5 * level
    assert (answer["0.1"] < answer["0.9"]).all()

    for change, words in (
        ({"id": "s00"}, "have a history"),
        ({"kind": "kisok"}, "did you mean 'kiosk'"),
        ({"promotion": None}, "must be filled in"),
        ({"ds": pd.date_range(ds[0], periods=HORIZON, freq="2D")}, "needs 6 rows"),
    ):
        new[new["id"] == "new kiosk"].assign(**change).to_csv(tmp_path / "bad.csv", index=False)
        with pytest.raises(DataError, match=words):
            forecast_table.forecast_file(
                folder, None, tmp_path, ForecastOptions(cold_start=str(tmp_path / "bad.csv"))
            )


def test_a_server_takes_the_future_alone(trained: tuple[Path, Problem, Path, Path]) -> None:
    model = predictor.load(trained[3])
    ds = [f"2024-05-{day:02}" for day in range(1, HORIZON + 1)]
    new = {"id": ["new"] * HORIZON, "ds": ds, "promotion": [0] * HORIZON}
    new |= {"kind": ["shop"] * HORIZON, "size": [1.0] * HORIZON}
    history, coming = endpoint.parse_tables(json.dumps({"future": new}).encode(), 100)
    assert history == {}
    assert coming is not None
    request = endpoint._read_new(model, coming)
    answer = model.tabulate(request, model.predict_batch(request.batch))
    assert {*answer["note"]} == {cold_start.NOTED}
    frame = pd.DataFrame(new)
    expected = cold_start.forecast_frame(model, frame, "t").table
    np.testing.assert_allclose(answer["median"], expected["median"])


def test_a_series_with_history_has_the_forecast_of_a_model_without_the_cold_part(
    trained: tuple[Path, Problem, Path, Path],
) -> None:
    _, _, prepared, folder = trained
    model = predictor.load(folder)
    network = model.network
    source = left_out.leave_out(panel.load(prepared), 0.1)
    batch = Windows(source, "test").batch(np.arange(8))
    with torch.inference_mode():
        both = network.predict(batch)
        kept, network.cold = network.cold, None
        assert torch.equal(both, network.predict(batch))
        network.cold = kept
        hidden = network.predict(cold.without_history(network, batch))
    assert bool(hidden.isfinite().all())
    assert not torch.equal(both, hidden)


def test_the_refit_learns_from_all_series(trained: tuple[Path, Problem, Path, Path]) -> None:
    _, problem, prepared, folder = trained
    trainer.seed_everything(problem.training)
    training = refit.build(problem, prepared, folder)
    trainer.fit(training, problem.training, "lstm", "refit")
    training.calibrate()
    assert training.config["refit"]["accepted"]
    assert len(training.config["series"]["unique_id"]) == 40
    network = training.model
    assert torch.equal(network.cold.offsets, predictor.load(folder).network.cold.offsets)  # type: ignore[union-attr]


def test_neighbours_have_the_same_static_values_or_the_nearest() -> None:
    known = np.array([[0.0], [0.0], [0.0], [5.0], [6.0]])
    assert cold.nearest(known, np.array([[0.0]]))[0].tolist() == [True, True, True, False, False]
    assert cold.nearest(known, np.array([[5.4]]))[0].all()
    values = np.array([[1.0], [2.0], [9.0], [100.0], [200.0]])
    found = cold.medians(known, values, known, places=np.arange(5))
    assert found[3] == np.median([1.0, 2.0, 9.0, 200.0])


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"training": {"mask_contexts": 0.0}}, "mask_contexts"),
        ({"model": {"base": "pool"}, "training": {"rehearsals": 1}}, "classical base"),
    ],
)
def test_what_cannot_be_is_refused(sections: dict[str, Any], words: str) -> None:
    given = entry(**sections)
    given["model"] |= sections.get("model", {})
    with pytest.raises(ParamsError, match=words):
        loader.parse("t", given)


def test_a_model_that_was_not_taught_refuses(tmp_path: Path) -> None:
    table(series=4, days=80).to_csv(tmp_path / "t.csv", index=False)
    given = entry(training={"mask_contexts": 0.0, "max_epochs": 1}, evaluation={"cold_start": 0.0})
    problem = Problem.model_validate(given)
    assert "mask_contexts" not in problem.training.model_dump()
    _, folder = train(tmp_path, problem)
    assert "cold_start" not in model_files.read_config(folder)
    with pytest.raises(ModelError, match="mask_contexts"):
        forecast_table.forecast_file(folder, None, tmp_path, ForecastOptions(cold_start="new.csv"))
