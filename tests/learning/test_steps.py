"""What people read of a table without dates, or with phases, has its own steps and times."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain.config.forecasts import ForecastOptions
from retain.kinds.forecast import prepare
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel, tables
from retain.kinds.forecast.evaluation import evaluate, lstm_gates, outlook, report
from retain.kinds.forecast.model import setup
from retain.kinds.forecast.monitoring import backtest
from retain.kinds.forecast.predict import predictor
from retain.kinds.forecast.predict.forecast_table import forecast_file

from .small import trained

COUNT = 300
RNN = ("lstm", "rnn")


def problem(**data: Any) -> Problem:
    keys = {"path": "t.csv", "horizon": 6, "context_length": 12, "season_length": 6, **data}
    return Problem.model_validate(
        {
            "kind": "forecast",
            "preset": "fast",
            "data": keys | {"split": {"validation": "20 horizons", "test": "10 horizons"}},
            "model": {"hidden_size": 4, "segment_length": 6, "normalisation": "series"},
            "training": {"max_epochs": 1, "batch_size": 64, "learning_rate": 0.01},
            "evaluation": {"floors": ["seasonal_naive"]},
            "gate": [{"check": "finite"}],
        }
    )


def table(**columns: Any) -> pd.DataFrame:
    wave = 20 + 5 * np.sin(np.arange(COUNT) * 2 * np.pi / 6)
    noise = np.random.default_rng(0).normal(0, 1, COUNT)
    return pd.DataFrame({**columns, "y": (wave + noise).round(3)})


def built(root: Path, rows: pd.DataFrame, asked: Problem) -> Path:
    rows.to_csv(root / "t.csv", index=False)
    folder = root / "data" / "prepared" / "t"
    folder.mkdir(parents=True)
    panel.save(panel.build(tables.read(asked.data, root), asked.data), folder)
    return folder


STEPS = problem(ds="t", ds_is_step=True, calendar=False)


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    root = tmp_path_factory.mktemp("steps")
    prepared = built(root, table(t=range(1, COUNT + 1)), STEPS)
    return root, {cell: trained(setup.build, STEPS, prepared, cell, root / cell) for cell in RNN}


def test_no_page_of_steps_has_a_date(steps: tuple[Path, dict[str, Path]]) -> None:
    root, models = steps
    prepared = root / "data" / "prepared" / "t"
    found = evaluate.evaluate(STEPS, prepared, models)
    page = report.report("t", STEPS, found, [])
    facts = dict(page.facts)
    assert facts["Validation from"] == "step 181"
    assert facts["Test to"] == "step 300"
    look = outlook.build("t", STEPS, prepared, models["lstm"], None)
    assert "the next 6 steps: step 301 to 306." in look.opening
    told = dict(look.data.facts)
    assert told["Table"] == "300 rows, 1 series, step 1 to 300, every step"
    assert "step 241 to 300" in told["Drift"]
    figures = [*page.figures, *look.forecast.figures]
    shown = " ".join([str(page.facts), look.opening, str(told), *(one.svg for one in figures)])
    assert "1970" not in shown
    assert " us" not in str(page.facts) + look.opening
    assert ">300</text>" in look.forecast.figures[0].svg
    gates = lstm_gates.inspect(STEPS, "t", root, models["lstm"], None, "295")
    assert gates.title == "t: the 12 steps before 295"
    assert gates.steps == ("283", "289")


def test_the_command_check_and_the_model_name_steps(steps: tuple[Path, dict[str, Path]]) -> None:
    root, models = steps
    lines = prepare.check_table(STEPS, root)[1]
    assert "span: 1 to 300" in lines
    assert "frequency: 1" in lines
    model = predictor.load(models["lstm"])
    assert model.trained_on() == "step 1 to 181"
    assert model.evaluated_until() == "181"


def test_a_replay_of_steps_has_steps(tmp_path: Path) -> None:
    table(t=range(1, COUNT + 1)).to_csv(tmp_path / "t.csv", index=False)
    found = backtest.backtest(STEPS, "t", tmp_path, "50", "240")
    assert found.table()["date"].unique().tolist() == [240, 290]
    assert "looked at every 50 from 240 to 290" in found.markdown("t", "50")
    assert "1970" not in found.figure()


def test_each_series_is_shown_at_its_own_times(tmp_path: Path) -> None:
    hours = pd.date_range("2024-01-01", periods=COUNT, freq="h")
    twenty = hours + pd.Timedelta(minutes=20)
    rows = pd.concat([table(ds=hours, name="a"), table(ds=twenty, name="b").drop(index=[50, 51])])
    asked = problem(unique_id="name", align="series", frequency="h")
    prepared = built(tmp_path, rows, asked)
    source = panel.load(prepared)
    assert source.quality["missing"]["longest_gap_from"] == "2024-01-03 02:20:00"
    folder = trained(setup.build, asked, prepared, "lstm", tmp_path / "lstm")
    found = forecast_file(folder, str(tmp_path / "t.csv"), tmp_path, ForecastOptions())
    for name, own in (("a", hours), ("b", twenty)):
        ahead = found.rows["ds"][found.rows["unique_id"] == name]
        assert ahead.iloc[0] == own[-1] + pd.Timedelta(hours=1)
        assert found.history["ds"][found.history["unique_id"] == name].iloc[-1] == own[-1]
    example = predictor.load(folder).example(prepared)
    assert set(pd.to_datetime(example["ds"]).dt.minute) in ({0}, {20})
    gates = lstm_gates.inspect(asked, "t", tmp_path, folder, "b", None)
    assert gates.title.endswith(":20")
