"""A table of one's own, from `retain add` to a forecast: ETTh1, with columns named differently."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from retain import cli
from retain.config import loader
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.prepare import check_table
from retain.project import raw_table

from .conftest import REPOSITORY, commit, run, small_table, write_project
from .own_tables import EXAMPLES

ETTH1 = REPOSITORY.parent / "shared" / "data" / "ETTh1.csv"


def shorten(folder: Path, name: str) -> None:
    """Some steps of a small network: this is about the way, not about the error."""
    text = (folder / "params.yaml").read_text()
    head, block = text.split(f"\n  {name}:\n")
    for key, short in (("max_steps", "100"), ("alone", "false"), ("floors", "[seasonal_naive]")):
        block, count = re.subn(rf"\n      {key}: .*", f"\n      {key}: {short}", block)
        assert count == 1, key
    block = re.sub(r"\n .*baseline: (theta|pool).*", "", block)
    (folder / "params.yaml").write_text(f"{head}\n  {name}:\n{block}")


@pytest.mark.long
def test_etth1_goes_through_add_and_the_whole_pipeline(tmp_path: Path) -> None:
    if not ETTH1.is_file():
        pytest.skip("shared/data/ETTh1.csv is not here: github.com/zhouhaoyi/ETDataset has it")
    folder = write_project(tmp_path / "project", small_table())
    said = run(
        folder, "retain", "add", "ett", str(ETTH1), "--horizon", "24", "--budget", "0"
    ).stdout
    assert "dvc repro register@ett" in said
    shorten(folder, "ett")
    run(folder, "retain", "check", "ett")
    run(folder, "dvc", "repro", "register@ett")
    assert "ett" in run(folder, "retain", "results", "ett").stdout
    assert "models/ett/lstm" in (folder / "dvc.yaml").read_text()


def test_columns_named_differently_need_no_flag_but_the_horizon(tmp_path: Path) -> None:
    folder = write_project(tmp_path / "project", small_table())
    days = pd.date_range("2022-01-01", periods=400)
    noise = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "timestamp": days.strftime("%Y-%m-%d"),
                "store": store,
                "revenue": (100 + 30 * (days.day_of_week >= 5) + noise.normal(0, 5, 400)).round(1),
            }
        )
        for store in ("001", "002")
    ]
    pd.concat(parts).to_csv(folder / "data" / "raw" / "sales.csv", index=False)
    run(folder, "retain", "add", "sales", "data/raw/sales.csv", "--horizon", "14", "--budget", "0")
    problem = loader.load_problem(folder, "sales")
    data = problem.data  # type: ignore[attr-defined]
    assert (data.ds, data.unique_id, data.y, data.frequency) == (
        "timestamp",
        "store",
        "revenue",
        "D",
    )
    run(folder, "dvc", "repro", "prepare@sales")
    assert "series: 2" in run(folder, "retain", "check", "sales").stdout


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_table_as_people_have_it_needs_no_edit_of_yaml(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = EXAMPLES[name]
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text("problems: {}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(raw_table, "track", lambda *_: False)
    example.write(tmp_path / f"{name}.csv")
    words = ["add", name, f"{name}.csv", *example.words, "--budget", "0"]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, f"{result.output}\n{result.exception}"
    problem = loader.load_problem(tmp_path, name)
    assert isinstance(problem, Problem)
    written = problem.data.model_dump(mode="json")
    assert {key: written[key] for key in example.data} == example.data
    _, lines = check_table(problem, tmp_path)
    assert f"series: {example.series}" in lines


@pytest.mark.long
@pytest.mark.parametrize("name", ["shop", "export"])
def test_four_commands_lead_to_a_forecast(name: str, tmp_path: Path) -> None:
    example = EXAMPLES[name]
    folder = write_project(tmp_path / "project", small_table(), "problems: {}\n")
    example.write(tmp_path / f"{name}.csv")
    words = ("add", name, str(tmp_path / f"{name}.csv"), *example.words, "--budget", "0")
    assert f"next: dvc repro register@{name}" in run(folder, "retain", *words).stdout
    shorten(folder, name)  # for the time of the test
    commit(folder)
    run(folder, "dvc", "repro", f"register@{name}")
    run(folder, "retain", "results", name)
    run(folder, "retain", "forecast", name, "-o", "forecast.csv")
    forecast = pd.read_csv(folder / "forecast.csv")
    assert len(forecast) == int(example.words[1]) * example.series
    assert forecast["median"].notna().all()
    run(folder, "dvc", "exp", "run", "-S", f"problems.{name}.model.hidden_size=8")
    assert loader.load_problem(folder, name).model.hidden_size == 8  # type: ignore[attr-defined]
