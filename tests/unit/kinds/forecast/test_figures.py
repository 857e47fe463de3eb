"""The figures of a report: the same table is the same text, fit for a page, light or dark."""

import hashlib
import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from retain.evaluation import curves, plotting
from retain.kinds.forecast.evaluation import figures

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
MODELS = ("lstm", "rnn", "naive", "seasonal_naive", "drift")
HOSTILE = '<script>alert("$x_1$")</script> & \x00\x07 東京'


def a_view(title: str = "typical", horizon: int = 24) -> figures.View:
    start = np.datetime64("2018-03-02T00", "h")
    ds = start + np.arange(48 + horizon)
    y = 10 + np.sin(2 * np.pi * np.arange(48 + horizon) / 24)
    truth = y[48:].copy()
    truth[5:8] = np.nan
    fan = y[48:, None] + np.linspace(-1, 1, len(LEVELS))  # (horizon, levels)
    quantiles = {"lstm": fan, "rnn": fan + 0.2, "naive": np.full((horizon, 1), y[47])}
    return figures.View(title, ds[:48], y[:48], ds[48:], truth, quantiles)


def by(model_names: tuple[str, ...], **columns: object) -> pd.DataFrame:
    return pd.concat([pd.DataFrame({"model": name, **columns}) for name in model_names])


def scores(series: list[str]) -> pd.DataFrame:
    frame = by(MODELS, unique_id=series)
    return frame.assign(mase=np.linspace(0.3, 2.5, len(frame)))


def all_figures() -> dict[str, str]:
    steps = np.arange(1, 25)
    curve = 1.0 / steps
    nets = MODELS[:2]
    return {
        "forecasts": figures.forecasts([a_view() for _ in range(6)], LEVELS),
        "error_by_step": figures.error_by_step(by(MODELS, step=steps, mae=steps * 1.5)),
        "training_curves": curves.training_curves(
            by(nets, epoch=steps, train_loss=curve, validation_loss=curve + 0.1)
        ),
        "calibration": figures.calibration(by(nets, level=LEVELS, observed=LEVELS)),
        "look_back": curves.look_back(by(nets, lag=steps, norm=np.exp(-steps)), "input", 12),
        "errors_by_series": figures.errors_by_series(scores(["a", "b", "c"])),
    }


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - our own text


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in parsed(svg).iter(f"{plotting.SVG}text")]


@pytest.fixture(scope="module")
def drawings() -> dict[str, str]:
    return all_figures()


@pytest.mark.long
def test_another_process_with_another_hash_seed_gives_the_same_text(
    drawings: dict[str, str],
) -> None:
    program = (
        "import hashlib, runpy, sys\n"
        "drawings = runpy.run_path(sys.argv[1])['all_figures']()\n"
        "print(hashlib.sha256(''.join(drawings.values()).encode()).hexdigest())"
    )
    here = hashlib.sha256("".join(drawings.values()).encode()).hexdigest()
    there = subprocess.run(
        [sys.executable, "-c", program, __file__],
        env=os.environ | {"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == here


def test_a_figure_is_xml_without_prolog_size_or_anything_to_load(drawings: dict[str, str]) -> None:
    for svg in drawings.values():
        root = parsed(svg)
        assert svg.startswith("<svg ")
        assert {"viewBox", "aria-label", "role"} <= set(root.attrib)
        assert not {"width", "height"} & set(root.attrib)
        assert re.findall(r"https?://[^\"' ]+", svg) == ["http://www.w3.org/2000/svg"]
        tags = {element.tag.removeprefix(plotting.SVG) for element in root.iter()}
        assert not tags & {"script", "style", "metadata", "image", "a", "foreignObject"}


def test_ids_are_own_to_a_figure_and_every_reference_is_met(drawings: dict[str, str]) -> None:
    seen: set[str] = set()
    for name, svg in drawings.items():
        ids = re.findall(r'\bid="([^"]+)"', svg)
        assert len(ids) == len(set(ids))
        assert not seen & set(ids)
        assert all(id_.startswith(f"{name}-") for id_ in ids)
        referred = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', svg)
        assert {a or b for a, b in referred} == set(ids)
        seen |= set(ids)


def test_every_colour_and_text_size_is_a_variable_with_a_fallback(drawings: dict[str, str]) -> None:
    for svg in drawings.values():
        bare = re.sub(r"var\(--[\w-]+, [^)]+\)", "", svg)
        assert not re.search(r"#[0-9a-fA-F]{3,6}\b", bare)
        assert "font-size: " in svg
        assert not re.search(r"font-size: \d", bare)
        assert "DejaVu" not in svg


def test_models_are_named_for_people(drawings: dict[str, str]) -> None:
    shown = texts(drawings["error_by_step"])
    assert {"LSTM", "RNN", "naive", "seasonal naive", "drift"} <= set(shown)


def test_a_model_that_has_no_look_of_its_own_is_drawn_all_the_same() -> None:
    svg = figures.error_by_step(by(("lstm", "last_year"), step=[1, 2], mae=[1.0, 2.0]))
    assert "last year" in texts(svg)


def test_missing_truth_is_a_gap_in_the_line() -> None:
    def path_starts(view: figures.View) -> int:
        svg = figures.forecasts([view], LEVELS)
        truth = re.search(r'd="([^"]+)"[^>]*stroke: var\(--ink, #1f2328\)', svg)
        assert truth is not None
        return truth[1].count("M")

    assert path_starts(a_view()) == 2


def test_intervals_are_of_80_and_50_percent_as_far_as_the_levels_reach() -> None:
    assert {"80\xa0% interval", "50\xa0% interval"} <= set(
        texts(figures.forecasts([a_view()], LEVELS))
    )
    only = figures.View(
        **{**vars(a_view()), "quantiles": {"lstm": a_view().quantiles["lstm"][:, 4:5]}}
    )
    assert not any("interval" in text for text in texts(figures.forecasts([only], (0.5,))))


@pytest.mark.parametrize("horizon", [1, 2, 200])
def test_any_horizon_can_be_drawn(horizon: int) -> None:
    view = a_view(horizon=200)
    short = figures.View(
        view.title,
        view.context_ds,
        view.context_y,
        view.horizon_ds[:horizon],
        view.truth[:horizon],
        {model: values[:horizon] for model, values in view.quantiles.items()},
    )
    parsed(figures.forecasts([short] * 3, LEVELS))


def test_names_from_the_data_are_text_and_nothing_else() -> None:
    titled = figures.forecasts([a_view(HOSTILE)], LEVELS)
    listed = figures.errors_by_series(scores([HOSTILE, "b"]))
    for svg in (titled, listed):
        assert "<script" not in svg
        assert any(text.startswith("<script>") for text in texts(svg))
    assert "100$ up to $200" in texts(figures.errors_by_series(scores(["100$ up to $200"])))


def test_few_series_have_a_row_each_and_the_best_of_the_lstm_is_on_top() -> None:
    frame = scores(["a", "b", "c"])
    frame.loc[frame["model"] == "lstm", "mase"] = [0.9, 0.5, 0.7]
    shown = [text for text in texts(figures.errors_by_series(frame)) if text in {"a", "b", "c"}]
    assert shown == ["a", "c", "b"]  # the vertical axis runs from below


@pytest.mark.parametrize("count", [1, 30, 31, 200])
def test_any_number_of_series_can_be_drawn(count: int) -> None:
    svg = figures.errors_by_series(scores([f"store {number}" for number in range(count)]))
    assert ("store 0" in texts(svg)) == (count <= figures.FEW_SERIES)
    assert len(svg) < 100_000


@pytest.mark.parametrize("count", [2, 40])
def test_series_without_a_score_are_left_out(count: int) -> None:
    frame = scores([f"store {number}" for number in range(count)])
    frame.loc[frame["unique_id"] == "store 0", "mase"] = np.nan
    frame.loc[frame["unique_id"] == "store 1", "mase"] = np.inf
    parsed(figures.errors_by_series(frame))
    parsed(figures.errors_by_series(frame.assign(mase=np.nan)))


def test_a_gradient_that_vanished_is_no_error_on_a_logarithmic_axis() -> None:
    vanished = by(("lstm", "rnn"), lag=[1, 2, 3], norm=[1e-3, 1e-30, 0.0])
    assert any(text.startswith("10⁻") for text in texts(curves.look_back(vanished, "input", 12)))
    parsed(curves.look_back(vanished.assign(norm=0.0), "input", 12))


def test_one_epoch_is_drawn_as_a_marker() -> None:
    svg = curves.training_curves(by(("lstm",), epoch=[1], train_loss=[0.3], validation_loss=[0.4]))
    assert svg.count("<use ") > 2
