"""The section `tune` narrows the search space of a kind; mistakes are named by their key path."""

from pathlib import Path
from typing import Any

import pytest

from retain.config import loader, search
from retain.config.kind import BUILT_IN, find_kind
from retain.config.search import RATE, Choices, Numbers, Space
from retain.errors import ParamsError

ENTRIES: dict[str, dict[str, Any]] = {
    "forecast": {
        "kind": "forecast",
        "data": {"path": "t.csv", "horizon": 24, "context_length": 168, "season_length": 24},
        "model": {"segment_length": 24, "hidden_size": 64},
        "training": {"learning_rate": {"lstm": 0.003, "rnn": 0.001}},
        "gate": [{"check": "finite"}],
    },
    "text": {
        "kind": "text",
        "data": {"path": "t.txt"},
        "gate": [{"check": "finite"}],
    },
    "chat": {
        "kind": "chat",
        "data": {"source": "introductions"},
        "gate": [{"check": "finite"}],
    },
    "translate": {
        "kind": "translate",
        "data": {"path": "t.tsv"},
        "gate": [{"check": "finite"}],
    },
    "recall": {
        "kind": "recall",
        "data": {"source": "copy"},
        "training": {
            "cells": ["lstm", "rnn"],
            "learning_rates": {"lstm": [0.03, 0.1], "rnn": [0.003, 0.01]},
        },
        "gate": [{"check": "finite"}],
    },
}


def space(entry: dict[str, Any], cell: Any = "lstm") -> Space:
    """The search space of an entry, with what its section `tune` says."""
    problem = loader.parse("p", entry)
    kind = find_kind(problem.kind)
    assert kind is not None
    assert kind.search is not None
    return search.narrowed(
        kind.search.load(problem, cell),
        problem.tune,
        "problems.p.tune",
        lambda settings: loader.parse("p", search.override(entry, settings)),
    )


@pytest.mark.parametrize("kind", BUILT_IN)
def test_every_value_of_a_space_is_valid_and_the_present_ones_are_in_it(kind: str) -> None:
    entry = ENTRIES[kind]
    found = space(entry)
    for key, one in found.ranges.items():
        for value in one.values if isinstance(one, Choices) else (one.low, one.high):
            settings = {key: one.shown(value), **found.fixed}
            loader.parse("p", search.override(entry, settings))
        for start in found.starts:
            assert one.including(start[key]) == one


def test_a_cell_begins_with_its_own_learning_rate() -> None:
    assert [space(ENTRIES["forecast"], cell).starts[0][RATE] for cell in ("lstm", "rnn")] == [
        0.003,
        0.001,
    ]


def test_each_learning_rate_that_a_recall_problem_tries_is_a_first_trial() -> None:
    found = space(ENTRIES["recall"])
    assert [start[RATE] for start in found.starts] == [0.03, 0.1]
    settings = found.settings(found.starts[1])
    problem: Any = loader.parse("p", search.override(ENTRIES["recall"], settings))
    assert problem.training.rates("lstm") == (0.1,)


def test_the_rates_of_a_recall_problem_that_are_kept_are_those_of_a_trial() -> None:
    entry = {**ENTRIES["recall"], "tune": {"training": {"learning_rate": "keep"}}}
    assert space(entry).fixed == {}


def test_what_tune_says_replaces_the_range_and_the_present_value_stays_in_it() -> None:
    tune = {
        "model": {"hidden_size": [80, 96], "normalisation": ["last"], "layers": "keep"},
        "training": {"learning_rate": [0.001, 0.002]},
    }
    found = space(ENTRIES["forecast"] | {"tune": tune})
    assert found.ranges["model.hidden_size"] == Numbers(64, 96, log=True, whole=True)
    assert found.ranges["model.normalisation"] == Choices(("last", "mean_std"))
    assert found.ranges[RATE] == Numbers(0.001, 0.003, log=True)
    assert "model.layers" not in found.ranges
    assert "model.layers" not in found.starts[0]


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ({"model": {"hiden_size": [8, 9]}}, "`problems.p.tune.model.hiden_size` names a key that"),
        ({"model": {"hiden_size": [8, 9]}}, "did you mean `model.hidden_size`?"),
        ({"modle": {"layers": [1]}}, "problems.p.tune.modle"),
        ({"model": {"hidden_size": [8]}}, "give the least and the most, such as [1, 10]"),
        ({"model": {"hidden_size": [9, 8]}}, "give the least and the most"),
        (
            {"model": {"hidden_size": [8, 9.5]}},
            "`problems.p.tune.model.hidden_size`: give two whol",
        ),
        ({"model": {"hidden_size": [8, 99999]}}, "has a wrong value"),
        ({"model": {"dropout": [0.0, 1.5]}}, "`problems.p.model.dropout` is 1.5"),
        ({"model": {"normalisation": ["lsat"]}}, "`problems.p.model.normalisation` is 'lsat'"),
        ({"training": {"learning_rate": [0.0, 0.1]}}, "the least must be above 0"),
        ({"model": {"layers": []}}, "problems.p.tune.model.layers"),
        ({"model": {"layers": "kep"}}, "problems.p.tune.model.layers"),
    ],
)
def test_a_mistake_in_tune_is_named_with_its_key(tune: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError) as error:
        space(ENTRIES["forecast"] | {"tune": tune})
    assert message in str(error.value)


def test_nothing_to_try_is_an_error() -> None:
    tune: dict[str, dict[str, str]] = {}
    for key in space(ENTRIES["text"]).ranges:
        section, _, name = key.partition(".")
        tune.setdefault(section, {})[name] = "keep"
    with pytest.raises(ParamsError, match="keeps every key"):
        space(ENTRIES["text"] | {"tune": tune})


def test_a_drawn_number_has_two_digits_and_a_present_one_all_of_them() -> None:
    found = Space({RATE: Numbers(1e-4, 1e-1)}, ({RATE: 0.0012345},))
    assert found.settings({RATE: 0.0034567}) == {RATE: 0.0035}
    assert found.settings({RATE: 0.0012345}) == {RATE: 0.0012345}
    assert Numbers(8, 512, whole=True).shown(137) == 140
    assert [Numbers(115, 119, whole=True).shown(value) for value in (116, 118.9)] == [119, 119]


def test_tune_changes_no_input_of_a_stage(tmp_path: Path) -> None:
    entry = ENTRIES["forecast"]
    plain = loader.parse("p", entry)
    tuned = loader.parse("p", entry | {"tune": {"model": {"layers": [1, 2]}}})
    for stage in ("prepare", "train", "refit", "evaluate", "register"):
        assert plain.settings(stage) == tuned.settings(stage)
