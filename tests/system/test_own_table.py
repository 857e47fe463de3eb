"""A table of one's own, from `retain add` to a forecast: ETTh1, with columns named differently."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retain.config import loader

from .conftest import REPOSITORY, run, small_table, write_project

ETTH1 = REPOSITORY.parent / "shared" / "data" / "ETTh1.csv"


def shorten(folder: Path, name: str) -> None:
    """Some steps of a small network: this is about the way, not about the error."""
    text = (folder / "params.yaml").read_text()
    head, block = text.split(f"\n  {name}:\n")
    assert block.count("    training:\n") == 1
    assert "preset: accurate" in block or "preset: fast" in block
    block = block.replace("preset: accurate", "preset: fast")
    block = block.replace("    training:\n", "    training:\n      max_steps: 100\n")
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
