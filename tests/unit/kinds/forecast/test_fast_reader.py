"""What is read quickly is read as it would be read slowly; what is not plain is left alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain.kinds.forecast.data import tables
from retain.kinds.forecast.predict import last_window, predictor
from retain.kinds.forecast.predict.predictor import Predictor

from .test_predictor import model_of, shops

Columns = dict[str, list[Any]]
STATIC = {"static_covariates": ["size"]}
# Kinds of models, and what makes the table of each out of `shops`.
MODELS: dict[str, tuple[dict[str, Any], Callable[[pd.DataFrame], pd.DataFrame]]] = {
    "past": ({"unique_id": "shop", "past_covariates": ["rain"]}, lambda t: t),
    "known": ({"unique_id": "shop", "known_covariates": ["rain"]}, lambda t: t),
    "static": (
        {"unique_id": "shop", **STATIC},
        lambda t: t.drop(columns="rain").assign(size=t["shop"].str[-1].astype(float)),
    ),
    "one series": ({}, lambda t: t[t["shop"] == "s000"].drop(columns=["shop", "rain"])),
    "no calendar, a range": (
        {"unique_id": "shop", "calendar": False, "valid_range": {"y": [9, None]}},
        lambda t: t.drop(columns="rain"),
    ),
    "numbers that mean missing": (
        {"unique_id": "shop", "past_covariates": ["rain"], "na_values": ["", "-999"]},
        lambda t: t.assign(y=t["y"].mask(t.index % 9 == 5, -999.0)),
    ),
    "holidays": (
        {"unique_id": "shop", "holidays": "US"},
        lambda t: t.drop(columns="rain"),
    ),
}


@pytest.fixture(scope="module", params=MODELS)
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Predictor, pd.DataFrame]:
    keys, change = MODELS[request.param]
    folder = tmp_path_factory.mktemp("model")
    table = change(shops(4)).reset_index(drop=True)
    model_of(folder, table, {}, **keys)
    served = predictor.load(folder / "model")
    if served.data.known_covariates:
        last = table.groupby("shop").cumcount(ascending=False) < served.data.horizon
        table = table.assign(y=table["y"].mask(last))
    return served, table


def columns_of(table: pd.DataFrame) -> Columns:
    plain = table.astype(object).where(table.notna(), None)
    return {str(name): plain[name].tolist() for name in plain}


def test_it_reads_what_pandas_reads(case: tuple[Predictor, pd.DataFrame]) -> None:
    served, table = case
    late = table.copy()
    late["ds"] = (pd.to_datetime(late["ds"]) + pd.Timedelta(days=5000)).dt.strftime("%Y-%m-%d")
    unseen = late.assign(shop="new " + late["shop"]) if "shop" in late else late
    blank = late.assign(y=late["y"].mask(np.arange(len(late)) % 7 == 3))
    clock = table.assign(ds=table["ds"] + "T06:00:00")
    minutes = table.assign(ds=table["ds"] + " 06:00")
    for asked in (table, late, unseen, blank, clock, minutes, table.tail(30)):
        found = served.requests.fast_reader.read(columns_of(asked))
        assert found is not None
        slow = tables.clean(asked, served.read_as("t.csv"), "t.csv")
        expected = last_window.last_windows(slow.frame, served.data, served.schema, "t.csv")
        assert found.names.tolist() == expected.names.tolist()
        np.testing.assert_array_equal(found.scales, expected.scales)
        np.testing.assert_array_equal(found.static, expected.static)
        np.testing.assert_array_equal(found.ahead, expected.ahead)
        np.testing.assert_array_equal(found.window, expected.window)


def test_series_of_other_lengths_and_times(tmp_path: Path) -> None:
    model_of(tmp_path, shops(3), {}, unique_id="shop", past_covariates=["rain"])
    served = predictor.load(tmp_path / "model")
    table = shops(3)
    cut = table.drop(index=[*range(20), *range(110, 120)])
    found = served.requests.fast_reader.read(columns_of(cut))
    assert found is not None
    slow = tables.clean(cut, served.read_as("t.csv"), "t.csv")
    expected = last_window.last_windows(slow.frame, served.data, served.schema, "t.csv")
    np.testing.assert_array_equal(found.window, expected.window)
    np.testing.assert_array_equal(found.ahead, expected.ahead)


def put(column: str, row: int, value: Any) -> Callable[[Columns], Columns]:
    def change(columns: Columns) -> Columns:
        values = list(columns[column])
        values[row] = value
        return columns | {column: values}

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda c: {},
        lambda c: {name: values for name, values in c.items() if name != "y"},
        lambda c: c | {"colour": c["y"]},
        lambda c: c | {"y": c["y"][:-1]},
        lambda c: {name: values[:5] for name, values in c.items()},
        lambda c: {name: values[::2] for name, values in c.items()},
        lambda c: {name: values[::-1] for name, values in c.items()},
        lambda c: c | {"y": [None] * len(c["y"])},
        lambda c: c | {"ds": ["2024-01-01"] * len(c["ds"])},
        put("y", 3, "3"),
        put("y", 3, True),
        put("y", 3, [3]),
        put("y", 3, float("inf")),
        put("y", 3, 1e39),
        put("y", 3, 2**60),
        put("y", 3, 10**400),
        put("ds", 3, None),
        put("ds", 3, 20240104),
        put("ds", 3, "2024-01-4 "),
        put("ds", 3, "2024-02-30"),
        put("ds", 3, "2024-01-05"),
        put("ds", 0, 3),
        put("shop", 3, None),
        put("shop", 3, ""),
        put("shop", 3, 7),
        put("shop", 70, "s000"),
    ],
)
def test_what_is_not_plain_is_left_alone(
    tmp_path_factory: pytest.TempPathFactory, change: Callable[[Columns], Columns]
) -> None:
    folder = tmp_path_factory.mktemp("model")
    model_of(folder, shops(2), {}, unique_id="shop", past_covariates=["rain"])
    served = predictor.load(folder / "model")
    columns = columns_of(shops(2))
    assert served.requests.fast_reader.read(columns) is not None
    assert served.requests.fast_reader.read(change(columns)) is None


@pytest.mark.parametrize(
    "keys",
    [
        {"timezone": "Europe/Berlin"},
        {"time_format": "%Y-%m-%d"},
        {"past_covariates": ["rain"], "categorical": ["rain"]},
    ],
)
def test_models_whose_tables_are_never_plain(tmp_path: Path, keys: dict[str, Any]) -> None:
    table = shops(1).drop(columns="shop").assign(rain="none")
    if "past_covariates" not in keys:
        table = table.drop(columns="rain")
    model_of(tmp_path, table, {}, **keys)
    served = predictor.load(tmp_path / "model")
    assert served.requests.fast_reader.read(columns_of(table)) is None
    assert len(served.requests.read_columns(columns_of(table))) == 1
