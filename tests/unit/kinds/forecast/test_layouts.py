"""Keys of several columns, dates across the top, encodings: read, appended, cut, forecast."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain.config.forecasts import ForecastOptions
from retain.errors import DataError, ParamsError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import append, chunk_reader, chunks, formats, tables
from retain.kinds.forecast.infer.entry import infer
from retain.kinds.forecast.predict import bulk, endpoint, predictor
from retain.kinds.forecast.predict.forecast_table import forecast_file

from .test_predictor import CONTEXT, HORIZON, SEASON, model_of, shops

KEYS: dict[str, Any] = {"horizon": 2, "context_length": 4, "frequency": "D"}


def two_keys(count: int = 4) -> pd.DataFrame:
    """Series of a store, with the sign `/` in its name, and a sku, in place of a shop."""
    table = shops(count).drop(columns="rain")
    number = table.pop("shop").str[1:].astype(int)
    table.insert(0, "sku", "p" + (number % 2).astype(str))
    table.insert(0, "store", "a/" + (number // 2).astype(str))
    return table


def across(stamps: list[str], **values: list[Any]) -> pd.DataFrame:
    return pd.DataFrame(
        {"shop": list(values), "size": ["big"] * len(values)}
        | {stamp: [v[n] for v in values.values()] for n, stamp in enumerate(stamps)}
    )


DATES = pd.date_range("2024-01-01", periods=12).strftime("%d.%m.%Y").tolist()
ACROSS: dict[str, Any] = {
    **KEYS,
    "dates_across": True,
    "unique_id": "shop",
    "time_format": "%d.%m.%Y",
    "static_covariates": ["size"],
    "categorical": ["size"],
}


def test_a_key_of_two_columns_is_read_in_chunks_as_in_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_keys().to_csv(tmp_path / "t.csv", index=False)
    data = Data(path="t.csv", unique_id=("store", "sku"), **KEYS)
    whole = tables.read(data, tmp_path).frame
    assert whole["unique_id"].unique().tolist() == [
        r"a\/0/p0",
        r"a\/0/p1",
        r"a\/1/p0",
        r"a\/1/p1",
    ]
    monkeypatch.setattr(chunks, "ROWS", 50)
    monkeypatch.setattr(formats, "BYTES", 1000)
    (tmp_path / "scratch").mkdir()
    cut = chunk_reader.read(data, tmp_path, tmp_path / "scratch")
    frames = list(cut.frames())
    assert len(frames) > 1
    assert cut.series["unique_id"].tolist() == whole["unique_id"].unique().tolist()
    np.testing.assert_array_equal(pd.concat(frames)["y"], whole["y"])


def test_a_key_of_two_columns_lacks_a_part(tmp_path: Path) -> None:
    table = two_keys()
    table.loc[3, "sku"] = None
    table.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match="column `sku`: missing"):
        tables.read(Data(path="t.csv", unique_id=("store", "sku"), **KEYS), tmp_path)


def test_a_forecast_has_the_columns_of_the_key(tmp_path: Path) -> None:
    table = two_keys()
    table.to_csv(tmp_path / "t.csv", index=False)
    model_of(tmp_path, table, {}, unique_id=("store", "sku"))
    served = predictor.load(tmp_path / "model")
    found = forecast_file(tmp_path / "model", None, tmp_path, ForecastOptions()).table
    assert found.columns[:3].tolist() == ["store", "sku", "ds"]
    assert found["store"].unique().tolist() == ["a/0", "a/1"]
    assert len(found) == 4 * HORIZON
    example = served.example(tmp_path / "prepared")
    assert example.columns.tolist() == ["store", "sku", "ds", "y"]
    asked = served.requests.read_columns(table.astype(object).to_dict("list"))
    assert (
        asked.names.tolist()
        == tables.clean(table, served.data, "t").frame["unique_id"].unique().tolist()
    )
    done = bulk.forecast_bulk(
        tmp_path / "model",
        None,
        tmp_path,
        tmp_path / "out",
        "md5",
        lambda *_: None,
        ForecastOptions(),
    )
    assert done.series == 4
    parts = pd.read_parquet(tmp_path / "out")
    pd.testing.assert_frame_equal(parts, found, check_dtype=False)


def test_rows_of_a_key_of_two_columns_are_appended(tmp_path: Path) -> None:
    table = two_keys()
    table.to_csv(tmp_path / "t.csv", index=False)
    data = Data(path="t.csv", unique_id=("store", "sku"), **KEYS)
    more = table.tail(1).assign(ds="2024-03-01")
    pd.concat([table.tail(1), more]).to_csv(tmp_path / "new.csv", index=False)
    done = append.add_rows(data, tmp_path, tmp_path / "new.csv")
    assert (done.added, done.known) == (1, 1)
    assert len(tables.read(data, tmp_path).frame) == len(table) + 1


def test_dates_across_the_top_are_read(tmp_path: Path) -> None:
    table = across(DATES, a=list(range(12)), b=[None, *range(11)]).assign(Total=9)
    table.to_csv(tmp_path / "t.csv", index=False)
    found = tables.read(Data(path="t.csv", **ACROSS), tmp_path)
    assert found.findings.unused == ("Total",)
    assert found.frame["unique_id"].tolist() == ["a"] * 12 + ["b"] * 12
    assert found.frame["ds"].iloc[11] == pd.Timestamp("2024-01-12")
    assert found.frame["y"].iloc[[11, 23]].tolist() == [11.0, 10.0]
    assert np.isnan(found.frame["y"].iloc[12])
    table[DATES[3]] = ["1", "x"]
    table.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=r"not a number \(1 row\):\n  row 3: 'x'"):
        tables.read(Data(path="t.csv", **ACROSS), tmp_path)


def test_dates_across_the_top_are_appended(tmp_path: Path) -> None:
    across(DATES[:10], a=list(range(10)), b=list(range(10))).to_csv(tmp_path / "t.csv", index=False)
    data = Data(path="t.csv", **ACROSS)
    new = tmp_path / "new.csv"
    across(DATES[9:], b=[9, 10, 11], c=[7, 7, 7]).to_csv(new, index=False)
    done = append.add_rows(data, tmp_path, new)
    assert (done.added, done.known) == (5, 1)
    assert done.last == "2024-01-12 00:00:00"
    frame = tables.read(data, tmp_path).frame
    assert frame.groupby("unique_id")["y"].sum().to_dict() == {"a": 45.0, "b": 66.0, "c": 21.0}
    assert append.add_rows(data, tmp_path, new).added == 0
    frame = pd.read_csv(tmp_path / "t.csv", dtype=str)
    late = frame.assign(**{DATES[4]: [" ", frame[DATES[4]][1], "n/a"]}).fillna("n/a")
    (tmp_path / "t.csv").write_text(late.to_csv(index=False, lineterminator="\r\n"), newline="")
    nan = data.model_copy(update={"na_values": ("n/a",)})
    across(DATES[3:5], a=[3, 4], b=[3, 4], c=[None, None]).to_csv(new, index=False)
    assert append.add_rows(nan, tmp_path, new).filled == 1
    late.loc[0, DATES[4]] = "4.0"
    text = (tmp_path / "t.csv").read_bytes().decode()
    assert text == late.to_csv(index=False, lineterminator="\r\n")
    frame.to_csv(tmp_path / "t.csv", index=False)
    across(DATES[9:], b=[8, 10, 11]).to_csv(new, index=False)
    before = (tmp_path / "t.csv").read_bytes()
    with pytest.raises(DataError, match=r"y is 8\.0, not 9\.0"):
        append.add_rows(data, tmp_path, new)
    assert (tmp_path / "t.csv").read_bytes() == before


def test_dates_across_the_top_are_forecast(tmp_path: Path) -> None:
    wide = shops(3).pivot(index="shop", columns="ds", values="y").reset_index()
    wide.to_csv(tmp_path / "t.csv", index=False)
    keys = {"dates_across": True, "unique_id": "shop", "frequency": "D"}
    model_of(tmp_path, wide, {}, **keys)
    found = forecast_file(tmp_path / "model", None, tmp_path, ForecastOptions()).table
    assert len(found) == 3 * HORIZON
    served = predictor.load(tmp_path / "model")
    example = served.example(tmp_path / "prepared")
    assert example.shape == (1, 1 + CONTEXT + SEASON + HORIZON)
    assert len(served.requests.read_frame(example)) == 1


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252", "utf-8-sig"])
def test_rows_are_appended_in_the_encoding_of_the_table(tmp_path: Path, encoding: str) -> None:
    table = shops(1, 10).assign(shop="Köln").drop(columns="rain")
    path = tmp_path / "t.csv"
    path.write_bytes(("Titel ü\n" + table.to_csv(index=False)).encode(encoding))
    data = Data(
        path="t.csv", unique_id="shop", encoding=encoding.removesuffix("-sig"), skip_rows=1, **KEYS
    )
    more = table.tail(1).assign(ds="2024-01-11").to_csv(index=False)
    (tmp_path / "new.csv").write_bytes(("Titel ü\n" + more).encode(encoding))
    assert append.add_rows(data, tmp_path, tmp_path / "new.csv").added == 1
    frame = tables.read(data, tmp_path).frame
    assert frame["unique_id"].tolist() == ["Köln"] * 11
    assert path.read_bytes().decode(encoding).count("\n") == 13


def test_nothing_is_appended_to_a_workbook(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    shops(1, 10).to_excel(tmp_path / "t.xlsx", index=False)
    shops(1, 11).tail(1).to_excel(tmp_path / "new.xlsx", index=False)
    with pytest.raises(DataError, match="is a workbook: add the rows in it yourself"):
        append.add_rows(
            Data(path="t.xlsx", unique_id="shop", **KEYS), tmp_path, tmp_path / "new.xlsx"
        )


def test_a_request_in_csv_is_read_whatever_its_encoding(tmp_path: Path) -> None:
    table = shops(2).assign(shop=lambda t: "Köln " + t["shop"])
    model_of(
        tmp_path,
        table,
        {},
        unique_id="shop",
        past_covariates=("rain",),
        encoding="cp1252",
        skip_rows=1,
    )
    served = predictor.load(tmp_path / "model")
    text = "a title\n" + table.to_csv(index=False)
    for content in (text.encode(), text.encode("cp1252")):
        assert served.requests.read_csv(content).names.tolist() == ["Köln s000", "Köln s001"]
    champion = type("Champion", (), {"predictor": served, "example": table})
    example = endpoint.ForecastEndpoint.example_csv(None, champion)  # type: ignore[arg-type]
    assert len(served.requests.read_csv(example.encode())) == 2


@pytest.mark.parametrize(
    ("suffix", "given", "option"),
    [
        ("csv", {"sheet": "x"}, "--sheet"),
        ("xlsx", {"separator": ";"}, "--separator"),
        ("xlsx", {"encoding": "cp1252"}, "--encoding"),
        ("parquet", {"skip_rows": 1}, "--skip-rows"),
        ("parquet", {"sheet": "x"}, "--sheet"),
    ],
)
def test_a_key_that_says_nothing_of_the_file_is_refused(
    suffix: str, given: dict[str, Any], option: str, tmp_path: Path
) -> None:
    table = pd.DataFrame({"ds": pd.date_range("2021-01-01", periods=90), "y": range(90)})
    write = {"csv": table.to_csv, "xlsx": table.to_excel, "parquet": table.to_parquet}[suffix]
    write(tmp_path / f"t.{suffix}", index=False)
    with pytest.raises(ParamsError, match=f"is a file without .* leave `{option}` out"):
        infer("sales", f"t.{suffix}", tmp_path, 7, given, 0.0)


def test_a_target_is_one_column_or_several(tmp_path: Path) -> None:
    table = pd.DataFrame({"ds": pd.date_range("2021-01-01", periods=90), "a": 1.0, "b": 2.0})
    table.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ParamsError, match="leave one of the two out"):
        infer("sales", "t.csv", tmp_path, 7, {"value_columns": ["a"], "y": "b"}, 0.0)
