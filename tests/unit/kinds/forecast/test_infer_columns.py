"""What each column of an unknown table is: `retain add` finds it, or asks."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain.errors import DataError
from retain.kinds.forecast.infer.entry import Inferred, infer

DAYS = 120


def values(seed: int, steps: int = DAYS, level: float = 100) -> np.ndarray[Any, Any]:
    noise = np.random.default_rng(seed).normal(0, 3, steps)
    return np.round(level + 10 * np.sin(np.arange(steps) * 2 * np.pi / 7) + noise, 1)


def days(steps: int = DAYS, frequency: str = "D") -> pd.DatetimeIndex:
    return pd.date_range("2022-01-01", periods=steps, freq=frequency)


def add(folder: Path, table: pd.DataFrame, horizon: int = 7, **given: Any) -> Inferred:
    table.to_csv(folder / "t.csv", index=False)
    return infer("sales", "t.csv", folder, horizon, given, 0.0)


def said(found: Inferred, start: str) -> list[str]:
    return [sentence for sentence in found.sentences if sentence.startswith(start)]


def panel(keys: list[dict[str, Any]], steps: int = DAYS, level: float = 100) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"date": days(steps), **key, "sales": values(seed, steps, level)})
        for seed, key in enumerate(keys)
    ]
    return pd.concat(parts, ignore_index=True)


# The target


def test_zeros_and_ones_are_a_target_where_they_are_named_like_one(tmp_path: Path) -> None:
    rare = (values(1) > 108).astype(int)
    table = pd.DataFrame({"date": days(), "demand": rare, "temperature": values(2, level=12)})
    assert add(tmp_path, table).data["y"] == "demand"
    flag = table.rename(columns={"demand": "holiday"})
    assert add(tmp_path, flag).data["y"] == "temperature"


def test_numbers_of_rows_are_no_target_where_others_cannot_be_read(tmp_path: Path) -> None:
    energy = pd.DataFrame({"": range(DAYS), "date": days(), "energy": values(1)})
    energy["energy"] = energy["energy"].astype(str) + " kWh"
    with pytest.raises(DataError, match="no column of numbers to forecast; name it with --y"):
        add(tmp_path, energy)
    with pytest.raises(DataError, match=r"not a number .120 rows.*\n  row 2: '[0-9.]+ kWh'") as e:
        add(tmp_path, energy, y="energy")
    assert str(e.value).endswith("words and units belong in the header.")
    counted = energy.drop(columns="energy").rename(columns={"": "users"})
    assert add(tmp_path, counted).data["y"] == "users"


# Keys


@pytest.mark.parametrize("order", ["as made", "by date"])
@pytest.mark.parametrize("names", [("store", "sku"), ("a", "b"), ("town", "fruit")])
def test_two_columns_together_are_the_key(
    tmp_path: Path, order: str, names: tuple[str, str]
) -> None:
    first, second = names
    ids = [("x", "y", "z"), ("p", "q", "r")] if first == "town" else [(1, 2, 3), (10, 11, 12)]
    table = panel([{first: a, second: b} for a in ids[0] for b in ids[1]])
    if order == "by date":
        table = table.sort_values("date", kind="stable")
    found = add(tmp_path, table)
    assert found.data["unique_id"] == [first, second]
    assert f"unique_id: columns `{first}`, `{second}` together, 9 series" in found.sentences
    assert found.table.frame["unique_id"].nunique() == 9
    assert f"{ids[0][0]}/{ids[1][0]}" in set(found.table.frame["unique_id"])


def test_the_finer_of_two_columns_is_enough(tmp_path: Path) -> None:
    keys = [{"region": region, "store": f"{region}{n}"} for region in "ab" for n in range(2)]
    found = add(tmp_path, panel(keys))
    assert found.data["unique_id"] == "store"
    assert found.data["static_covariates"] == ["region"]


@pytest.mark.parametrize("name", ["shop", "store_nr", "SKU", "branch"])
def test_a_number_named_like_an_id(tmp_path: Path, name: str) -> None:
    found = add(tmp_path, panel([{name: n} for n in (3, 8)]))
    assert found.data["unique_id"] == name
    assert found.data["y"] == "sales"


def test_sensors_that_are_read_in_turn_are_series(tmp_path: Path) -> None:
    names = np.array(["kitchen", "cellar", "roof"])
    ds = days(3 * DAYS, "20min")
    table = pd.DataFrame({"sensor": np.tile(names, DAYS), "time": ds, "value": values(0, len(ds))})
    found = add(tmp_path, table)
    assert (found.data["unique_id"], found.data["align"]) == ("sensor", "series")
    unnamed = table.rename(columns={"sensor": "raum"})
    with pytest.raises(DataError) as error:
        add(tmp_path, unnamed)
    assert "read in turn" in str(error.value)
    assert "--unique-id raum: it tells series apart" in str(error.value)
    assert "--past-covariate raum: it changes in time" in str(error.value)


def test_series_of_different_years_are_told_by_their_runs(tmp_path: Path) -> None:
    table = panel([{"what": "new"}, {"what": "old"}])
    table.loc[table["what"] == "old", "date"] -= pd.Timedelta(days=DAYS)
    assert add(tmp_path, table).data["unique_id"] == "what"


@pytest.mark.parametrize("marks", [("before", "after"), (3, 1, 2)])
def test_a_column_of_runs_in_order_of_time_is_asked_for(
    tmp_path: Path, marks: tuple[Any, ...]
) -> None:
    table = panel([{}]).assign(phase=np.repeat(marks, DAYS // len(marks)))
    with pytest.raises(DataError, match=r"(?s)--unique-id phase: .*--past-covariate phase"):
        add(tmp_path, table)
    found = add(tmp_path, table, past_covariates=["phase"])
    assert "unique_id" not in found.data


def test_rows_that_a_column_may_tell_apart_are_never_averaged(tmp_path: Path) -> None:
    table = panel([{"store": 1}, {"store": 1}, {"store": 2}])
    with pytest.raises(DataError) as error:
        add(tmp_path, table)
    assert "--unique-id store: `store` tells series apart" in str(error.value)
    assert "mean" not in str(error.value)


def test_ids_that_hold_the_sign_that_joins_them(tmp_path: Path) -> None:
    table = panel([{"store": a, "sku": b} for a in ("a/b", "a") for b in ("c", "b/c")])
    assert add(tmp_path, table).table.frame["unique_id"].nunique() == 4


def test_the_target_is_no_key(tmp_path: Path) -> None:
    week = pd.DataFrame({"date": days(), "foo": np.arange(DAYS) % 7})
    assert add(tmp_path, week).data["y"] == "foo"
    stairs = pd.DataFrame({"date": days(), "rain": values(0), "sales": np.arange(DAYS) // 20})
    assert add(tmp_path, stairs).data["y"] == "sales"


# Wide tables


def wide(names: list[str], level: float = 100, factor: float = 1) -> pd.DataFrame:
    columns = {n: values(k, level=level * factor**k) for k, n in enumerate(names)}
    return pd.DataFrame({"date": days(), **columns})


@pytest.mark.parametrize(
    "names",
    [
        ["Apples", "Bananas", "Cherries", "Dates"],
        ["store_1", "store_2"],
        ["sales_north", "sales_south"],
        ["north_kwh", "south_kwh", "west_kwh"],
    ],
)
def test_columns_of_one_kind_are_series(tmp_path: Path, names: list[str]) -> None:
    found = add(tmp_path, wide(names))
    assert found.data["value_columns"] == names
    (told,) = said(found, "value_columns")
    assert "--y COLUMN" in told


@pytest.mark.parametrize(
    "table",
    [
        wide(["foo", "bar"]),
        wide(["foo", "bar", "baz"], factor=100),
        wide(["foo", "bar", "baz"]).assign(foo=np.arange(DAYS) ** 2 % 17),
    ],
    ids=["two alone", "other magnitudes", "other decimals"],
)
def test_columns_that_may_be_series_or_not_are_asked_for(
    tmp_path: Path, table: pd.DataFrame
) -> None:
    with pytest.raises(DataError) as error:
        add(tmp_path, table)
    assert "--y foo: only `foo` is forecast" in str(error.value)
    assert "--value-column foo --value-column bar" in str(error.value)
    assert add(tmp_path, table, y="bar").data["y"] == "bar"
    assert add(tmp_path, table, value_columns=["foo", "bar"]).data["value_columns"] == [
        "foo",
        "bar",
    ]


def test_a_target_among_covariates(tmp_path: Path) -> None:
    assert add(tmp_path, wide(["temp", "rain", "ice"])).data["y"] == "ice"
    assert add(tmp_path, wide(["temp", "sales", "ice"])).data["y"] == "sales"


ACROSS = 50  # columns


def across(form: str, **columns: Any) -> pd.DataFrame:
    table = pd.DataFrame({"shop": ["a", "b", "c"], **columns})
    rows = np.array([values(n, ACROSS) for n in range(3)])
    return pd.concat([table, pd.DataFrame(rows, columns=days(ACROSS).strftime(form))], axis=1)


@pytest.mark.parametrize(("form", "written"), [("%Y-%m-%d", None), ("%d.%m.%Y", "%d.%m.%Y")])
def test_dates_across_the_top(tmp_path: Path, form: str, written: str | None) -> None:
    found = add(tmp_path, across(form, size=["big", "big", "small"], Total=5))
    assert found.data["dates_across"] is True
    assert found.data["unique_id"] == "shop"
    assert found.data["static_covariates"] == ["size"]
    assert found.data.get("time_format") == written
    frame = found.table.frame
    assert len(frame) == 3 * ACROSS
    assert frame.loc[frame["unique_id"] == "b", "y"].tolist() == values(1, ACROSS).tolist()
    assert said(found, "not used: `Total`")


def test_quarters_across_the_top(tmp_path: Path) -> None:
    quarters = pd.date_range("1990-01-01", periods=40, freq="QS")
    table = pd.DataFrame(
        [values(n, 40) for n in range(3)], columns=[f"Q{q.quarter} {q.year}" for q in quarters]
    )
    table.insert(0, "shop", ["a", "b", "c"])
    found = add(tmp_path, table, horizon=2)
    assert (found.data["dates_across"], found.data["time_format"]) == (True, "Q%q %Y")
    assert found.table.frame["ds"].unique().tolist() == quarters.tolist()


def test_stamps_across_the_top_with_an_offset(tmp_path: Path) -> None:
    hours = pd.date_range("2022-03-01", periods=60, freq="h", tz="Asia/Kolkata")
    table = pd.DataFrame([values(1, 60)], columns=[hour.isoformat() for hour in hours])
    found = add(tmp_path, table, horizon=2)
    assert found.data["timezone"] == "UTC"
    assert found.table.frame["ds"].tolist() == hours.tz_convert("UTC").tz_localize(None).tolist()


def test_dates_across_the_top_are_read_by_the_format_that_is_given(tmp_path: Path) -> None:
    months = pd.date_range("2019-01-01", periods=36, freq="MS")
    table = pd.DataFrame([values(1, 36)], columns=months.strftime("%d/%m/%Y"))
    with pytest.raises(DataError, match="may be two days"):
        add(tmp_path, table, horizon=2)
    found = add(tmp_path, table, horizon=2, time_format="%d/%m/%Y")
    assert found.table.frame["ds"].tolist() == months.tolist()


# Covariates


def test_what_is_known_ahead_what_is_not_and_what_is_fixed(tmp_path: Path) -> None:
    table = panel([{"store": s, "size": n} for s, n in (("a", 10), ("b", 20), ("c", 10))])
    table["price"] = values(7, len(table), 9)
    table["visits"] = values(8, len(table), 50)
    table["weather"] = np.where(np.arange(len(table)) % 5 == 0, "rain", "sun")
    table["row"] = np.arange(len(table))
    table["unit"] = "pieces"
    table["note"] = [f"delivery {n}" for n in range(len(table))]
    ahead = table["date"] > days()[-8]
    table[["sales", "visits", "weather"]] = table[["sales", "visits", "weather"]].mask(ahead)
    found = add(tmp_path, table)
    assert found.data["known_covariates"] == ["price"]
    assert found.data["past_covariates"] == ["visits", "weather"]
    assert found.data["static_covariates"] == ["size"]
    assert found.data["categorical"] == ["weather"]
    assert said(found, "future: 21 rows lie behind the last value of the target, 7 of a series")
    reasons = "\n".join(said(found, "not used"))
    for name in ("row", "unit", "note"):
        assert f"`{name}`" in reasons
    dropped = add(tmp_path, table, drop=["visits", "price"])
    assert dropped.data["past_covariates"] == ["weather"]
    assert "known_covariates" not in dropped.data


def test_free_text_in_a_short_table_is_no_covariate(tmp_path: Path) -> None:
    table = panel([{}], 48).assign(note=[f"delivery {n}" for n in range(48)])
    found = add(tmp_path, table)
    assert "past_covariates" not in found.data
    assert "not used: `note`; it is text, and most rows have one of their own" in found.sentences


def test_fewer_rows_than_the_horizon_make_nothing_known(tmp_path: Path) -> None:
    table = panel([{}]).assign(visits=values(5))
    table.loc[DAYS - 2 :, "sales"] = np.nan
    found = add(tmp_path, table)
    assert found.data["past_covariates"] == ["visits"]
    assert "fewer than the horizon of 7" in said(found, "future")[0]


def test_the_future_is_not_tested(tmp_path: Path) -> None:
    table = panel([{}]).assign(price=values(5))
    longer = pd.concat([table, table.tail(30).assign(date=days(DAYS + 30)[-30:], sales=np.nan)])
    with_future, without = add(tmp_path, longer), add(tmp_path, table, past_covariates=["price"])
    assert with_future.data["known_covariates"] == ["price"]
    assert with_future.data["split"] == without.data["split"]
    assert with_future.folds == without.folds
