"""The Python API: a frame in, a model out, the same as a project's."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import retain
from retain.errors import DataError, ModelError, ParamsError

HORIZON = 4
SMALL = {"training": {"max_epochs": 1, "epoch_steps": 5}, "model": {"hidden_size": 4}}


def shops(steps: int = 60) -> pd.DataFrame:
    """Two monthly series with a season, and whether there is a promotion."""
    generator = np.random.default_rng(3)
    month, ds = np.arange(steps), pd.date_range("2018-01-01", periods=steps, freq="MS")
    frames = []
    for shop in ("north", "south"):
        promotion = generator.integers(0, 2, steps)
        sold = 100 + 20 * np.sin(month * np.pi / 6) + 9 * promotion + generator.normal(0, 2, steps)
        frames.append(pd.DataFrame({"shop": shop, "month": ds, "sold": sold, "promo": promotion}))
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def model() -> retain.Model:
    return retain.train(
        shops(), HORIZON, cells=["lstm"], budget=0, folds=1, settings=SMALL, preset="fast",
        known_covariates=["promo"], y="sold",
    )  # fmt: skip


def twice(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with two columns of one name."""
    return frame.rename(columns={"promo": "sold"})


def ahead(frame: pd.DataFrame, steps: int = HORIZON) -> pd.DataFrame:
    """The promotions of the months after the last row."""
    last = frame["month"].max()
    ds = pd.date_range(last, periods=steps + 1, freq="MS")[1:]
    return pd.concat(
        [pd.DataFrame({"shop": shop, "month": ds, "promo": 1}) for shop in ("north", "south")]
    )


def test_a_forecast_has_the_columns_of_the_table_and_begins_after_its_last_row(
    model: retain.Model,
) -> None:
    answer = model.predict(future=ahead(shops()))
    assert list(answer.columns[:4]) == ["shop", "month", "mean", "median"]
    assert answer["shop"].tolist() == ["north"] * HORIZON + ["south"] * HORIZON
    assert answer["month"].min() == pd.Timestamp("2023-01-01")
    assert (answer["0.1"] < answer["0.9"]).all()


def test_known_covariates_of_the_horizon_are_asked_for(model: retain.Model) -> None:
    with pytest.raises(DataError, match="promo"):
        model.predict()
    short = ahead(shops(), HORIZON - 1)
    with pytest.raises(DataError, match="promo"):
        model.predict(future=short)


def test_options_and_tables_of_a_forecast_are_checked(model: retain.Model) -> None:
    with pytest.raises(ParamsError, match="fill_with is 'thetha'; did you mean `theta`"):
        model.predict(future=ahead(shops()), fill_with="thetha")
    with pytest.raises(ParamsError, match="unseen is 'refused'"):
        model.plot(future=ahead(shops()), unseen="refused")
    with pytest.raises(DataError, match="name 'sold' stands 2 times"):
        model.predict(twice(shops()))
    coming = ahead(shops())
    with pytest.raises(DataError, match="name 'promo' stands 2 times"):
        model.predict(future=pd.concat([coming, coming[["promo"]]], axis=1))


def test_other_rows_are_forecast_from_their_own_end(model: retain.Model) -> None:
    frame = shops(70)
    answer = model.predict(frame, ahead(frame))
    assert answer["month"].min() == pd.Timestamp("2023-11-01")


def test_an_evaluation_is_frames_and_a_page(model: retain.Model) -> None:
    found = model.evaluation
    assert found is not None
    assert {"lstm", "pool", "seasonal_naive", "theta"} <= {*found.scores.index}
    pair = found.differences.query("first == 'lstm' and second == 'pool' and score == 'mae'")
    gain = found.scores.loc["lstm", "mae"] - found.scores.loc["pool", "mae"]
    assert pair["value"].item() == pytest.approx(gain, abs=1e-4)
    assert found.report.startswith("<!DOCTYPE html>") or "<html" in found.report
    assert any(sentence.startswith("frequency: MS") for sentence in model.findings)


def test_a_plot_shows_the_series_that_is_asked_for(model: retain.Model) -> None:
    figure = model.plot("south", future=ahead(shops()))
    (axes,) = figure.axes
    history, forecast = axes.lines[0].get_ydata(), axes.lines[1].get_ydata()
    assert len(forecast) == HORIZON
    assert history[-1] == shops()["sold"].iloc[-1]
    median = model.predict(future=ahead(shops())).query("shop == 'south'")["median"]
    assert forecast.tolist() == pytest.approx(median.tolist())
    assert "history" in figure._repr_svg_()  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="no series `suth`; did you mean `south`"):
        model.plot(["north", "suth"], future=ahead(shops()))


def test_the_figures_of_the_report_are_at_hand(model: retain.Model, tmp_path: Path) -> None:
    model.save(tmp_path / "kept")
    again = retain.load(tmp_path / "kept").evaluation
    assert again is not None
    assert model.evaluation is not None
    assert again.figures == model.evaluation.figures
    assert again.plot("calibration") in again.report
    assert again.plot() == again.figures["error_by_step"]
    with pytest.raises(DataError, match="no figure `calibrations`; did you mean `calibration`"):
        again.plot("calibrations")


def test_a_model_that_was_saved_forecasts_the_same(model: retain.Model, tmp_path: Path) -> None:
    model.save(tmp_path / "kept")
    again = retain.load(tmp_path / "kept")
    known = ahead(shops())
    pd.testing.assert_frame_equal(again.predict(shops(), known), model.predict(future=known))
    assert again.evaluation is not None
    assert model.evaluation is not None
    pd.testing.assert_frame_equal(again.evaluation.scores, model.evaluation.scores)
    with pytest.raises(DataError, match="give one"):
        again.predict()
    with pytest.raises(ModelError, match="exists already"):
        model.save(tmp_path / "kept")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: retain.train(shops(), 4, seasonlength=3), ParamsError, "did you mean"),
        (lambda: retain.train(shops(), 4, settings={"net": {}}), ParamsError, "model, training"),
        (lambda: retain.train(shops(9), 4, y="sold"), DataError, "steps"),
        (lambda: retain.load("nowhere"), ModelError, "nowhere"),
        (lambda: retain.train(shops(), 4, preset="fas"), ParamsError, "`preset` is 'fas'"),
        (lambda: retain.train(shops(), 4, y=None), ParamsError, "`data.y` is None"),
        (lambda: retain.train(shops(), 4, past_covariates=None), ParamsError, "past_covariates"),
        (lambda: retain.train(shops(), "few"), ParamsError, "`data.horizon` is 'few'"),
        (lambda: retain.train(twice(shops()), 4), DataError, "name 'sold' stands 2 times"),
    ],
)
def test_an_error_is_the_sentence_of_the_command(
    call: Callable[[], object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        call()


def test_import_retain_imports_nothing_large(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys, retain; print([m for m in ('numpy', 'torch', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
