"""An exported forecaster says what its model says, and needs neither retain nor torch."""

import json
import logging
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from retain import model_files
from retain.cli.export import export
from retain.errors import ModelError, ParamsError
from retain.kinds.forecast.config import Data, Model
from retain.kinds.forecast.data import panel, tables
from retain.kinds.forecast.export import bundle, onnx_predictor, session, windows
from retain.kinds.forecast.model.forecaster import build_matched
from retain.kinds.forecast.model.pool import fitting
from retain.kinds.forecast.predict import predictor

from .test_predictor import shops

DAYS, HORIZON = 60, 3
COVARIATES: dict[str, Any] = {
    "past_covariates": ["rain"],
    "known_covariates": ["price", "weather"],
    "static_covariates": ["size"],
    "categorical": ["weather"],
}


@dataclass(frozen=True)
class Case:
    """What is in a model beside its cell."""

    model: dict[str, Any]
    data: dict[str, Any]
    pool: bool = False


CASES = {
    "plain": Case({"residual": "seasonal", "layers": 2}, {}),
    "covariates": Case({"series_embedding": 2, "segment_length": 1}, COVARIATES),
    "ensemble": Case({"ensemble": 2, "mean": "tweedie"}, {"transform": "log1p"}),
    "pool": Case(
        {"base": "pool", "series_embedding": 2, "segment_length": 1},
        {"transform": "box_cox", **COVARIATES},
        pool=True,
    ),
}
QUICK = [("lstm", "pool")]  # with all covariates, on the base that `retain add` writes
OTHERS = [
    pytest.param(cell, case, marks=pytest.mark.long)
    for cell in ("lstm", "gru", "rnn")
    for case in CASES
    if (cell, case) not in QUICK
]


def sales(case: Case) -> pd.DataFrame:
    """Shops with gaps, and the covariates of a case; nothing else."""
    table = shops(3, DAYS)
    random = np.random.default_rng(1)
    table["price"] = random.normal(10, 2, len(table)).round(2)
    table["weather"] = random.choice(["sun", "rain"], len(table))
    table["size"] = table["shop"].str[1:].astype(float)
    ahead = table.groupby("shop").cumcount() >= DAYS - HORIZON  # known covariates of the future
    table.loc[ahead | (random.random(len(table)) < 0.1), "y"] = np.nan
    used = [name for key in case.data for name in case.data[key] if key.endswith("covariates")]
    return table[["shop", "ds", "y", *used]]


def write(folder: Path, cell: Any, case: Case) -> pd.DataFrame:
    """Write a model with random weights; return its table."""
    torch.manual_seed(0)
    table = sales(case)
    data = Data(
        path="t.csv",
        unique_id="shop",
        horizon=HORIZON,
        context_length=8,
        season_length=7,
        **case.data,
    )
    made = panel.build(tables.clean(table, data, "t.csv"), data)
    settings = Model(hidden_size=6, quantiles=(0.1, 0.5, 0.9), **case.model)
    until = made.schema.validation_step
    pool = fitting.fit(made, until, log=True) if case.pool else None
    network, sizes = build_matched(cell, settings, made.schema, len(made.index), pool)
    network.offsets.copy_(torch.tensor([[-0.5, 0.0, 0.5]]).expand(HORIZON, -1))
    network.mean_offsets.fill_(0.1)
    if network.base is not None and pool is not None:
        network.base.unit.copy_(torch.linspace(0.3, 0.6, len(network.base.unit)))
        sizes |= {"pool": {"experts": list(pool.experts), "log": pool.log}}  # type: ignore[dict-item]
    config = {
        "kind": "forecast",
        "cell": cell,
        **sizes,
        "model": settings.model_dump(mode="json"),
        "schema": asdict(made.schema),
        "series": made.index[["unique_id", "mean", "std"]].to_dict("list"),
    }
    folder.mkdir()
    model_files.write_model(folder, network, config, [])
    return table


def differences(printed: str) -> float:
    """The larger of the two differences that a script prints."""
    found = [float(line.split()[-1]) for line in printed.splitlines() if "difference" in line]
    assert len(found) == 2
    return max(found)


def run_without(folder: Path, *packages: str) -> float:
    """Run an export's script where packages cannot be imported; return its larger difference."""
    hidden = " = ".join(f"sys.modules[{name!r}]" for name in packages)
    code = f"import runpy, sys; {hidden} = None; runpy.run_path('run.py', run_name='__main__')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return differences(done.stdout)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """What pytest collects of torch's log is most of the time of an export."""
    monkeypatch.setattr(logging.getLogger("torch"), "propagate", False)


@pytest.mark.parametrize(("cell", "case"), [*QUICK, *OTHERS])
def test_an_exported_model_is_its_model_without_retain_and_torch(
    tmp_path: Path, cell: str, case: str
) -> None:
    table = write(tmp_path / "model", cell, CASES[case])
    made = bundle.export(tmp_path / "model", tmp_path / "out", "onnx")
    assert 0 < made.difference < 1e-5
    assert run_without(tmp_path / "out", "retain", "torch") < 1e-4
    about = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert about["series"] == {"s000": 1, "s001": 2, "s002": 3}
    content = (tmp_path / "out" / "model.onnx").read_bytes()
    assert str(Path(bundle.__file__).parents[5]).encode() not in content

    # The server's predictor, which takes the graph that the export would write.
    served, cache = predictor.load(tmp_path / "model"), tmp_path / "cache"
    folder_md5 = about["model"]["md5"]
    cache.mkdir()
    (cache / f"{folder_md5}-{about['retain']}.onnx").write_bytes(content)
    quick = onnx_predictor.load(tmp_path / "model", cache)
    for history in (table, table.assign(shop=table["shop"] + " of another town")):
        expected = served.predict(history)
        answer = quick.predict(history)
        pd.testing.assert_frame_equal(answer, expected, rtol=1e-5, atol=1e-5)
    if CASES[case].pool:
        for name, array in served.pool.arrays().items():  # type: ignore[union-attr]
            np.testing.assert_array_equal(quick.pool.arrays()[name], array)  # type: ignore[union-attr]


@pytest.mark.long
def test_torch_runs_an_exported_program_without_retain(tmp_path: Path) -> None:
    write(tmp_path / "model", "rnn", CASES["covariates"])
    made = bundle.export(tmp_path / "model", tmp_path / "out", "torch")
    assert made.difference < 1e-6
    assert run_without(tmp_path / "out", "retain") < 1e-5


def test_a_graph_that_differs_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "model", "gru", CASES["plain"])
    model = predictor.load(tmp_path / "model")
    inputs = windows.draw(model, 12)
    right = windows.predict(model, inputs)
    assert np.isfinite(right).all()
    assert bundle.compare(model, inputs, right) == 0
    unit = windows.units(model, inputs["series"])[5]
    wrong = right.copy()
    wrong[5, 2, 1] += 0.9e-5 * unit
    assert bundle.compare(model, inputs, wrong) == pytest.approx(0.9e-5, rel=0.1)
    wrong[5, 2, 1] += 0.9e-5 * unit
    with pytest.raises(ModelError, match=r"differs from the model by 1\.8e-05"):
        bundle.compare(model, inputs, wrong)
    wrong[5, 2, 1] = np.nan
    with pytest.raises(ModelError, match="differs"):
        bundle.compare(model, inputs, wrong)


def test_missing_packages_and_existing_folders_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ModelError, match="out exists already"):
        bundle.export(tmp_path / "model", tmp_path / "out", "torch")
    monkeypatch.setattr(session, "find_spec", lambda name: None if name == "onnx" else name)
    with pytest.raises(
        ModelError, match=r'onnx, not installed here: pip install "retain\[export\]"'
    ):
        bundle.export(tmp_path / "model", tmp_path / "new", "onnx")


def test_other_kinds_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"kind": "text", "format": 4}')
    with pytest.raises(ParamsError, match=r"exports forecasters; .* of kind text"):
        export(str(tmp_path), "onnx", tmp_path / "out")
    with pytest.raises(ParamsError, match="is of kind text: leave --runtime out"):
        model_files.load_onnx(tmp_path, tmp_path)


def test_a_server_with_onnxruntime_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "from retain.kinds.forecast.export import onnx_predictor\n"
        "from retain.kinds.forecast.predict import endpoint\n"
        "from retain.serving import process\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
