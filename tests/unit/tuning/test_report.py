"""What `retain tune` shows of its trials."""

from pathlib import Path
from typing import Any

import pytest

from retain.config.schema import Cell
from retain.tuning import report
from retain.tuning.plan import Plan
from retain.tuning.study import Study

from .test_plan import planned


def studied(plan: Plan, folder: Path, counts: dict[Cell, int]) -> dict[Cell, Study]:
    """Studies with trials whose score is their rate, and every fourth is ended early."""
    studies = {}
    for cell, count in counts.items():
        study = Study(folder / f"{cell}.jsonl", plan.spaces[cell], seed=1)
        for _ in range(count):
            number, settings = study.begin()
            study.plan(number, 4)
            study.report(number, 1, 0.5)
            value = settings["training.learning_rate"] * (2 if cell == "rnn" else 1)
            study.end(number, None if number % 4 == 3 else value, 2.0)
        studies[cell] = study
    return studies


def test_the_page_has_all_figures_and_needs_no_network(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    text = report.page(plan, studied(plan, tmp_path, {"lstm": 9, "rnn": 9}), {})
    for name in ("history", "importance", "parallel-lstm", "parallel-rnn"):
        assert f'id="figure-{name}"' in text
    assert "src=" not in text
    assert "Passed the gate" not in text
    assert "The test part was not read." in text


def test_the_same_trials_make_the_same_page(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    pages = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        pages.add(report.page(plan, studied(plan, tmp_path / name, {"lstm": 6, "rnn": 6}), {}))
    assert len(pages) == 1


@pytest.mark.parametrize(
    ("cells", "counts", "note"),
    [
        ((), {"lstm": 3, "rnn": 3}, ""),
        ((), {"lstm": 3, "rnn": 2}, "Unequal: the cells have not as many trials (LSTM 3, RNN 2)."),
        (("lstm",), {"lstm": 3}, "Unequal: the RNN had no trials, and keeps settings that were"),
    ],
)
def test_unequal_effort_is_marked(tmp_path: Path, cells: Any, counts: Any, note: str) -> None:
    plan = planned(tmp_path, cells)
    table = report.summary(plan, studied(plan, tmp_path, counts))
    assert table.note.startswith(note)
    assert bool(table.note) == bool(note)


@pytest.mark.parametrize(("rehearsals", "part"), [(0, "validation part"), (2, "rehearsals")])
def test_the_score_names_the_part_that_it_is_measured_on(
    tmp_path: Path, rehearsals: int, part: str
) -> None:
    data = {"path": "t.csv", "ds": "ds", "y": "y", "frequency": "D", "horizon": 6}
    data |= {"context_length": 12}
    plan = planned(tmp_path, kind="forecast", data=data, training={"rehearsals": rehearsals})
    assert f"{part}, in deviations of each series, smaller is better" in report.meaning(plan)


def test_the_better_cell_is_named_whichever_it_is(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    studies = studied(plan, tmp_path, {"lstm": 1, "rnn": 1})
    # 0.01 of the LSTM, and 0.002 of the RNN, doubled
    assert report.sentence(plan, studies).startswith(
        "The RNN is ahead on the validation part: 0.004, 60.0 % below the LSTM (0.01)"
    )


def test_only_what_differs_is_changed(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    rates = {"lstm": 0.01, "rnn": 0.002}
    same = {"training.learning_rate": rates, "model.hidden_size": 16}
    assert plan.changed(same) == {}
    other = {"training.learning_rate": {**rates, "rnn": 0.1}, "model.hidden_size": 32}
    assert plan.changed(other) == other
