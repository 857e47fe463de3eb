"""A forecast is always to be had: what has none is left out or filled, and the rest is noted."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from retain.config.forecasts import ForecastOptions, Forecasts
from retain.errors import DataError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import chunks, panel, tables
from retain.kinds.forecast.predict import endpoint, notes, predictor, table_predictor
from retain.kinds.forecast.predict.forecast_table import forecast_file
from retain.kinds.forecast.prepare import add_warnings

from .test_predictor import CONTEXT, HORIZON, LEVELS, PLAIN, model_of, shops

NAN = float("nan")
SHORT = "a history of 6 steps of D; the model needs 8"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    model_of(folder, shops(5), {}, **PLAIN)
    return folder / "model"


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose table says beforehand which promotion there is, in text."""
    folder = tmp_path_factory.mktemp("promoted")
    keys = {"unique_id": "shop", "known_covariates": ["promo"], "categorical": ["promo"]}
    model_of(folder, promotions(), {}, **keys)
    return folder / "model"


def promotions(count: int = 2) -> pd.DataFrame:
    table = shops(count).drop(columns="rain")
    return table.assign(promo=["none", "half price", "none", "flyer"] * (len(table) // 4))


def forecast(model: Path, table: pd.DataFrame, tmp_path: Path, **options: Any) -> Forecasts:
    table.to_csv(tmp_path / "history.csv", index=False)
    if isinstance(coming := options.get("future"), pd.DataFrame):
        coming.to_csv(tmp_path / "future.csv", index=False)
        options["future"] = str(tmp_path / "future.csv")
    found = forecast_file(
        model, str(tmp_path / "history.csv"), tmp_path, ForecastOptions(**options)
    )
    found.table.columns = ["unique_id", "ds", *found.table.columns[2:]]
    return found


def refused(model: Path, table: pd.DataFrame, tmp_path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        forecast(model, table, tmp_path, **options)
    return str(error.value).replace(f"{tmp_path}/", "")


def shortened(table: pd.DataFrame, steps: int = 6) -> pd.DataFrame:
    """The table with only the newest steps of s001."""
    return table.drop(index=table.index[table["shop"] == "s001"][:-steps])


def same(found: Forecasts, model: Path, table: pd.DataFrame) -> bool:
    expected = predictor.load(model).predict(table)
    expected.columns = ["unique_id", "ds", *expected.columns[2:]]
    return found.table.drop(columns="note").equals(expected.drop(columns="note"))


# --- series that have no forecast ---


def test_a_table_without_faults_is_forecast_as_a_request_is(model: Path, tmp_path: Path) -> None:
    found = forecast(model, shops(3), tmp_path)
    assert same(found, model, shops(3))
    assert list(found.table.columns[-4:]) == [*LEVELS, "note"]
    assert set(found.table["note"]) == {""}
    assert (found.left_out, found.messages) == ({}, [])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (shortened, SHORT),
        (
            lambda t: t.assign(y=t["y"].mask(t["shop"] == "s001")),
            "it has no value of the target at all",
        ),
        (
            lambda t: t.assign(y=t["y"].mask((t["shop"] == "s001") & (t["ds"] > "2024-02-10"))),
            "every value of the target is missing in its last 8 steps; it ended 2024-02-10",
        ),
        (
            lambda t: t.assign(
                y=t["y"].mask((t["shop"] == "s001") & (t["ds"] == "2024-02-29"), 3e38)
            ),
            "its values are too far from what the model was trained on for a finite forecast",
        ),
    ],
)
def test_a_series_without_a_forecast_is_left_out_by_name(
    model: Path, tmp_path: Path, spoil: Any, reason: str
) -> None:
    table = spoil(shops(3))
    found = forecast(model, table, tmp_path)
    assert found.left_out == {"s001": reason}
    assert same(found, model, table[table["shop"] != "s001"])
    assert refused(model, table, tmp_path, strict=True) == (
        f"history.csv: 1 series cannot be forecast:\n  s001: {reason}"
    )
    alone = table[table["shop"] == "s001"]
    if "target at all" not in reason:
        expected = f"history.csv: no series can be forecast:\n  s001: {reason.partition(';')[0]}"
        assert refused(model, alone, tmp_path).startswith(expected)


@pytest.mark.parametrize(
    ("method", "steps", "used"),
    [
        ("theta", 6, "naive, 6 steps being too few for theta"),
        ("seasonal_naive", 6, "naive, 6 steps being too few for seasonal_naive"),
    ],
)
def test_it_is_filled_and_marked(
    model: Path, tmp_path: Path, method: str, steps: int, used: str
) -> None:
    table = shortened(shops(3), steps)
    found = forecast(model, table, tmp_path, fill_with=method, strict=True)
    answer = found.table
    assert answer["unique_id"].unique().tolist() == ["s000", "s001", "s002"]
    filled = answer[answer["unique_id"] == "s001"]
    assert set(filled["note"]) == {f"filled by {used}"}
    assert filled["ds"].tolist() == answer["ds"].iloc[:HORIZON].tolist()
    assert (np.diff(filled[LEVELS], axis=1) > 0).all()
    assert found.messages == [f"1 series are filled:\n  s001: filled by {used}"]
    others = (answer["unique_id"] != "s001").to_numpy()
    table_of, rows_of = (part[others].reset_index(drop=True) for part in (answer, found.rows))
    rest = Forecasts(table_of, {}, {}, [], rows_of, found.history)
    assert same(rest, model, table[table["shop"] != "s001"])


def test_theta_fills_from_the_last_row_on(model: Path, tmp_path: Path) -> None:
    table = shops(2)
    gone = (table["shop"] == "s001") & (table["ds"] > "2024-02-15")
    found = forecast(model, table.assign(y=table["y"].mask(gone)), tmp_path, fill_with="theta")
    filled = found.table[found.table["unique_id"] == "s001"]
    assert set(filled["note"]) == {"filled by theta; ended 2024-02-15"}
    assert filled["ds"].min() == pd.Timestamp("2024-03-01")


def test_one_value_cannot_be_filled(model: Path, tmp_path: Path) -> None:
    found = forecast(model, shortened(shops(2), 1), tmp_path, fill_with="theta")
    assert list(found.left_out) == ["s001"]


def test_a_series_that_ended_is_forecast_from_its_end_and_marked(
    model: Path, tmp_path: Path
) -> None:
    table = shops(3)
    week = table.drop(index=table.index[table["shop"] == "s001"][-7:])
    assert set(forecast(model, week, tmp_path).table["note"]) == {""}
    table = table.drop(index=table.index[table["shop"] == "s001"][-8:])
    found = forecast(model, table, tmp_path)
    assert same(found, model, table)
    noted = found.table[found.table["note"] != ""]
    assert noted["unique_id"].tolist() == ["s001"] * HORIZON
    assert set(noted["note"]) == {"ended 2024-02-21"}
    assert noted["ds"].min() == pd.Timestamp("2024-02-22")
    assert "from their own end" in found.messages[0]


# --- what the model has not seen ---


def test_a_category_that_the_model_does_not_know(promoted: Path, tmp_path: Path) -> None:
    table = promotions()
    table.loc[table.groupby("shop").tail(HORIZON).index, "y"] = NAN
    old = table.assign(promo=table["promo"].mask(table["ds"] < "2024-02-01", "Half Price"))
    assert not forecast(promoted, old, tmp_path).unknown  # no window has it
    typo = table.assign(promo=table["promo"].mask(table["ds"] >= "2024-02-27", "Half Price"))
    named = "column `promo`: 'Half Price' (did you mean 'half price'?)"
    assert refused(promoted, typo, tmp_path) == (
        f"history.csv: categories that the model was not trained on:\n  {named}: 6 rows\n"
        "It knows `promo`: flyer, half price, none.\n"
        "Correct the rows, or train it with rows that have them; `data.unseen: unknown`, or "
        "`retain forecast --unseen unknown`, takes them as unknown"
    )
    found = forecast(promoted, typo, tmp_path, unseen="unknown")
    assert found.unknown == {named: 6}
    with pytest.raises(DataError, match="6 rows"):
        predictor.load(promoted).predict(typo)


def test_a_category_of_later_parts_is_a_warning_of_prepare() -> None:
    table = promotions()
    table["promo"] = table["promo"].mask(table["ds"] >= "2024-02-25", "flier")
    keys = {"unique_id": "shop", "known_covariates": ["promo"], "categorical": ["promo"]}
    data = Data(path="t.csv", horizon=3, context_length=8, **keys)
    checked = chunks.in_memory(tables.clean(table, data, "t.csv"), data)
    built = panel.build(checked, data)

    add_warnings(built, checked, data)
    assert built.quality["warnings"] == [
        "not in the training part, and so unknown to a model: column `promo`: 'flier' (did you "
        "mean 'flyer'?): 10 rows"
    ]


@pytest.mark.parametrize(("factor", "marked"), [(1, False), (1000, True), (0.001, True)])
def test_a_history_in_other_units_is_marked(
    model: Path, tmp_path: Path, factor: float, marked: bool
) -> None:
    table = shops(3)
    table["y"] = table["y"].where(table["shop"] == "s000", table["y"] * factor)
    new = table[table["shop"] == "s002"].assign(shop="new")
    found = forecast(model, pd.concat([table, new]), tmp_path)
    of_series = found.table.groupby("unique_id")["note"].first()
    expected = notes.OUTSIDE if marked else ""
    assert of_series.to_dict() == {"new": "", "s000": "", "s001": expected, "s002": expected}


@pytest.mark.parametrize("late", [0, 700])
def test_straight_growth_is_not_far_outside(tmp_path: Path, late: int) -> None:
    days = pd.date_range("2020-01-01", periods=3000)
    table = pd.DataFrame({"shop": "s", "ds": days, "y": 100 + np.arange(3000.0)})
    table = pd.concat([table.assign(shop="t"), table.iloc[late:]])
    model_of(tmp_path, table[table["ds"] < days[1000]], {}, unique_id="shop", holidays=None)
    found = forecast(tmp_path / "model", table, tmp_path)
    assert set(found.table["note"]) == {""}
    steep = table.assign(y=table["y"] ** 3)
    assert notes.OUTSIDE in set(forecast(tmp_path / "model", steep, tmp_path).table["note"])


def test_times_that_never_had_a_value_are_empty_and_marked(tmp_path: Path) -> None:
    hours = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=10 * 168, freq="h")})
    hours["y"] = np.arange(len(hours)) % 24.0
    table = hours[(hours["ds"].dt.day_of_week < 5) & (hours["ds"].dt.hour >= 8)]
    model_of(tmp_path, table, {}, frequency="h")
    history = table[table["ds"] < "2024-03-07 22:00"]
    answer = forecast(tmp_path / "model", history, tmp_path).table
    assert answer[LEVELS].notna().all(axis=1).tolist() == [True, True, False]
    assert answer["note"].tolist() == ["", "", table_predictor.CLOSED]
    served = predictor.load(tmp_path / "model").predict(history)
    assert served.equals(answer)
    champion = SimpleNamespace(
        predictor=predictor.load(tmp_path / "model"),
        version="1",
        identity={"name": "shop", "version": "1", "md5": "0"},
    )
    request = champion.predictor.requests.read_frame(history.astype({"ds": "str"}))
    values = np.ones((1, 3, len(LEVELS) + 1), np.float32)
    body = endpoint.write_answer(cast("Any", champion), request, values, False).body
    forecast_of = json.loads(bytes(body))["forecast"]
    assert forecast_of["median"] == [1.0, 1.0, None]
    assert forecast_of["note"] == ["", "", table_predictor.CLOSED]


# --- the future in a table of its own ---


def split_future() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """A table with its future behind it, and the two apart."""
    table = promotions()
    last = table.groupby("shop").tail(HORIZON).index
    whole = table.copy()
    whole.loc[last, "y"] = NAN
    return whole, table.drop(index=last), table.loc[last].drop(columns="y")


def test_the_future_may_be_a_table_of_its_own(promoted: Path, tmp_path: Path) -> None:
    whole, history, coming = split_future()
    found = forecast(promoted, history, tmp_path, future=coming.sample(frac=1, random_state=0))
    assert same(found, promoted, whole)
    again = forecast(promoted, whole, tmp_path, future=coming)  # the same in both
    assert same(again, promoted, whole)


def test_what_lacks_of_the_future_is_named(promoted: Path, tmp_path: Path) -> None:
    _, history, coming = split_future()
    found = forecast(promoted, history, tmp_path, future=coming.iloc[1:])
    assert found.left_out == {
        "s000": "promo not known for 2024-02-27: add rows behind the history, or name their table "
        "with --future"
    }
    assert found.table["unique_id"].unique().tolist() == ["s001"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda c: c.replace("s001", "s01"),
            "future.csv: 1 series are not in history.csv; did you mean 's001' by 's01'?\n  s01",
        ),
        (
            lambda c: pd.concat([c, c.tail(1).assign(ds="2024-02-20", promo="other")]),
            "future.csv: history.csv has other values of 'promo' for the same steps (1 row):\n"
            "  s001: 2024-02-20 00:00:00\nCorrect one of the two, or leave the rows out",
        ),
        (
            lambda c: c.assign(ds=c["ds"] + " 06:00"),
            "future.csv: time stamps that are no step of D after those of history.csv (6 rows):",
        ),
        (lambda c: c.drop(columns="promo"), "future.csv: there is no column `promo`"),
        (lambda c: c.iloc[:0], "future.csv has a header and no rows"),
    ],
)
def test_a_future_that_does_not_fit(
    promoted: Path, tmp_path: Path, change: Any, sentence: str
) -> None:
    _, history, coming = split_future()
    assert refused(promoted, history, tmp_path, future=change(coming)).startswith(sentence)


def test_a_model_without_known_covariates_takes_no_future(model: Path, tmp_path: Path) -> None:
    coming = shops(1).drop(columns="y")
    assert "has no known covariates" in refused(model, shops(1), tmp_path, future=coming)


def test_the_future_of_a_wide_table_is_that_of_all_its_series(tmp_path: Path) -> None:
    table = shops(1).rename(columns={"y": "north", "rain": "price"}).drop(columns="shop")
    table["south"] = table["north"] + 1
    keys = {"value_columns": ["north", "south"], "known_covariates": ["price"]}
    model_of(tmp_path, table, {}, **keys)
    history, coming = table.iloc[:-HORIZON], table.iloc[-HORIZON:][["ds", "price"]]
    found = forecast(tmp_path / "model", history, tmp_path, future=coming)
    whole = table.copy()
    whole.loc[whole.index[-HORIZON:], ["north", "south"]] = NAN
    assert same(found, tmp_path / "model", whole)
    assert len(history) > CONTEXT
