"""Forecasts that a server and a command keep, and what `retain monitor` makes of them."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families

from retain.kinds.forecast.monitoring import forecast_log
from retain.kinds.forecast.predict import predictor

from . import monitored
from .conftest import run
from .serving_process import JSON, by_column, serving_process

KEY = "a-key-of-this-test"


@pytest.fixture(scope="module")
def example(finished: Path) -> pd.DataFrame:
    model = predictor.load(finished / "models/small/final")
    return model.example(finished / "data/prepared/small")


def logged(folder: Path) -> pd.DataFrame:
    return pd.concat(forecast_log.read(folder / "small")).reset_index(drop=True)


def test_a_server_and_the_command_log_what_they_answer_and_nothing_else(
    finished: Path, example: pd.DataFrame, tmp_path: Path
) -> None:
    served, printed = tmp_path / "served", tmp_path / "printed"
    example = example.assign(y=example["y"].where(example.index != 30, 97.53125))
    with serving_process(finished, "--log", str(served), RETAIN_API_KEY=KEY) as server:
        code, answer = server.forecast(by_column(example), JSON, X_API_Key=KEY)
        assert code == 200
        assert server.forecast({"history": {"ds": ["soon"]}}, JSON, X_API_Key=KEY)[0] == 422
        assert server.stop() == 0
    found = logged(served)
    steps = example["store"].nunique() * 6
    assert len(found) == steps
    assert set(found["version"]) == {1}
    for name in ("mean", "0.1", "0.5", "0.9"):
        expected = np.array(answer["forecast"][name], dtype=np.float32)
        np.testing.assert_array_equal(found[name], expected)
    assert found["unique_id"].tolist() == answer["forecast"]["store"]
    content = b"".join(path.read_bytes() for path in served.rglob("*.parquet"))
    assert KEY.encode() not in content
    assert not (found.drop(columns=["made", "ds"]) == 97.53125).to_numpy().any()

    history = tmp_path / "history.csv"
    example.to_csv(history, index=False)
    words = ("--history", str(history), "--log", str(printed), "-o", str(tmp_path / "f.csv"))
    done = run(finished, "retain", "forecast", "small", *words)
    assert f"{steps} rows of version 1 logged" in done.stderr
    same, also = (frame.drop(columns="made") for frame in (logged(printed), found))
    pd.testing.assert_frame_equal(same, also, check_exact=False, rtol=1e-5)


def test_a_server_that_is_killed_loses_its_last_seconds_alone(
    finished: Path, example: pd.DataFrame, tmp_path: Path
) -> None:
    body: Any = by_column(example)
    with serving_process(finished, "--log", str(tmp_path)) as server:
        assert server.forecast(body)[0] == 200
        deadline = time.monotonic() + 20
        while not [*tmp_path.rglob("*.parquet")]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        for _ in range(5):
            server.forecast(body)
        server.stop(signal.SIGKILL)
    assert len(logged(tmp_path)) in {6 * count for count in range(1, 7)}


def test_what_came_is_compared_with_what_was_forecast(finished: Path, tmp_path: Path) -> None:
    came, table = tmp_path / "came.csv", monitored.came()
    table.to_csv(came, index=False)
    with serving_process(finished, "--log", str(tmp_path / "log")) as server:
        asked = monitored.ask(server, table, every="6h")
        assert server.stop() == 0
    words = ("retain", "monitor", "small", "--log", str(tmp_path / "log"), "--actuals", str(came))
    files = ("--metrics", str(tmp_path / "m.prom"), "--page", str(tmp_path / "m.html"))
    found = json.loads(run(finished, *words, "--json", *files).stdout)
    newest, whole = found["versions"]
    assert whole["values"] == 2 * 6 * asked
    assert newest["values"] == 2 * 96  # of four seasons
    assert newest["mae"] > whole["mae"]
    assert newest["promised"]["wape"] > 0  # what only the run has
    assert any(drift["passed"] for drift in found["inputs"]["drifts"])
    families = {f.name for f in text_string_to_metric_families((tmp_path / "m.prom").read_text())}
    assert "retain_monitor_mase" in families
    assert "<svg" in (tmp_path / "m.html").read_text()
    printed = run(finished, *words, "--no-drift").stdout
    assert "2024-01-22" in printed
    assert "Drift of the inputs" not in printed


def test_a_log_that_is_not_there_is_said(finished: Path, tmp_path: Path) -> None:
    done = run(finished, "retain", "monitor", "small", "--log", str(tmp_path), code=2)
    assert "keep its forecasts there with `retain serve small --log" in done.stderr
    done = run(finished, "retain", "serve", "small", "--log", "/proc/x", code=2)
    assert "--log /proc/x" in done.stderr
    assert "Traceback" not in done.stderr
