"""A request may bring the known covariates of the horizon in a second table."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException

from retain.errors import DataError
from retain.kinds.forecast.predict import predictor
from retain.kinds.forecast.predict.endpoint import ForecastEndpoint, parse_tables
from retain.serving.champion import LoadedChampion
from retain.serving.endpoint import Limits
from retain.serving.http_io import RawRequest

from .test_forecast_table import promotions, split_future
from .test_predictor import HORIZON, PLAIN, model_of, shops


def load(folder: Path, example: pd.DataFrame) -> "LoadedChampion[predictor.Predictor]":
    found = predictor.load(folder / "model")
    return LoadedChampion("shop", "1", "0", "forecast", {}, found, example, ForecastEndpoint)


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> "LoadedChampion[predictor.Predictor]":
    folder = tmp_path_factory.mktemp("promoted")
    keys = {"unique_id": "shop", "known_covariates": ["promo"], "categorical": ["promo"]}
    model_of(folder, promotions(), {}, **keys)
    example = split_future()[0].query("shop == 's000'")
    return load(folder, example.assign(ds=example["ds"].astype("str")))


@pytest.fixture(scope="module")
def endpoint() -> ForecastEndpoint:
    return ForecastEndpoint(Limits(), CollectorRegistry())


def ask(endpoint: ForecastEndpoint, champion: Any, content: dict[str, Any]) -> dict[str, Any]:
    request = RawRequest(json.dumps(content).encode(), [], False, False)
    answer: dict[str, Any] = json.loads(bytes(asyncio.run(endpoint.answer(champion, request)).body))
    return answer


def columns(table: pd.DataFrame) -> dict[str, list[Any]]:
    text = table.assign(ds=table["ds"].astype("str")).astype(object)
    return text.where(text.notna(), None).to_dict("list")  # type: ignore[return-value]


def test_the_forecast_is_that_of_one_table_with_rows_of_the_future(
    endpoint: ForecastEndpoint, champion: Any
) -> None:
    whole, history, coming = split_future()
    apart = {"history": columns(history), "future": columns(coming)}
    assert ask(endpoint, champion, apart) == ask(endpoint, champion, {"history": columns(whole)})
    rows = [
        dict(zip(columns(coming), row, strict=True))
        for row in zip(*columns(coming).values(), strict=True)
    ]
    by_row = {"history": columns(history), "future": rows}
    assert ask(endpoint, champion, by_row) == ask(endpoint, champion, apart)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c.replace("s001", "s01"), "future: 1 series are not in history; did you mean"),
        (
            lambda c: pd.concat([c, c.tail(1).assign(ds="2024-02-20", promo="other")]),
            "future: history has other values of 'promo' for the same steps (1 row)",
        ),
        (lambda c: c.drop(columns="promo"), "future: there is no column `promo`"),
        (
            lambda c: c.assign(colour="red"),
            "future: the model does not know the column 'colour'; leave it out, the model reads "
            "shop, ds, promo",
        ),
        (lambda c: c.assign(ds="x"), "future: column `ds`: "),
    ],
)
def test_an_error_of_the_future_is_the_sentence_of_the_command(
    endpoint: ForecastEndpoint, champion: Any, change: Any, sentence: str
) -> None:
    _, history, coming = split_future()
    with pytest.raises(DataError) as error:
        ask(
            endpoint,
            champion,
            {"history": columns(history), "future": columns(change(coming))},
        )
    assert str(error.value).startswith(sentence)


def test_columns_of_different_length_and_no_table_are_refused(
    endpoint: ForecastEndpoint, champion: Any
) -> None:
    _, history, coming = split_future()
    short = columns(coming) | {"promo": ["none"]}
    with pytest.raises(DataError, match=r"^future: the columns differ in length: `shop` has 6"):
        ask(endpoint, champion, {"history": columns(history), "future": short})
    for wrong, words in (([], "future has no rows"), ("x", "`future` is no table")):
        with pytest.raises(Exception, match=words):
            ask(endpoint, champion, {"history": columns(history), "future": wrong})


def test_the_description_has_the_table_and_an_example_that_is_answered(
    endpoint: ForecastEndpoint, champion: Any
) -> None:
    body = endpoint.describe_request(champion)["requestBody"]["content"]["application/json"]
    by_column = body["schema"]["properties"]["future"]["oneOf"][0]
    assert by_column["required"] == ["shop", "ds", "promo"]
    example = body["examples"]["With a table of the future"]["value"]
    assert len(example["future"]["promo"]) == HORIZON
    answer = ask(endpoint, champion, example)
    assert answer == ask(endpoint, champion, body["examples"]["By column"]["value"])


def test_a_model_without_known_covariates_takes_no_future(
    endpoint: ForecastEndpoint, tmp_path: Path
) -> None:
    model_of(tmp_path, shops(5), {}, **PLAIN)
    plain = load(tmp_path, shops(1))
    assert "future" not in json.dumps(
        endpoint.describe_request(plain)["requestBody"]["content"]["application/json"]["schema"]
    )
    content = {"history": columns(shops(1)), "future": columns(shops(1))}
    with pytest.raises(DataError, match=r"^future: the model has no known covariates; leave"):
        ask(endpoint, plain, content)


@pytest.mark.parametrize("by_row", [False, True])
def test_more_columns_than_a_table_may_have_are_refused_before_they_are_read(by_row: bool) -> None:
    row = {f"c{number}": 1 for number in range(10_001)}
    table: Any = [row] if by_row else {name: [value] for name, value in row.items()}
    with pytest.raises(HTTPException, match="history has 10,001 columns; at most 10,000 are") as no:
        parse_tables(json.dumps({"history": table}).encode(), 100)
    assert no.value.status_code == 413
