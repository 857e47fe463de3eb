"""Logged forecasts and what came: what counts, what it is compared with, and how it is written."""

import datetime as dt
import json
import math
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from prometheus_client.parser import text_string_to_metric_families

from retain.config.monitoring import LogLimit, Promise
from retain.errors import DataError
from retain.evaluation import report
from retain.evaluation.results import Drift, DriftFindings
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.monitoring import forecast_log, monitor
from retain.kinds.forecast.monitoring.findings import Findings
from retain.kinds.forecast.monitoring.forecast_log import Answered
from retain.kinds.forecast.predict import predictor
from retain.kinds.forecast.predict.table_predictor import TablePredictor
from retain.project import files

LEVELS = (0.1, 0.5, 0.9)
HORIZON = 4
HOURS = pd.date_range("2024-01-01", periods=240, freq="h")
BEGINS = 120  # the model was trained on what is before


class Model:
    """What a log asks of a model."""

    levels = LEVELS

    def closed(self, names: Any, ahead: Any) -> Any:
        return np.zeros(ahead.shape, dtype=bool)


def truth(store: str) -> Any:
    hours = np.arange(len(HOURS))
    return 100.0 * (1 + (store == "b")) + 10 * np.sin(hours / 4) + hours % 7 + 0.25


def problem(**data: Any) -> Problem:
    entry = {"path": "t.csv", "unique_id": "store", "horizon": HORIZON, "context_length": 8}
    return Problem.model_validate(
        {"kind": "forecast", "data": entry | data, "gate": [{"check": "finite"}]}
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    parts = [pd.DataFrame({"ds": HOURS, "store": s, "y": truth(s)}) for s in "ab"]
    pd.concat(parts).to_csv(tmp_path / "t.csv", index=False)
    prepared = pd.DataFrame(
        {"unique_id": ["a", "b"], "mase_scale": [2.0, 4.0], "rmsse_scale": [1.0, 1.0]}
    )
    prepared.to_parquet(tmp_path / "index.parquet")
    return tmp_path


def answer(
    origin: int, off: float, wide: float = 20.0, version: int = 3, md5: str = "m", hour: int = 0
) -> Answered:
    """The forecast of both series from an origin: too high by `off`."""
    ahead = np.stack([HOURS[origin : origin + HORIZON].to_numpy()] * 2)
    values = np.array([truth(store)[origin : origin + HORIZON] + off for store in "ab"])
    forecasts = np.stack([values - wide, values, values + wide, values], axis=-1)
    made = dt.datetime(2024, 2, 1, hour, tzinfo=dt.UTC)
    names = np.array(["a", "b"], dtype=object)
    model: Any = Model()
    return Answered(version, md5, made, model, names, ahead, forecasts.astype(np.float32))


@pytest.fixture
def write(root: Path) -> Callable[..., Path]:
    """Writes answers as the log of a day."""

    def write(*answers: Answered, day: str = "2024-02-01") -> Path:
        folder = root / "log" / f"day={day}"
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(forecast_log.to_table(answers), folder / f"{len(answers)}.parquet")
        return root / "log"

    return write


PROMISED = Promise({"mae": 2.0, "mase": 0.8, "coverage_80": 0.8}, "m", f"x to {HOURS[BEGINS]}")


def look(
    root: Path, log: Path, promise: Promise | None = PROMISED, **extra: Any
) -> tuple[Findings, dict[str, dict[str, Any]]]:
    promises = {} if promise is None else {3: promise}
    given = {"actuals": None, "inputs": None} | extra
    found = monitor.monitor(problem(), root, root, log, promise=promises.get, **given)
    return found, {row["part"]: row for row in found.rows()}


def test_the_errors_are_those_of_the_evaluation(root: Path, write: Callable[..., Path]) -> None:
    answers = [answer(origin, off=3.0) for origin in range(BEGINS, len(HOURS) - HORIZON + 1)]
    found, parts = look(root, write(*answers))
    row = parts["all"]
    assert row["forecasts"] == 2 * len(answers)
    assert row["values"] == 2 * len(answers) * HORIZON
    assert row["mae"] == pytest.approx(3.0, rel=1e-5)
    assert row["mase"] == pytest.approx((3 / 2 + 3 / 4) / 2, rel=1e-5)
    assert row["bias"] > 0
    assert row["coverage_80"] == 1.0
    assert (row["judged"], row["judgement"]) == ("mase", "worse")
    assert row["versus"]["value"] == pytest.approx(1.125 - 0.8, rel=1e-4)
    newest = parts["newest"]  # ten horizons
    assert newest["values"] == 2 * (10 * HORIZON - HORIZON + 1) * HORIZON
    assert found.drift(3, 1.25)[0][0].value == pytest.approx(1.125 / 0.8, rel=1e-4)


def test_of_several_forecasts_from_one_origin_the_last_counts(
    root: Path, write: Callable[..., Path]
) -> None:
    log = write(answer(200, off=9.0, hour=1), answer(200, off=1.0, hour=2))
    found, parts = look(root, log)
    assert parts["all"]["mae"] == pytest.approx(1.0, rel=1e-4)
    assert found.notes == ["8 rows were forecast again from the same origin: the last counts"]


def test_of_forecasts_of_two_days_from_one_origin_the_last_counts(
    root: Path, write: Callable[..., Path]
) -> None:
    write(answer(200, off=9.0), answer(204, off=2.0), day="2024-02-01")
    found, parts = look(root, write(answer(200, off=1.0), day="2024-02-02"))
    assert parts["all"]["mae"] == pytest.approx(1.5, rel=1e-4)
    assert "8 rows were forecast again" in found.notes[0]


def test_another_horizon_and_times_far_away_are_no_trouble(
    root: Path, write: Callable[..., Path]
) -> None:
    log = write(answer(200, off=1.0))
    path = log / "day=2024-02-01" / "1.parquet"
    far = pd.read_parquet(path)
    later = far.assign(ds=far["ds"] + pd.Timedelta(hours=4), step=far["step"] + 4)
    away = far.assign(ds=far["ds"] + pd.Timedelta(days=90_000))
    pd.concat([far, later, away]).to_parquet(path)
    found, parts = look(root, log)
    assert parts["all"]["values"] == 2 * 2 * HORIZON
    assert found.notes == []


def test_times_of_one_client_between_the_steps_are_no_trouble_for_the_others(
    root: Path, write: Callable[..., Path]
) -> None:
    log = write(answer(200, off=1.0))
    path = log / "day=2024-02-01" / "1.parquet"
    rows = pd.read_parquet(path)
    odd = rows.assign(ds=rows["ds"] - pd.Timedelta(minutes=450))  # the earliest of the log
    pd.concat([odd, rows]).to_parquet(path)
    found, parts = look(root, log)
    assert parts["all"]["values"] == 2 * HORIZON
    assert [note[1:] for note in found.notes] == [" rows are at no step of h"]


def test_a_day_without_a_row_is_left_out(root: Path, write: Callable[..., Path]) -> None:
    log = write(answer(200, off=1.0))
    (log / "day=2024-02-02").mkdir()
    none = pq.read_table(log / "day=2024-02-01" / "1.parquet").slice(0, 0)
    pq.write_table(none, log / "day=2024-02-02" / "0.parquet")
    assert look(root, log)[1]["all"]["values"] == 2 * HORIZON
    (log / "day=2024-02-01" / "1.parquet").unlink()
    with pytest.raises(DataError, match="has no forecasts"):
        look(root, log)


def test_of_two_models_of_one_number_that_of_the_registry_is_shown(
    root: Path, write: Callable[..., Path]
) -> None:
    """After the registry was made anew, a number may be that of another model."""
    answers = [answer(origin, off=3.0) for origin in range(BEGINS, 230)]
    others = [answer(origin, off=9.0, md5="z") for origin in range(BEGINS, 230)]
    found, _ = look(root, write(*answers, *others))
    assert {row["md5"] for row in found.rows()} == {"m", "z"}
    families = {
        family.name: {s.labels.get("part"): s.value for s in family.samples}
        for family in text_string_to_metric_families(found.exposition("sales").decode())
    }
    assert families["retain_monitor_mae"]["all"] == pytest.approx(3.0, rel=1e-4)
    assert families["retain_monitor_worse"]["all"] == 1.0
    assert {round(scores["mae"]) for _, _, scores, _ in found.periods} == {3}
    assert "MASE 1.125" in found.sentence()


def test_a_log_is_closed_where_a_table_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tables() -> Iterator[pd.DataFrame]:
        yield pd.DataFrame()
        raise DataError("the second part is damaged")

    columns = {"unique_id": ["a"] * 3, "step": [1, 2, 3]}
    monkeypatch.setattr(predictor, "load", lambda folder: Model())
    monkeypatch.setattr(forecast_log, "_columns", lambda model, table: columns)
    with pytest.raises(DataError, match="second part"):
        forecast_log.keep(tmp_path, 1, "m", tables(), tmp_path / "log", LogLimit())
    assert "log" not in {thread.name for thread in threading.enumerate()}
    two = iter([pd.DataFrame()] * 2)
    assert forecast_log.keep(tmp_path, 1, "m", two, tmp_path / "log", LogLimit()) == 6


def test_what_the_model_was_trained_on_does_not_count(
    root: Path, write: Callable[..., Path]
) -> None:
    log = write(answer(BEGINS - 2, off=1.0), answer(BEGINS - 50, off=1.0))
    found, parts = look(root, log)
    assert parts["all"]["values"] == 2 * 2
    assert "12 values were in the training data of the model" in found.notes[0]


def test_where_it_is_not_known_what_the_model_was_trained_on_all_counts(
    root: Path, write: Callable[..., Path]
) -> None:
    promise = Promise(PROMISED.metrics, PROMISED.md5, "")
    found, parts = look(root, write(answer(BEGINS, off=1.0)), promise)
    assert parts["all"]["values"] == 2 * HORIZON
    assert found.notes == []


def test_what_has_not_come_yet_does_not_count(root: Path, write: Callable[..., Path]) -> None:
    log = write(answer(150, off=1.0), answer(236, off=1.0))
    short = root / "short.csv"
    table = pd.read_csv(root / "t.csv", parse_dates=["ds"])
    table[table["ds"] < HOURS[152]].to_csv(short, index=False)
    assert look(root, log, actuals=str(short))[1]["all"]["values"] == 2 * 2
    table[table["ds"] < HOURS[150]].to_csv(short, index=False)
    with pytest.raises(DataError, match=r"no value yet that was forecast.*2024-01-07 05:00"):
        look(root, log, actuals=str(short))


def test_a_model_that_the_registry_does_not_know_is_judged_against_nothing(
    root: Path, write: Callable[..., Path]
) -> None:
    log = write(answer(200, off=1.0, md5="another"))
    found, parts = look(root, log)
    assert parts["all"]["judgement"] == "undecided"
    assert math.isnan(parts["all"]["promised"]["mase"])
    assert found.notes[-1] == "the registry has no such model of version 3"
    assert found.drift(3, 1.25)[0] == []


def test_without_scales_the_mae_is_judged(root: Path, write: Callable[..., Path]) -> None:
    (root / "index.parquet").unlink()
    found, parts = look(root, write(*(answer(origin, 1.0) for origin in range(150, 230))))
    assert (parts["all"]["judged"], parts["all"]["judgement"]) == ("mae", "better")
    assert any("dvc pull" in note for note in found.notes)


def test_few_forecasts_are_no_reason_to_retrain(root: Path, write: Callable[..., Path]) -> None:
    found, _ = look(root, write(answer(230, off=50.0)))
    drifts, notes = found.drift(3, 1.25)
    assert drifts == []
    assert "unknown: 1 forecast origins" in notes[0]
    assert "no new forecasts of version 4" in found.drift(4, 1.25)[1][0]


def test_intervals_that_are_too_narrow_are_said(root: Path, write: Callable[..., Path]) -> None:
    answers = [answer(origin, off=3.0, wide=1.0) for origin in range(BEGINS, 230)]
    found, parts = look(root, write(*answers))
    assert parts["all"]["coverage_80"] == 0.0
    assert parts["all"]["coverage_is_low"]
    assert "coverage is low" in found.tables()[0].rows[2][-1]


def test_versions_and_days_are_apart(root: Path, write: Callable[..., Path]) -> None:
    write(*(answer(origin, 1.0, version=2) for origin in range(150, 180)), day="2024-02-01")
    log = write(*(answer(origin, 2.0) for origin in range(170, 230)), day="2024-02-02")
    found, _ = look(root, log)
    rows = {(row["version"], row["part"]): row for row in found.rows()}
    assert rows[2, "all"]["mae"] == pytest.approx(1.0, rel=1e-4)
    assert rows[3, "all"]["mae"] == pytest.approx(2.0, rel=1e-4)
    days = [(number, first) for number, first, _, _ in found.periods]
    assert days[0] == (2, "2024-01-07")
    assert days[-1] == (3, "2024-01-10")
    assert sum(count for *_, count in found.periods) == sum(
        rows[number, "all"]["values"] for number in (2, 3)
    )


INPUTS = DriftFindings("the newest", [Drift("y", "psi", 0.5, 0.25)], notes=["a note"])


def test_it_is_written_as_json_as_metrics_and_as_a_page(
    root: Path, write: Callable[..., Path]
) -> None:
    log = write(*(answer(origin, off=3.0) for origin in range(BEGINS, 230)))
    found, _ = look(root, log, inputs=INPUTS)
    content = json.loads(files.to_json(found.content()))
    assert content["versions"][0]["judgement"] == "worse"
    assert content["inputs"]["drifts"][0]["passed"]
    families = {
        family.name: family.samples
        for family in text_string_to_metric_families(found.exposition("sales").decode())
    }
    samples = {s.labels["part"]: s.value for s in families["retain_monitor_mae"]}
    assert samples["all"] == pytest.approx(3.0, rel=1e-4)
    assert families["retain_monitor_drift_ratio"][0].value == 2.0
    assert families["retain_monitor_worse"][0].labels["version"] == "3"
    page = report.to_html(found.report("sales"))
    assert page.count("<svg") == 2
    assert "Version 3: MASE 1.125" in page
    assert not re.search(r"https?://(?!www\.w3\.org)", page)
    assert "a note." in page


def test_what_the_inputs_have_lost_is_on_the_page(root: Path, write: Callable[..., Path]) -> None:
    lost = DriftFindings("the newest", worse=["column `price` has no value"], notes=["a note"])
    found, _ = look(root, write(answer(230, off=3.0)), inputs=lost)
    lead = found.report("sales").lead
    assert lead.startswith("Worse inputs: column `price` has no value. ")
    assert lead.endswith("a note.")
    assert 'retain_monitor_inputs_worse{name="sales"} 1.0' in found.exposition("sales").decode()


def test_an_empty_log_says_how_to_fill_it(root: Path) -> None:
    (root / "log").mkdir()
    with pytest.raises(DataError, match="retain serve --log"):
        look(root, root / "log")


@pytest.mark.parametrize("content", [b"PAR1 and no more", b""])
def test_a_damaged_file_is_named(root: Path, write: Callable[..., Path], content: bytes) -> None:
    log = write(answer(200, off=1.0))
    (log / "day=2024-02-01" / "x.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"x.parquet is damaged .*; remove it"):
        look(root, log)


def test_another_table_in_the_log_is_named(root: Path, write: Callable[..., Path]) -> None:
    log = write(answer(200, off=1.0))
    pd.DataFrame({"ds": HOURS, "y": 1}).to_parquet(log / "day=2024-02-01" / "x.parquet")
    with pytest.raises(DataError, match=r"x.parquet is no file of forecasts: no `0\.1`"):
        look(root, log)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("ds", None, "`ds` is null"),
        ("ds", "2024-02-01", "`ds` is (large_)?string"),
        ("version", "x", "`version` is (large_)?string"),
        ("version", -1, "`version` is -1"),
        ("unique_id", 1, "`unique_id` is int64"),
        ("unique_id", None, "`unique_id` is null"),
        ("step", 0, "`step` is 0"),
        ("step", 2**40, "`step` is 1099511627776"),
        ("mean", "x", "`mean` is (large_)?string"),
        ("0.77", "x", "`0.77` is (large_)?string"),
    ],
)
def test_a_column_that_no_log_has_is_named(
    root: Path, write: Callable[..., Path], column: str, value: Any, message: str
) -> None:
    log = write(answer(200, off=1.0))
    path = next(log.glob("day=*/*.parquet"))
    frame = pd.read_parquet(path)
    frame.assign(**{column: [value] * len(frame)}).to_parquet(path)
    with pytest.raises(DataError, match=rf"parquet is no file of forecasts: {message}; remove it"):
        look(root, log)


def test_a_row_without_a_time_is_named(root: Path, write: Callable[..., Path]) -> None:
    log = write(answer(200, off=1.0))
    path = next(log.glob("day=*/*.parquet"))
    frame = pd.read_parquet(path)
    frame.loc[1, "ds"] = pd.NaT
    frame.to_parquet(path)
    with pytest.raises(DataError, match="a row has no `ds`; remove it"):
        look(root, log)


def test_a_pipe_in_the_log_is_not_waited_for(root: Path, write: Callable[..., Path]) -> None:
    log = write(answer(200, off=1.0))
    os.mkfifo(next(log.glob("day=*")) / "x.parquet")
    with pytest.raises(DataError, match=r"x\.parquet is no file; remove it"):
        look(root, log)


def test_series_that_the_table_does_not_have_are_said(
    root: Path, write: Callable[..., Path]
) -> None:
    table = pd.read_csv(root / "t.csv")
    table[table["store"] == "a"].to_csv(root / "t.csv", index=False)
    found, parts = look(root, write(answer(200, off=1.0)))
    assert parts["all"]["values"] == HORIZON
    assert found.notes == ["4 rows are of series that the table does not have"]


@pytest.mark.parametrize(
    ("settings", "frequency"),
    [
        ({}, "h"),
        ({"timezone": "Europe/Berlin"}, "h"),
        ({"timezone": "Europe/Berlin", "time_format": "%d.%m.%Y %H:%M"}, "h"),
        ({"time_format": "epoch_s"}, "h"),
        ({"ds_is_step": True, "calendar": False}, "us"),
        ({"frequency": "MS", "align": "period"}, "MS"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_stamps_of_a_forecast_are_taken_back_to_their_steps(
    settings: dict[str, Any], frequency: str
) -> None:
    """Over the night on which an hour comes twice, as `retain forecast` writes them."""
    data = problem(**settings).data
    begin = 100 if data.ds_is_step else pd.Timestamp("2024-10-26 20:00")
    steps = pd.date_range(pd.Timestamp(begin), periods=8, freq=frequency).as_unit("us")
    series = pd.Series(np.repeat(["a"], len(steps)))
    model: Any = SimpleNamespace(data=data)
    ahead = steps.to_numpy()[None]
    request: Any = SimpleNamespace(ahead=ahead, phase=None)
    written = TablePredictor._stamps(model, request)
    stamps = pd.Series(written, name=data.time_column)
    found = forecast_log._parsed(stamps, data, series)
    expected = steps.normalize() if frequency == "MS" else steps
    np.testing.assert_array_equal(found.to_numpy("datetime64[us]"), expected.to_numpy())
