"""A study belongs to data, params and code, and its result is one entry for all cells."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from retain.config import loader
from retain.errors import ParamsError
from retain.tuning import plan as plans
from retain.tuning.plan import Plan
from retain.tuning.study import Study

ENTRY: dict[str, Any] = {
    "kind": "text",
    "data": {"path": "t.txt"},
    "model": {"hidden_size": 16},
    "training": {"cells": ["lstm", "rnn"], "learning_rate": {"lstm": 0.01, "rnn": 0.002}},
    "gate": [{"check": "finite"}],
}


def planned(root: Path, cells: tuple[str, ...] = (), **sections: Any) -> Plan:
    """The plan of a project with this problem alone."""
    (root / "dvc.yaml").write_text("stages: {}\n")
    entry = json.loads(json.dumps({**ENTRY, **sections}))
    YAML().dump({"problems": {"p": entry}}, root / "params.yaml")
    return plans.plan(root, "p", cells)


def test_trials_are_of_the_data_the_params_and_the_search_space_alone(tmp_path: Path) -> None:
    first = planned(tmp_path).journal("lstm", "data 1")
    assert first.parent == tmp_path / "mlruns" / "tune" / "p"
    assert planned(tmp_path).journal("lstm", "data 1") == first
    gate = [{"check": "finite"}, {"check": "champion"}]
    assert planned(tmp_path, gate=gate, refit=False).journal("lstm", "data 1") == first
    others = {
        planned(tmp_path).journal("rnn", "data 1"),
        planned(tmp_path).journal("lstm", "data 2"),
        planned(tmp_path, model={"hidden_size": 18}).journal("lstm", "data 1"),
        planned(tmp_path, tune={"model": {"layers": [1, 3]}}).journal("lstm", "data 1"),
        planned(tmp_path, tune={"model": {"layers": "keep"}}).journal("lstm", "data 1"),
    }
    assert len(others) == 5
    assert first not in others


def test_params_get_the_settings_of_the_lstm_and_a_learning_rate_for_each_cell(
    tmp_path: Path,
) -> None:
    best = {
        "lstm": {"model.hidden_size": 32, "training.learning_rate": 0.03},
        "rnn": {"model.hidden_size": 8, "training.learning_rate": 0.001},
    }
    found = planned(tmp_path).result(best)  # type: ignore[arg-type]
    rates = {"lstm": 0.03, "rnn": 0.001}
    assert found == {"model.hidden_size": 32, "training.learning_rate": rates}
    loader.parse("p", planned(tmp_path).of(found))


def test_a_cell_that_was_not_tuned_keeps_its_learning_rate(tmp_path: Path) -> None:
    plan = planned(tmp_path, ("lstm",))
    assert list(plan.spaces) == ["lstm"]
    assert not plan.whole
    found = plan.result({"lstm": {"training.learning_rate": 0.03}})
    assert found["training.learning_rate"] == {"lstm": 0.03, "rnn": 0.002}


def test_one_rate_for_all_cells_is_one_number(tmp_path: Path) -> None:
    rate = {"training.learning_rate": 0.03}
    assert planned(tmp_path).result({"lstm": rate, "rnn": rate}) == rate


@pytest.mark.parametrize(
    ("cells", "message"),
    [("gru", "problems.p.training.cells does not name it"), ("lsmt", "no cell")],
)
def test_a_cell_that_is_not_trained_is_refused(tmp_path: Path, cells: str, message: str) -> None:
    with pytest.raises(ParamsError, match=f"--cells: {cells}: {message}"):
        planned(tmp_path, (cells,))


def test_a_training_on_several_devices_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"problems\.p\.training\.devices"):
        planned(tmp_path, training={"devices": 2})


def test_a_present_value_outside_of_the_usual_range_is_a_trial_too(tmp_path: Path) -> None:
    plan = planned(tmp_path, model={"hidden_size": 16, "layers": 5})
    study = Study(tmp_path / "s.jsonl", plan.spaces["lstm"], seed=1)
    assert study.begin()[1]["model.layers"] == 5


def test_the_present_settings_change_nothing_where_a_trial_fixes_what_they_have(
    tmp_path: Path,
) -> None:
    recall = {
        "kind": "recall",
        "data": {"source": "copy"},
        "model": {},
        "training": {"cells": ["lstm", "rnn"], "learning_rate": 0.01},
    }
    plan = planned(tmp_path, **recall)
    (start,) = plan.spaces["lstm"].starts
    as_it_is = plan.spaces["lstm"].settings(start)
    assert as_it_is["training.learning_rates"] == {}
    assert plan.changed(as_it_is) == {}
    assert plan.changed({**as_it_is, "model.hidden_size": 7}) == {"model.hidden_size": 7}


def test_what_a_trial_fixes_for_all_cells_needs_all_of_them(tmp_path: Path) -> None:
    rates = {"lstm": [0.03, 0.1], "rnn": [0.003, 0.01]}
    recall = {
        "kind": "recall",
        "data": {"source": "copy"},
        "model": {},
        "training": {"cells": ["lstm", "rnn"], "learning_rates": rates},
    }
    with pytest.raises(ParamsError, match=r"sets problems\.p\.training\.learning_rates for all"):
        planned(tmp_path, ("lstm",), **recall)
    assert set(planned(tmp_path, **recall).spaces) == {"lstm", "rnn"}
