"""A trial of `retain tune` trains what precedes the test part, and is scored in data units."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain.errors import DataError
from retain.kinds.forecast import search
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.model import rehearsal, setup
from retain.kinds.forecast.model.conformal import collect
from retain.kinds.forecast.model.forecaster import Forecaster
from retain.kinds.forecast.model.rehearsal import Rehearsed
from retain.training import trainer
from retain.training.setup import Epoch

from .based import panel_of, problem, three

ALONE = {"model": {"base": "none"}, "training": {"rehearsals": 0}}


def prepared(folder: Path, given: Problem, table: pd.DataFrame) -> Path:
    folder.mkdir()
    panel.save(panel_of(given, table), folder)
    return folder


def trial(given: Problem, folder: Path, earlier: int = 0) -> tuple[Any, list[float], list[Epoch]]:
    """Train a trial; return its network, its scores and its history."""
    trainer.seed_everything(given.training)
    made, score, losses = search.build_trial(given, folder, "lstm", earlier)
    scores: list[float] = []

    def stop(row: Epoch) -> bool:
        scores.append(score())
        for sums, counts in (losses().by_step, losses().by_series):
            assert sum(sums) / sum(counts) == pytest.approx(scores[-1])
        return False

    history = trainer.fit(made, given.training, "lstm", "trial", stop=stop)
    return made.network, scores, history


@pytest.mark.parametrize("sections", [ALONE, {}], ids=["alone", "on the base"])
def test_the_values_of_the_test_part_change_no_trial(
    tmp_path: Path, sections: dict[str, Any]
) -> None:
    given, table = problem(**sections), three()
    other = table.copy()
    test = other.groupby("id").cumcount() >= 180
    other.loc[test, "y"] = 10_000 + 7 * other.loc[test, "y"]
    first, second = (
        trial(given, prepared(tmp_path / name, given, frame))
        for name, frame in (("a", table), ("b", other))
    )
    assert first[1] == second[1]
    assert first[2] == second[2]


def test_the_score_is_the_quantile_loss_in_deviations_of_the_series(tmp_path: Path) -> None:
    given = problem(**ALONE, data={"transform": "log1p"})
    folder = prepared(tmp_path / "p", given, three())
    network, scores, history = trial(given, folder)
    assert isinstance(network, Forecaster)
    best = min(range(len(history)), key=lambda epoch: history[epoch].validation_loss)
    source: Panel = panel.load(folder)
    network.eval()
    found = collect(network, Windows(source, "validation"), network.target.transform)
    errors = rehearsal.output_errors(found, network.target)
    levels = np.array(network.levels)
    expected = 2 * np.maximum(levels * errors, (levels - 1) * errors).mean()
    assert scores[best] == pytest.approx(expected, rel=1e-5)


def test_on_a_base_a_trial_is_the_rehearsals_of_the_training_without_the_last_network(
    tmp_path: Path,
) -> None:
    given = problem()
    folder = prepared(tmp_path / "p", given, three())
    network, _, history = trial(given, folder)
    trainer.seed_everything(given.training)
    whole = setup.build(given, folder, "lstm")
    known = trainer.fit(whole, given.training, "lstm", "whole")
    assert isinstance(network, Rehearsed)
    assert len(network.networks) == given.training.rehearsals
    # Each network's gradient is divided by the weights of all, which here are about equal.
    assert [row.validation_loss for row in history] == pytest.approx(
        [row.validation_loss for row in known], rel=1e-4
    )
    assert history[1].validation_loss != history[0].validation_loss


def test_where_no_network_would_be_kept_there_is_nothing_to_tune(tmp_path: Path) -> None:
    given, table = problem(data={"horizon": 5, "context_length": 100}), three()
    few = table[table["id"] == "a"]
    with pytest.raises(DataError, match=r"a rehearsal has fewer than 50 training windows"):
        trial(given, prepared(tmp_path / "p", given, few))


@pytest.mark.parametrize("sections", [ALONE, {}], ids=["alone", "on the base"])
def test_an_earlier_part_chose_nothing_and_knows_nothing_of_what_chose(
    tmp_path: Path, sections: dict[str, Any]
) -> None:
    given, table = problem(**sections), three()
    folder = prepared(tmp_path / "a", given, table)
    now, before = (search.build_trial(given, folder, "lstm", earlier) for earlier in (0, 1))
    for one in (now, before):
        trainer.fit(one.setup, given.training, "lstm", "trial")
    scored = [one.losses().steps for one in (now, before)]
    assert scored[1][-1] + given.data.horizon <= scored[0][0]
    other = table.copy()
    later = other.groupby("id").cumcount() >= scored[0][0]
    other.loc[later, "y"] = 10_000 + 7 * other.loc[later, "y"]
    changed = prepared(tmp_path / "b", given, other)
    assert trial(given, folder, earlier=1)[1] == trial(given, changed, earlier=1)[1]
    with pytest.raises(DataError, match="too few rows before the validation part"):
        search.build_trial(given, folder, "lstm", earlier=9)
