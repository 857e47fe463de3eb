"""The yardsticks of the benchmarks are right, and their tables land where they belong."""

from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import (
    accuracy,
    babi,
    datasets,
    letters,
    portable,
    published,
    quotations,
    scale,
    tables,
)
from retain.config import loader
from retain.kinds.recall import dataset, prepare
from retain.kinds.recall.config import Problem

DATA = tables.HERE.parents[1] / "shared" / "data"


def test_the_published_naive2_row_is_reproduced() -> None:
    if not (DATA / "Hourly-train.csv").is_file():
        pytest.skip("M4 Hourly is not here: github.com/Mcompetitions/M4-methods has it")
    train, test = datasets.m4_hourly(DATA)
    forecasts = {name: datasets.naive2(past) for name, past in train.items()}
    smape, mase = datasets.m4_scores(forecasts, train, test)
    assert (round(smape, 3), round(mase, 3)) == published.NAIVE2
    assert published.owa(smape, mase) == pytest.approx(1, abs=1e-4)


def test_a_perfect_forecast_has_no_error_and_a_seasonal_one_a_mase_near_one() -> None:
    day = np.sin(2 * np.pi * np.arange(24) / 24) + 2
    past = np.tile(day, 10) + np.repeat([0.0, 1.0], 120)  # one jump in ten days
    train, test = {"a": past}, {"a": past[-48:] + 0.5}
    assert datasets.m4_scores(test, train, test) == (0, 0)
    _, mase = datasets.m4_scores({"a": past[-48:]}, train, test)
    assert mase == pytest.approx(0.5 / (24 / 216))


def test_without_a_season_naive2_is_the_last_value() -> None:
    noise = np.random.default_rng(0).normal(10, 1, 480)
    assert np.array_equal(datasets.naive2(noise), np.full(48, noise[-1]))


def test_every_training_of_the_benchmark_is_a_valid_problem() -> None:
    parser_free = type("Options", (), {"again": False})()
    every = list(accuracy.trainings(parser_free))
    assert len(every) == len(set(every))
    split = {"validation": "2020-01-01", "test": "2020-02-01"}
    for training in every:
        loader.parse("benchmark", training.entry(split))


@pytest.mark.parametrize(
    ("version", "known"), [("7.2.17 (Debian 1:7.2)", None), ("10.0.13", "10.0.13")]
)
def test_an_emulator_that_computes_wrongly_is_not_taken(
    tmp_path: Path, version: str, known: str | None
) -> None:
    qemu = tmp_path / "qemu-x86_64"
    qemu.write_text(f"#!/bin/sh\necho 'qemu-x86_64 version {version}'\n")
    qemu.chmod(0o755)
    assert portable.emulator(qemu) == (None if known is None else (qemu, known))
    assert portable.emulator(tmp_path / "none") is None


def test_the_small_problem_of_other_processors_is_valid_in_both_modes() -> None:
    for mode in portable.MODES:
        assert loader.parse("small", portable.problem(mode)).training.reproducible == mode


def test_letters_are_told_as_a_mean_over_the_seeds() -> None:
    own = {"rate": 0.01, "epochs": 7, "parameters": 93570, "cpu_seconds": 29.6}
    rows = [{"part": "letters", "cell": "lstm", **own, "test_bits": bits} for bits in (2.0, 2.2)]
    rows.append({"part": "quotations", "cell": "lstm", **own, "test_bits": 1.0})
    last = letters.bits_table(pd.DataFrame(rows)).splitlines()[-1]
    assert last == (
        "| letters | lstm | 93,570 | 0.01 | 7 | 30–30 | 2 | 2.100 ± 0.141 | 2.000, 2.200 |"
    )


def test_the_rate_of_a_cell_is_that_of_the_best_validation() -> None:
    own = {"part": "letters", "cell": "lstm", "seed": 1}
    tried = [(0.1, 2.0), (0.2, 1.9), (0.3, 2.1)]
    rows = pd.DataFrame([own | {"rate": rate, "validation_bits": bits} for rate, bits in tried])
    assert letters.best_rate(rows, "lstm") == 0.2


def test_each_update_reads_as_many_letters_whatever_the_chunk() -> None:
    for plan in letters.growth(letters.Plan("letters", "lstm", 0.01, 1, 12)):
        training = plan.problem().training
        assert training.batch_size * training.chunk == 1024


def test_places_of_quotations_are_those_after_the_last_mark() -> None:
    text = 'he said, "go. now, go," and went. "so," he'
    places = quotations.find(text, 2, 20)
    shown = [
        (text[mark + 1 : end + 1], bool(inside))
        for mark, end, inside in zip(places.marks, places.ends, places.inside, strict=True)
    ]
    assert shown == [
        ("go.", True),
        ("go. now,", True),
        ("go. now, go,", True),
        (" and went.", False),
        ("so,", True),
    ]


def test_an_area_of_equal_scores_is_chance() -> None:
    inside = np.array([True, False, True, False])
    assert quotations.area(np.ones(4), inside) == 0.5
    assert quotations.area(np.array([0.9, 0.1, 0.8, 0.2]), inside) == 1


def test_a_section_is_replaced_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "HERE", tmp_path)
    monkeypatch.setattr(tables, "RESULTS", tmp_path / "results")
    readme = tmp_path / "README.md"
    readme.write_text(
        "before\n<!-- a -->\nold\n<!-- end a -->\n<!-- b -->\n<!-- end b -->\nafter\n"
    )
    rows = pd.DataFrame({"x": [0.123456789]})
    tables.write("a", rows, tables.markdown(rows), "the command")
    text = readme.read_text()
    assert text.startswith("before\n<!-- a -->\n| x |\n| --- |\n| 0.123456789 |\n\n`the command`")
    assert text.endswith("<!-- end a -->\n<!-- b -->\n<!-- end b -->\nafter\n")
    assert "old" not in text
    assert (tmp_path / "results" / "a.csv").read_text() == "x\n0.123457\n"
    with pytest.raises(SystemExit, match="one section `<!-- c -->` was expected"):
        tables.write("c", rows, "", "")


def test_every_task_of_the_stories_is_a_valid_problem_with_as_many_rates_for_each_cell() -> None:
    assert set(babi.TASKS) == set(published.BABI)
    for task in babi.TASKS:
        problem = loader.parse("benchmark", babi.entry(task, Path("stories")))
        assert {len(rates) for rates in babi.RATES.values()} == {3}
        assert problem.training.cells == babi.CELLS


def test_without_the_stories_the_benchmark_says_where_they_should_be(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"babi/en does not exist: fetch bAbI .* give --data"):
        babi.run(Namespace(data=tmp_path, task=None))


def test_ngrams_are_of_the_sentences_that_share_a_word_with_the_question() -> None:
    story = "mary went home . john slept . mary ate . where is mary ?"
    assert babi.grams(story.split()) == {
        *[("mary",), ("went",), ("home",), ("ate",)],
        *[("mary", "went"), ("went", "home"), ("mary", "ate"), ("mary", "went", "home")],
    }


def test_baselines_are_learned_in_training_and_counted_in_the_test(tmp_path: Path) -> None:
    told = "1 Mary went to the {place}.\n2 John ran to the pond.\n3 Where is Mary?\t{place}\t1\n"
    for part, places in (("train", ["hall"] * 24 + ["wood"] * 16), ("test", ["hall", "wood"] * 5)):
        text = "".join(told.format(place=place) for place in places[::-1])
        (tmp_path / f"qa1_x_{part}.txt").write_text(text)
    problem = loader.parse("benchmark", babi.entry(1, tmp_path))
    assert isinstance(problem, Problem)
    prepare.prepare(problem, Path(), tmp_path)
    source = dataset.load(tmp_path)
    assert babi.majority(source) == 0.5
    assert babi.last(source) == 1.0  # the pond is no answer
    assert babi.ngram(source)[1] == 1.0


def test_the_table_of_scale_compares_with_10000_series_and_names_the_most_memory() -> None:
    stages = {
        f"{stage}_{what}_mb": 100.0
        for stage in scale.STAGES
        for what in ("peak_anonymous", "peak_resident")
    }
    costs = {
        **dict.fromkeys(("build_seconds", "order_seconds", "gather_microseconds_per_window"), 1.0),
        "prepare_cpu_microseconds_per_row": 1.0,
        "base_cpu_milliseconds_per_series": 1.0,
        "build_cpu_milliseconds_per_series": 0.1,
        "train_cpu_microseconds_per_window": 20.0,
        "evaluate_cpu_microseconds_per_window": 30.0,
        "forecast_cpu_milliseconds_per_series": 0.1,
    }
    rows = [
        {"format": "parquet", "series": series, "rows": 100 * series, "windows": 36 * series}
        | costs
        | stages
        for series in (1_000, 10_000, 1_000_000)
    ]
    rows[0]["prepare_cpu_microseconds_per_row"] = 9.0  # of the smallest: as much start as work
    rows[2]["prepare_cpu_microseconds_per_row"] = 1.25
    rows[2]["base_cpu_milliseconds_per_series"] = rows[2]["base_peak_anonymous_mb"] = np.nan
    rows[2]["base_peak_resident_mb"] = np.nan
    rows[2]["evaluate_peak_anonymous_mb"] = 2_400.0
    text = scale.shown(pd.DataFrame(rows))
    assert "from 10,000 to 1,000,000 series, on the processor: preparing a row ×1.25, " in text
    assert "base" not in text.splitlines()[-1]
    assert text.endswith("at most 2,400 MB of anonymous memory, in evaluate")
    assert "nan" not in text
