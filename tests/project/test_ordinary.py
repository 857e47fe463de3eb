"""The benchmark on ordinary tables: the same windows and the same scale for every model."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.ordinary import peers, scoring, show, sources
from benchmarks.peers import windows
from retain.config import loader
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel, tables

SEASON = 12


@pytest.fixture
def test_part(tmp_path: Path) -> scoring.Test:
    """Two series of 60 months, the second a year late and with a gap; the last year is tested."""
    step = np.arange(60)
    long = pd.concat(
        pd.DataFrame({"unique_id": name, "ds": months, "y": level + step[:size] + step[:size] % 12})
        for name, level, size, months in (
            ("a", 100.0, 60, pd.date_range("2015-01-01", periods=60, freq="MS")),
            ("b", 10.0, 48, pd.date_range("2016-01-01", periods=48, freq="MS")),
        )
    )
    long = long.drop(index=long.index[(long["unique_id"] == "b") & (long["ds"] == "2019-06-01")])
    data = {
        **{"path": "x", "unique_id": "unique_id", "frequency": "MS", "horizon": 3},
        **{"context_length": 6, "season_length": 1},
        "split": {"validation": "6 horizons", "test": "4 horizons"},
    }
    entry = {"kind": "forecast", "preset": "fast", "data": data, "gate": []}
    problem = loader.parse("small", entry)
    assert isinstance(problem, Problem)
    panel.save(panel.build(tables.clean(long, problem.data, "x"), problem.data), tmp_path)
    return scoring.load(tmp_path, 2)


def test_every_origin_is_scored_once_by_the_fold_it_lies_in(test_part: scoring.Test) -> None:
    assert test_part.begins == [48, 54]
    assert test_part.step.tolist() == [*range(48, 54)] * 2 + [*range(54, 58)] * 2
    assert test_part.fold.tolist() == [0] * 12 + [1] * 8


def test_the_scale_is_of_the_natural_season_whatever_was_chosen(test_part: scoring.Test) -> None:
    assert test_part.season == SEASON
    assert test_part.scale.tolist() == [12.0, 12.0]  # the season repeats, the level grows by 1
    truth = np.nan_to_num(test_part.truth)[..., None]
    right = scoring.score(test_part, (0.5,), truth)
    assert (right["mae"], right["mase"]) == (0, 0)
    off = scoring.score(test_part, scoring.DECILES, np.repeat(truth + 6, 9, axis=2))
    assert off["mase"] == pytest.approx(0.5)
    assert (off["crps"], off["coverage_80"]) == (pytest.approx(6), 0)
    assert off["bias"] > 0


def test_the_scores_of_an_evaluation_get_the_scale_of_all(test_part: scoring.Test) -> None:
    by_series = "x,model,y,unique_id,mae\n1,lstm,9,a,6\n2,lstm,9,b,12\n"
    found = scoring.rescore(test_part, {"models": {"lstm": {"mae": 8.9, "mase": 9}}}, by_series)
    # Ten windows of three months; three of those of `b` have the month that is missing.
    assert found["lstm"]["mase"] == pytest.approx((30 * 0.5 + 27 * 1.0) / 57)
    assert found["lstm"]["mae"] == 8.9


def test_a_peer_sees_nothing_from_the_origin_on(test_part: scoring.Test, tmp_path: Path) -> None:
    arrays, options = peers._problem(test_part)
    np.savez(tmp_path / "problem.npz", **arrays)
    (tmp_path / "problem.json").write_text(json.dumps(options))
    problem = windows.Problem(tmp_path)
    assert np.isfinite(arrays["values"]).all()
    for number, (series, step) in enumerate(
        zip(test_part.series.tolist(), test_part.step.tolist(), strict=True)
    ):
        first = 12 * series
        assert len(problem.history(number)) == step - first
        known = problem.histories(np.array([number]), 4)
        assert known["ds"].max() == problem.grid[step - 1]
        assert known["y"].tolist() == problem.y[series][step - first - 4 : step - first].tolist()
    assert problem.until(48)["ds"].max() == problem.grid[47]
    assert problem.repeated(0).tolist() == problem.y[0][36:39].tolist()


def test_a_forecast_that_failed_is_the_season_before_and_is_counted(
    test_part: scoring.Test, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays, options = peers._problem(test_part)
    np.savez(tmp_path / "problem.npz", **arrays)
    (tmp_path / "problem.json").write_text(json.dumps(options))

    def broken(problem: windows.Problem) -> tuple[tuple[float, ...], windows.Floats]:
        forecasts = np.ones((len(problem.series), problem.horizon, 1))
        forecasts[0, 2] = np.nan
        problem.facts["trials"] = 7
        return (0.5,), forecasts

    monkeypatch.setattr("sys.argv", ["worker", str(tmp_path), "broken"])
    windows.main({"broken": broken})
    answer = np.load(tmp_path / "broken.npz")
    assert (int(answer["failed"]), int(answer["trials"])) == (1, 7)
    assert answer["forecasts"][0, :, 0].tolist() == [136, 138, 140]
    assert (answer["forecasts"][1:] == 1).all()


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("air.csv.gz", ("air", 12, ".csv.gz")),
        ("Shop sales.h7.csv", ("shop_sales", 7, ".csv")),
        ("2020.h24.parquet", ("t_2020", 24, ".parquet")),
        ("sales.csv", None),
        ("README.md", None),
    ],
)
def test_the_name_of_a_file_says_the_horizon(file: str, found: tuple[str, int, str] | None) -> None:
    source = sources.parse(Path(file))
    if found is None:
        assert source is None
    else:
        assert source is not None
        assert (source.name, source.horizon, sources.ending(source.path)) == found


def test_a_folder_without_tables_says_how_they_are_called(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").touch()
    with pytest.raises(SystemExit, match=r"no table to forecast; call it NAME\.h12\.csv"):
        sources.find([tmp_path])


def test_the_yardstick_is_the_best_peer_of_each_table() -> None:
    rows = [("a", "retain lstm", 0.8), ("a", "theta", 1.0), ("a", "MSTL", 2.0), ("a", "NHITS", 0.1)]
    rows += [("b", "retain lstm", 2.0), ("b", "theta", 2.0), ("b", "MSTL", 1.0)]
    means = pd.DataFrame(rows, columns=["table", "model", "mase"]).assign(preset="added")
    means["coverage_80"] = 0.75
    lines = show.ratios(means, ["a", "b"])
    assert lines["best peer"].tolist() == ["theta", "MSTL", ""]
    assert lines["retain lstm"].tolist() == ["0.800", "2.000", "1.265"]
    whole = show.ratios(means, ["a", "b"], alone=False)["retain lstm"].tolist()
    assert whole == ["0.800 / 0.75 / 0.800", "2.000 / 0.75 / 2.000", "1.265"]
