"""The search: halving, its budget, ties, and what short trainings of networks find."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from retain.config import loader
from retain.evaluation.arrays import Floats
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel, sample, tables
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.model import learner
from retain.kinds.forecast.model.search import Budget, Compared, Errors, Search, halve, safest

HORIZON = 6


class Clock:
    """Seconds that pass as updates are made: one for each."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run(
    errors: list[float], seconds: float, first: int = 2, most: int = 8
) -> tuple[Compared, list[tuple[int, int]]]:
    """Halve candidates of constant errors; return what is found, and who was trained to what."""
    clock, calls, reached = Clock(), [], dict.fromkeys(range(len(errors)), 0)
    budget = Budget(seconds, clock)

    def errors_of(number: int, updates: int) -> Errors:
        clock.now += updates - reached[number]
        reached[number] = updates
        calls.append((number, updates))
        return errors[number], errors[number]

    return halve(len(errors), errors_of, budget, first, most), calls


def test_the_better_half_goes_on_and_the_safest_always() -> None:
    found, calls = run([1.0, 0.9, 0.5, 0.8, 0.7, 0.95], 1000)
    assert calls[:6] == [(number, 2) for number in range(6)]
    assert calls[6:9] == [(0, 4), (2, 4), (4, 4)]
    assert calls[9:] == [(0, 8), (2, 8)]
    assert found.chosen == 2
    assert found.complete
    assert found.updates == {0: 8, 1: 2, 2: 8, 3: 2, 4: 4, 5: 2}


@pytest.mark.parametrize("seconds", [1, 3, 7, 12, 13, 17, 21, 24, 30])
def test_the_budget_is_kept(seconds: int) -> None:
    """The first training is not known to take more than there is."""
    found, calls = run([1.0, 0.9, 0.5, 0.8, 0.7, 0.95], seconds)
    reached: dict[int, int] = {}
    for number, updates in calls:
        reached[number] = updates
    assert sum(reached.values()) <= max(seconds, 2)
    assert found.complete == (seconds >= 26)
    if seconds >= 12:
        assert found.chosen == 2


def test_without_a_budget_nothing_is_trained() -> None:
    found, calls = run([1.0, 0.5], 0)
    assert (found.chosen, found.errors, calls) == (0, {}, [])


def test_a_round_that_is_not_whole_is_not_judged_by() -> None:
    """Else candidates of more updates would be compared with those of fewer."""
    found, calls = run([1.0, 0.5, 0.6], 8)
    assert calls == [(0, 2), (1, 2), (2, 2), (0, 4)]
    assert found.updates == {0: 2, 1: 2, 2: 2}
    assert found.chosen == 1


@pytest.mark.parametrize(
    ("errors", "chosen"),
    [
        ([(1.0, 1.0), (0.992, 0.992)], 0),  # less than 1 % better
        ([(1.0, 1.0), (0.8, 1.001)], 0),  # in one fold alone
        ([(1.0, 1.0), (0.98, 0.98)], 1),
        ([(1.0, 1.0), (0.98, 0.98), (0.975, 0.975)], 1),
        ([(1.0, 1.0), (1.5, 1.5), (0.9, 0.9)], 2),
        ([(float("inf"), 1.0), (0.9, 0.9)], 1),
        ([], 0),
    ],
)
def test_ties_go_to_the_safer(errors: list[Errors], chosen: int) -> None:
    assert safest(dict(enumerate(errors))) == chosen


def problem(**model: object) -> Problem:
    entry = {
        "kind": "forecast",
        "preset": "fast",
        "data": {
            "path": "t.csv",
            "unique_id": "id",
            "horizon": HORIZON,
            "context_length": 12,
            "season_length": 12,
            "calendar": False,
            "split": {"validation": 0.6, "test": 0.8},
        },
        "model": {"hidden_size": 8, **model},
        "training": {"rehearsals": 2, "batch_size": 32, "learning_rate": 0.01},
        "gate": [],
    }
    found = loader.parse("t", entry)
    assert isinstance(found, Problem)
    return found


def transformed(base: Problem, transform: str, context: int = 12) -> Problem:
    update = {"transform": transform, "context_length": context}
    return base.model_copy(update={"data": base.data.model_copy(update=update)})


def drawn(*series: Floats, reach: int = 60) -> Panel:
    frames = [
        pd.DataFrame(
            {"id": f"s{number}", "ds": pd.date_range("2000-01-01", periods=len(y), freq="MS")}
        ).assign(y=y)
        for number, y in enumerate(series)
    ]
    data = problem().data
    built = panel.build(tables.clean(pd.concat(frames), data, "t.csv"), data)
    return sample.draw(built, reach)


def multiplicative(seed: int) -> Floats:
    """Growth by 2 % a month, and a season that grows with it."""
    months = np.arange(120)
    noise = np.random.default_rng(seed).normal(0, 0.05, 120)
    return 50 * np.exp(0.02 * months + 0.4 * np.sin(2 * np.pi * months / 12) + noise)


def square(phase: int) -> Floats:
    """A wave of seven months, which no expert for months knows, and a network soon does."""
    months = np.arange(120)
    noise = np.random.default_rng(phase).normal(0, 1, 120)
    return 100 + 20 * np.sign(np.sin(2 * np.pi * months / 7 + phase)) + noise


def test_a_multiplicative_season_asks_for_the_logarithm() -> None:
    alone = problem(base="none", normalisation="last")
    search = Search(drawn(*map(multiplicative, range(3))), Budget(60))
    found = search.compare([alone, transformed(alone, "log1p")], 15, 30)
    assert found.chosen == 1
    assert found.complete
    updates = sum(found.updates.values())  # of each candidate, in both folds
    assert search.pace.updates == search.folds * updates
    assert search.pace.seconds > 0


def test_the_same_search_finds_the_same_and_leaves_no_trace() -> None:
    source = drawn(*map(multiplicative, range(3)))
    based = problem(base="pool")
    candidates = [transformed(based, name, steps) for name, steps in (("none", 12), ("log1p", 24))]
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first, second = (Search(source, Budget(60)).compare(candidates, 4, 8) for _ in range(2))
    assert first == second
    assert len(first.errors) == 2
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_network_that_does_worse_than_its_base_is_judged_by_its_base(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    search = Search(drawn(*map(square, range(3))), Budget(60))
    based = problem(base="pool")
    untrained = search.compare([based], 0, 0).errors
    assert search.compare([based], 60, 60).errors != untrained
    learn = learner.loss_of

    def unlearn(*given: Any) -> tuple[torch.Tensor, torch.Tensor]:
        loss, weight = learn(*given)
        return -loss, weight

    monkeypatch.setattr(learner, "loss_of", unlearn)
    assert search.compare([based], 20, 20).errors == untrained


def test_the_test_part_is_not_seen() -> None:
    series = [multiplicative(seed) for seed in range(2)]
    changed = [np.where(np.arange(120) < 96, y, 1e6) for y in series]
    based = problem(base="pool")
    first, second = (
        Search(drawn(*each), Budget(60)).compare([based], 3, 3) for each in (series, changed)
    )
    assert first == second


def test_a_sample_has_its_series_on_the_same_steps() -> None:
    long, short = multiplicative(0), multiplicative(1)[:90]
    source = drawn(long, short, reach=7)
    values = source.values[:, 0]
    assert np.isnan(values[:7]).all()
    assert source.schema.steps == source.schema.test_step == 96
    for number, y in enumerate((long[:96], short)):
        start = int(source.index["start"].iloc[number])
        length = int(source.index["length"].iloc[number])
        assert values[start : start + length].tolist() == y.astype(np.float32).tolist()
    few = sample.draw(drawn(*(multiplicative(seed) for seed in range(9))), 7, rows=3 * 96, steps=50)
    assert few.index["unique_id"].tolist() == ["s0", "s2", "s4", "s6", "s8"]
    assert few.index["length"].tolist() == [50] * 5
    assert few.index["first_step"].tolist() == [46] * 5
