"""A model folder answers a table with a table, the same whatever else is asked, or says why not."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from retain import model_files
from retain.errors import DataError, ModelError
from retain.kinds.forecast.config import Data, Model
from retain.kinds.forecast.data import panel, slots, tables
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.model.forecaster import build_matched
from retain.kinds.forecast.predict import predictor
from retain.kinds.forecast.predict.predictor import Predictor

NAN = float("nan")
HORIZON, CONTEXT, SEASON = 3, 8, 7
LEVELS = ["0.1", "0.5", "0.9"]


def shops(count: int, days: int = 60, first: str = "2024-01-01") -> pd.DataFrame:
    """Shops s000, s001, ... with a season of a week, noise, and one row a day."""
    generator = np.random.default_rng(0)
    ds = pd.date_range(first, periods=days).strftime("%Y-%m-%d")
    parts = []
    for number in range(count):
        y = number + 10 + 3 * np.sin(np.arange(days) * 2 * np.pi / 7) + generator.normal(size=days)
        rain = generator.normal(size=days)
        name = f"s{number:03d}"
        parts.append(pd.DataFrame({"shop": name, "ds": ds, "y": y.round(3), "rain": rain.round(3)}))
    return pd.concat(parts, ignore_index=True)


def model_of(folder: Path, table: pd.DataFrame, model: dict[str, Any], **keys: Any) -> Panel:
    """Write a model with random weights, and beside it the panel that it could have learned."""
    keys = {"horizon": HORIZON, "context_length": CONTEXT, "season_length": SEASON, **keys}
    data = Data(path="t.csv", **keys)
    made = panel.build(tables.clean(table, data, "t.csv"), data)
    torch.manual_seed(0)
    settings = Model(hidden_size=8, quantiles=(0.1, 0.5, 0.9), **model)
    network, sizes = build_matched("lstm", settings, made.schema, len(made.index))
    network.offsets.copy_(torch.tensor([[-0.5, 0.0, 0.5]]).expand(HORIZON, -1))
    config = {
        "kind": "forecast",
        "cell": "lstm",
        **sizes,
        "model": settings.model_dump(mode="json"),
        "schema": asdict(made.schema),
        "series": made.index[["unique_id", "mean", "std"]].to_dict("list"),
        "slots": slots.measure(made),
    }
    (folder / "model").mkdir(parents=True)
    (folder / "prepared").mkdir()
    model_files.write_model(folder / "model", network, config, [])
    panel.save(made, folder / "prepared")
    return made


PLAIN = {"unique_id": "shop", "past_covariates": ["rain"]}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Knows the shops s000 to s004, their rain and the calendar."""
    folder = tmp_path_factory.mktemp("plain")
    model_of(folder, shops(5), {"residual": "seasonal", "series_embedding": 2}, **PLAIN)
    return folder


@pytest.fixture(scope="module")
def served(plain: Path) -> Predictor:
    return predictor.load(plain / "model")


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One series without an id; its price and its weather of two kinds are known beforehand."""
    folder = tmp_path_factory.mktemp("priced")
    table = shops(1).drop(columns="shop").rename(columns={"rain": "price"})
    table["weather"] = ["sun", "rain", "sun"] * 20
    known = {"known_covariates": ["price", "weather"], "categorical": ["weather"]}
    model_of(folder, table, {}, **known)
    return folder


def refused(served: Predictor, table: pd.DataFrame) -> str:
    with pytest.raises(DataError) as error:
        served.predict(table)
    return str(error.value)


def newest(table: pd.DataFrame, steps: int = CONTEXT + SEASON) -> pd.DataFrame:
    return table.groupby("shop").tail(steps).reset_index(drop=True)


# --- the answer ---


def test_an_answer_is_a_row_a_step_and_a_column_a_quantile(served: Predictor) -> None:
    answer = served.predict(newest(shops(2)))
    assert list(answer.columns) == ["shop", "ds", "mean", "median", *LEVELS, "note"]
    assert answer["shop"].tolist() == ["s000"] * 3 + ["s001"] * 3
    days = pd.to_datetime(["2024-03-01", "2024-03-02", "2024-03-03"])
    assert answer["ds"].tolist() == [*days, *days]
    values = answer[LEVELS].to_numpy()
    assert np.isfinite(values).all()
    assert (np.diff(values, axis=1) > 0).all()
    assert answer["median"].equals(answer["0.5"])
    assert answer["mean"].between(answer["0.1"], answer["0.9"]).all()


def test_series_may_end_at_different_times(served: Predictor) -> None:
    table = shops(2)
    table = table.drop(index=table.index[table["shop"] == "s001"][-5:])
    answer = served.predict(table)
    first = answer.groupby("shop")["ds"].min()
    assert first["s000"] == pd.Timestamp("2024-03-01")
    assert first["s001"] == pd.Timestamp("2024-02-25")
    alone = served.predict(table[table["shop"] == "s001"])
    pd.testing.assert_frame_equal(answer.iloc[3:].reset_index(drop=True), alone, check_exact=True)


def test_a_forecast_does_not_depend_on_its_neighbours(served: Predictor) -> None:
    table = newest(shops(100))
    together = served.predict(table).set_index("shop")
    for name in ("s000", "s003", "s063", "s064", "s099"):
        alone = served.predict(table[table["shop"] == name]).set_index("shop")
        pd.testing.assert_frame_equal(together.loc[name], alone, check_exact=True)


def test_the_order_of_the_rows_does_not_matter(served: Predictor) -> None:
    table = newest(shops(3))
    shuffled = table.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(served.predict(shuffled), served.predict(table), check_exact=True)


def test_older_history_does_not_matter_to_a_known_series(served: Predictor) -> None:
    table = shops(2)
    pd.testing.assert_frame_equal(
        served.predict(newest(table)), served.predict(table), check_exact=True
    )


def test_text_is_read_as_in_a_file(served: Predictor) -> None:
    table = newest(shops(2))
    pd.testing.assert_frame_equal(
        served.predict(table.astype("str")), served.predict(table), check_exact=True
    )


def test_the_answer_is_what_the_network_says_of_the_same_window(
    plain: Path, served: Predictor
) -> None:
    made = panel.load(plain / "prepared")
    windows = Windows(made, "test")
    last = np.flatnonzero(windows.step == windows.step.max())  # of every series the newest
    with torch.inference_mode():
        expected = served.network.predict(windows.batch(last))
    answer = served.predict(shops(5).groupby("shop").head(60 - HORIZON))
    given = answer[[*LEVELS, "mean"]].to_numpy().reshape(5, HORIZON, 4)
    np.testing.assert_allclose(given, expected.double().numpy(), rtol=1e-5)


def test_a_known_covariate_is_that_of_the_future(priced: Path) -> None:
    served = predictor.load(priced / "model")
    made = panel.load(priced / "prepared")
    windows = Windows(made, "test")
    with torch.inference_mode():
        expected = served.network.predict(windows.batch(np.array([len(windows) - 1])))
    table = served.example(priced / "prepared")
    assert table["y"].isna().tolist() == [False] * (len(table) - HORIZON) + [True] * HORIZON
    answer = served.predict(table)
    given = answer[[*LEVELS, "mean"]].to_numpy()
    np.testing.assert_allclose(given, expected[0].double().numpy(), rtol=1e-5)
    table.loc[table.index[-1], "price"] += 5
    assert not np.array_equal(served.predict(table)[LEVELS], answer[LEVELS])


def test_a_series_never_seen_is_scaled_by_its_own_history(served: Predictor) -> None:
    table = shops(1).assign(shop="new")
    low = served.predict(table)
    high = served.predict(table.assign(y=table["y"] * 100 + 7))
    np.testing.assert_allclose(high[LEVELS], low[LEVELS] * 100 + 7, rtol=1e-4)


def test_an_answer_is_in_local_time(tmp_path: Path) -> None:
    steps = pd.date_range("2024-03-01T00:00Z", periods=24 * 29 + 22, freq="h")
    table = pd.DataFrame({"ds": steps.astype(str), "y": np.arange(len(steps)) % 24.0})
    model_of(tmp_path, table, {}, timezone="Europe/Berlin")
    answer = predictor.load(tmp_path / "model").predict(table.tail(40))
    assert [str(stamp) for stamp in answer["ds"]] == [
        "2024-03-30 23:00:00+01:00",
        "2024-03-31 00:00:00+01:00",
        "2024-03-31 01:00:00+01:00",
    ]


def test_months_go_on_as_months(tmp_path: Path) -> None:
    months = pd.date_range("2015-01-31", periods=100, freq="ME")
    table = pd.DataFrame({"ds": months.astype(str), "y": np.arange(100.0)})
    model_of(tmp_path, table, {})
    answer = predictor.load(tmp_path / "model").predict(table.tail(20))
    assert answer["ds"].astype(str).tolist() == ["2023-05-31", "2023-06-30", "2023-07-31"]


# --- what is refused ---


def test_a_history_shorter_than_the_context(served: Predictor) -> None:
    table = newest(shops(3))
    table = table.drop(index=table.index[table["shop"] == "s001"][: SEASON + 2])
    assert refused(served, table) == (
        "history: the model needs a history of 8 steps of D; too short are 1 series:\n"
        "  s001: 6 steps"
    )


def test_a_history_as_long_as_the_context_is_enough(served: Predictor) -> None:
    assert len(served.predict(newest(shops(2), CONTEXT))) == 2 * HORIZON


def test_a_column_that_the_model_does_not_know(served: Predictor) -> None:
    assert refused(served, newest(shops(1)).assign(snow=1.0)) == (
        "history: the model does not know the column 'snow'; leave it out, the model reads shop, "
        "ds, y, rain"
    )


def test_a_column_that_is_missing(served: Predictor) -> None:
    assert refused(served, newest(shops(1)).drop(columns="rain")) == (
        "history: there is no column `rain`\nThe columns are: `shop`, `ds`, `y`"
    )


def test_a_context_without_values(served: Predictor) -> None:
    table = newest(shops(2))
    table.loc[table.index[-CONTEXT:], "y"] = NAN
    assert refused(served, table) == (
        "history: every value of the target is missing in the last 8 steps of 1 series:\n  s001"
    )


def test_a_series_without_values(served: Predictor) -> None:
    table = newest(shops(2))
    table.loc[table["shop"] == "s000", "y"] = NAN
    assert refused(served, table) == "history: no value of the target at all in 1 series:\n  s000"


def test_gaps_are_answered_as_long_as_there_is_a_value(served: Predictor) -> None:
    table = newest(shops(1))
    table.loc[table.index[:-1], "y"] = NAN
    assert np.isfinite(served.predict(table)[LEVELS].to_numpy()).all()


def test_another_frequency(served: Predictor) -> None:
    table = newest(shops(1))
    table["ds"] = pd.date_range("2024-01-01 05:00", periods=len(table), freq="h").astype(str)
    assert refused(served, table) == (
        "history: column `ds`: off the grid of frequency D (14 rows):\n"
        + "".join(
            f"  row {n + 2}: 2024-01-01 {n + 6:02d}:00:00 of series 's000'\n" for n in range(10)
        )
        + "  ... and 4 more\n"
        "Correct the stamps or `frequency`; their most common step is h."
    )


def test_known_covariates_need_rows_of_the_future(priced: Path) -> None:
    served = predictor.load(priced / "model")
    table = served.example(priced / "prepared")
    sentence = (
        "history: add a row for each of the 3 steps to forecast, with price, weather filled in "
        "and y left empty; missing in 1 series:\n  series: {} of 3 rows"
    )
    assert refused(served, table.iloc[:-1]) == sentence.format(2)
    assert refused(served, table.iloc[:-HORIZON]) == sentence.format(0)
    table.loc[table.index[-2], "weather"] = None
    assert refused(served, table) == sentence.format(2)


def test_values_out_of_all_proportion(served: Predictor) -> None:
    table = newest(shops(1))
    table.loc[table.index[-1], "y"] = 3e38
    assert refused(served, table) == (
        "history: the values are too far from what the model was trained on for a finite forecast "
        "of 1 series:\n  s000"
    )


# --- model folders ---


@pytest.mark.parametrize("name", ["plain", "priced"])
def test_the_example_of_a_model_can_be_answered(name: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(name)
    served = predictor.load(folder / "model")
    example = served.example(folder / "prepared")
    assert list(example.columns) == served.input_columns()
    assert len(served.predict(example)) == HORIZON


@pytest.mark.parametrize(
    "keys",
    [
        {"time_format": "%d.%m.%Y"},
        {"time_format": "epoch_s"},
        {"time_format": "excel"},
        {"timezone": "America/New_York"},
        {"timezone": "America/New_York", "time_format": "%d.%m.%Y %H:%M %z"},
        {"timezone": "UTC", "time_format": "%m/%d/%Y"},
        {"timezone": "America/New_York", "time_format": "epoch_ms"},
        {"static_covariates": ["size", "kind"], "categorical": ["kind"]},
    ],
)
def test_an_example_is_written_as_the_table_was(tmp_path: Path, keys: dict[str, Any]) -> None:
    table = shops(2).drop(columns="rain")
    utc = pd.DatetimeIndex(table["ds"])
    since_1970 = (utc - pd.Timestamp(0)) / pd.Timedelta(seconds=1)
    numbers = {
        "epoch_s": since_1970,
        "epoch_ms": since_1970 * 1000,
        "excel": since_1970 / 86400 + 25569,
    }
    form = keys.get("time_format", "%Y-%m-%dT%H:%M:%SZ" if "timezone" in keys else "%Y-%m-%d")
    table["ds"] = numbers[form] if form in numbers else utc.tz_localize("UTC").strftime(form)
    if "static_covariates" in keys:
        table["size"], table["kind"] = 1.5, table["shop"].str[-1]
    made = model_of(tmp_path, table, {}, unique_id="shop", frequency="D", **keys)
    served = predictor.load(tmp_path / "model")
    example = served.example(tmp_path / "prepared")
    ds = tables.clean(example, served.data, "example").frame["ds"]
    assert ds.tolist() == made.grid[-len(ds) :].tolist()
    assert len(served.predict(example)) == HORIZON


@pytest.mark.parametrize("known", [[], ["rain"]])
def test_an_example_ends_with_a_value(tmp_path: Path, known: list[str]) -> None:
    table = shops(2).reset_index(drop=True)
    first = table.index[table["shop"] == table["shop"].iloc[0]]
    table.loc[first[-CONTEXT - 2 :], ["y", "rain"]] = NAN
    keys = {"known_covariates": known} if known else {"past_covariates": ["rain"]}
    model_of(tmp_path, table, {}, unique_id="shop", **keys)
    served = predictor.load(tmp_path / "model")
    example = served.example(tmp_path / "prepared")
    assert example["y"].last_valid_index() == len(example) - 1 - (HORIZON if known else 0)
    assert len(served.predict(example)) == HORIZON


def test_the_example_of_a_wide_table(tmp_path: Path) -> None:
    table = shops(1).rename(columns={"y": "north"}).assign(south=1.0)[["ds", "north", "south"]]
    model_of(tmp_path, table, {}, value_columns=["north", "south"])
    served = predictor.load(tmp_path / "model")
    example = served.example(tmp_path / "prepared")
    assert list(example.columns) == ["ds", "north", "south"]
    assert served.predict(example)["unique_id"].unique().tolist() == ["north", "south"]


@pytest.fixture
def copy(plain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain / "model", tmp_path / "model"))


def unreadable(folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        predictor.load(folder)
    return str(error.value)


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
def test_a_file_that_is_missing(copy: Path, name: str) -> None:
    (copy / name).unlink()
    assert f"{name} does not exist: train the model, or fetch it with `dvc pull`" in unreadable(
        copy
    )


def test_weights_that_are_cut_short(copy: Path) -> None:
    weights = copy / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    message = unreadable(copy)
    assert message.startswith(f"the model in {copy} is damaged or was made by another version of")
    assert message.endswith("train it again, or fetch it with `dvc pull`")


@pytest.mark.parametrize(
    "change",
    [{"hidden_size": 9}, {"cell": "gru"}, {"cell": "elman"}, {"model": {"colour": "red"}}],
)
def test_a_config_that_does_not_fit_the_weights(copy: Path, change: dict[str, Any]) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | change))
    assert unreadable(copy).startswith(f"the model in {copy} is damaged or was made by another")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": {}}'])
def test_a_config_that_is_none(copy: Path, text: str) -> None:
    (copy / "config.json").write_text(text)
    assert unreadable(copy).startswith(f"the model in {copy} is damaged or was made by another")


def test_a_model_says_what_does_not_fit(served: Predictor, tmp_path: Path) -> None:
    served.check_fits(served.schema, "models/shops")
    data = {**served.schema.data, "horizon": 4}
    other = {**asdict(served.schema), "data": data}
    with pytest.raises(ModelError) as error:
        served.check_fits(panel.Schema(**other), "models/shops")
    assert str(error.value) == "models/shops was trained with horizon 3; the data has 4"
    other = {**asdict(served.schema), "frequency": "h"}
    with pytest.raises(ModelError) as error:
        served.check_fits(panel.Schema(**other), "models/shops")
    assert str(error.value) == "models/shops was trained with frequency D; the data has h"


def test_a_known_series_keeps_its_number_and_scale(served: Predictor) -> None:
    names = np.array(["s003", "new", "s000"], dtype=object)
    numbers, scales = served.known_series(names, np.array([[0.0, 1.0], [5.0, 2.0], [0.0, 1.0]]))
    assert numbers.tolist() == [4, 0, 1]
    assert scales[1].tolist() == [5, 2]
    own = served.config["series"]
    assert scales[0].tolist() == pytest.approx([own["mean"][3], own["std"][3]])
