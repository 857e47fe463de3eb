"""A table of any size is forecast in parts, the same as at once, and a stopped run goes on."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retain.config.forecasts import BulkForecasts, ForecastOptions
from retain.engine import mapping
from retain.errors import DataError, RetainError
from retain.kinds.forecast.data import chunks
from retain.kinds.forecast.predict import predictor
from retain.kinds.forecast.predict.bulk import OnProgress
from retain.kinds.forecast.predict.bulk import forecast_bulk as run

from .test_predictor import PLAIN, model_of, shops


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(chunks, "ROWS", 130)  # two shops and a bit
    model_of(tmp_path / "made", shops(3), {}, **PLAIN)
    return tmp_path / "made" / "model"


def write(folder: Path, count: int = 9) -> pd.DataFrame:
    """A folder of three files, whose borders are not those of the series."""
    table = shops(count)
    folder.mkdir()
    for number, begin in enumerate((0, 100, 400)):
        end = (100, 400, len(table))[number]
        table.iloc[begin:end].to_parquet(folder / f"{number}.parquet", index=False)
    return table


def forecast_bulk(
    model: Path, history: str, root: Path, out: Path, md5: str, told: OnProgress, **keys: Any
) -> BulkForecasts:
    return run(model, history, root, out, md5, told, ForecastOptions(**keys))


def on_progress(done: int, of: int) -> None:
    assert 0 < done <= of


def test_in_parts_it_is_the_same(model: Path, tmp_path: Path) -> None:
    table = write(tmp_path / "big")
    out = tmp_path / "out"
    done = forecast_bulk(model, str(tmp_path / "big"), tmp_path, out, "m", on_progress)
    assert done == BulkForecasts(9, 0, 0, {}, {})
    assert len(list(out.iterdir())) > 2
    pd.testing.assert_frame_equal(
        pd.read_parquet(out),
        predictor.load(model).predict(table),
        check_exact=True,
    )
    assert not list(tmp_path.glob(".out*"))


def test_a_stopped_run_goes_on(model: Path, tmp_path: Path) -> None:
    write(tmp_path / "big")
    once, again = tmp_path / "once", tmp_path / "again"
    path = str(tmp_path / "big")
    forecast_bulk(model, path, tmp_path, once, "m", on_progress)

    def stop(done: int, of: int) -> None:
        if done > 400:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        forecast_bulk(model, path, tmp_path, again, "m", stop)
    assert not again.exists()
    done = forecast_bulk(model, path, tmp_path, again, "m", on_progress)
    assert (done.series, done.done_before) == (9, 2)
    assert {f.name: f.read_bytes() for f in again.iterdir()} == {
        f.name: f.read_bytes() for f in once.iterdir()
    }


@pytest.mark.parametrize("changed", ["model", "table"])
def test_what_was_begun_with_another_model_or_table_is_not_taken(
    model: Path, tmp_path: Path, changed: str
) -> None:
    write(tmp_path / "big")
    path, out = str(tmp_path / "big"), tmp_path / "out"

    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        forecast_bulk(model, path, tmp_path, out, "m", stop)
    if changed == "table":
        last = pd.read_parquet(tmp_path / "big" / "2.parquet")
        last.assign(y=last["y"] + 1).to_parquet(tmp_path / "big" / "2.parquet", index=False)
    md5 = "another" if changed == "model" else "m"
    done = forecast_bulk(model, path, tmp_path, out, md5, on_progress)
    assert (done.series, done.done_before) == (9, 0)


def test_series_left_out_are_remembered_by_a_run_that_goes_on(model: Path, tmp_path: Path) -> None:
    table = write(tmp_path / "big")
    short = table[~table["shop"].isin(["s000", "s007"]) | (table["ds"] > "2024-02-25")]
    for file in (tmp_path / "big").iterdir():
        file.unlink()
    short.to_parquet(tmp_path / "big" / "0.parquet", index=False)
    path, out = str(tmp_path / "big"), tmp_path / "out"

    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        forecast_bulk(model, path, tmp_path, out, "m", stop)
    done = forecast_bulk(model, path, tmp_path, out, "m", on_progress)
    assert (done.series, done.done_before) == (7, 1)
    assert done.left_out == dict.fromkeys(
        ["s000", "s007"], "a history of 4 steps of D; the model needs 8"
    )
    assert {file.suffix for file in out.iterdir()} == {".parquet"}
    filled = forecast_bulk(
        model, path, tmp_path, tmp_path / "filled", "m", on_progress, fill_with="theta"
    )
    assert (filled.series, filled.noted, filled.left_out) == (9, 2 * 3, {})
    with pytest.raises(DataError, match=r"2 series cannot be forecast:\n  s000: a history of 4"):
        forecast_bulk(model, path, tmp_path, tmp_path / "s", "m", on_progress, strict=True)


def test_a_part_none_of_whose_series_can_be_forecast(model: Path, tmp_path: Path) -> None:
    table = write(tmp_path / "big")
    table.loc[table["shop"] < "s003", "y"] = float("nan")
    table.loc[table.index[table["shop"] < "s003"][::60], "y"] = 1.0  # the first of each
    (tmp_path / "big" / "2.parquet").unlink()
    table.iloc[:180].to_parquet(tmp_path / "big" / "0.parquet", index=False)
    table.iloc[180:].to_parquet(tmp_path / "big" / "1.parquet", index=False)
    out = tmp_path / "out"
    done = forecast_bulk(model, str(tmp_path / "big"), tmp_path, out, "m", on_progress)
    assert (done.series, list(done.left_out)) == (6, ["s000", "s001", "s002"])
    parts = [len(pd.read_parquet(file)) for file in sorted(out.iterdir())]
    assert (parts[0], sum(parts)) == (0, 6 * 3)
    assert pd.read_parquet(out).iloc[:, 0].nunique() == 6


def test_csv_and_a_table_of_one_file(model: Path, tmp_path: Path) -> None:
    table = shops(5)
    table.to_csv(tmp_path / "t.csv", index=False)
    out = tmp_path / "out"
    forecast_bulk(model, str(tmp_path / "t.csv"), tmp_path, out, "m", lambda done, of: None)
    pd.testing.assert_frame_equal(
        pd.read_parquet(out),
        predictor.load(model).predict(table),
        check_exact=True,
    )


def test_errors_name_the_file_and_the_row(model: Path, tmp_path: Path) -> None:
    table = write(tmp_path / "big")
    bad = table.iloc[400:].copy()
    bad["shop"] = bad["shop"].replace("s008", "s000")
    bad.to_parquet(tmp_path / "big" / "2.parquet", index=False)
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"series 's000' stands in several places; sort the table"):
        forecast_bulk(model, str(tmp_path / "big"), tmp_path, out, "m", on_progress)
    bad = table.iloc[400:].astype({"y": object})
    bad.iloc[7, 2] = "many"
    bad["y"] = bad["y"].astype(str)
    bad.to_parquet(tmp_path / "big" / "2.parquet", index=False)
    for number, (begin, end) in enumerate(((0, 100), (100, 400))):
        part = table.iloc[begin:end].astype({"y": str})
        part.to_parquet(tmp_path / "big" / f"{number}.parquet", index=False)
    with pytest.raises(DataError, match=r"2\.parquet row 8: 'many'"):
        forecast_bulk(model, str(tmp_path / "big"), tmp_path, out, "m", on_progress)
    out.mkdir()
    with pytest.raises(DataError, match="exists already"):
        forecast_bulk(model, str(tmp_path / "big"), tmp_path, out, "m", on_progress)
    with pytest.raises(DataError, match="does not exist"):
        forecast_bulk(model, str(tmp_path / "none"), tmp_path, tmp_path / "new", "m", on_progress)


@pytest.mark.long
def test_other_processes_write_the_same_bytes(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, path = write(tmp_path / "big"), str(tmp_path / "big")
    short = table[(table["shop"] != "s004") | (table["ds"] > "2024-02-25")]
    for file in (tmp_path / "big").iterdir():
        file.unlink()
    short.to_parquet(tmp_path / "big" / "0.parquet", index=False)
    once, again = tmp_path / "once", tmp_path / "again"
    monkeypatch.setenv("RETAIN_ENGINE", "local")
    first = forecast_bulk(model, path, tmp_path, once, "m", on_progress)
    monkeypatch.setenv("RETAIN_ENGINE", "local:2")
    assert forecast_bulk(model, path, tmp_path, again, "m", on_progress) == first
    assert first.left_out
    assert {f.name: f.read_bytes() for f in again.iterdir()} == {
        f.name: f.read_bytes() for f in once.iterdir()
    }
    bad = table.astype({"y": object})
    bad.iloc[400, 2] = "many"
    bad.astype({"y": str}).to_parquet(tmp_path / "big" / "0.parquet", index=False)
    with pytest.raises(DataError, match=r"0\.parquet row 401: 'many'"):
        forecast_bulk(model, path, tmp_path, tmp_path / "bad", "m", on_progress)


def test_what_was_begun_with_other_code_is_not_taken(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "big")
    path, out = str(tmp_path / "big"), tmp_path / "out"

    def stop(done: int, of: int) -> None:
        if done > 400:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        forecast_bulk(model, path, tmp_path, out, "m", stop)
    monkeypatch.setattr(mapping, "code_md5", lambda: "of another release")
    assert forecast_bulk(model, path, tmp_path, out, "m", on_progress).done_before == 0


def test_outputs_of_one_name_have_parts_of_their_own(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "big")
    (tmp_path / "dvc.yaml").touch()
    monkeypatch.setenv("RETAIN_ENGINE", "command:1")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        with pytest.raises(RetainError, match="retain stage forecast week-"):
            forecast_bulk(
                model, str(tmp_path / "big"), tmp_path, tmp_path / folder / "week", "m", on_progress
            )
    assert len(list((tmp_path / "scratch" / "parts").glob("forecast-week*.json"))) == 2
