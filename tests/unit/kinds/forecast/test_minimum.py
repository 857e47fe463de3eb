"""`data.minimum`: no value of a table is below it, and no forecast."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from retain import model_files
from retain.config.forecasts import ForecastOptions
from retain.errors import DataError
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.data import panel, tables
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.infer.entry import Inferred, infer
from retain.kinds.forecast.model import baselines
from retain.kinds.forecast.predict import predictor
from retain.kinds.forecast.predict.forecast_table import forecast_file

from .test_fast_reader import columns_of
from .test_predictor import model_of, shops

KEYS: dict[str, Any] = {"unique_id": "shop", "past_covariates": ["rain"]}
LOW = 4.0


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose network says -10⁶ at every step, and whose table has no value below 4."""
    folder = tmp_path_factory.mktemp("bounded")
    model_of(folder, shops(3), {}, minimum=LOW, **KEYS)
    network = predictor.load(folder / "model").network
    network.offsets.copy_(torch.tensor([[-2e6, -1e6, 1e6]]).expand(network.horizon, -1))
    config = model_files.read_config(folder / "model")
    model_files.write_model(folder / "model", network, config, [])
    return folder / "model"


def negative(table: pd.DataFrame, value: float = -3.5) -> pd.DataFrame:
    """The table with one value of s001, in row 118 of a file, that no table of the problem has."""
    return table.assign(y=table["y"].mask(table.index == 116, value))


def test_a_value_below_it_is_named_with_file_row_and_remedy(bounded: Path, tmp_path: Path) -> None:
    expected = (
        "history.csv: column `y`: below `minimum`, which is 4 (1 row):\n  row 118: -3.5\n"
        "Correct the values, make them missing with `valid_range`, or lower `minimum` or leave it "
        "out."
    )
    data = predictor.load(bounded).read_as("history.csv")
    with pytest.raises(DataError) as error:
        tables.clean(negative(shops(3)), data, "history.csv")
    assert str(error.value) == expected
    negative(shops(3)).to_csv(tmp_path / "history.csv", index=False)
    with pytest.raises(DataError) as error:
        forecast_file(bounded, str(tmp_path / "history.csv"), tmp_path, ForecastOptions())
    assert str(error.value).replace(f"{tmp_path}/", "") == expected


def test_a_request_with_a_value_below_it_is_refused(bounded: Path) -> None:
    served = predictor.load(bounded)
    assert served.requests.fast_reader.read(columns_of(shops(3))) is not None
    assert served.requests.fast_reader.read(columns_of(negative(shops(3)))) is None
    with pytest.raises(DataError, match="below `minimum`, which is 4"):
        served.predict(negative(shops(3)))


def test_what_is_made_missing_is_not_below_it() -> None:
    data = Data(
        path="t", horizon=3, context_length=8, minimum=0, valid_range={"y": (0, None)}, **KEYS
    )
    table = tables.clean(negative(shops(3)), data, "t")
    assert table.findings.out_of_range == {"y": 1}
    assert int(table.frame["y"].isna().sum()) == 1


def test_neither_quantiles_nor_mean_are_below_it(bounded: Path) -> None:
    found = predictor.load(bounded).predict(shops(3)).to_numpy()[:, 2:-1].astype(float)
    assert found.min() == LOW
    assert (found[:, :3] == LOW).any()


def test_nor_are_the_floors(tmp_path: Path) -> None:
    table = shops(2).drop(columns="rain")
    table["y"] = np.where(np.arange(len(table)) % 60 < 50, 60 - np.arange(len(table)) % 60, LOW)
    problem = Problem.model_validate(
        {
            "kind": "forecast",
            "preset": "fast",
            "data": {
                "path": "t",
                "unique_id": "shop",
                "horizon": 3,
                "context_length": 8,
                "season_length": 7,
                "minimum": LOW,
                "split": {"validation": "4 horizons", "test": "2 horizons"},
            },
            "gate": [{"check": "finite"}],
        }
    )
    source = panel.build(tables.clean(table, problem.data, "t"), problem.data)
    assert source.schema.low == LOW
    windows = Windows(source, "validation")
    for name, model in baselines.quantile_models(problem, windows, source).items():
        batch = next(Windows(source, "test").chunks())
        assert model(batch).min() >= LOW, name

    falling = shops(2).assign(y=lambda t: np.maximum(LOW, 64.5 - t.groupby("shop").cumcount()))
    model_of(tmp_path, falling, {}, minimum=LOW, **KEYS)
    short = falling.drop(index=falling.index[falling["shop"] == "s001"][:-6])
    short.to_csv(tmp_path / "h.csv", index=False)
    options = ForecastOptions(fill_with="seasonal_naive")
    filled = forecast_file(tmp_path / "model", str(tmp_path / "h.csv"), tmp_path, options).table
    filled = filled[filled["note"].str.startswith("filled")]
    assert len(filled) == 3
    assert filled[["mean", "0.1", "0.9"]].to_numpy(float).min() == LOW


def look(folder: Path, y: Any) -> Inferred:
    grid = pd.date_range("2021-01-01", periods=400)
    pd.DataFrame({"ds": grid, "y": y}).to_csv(folder / "t.csv", index=False)
    return infer("t", "t.csv", folder, 7, {}, seconds=0)


def test_add_proposes_zero_where_no_value_is_negative(tmp_path: Path) -> None:
    y = 5 + 3 * np.sin(np.arange(400)).round(2)
    found = look(tmp_path, y)
    assert found.data["minimum"] == 0
    assert "minimum: 0; no value is negative, and no forecast will be" in found.sentences
    y[399] = -0.5  # in the test part: what is not true of the whole table is not proposed
    found = look(tmp_path, y)
    assert "minimum" not in found.data
    assert not any(sentence.startswith("minimum") for sentence in found.sentences)


def test_without_it_the_training_part_decides() -> None:
    for low, expected in ((1.0, 0.0), (-1.0, None)):
        table = shops(1).drop(columns=["shop", "rain"])
        table.loc[3, "y"] = low
        data = Data(path="t", horizon=3, context_length=8)
        assert panel.build(tables.clean(table, data, "t"), data).schema.low == expected
