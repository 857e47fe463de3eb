"""`mlflow models serve`, a real process: good tables are answered, bad ones get a 400 and why."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from retain.kinds.forecast.predict import predictor

from .conftest import environment, free_port


@pytest.fixture(scope="module")
def address(finished: Path) -> Iterator[str]:
    port = free_port()
    model = ["-m", "models:/small@champion", "--env-manager", "local"]
    process = subprocess.Popen(
        ["mlflow", "models", "serve", *model, "--port", str(port)],
        cwd=finished,
        env=environment()
        | {"MLFLOW_TRACKING_URI": f"sqlite:///{finished / 'mlruns' / 'mlflow.db'}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/ping", timeout=5)
                break
            except OSError:
                assert process.poll() is None, "the server ended"
                time.sleep(0.25)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def example(finished: Path) -> pd.DataFrame:
    served = predictor.load(finished / "models/small/final")
    return served.example(finished / "data/prepared/small")


def ask(address: str, table: pd.DataFrame) -> tuple[int, str]:
    body = json.dumps({"dataframe_split": json.loads(table.to_json(orient="split", index=False))})
    request = urllib.request.Request(
        f"{address}/invocations", body.encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())["message"]


def test_a_table_of_history_is_answered_with_quantiles(address: str, example: pd.DataFrame) -> None:
    code, text = ask(address, example)
    rows = json.loads(text)["predictions"]
    assert code == 200
    assert len(rows) == 6
    assert list(rows[0])[:3] == ["store", "ds", "mean"]


def bad_tables(example: pd.DataFrame) -> dict[str, tuple[pd.DataFrame, str]]:
    text = example.assign(y=example["y"].astype(object))
    text.loc[4, "y"] = "many"
    off_grid = example.copy()
    off_grid.loc[30, "ds"] = off_grid.loc[30, "ds"][:-5] + "17:00"
    return {
        "short": (example.tail(10), "needs a history of 24 steps of h; too short are 1 series"),
        "unknown": (example.assign(colour=1), "the model does not know the column 'colour'"),
        "missing": (example.drop(columns="y"), "there is no column `y`"),
        "blind": (
            example.assign(y=example["y"].where(example.index < 20)),
            "every value of the target is missing in the last 24 steps of 1 series",
        ),
        "frequency": (example.iloc[::2], "its rows are mostly 2 steps of h apart"),
        "off_grid": (off_grid, "row 31"),
        "stamps": (example.assign(ds="soon"), "'soon'"),
        "text": (text, "row 5: 'many'"),
        "infinite": (example.assign(y="1e999"), "'1e999'"),
        "empty": (example.head(0), "history"),
    }


@pytest.mark.parametrize(
    "case",
    [
        "short",
        "unknown",
        "missing",
        "blind",
        "frequency",
        "off_grid",
        "stamps",
        "text",
        "infinite",
        "empty",
    ],
)
def test_a_bad_table_gets_a_400_and_a_sentence(
    address: str, example: pd.DataFrame, case: str
) -> None:
    table, sentence = bad_tables(example)[case]
    code, said = ask(address, table)
    assert code == 400
    assert sentence in said
    assert ask(address, example)[0] == 200  # and the server goes on
