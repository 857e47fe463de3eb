"""The plan for many series: arithmetic on costs that are given, and tables like the problem's."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from retain.kinds.forecast.capacity import arithmetic, held, measure
from retain.kinds.forecast.capacity import plan as of_problem
from retain.kinds.forecast.capacity.arithmetic import Costs, Line, StagePlan
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.model import learner, rehearsal
from retain.kinds.forecast.model.pool.pool import Pool
from retain.training.setup import TrainingSetup

NO_MEMORY = dict.fromkeys(arithmetic.STAGES, Line(0, 0))
COSTS = Costs(
    work=dict.fromkeys(arithmetic.STAGES, Line(2.0, 1e-3)),
    driver={"evaluate": 1e-5},
    memory=NO_MEMORY | {"forecast": Line(1e8, 1e3), "train": Line(3e8, 1e2)},
    disk={"table": Line(0, 1e3)},
    update=Line(1e-3, 1e-5),
    windows=36.0,
    parameters=1_250_000,
    networks=2,
)


def planned(nodes: int, devices: int = 1, costs: Costs = COSTS) -> dict[str, StagePlan]:
    return arithmetic.plan(costs, 1_000_000, nodes, 2, devices, batch=256, updates=1_000)


def test_maps_divide_what_grows_and_the_driver_does_not() -> None:
    one, many = planned(1), planned(64)
    assert one["prepare"].seconds == pytest.approx(2 + 1_000 / 2)
    assert many["prepare"].seconds == pytest.approx(2 + 1_000 / 128)
    assert many["evaluate"].seconds == pytest.approx(2 + 1_000 / 128 + 10)
    assert (one["evaluate"].limit, many["evaluate"].limit) == ("the parts", "the driver")


def test_a_node_holds_the_parts_of_its_processes() -> None:
    assert planned(1)["forecast"].memory == pytest.approx(2 * (1e8 + 1e3 * 500_000))
    assert planned(64)["forecast"].memory == pytest.approx(2 * (1e8 + 1e3 * 1e6 / 128))
    # each process of a training knows the windows of all series
    assert planned(64)["train"].memory == planned(1)["train"].memory == pytest.approx(4e8)


@pytest.mark.parametrize(
    ("nodes", "devices", "share", "exchange"),
    # a ring of n: twice n - 1 messages, each of an nth of the gradients
    [(1, 1, 256, 0.0), (2, 1, 128, 2 * (5e-4 + 1e-4)), (3, 2, 43, 10 * (1e-3 / 6 + 1e-4))],
)
def test_training_shares_the_batch_and_pays_for_every_update(
    nodes: int, devices: int, share: int, exchange: float
) -> None:
    set_up = 2 * (2 + 1_000)
    expected = set_up + 2_000 * (1e-3 + 1e-5 * share + exchange)
    assert planned(nodes, devices)["train"].seconds == pytest.approx(expected)


def test_rehearsals_of_a_large_table_fit_the_base_to_the_series_of_their_windows() -> None:
    costs = replace(COSTS, rehearsed=0.75, drawn=1e5)  # three of four fits
    assert costs.set_up(2e5) == pytest.approx(200)
    assert costs.set_up(1e6) == pytest.approx(1e-3 * (1e6 / 4 + 1e5 * 3 / 4))
    saved = planned(1)["train"].seconds - planned(1, costs=costs)["train"].seconds
    assert saved == pytest.approx(2 * (1_000 - 325))
    assert held.DRAWN == learner.HELD + learner.UNITS + rehearsal.REHEARSED


@pytest.mark.parametrize(("base", "learnt"), [("none", 7_200_000), ("pool", learner.HELD)])
def test_a_network_on_a_base_learns_from_so_many_windows(base: str, learnt: int) -> None:
    data = {"path": "t.csv", "horizon": 1, "context_length": 1}
    given = {
        "kind": "forecast",
        "preset": "fast",
        "data": data,
        "model": {"base": base},
        "gate": [],
    }
    problem = Problem.model_validate(given)
    assert held.examples(problem, 7.2e6) == learnt
    assert held.examples(problem, 99.6) == 100


def test_what_limits_a_training_is_named() -> None:
    light = replace(COSTS, work=COSTS.work | {"train": Line(0, 0)})
    assert planned(1, costs=COSTS)["train"].limit == "the set-up of every process"
    assert planned(1, costs=light)["train"].limit == "the windows"
    assert planned(64, costs=light)["train"].limit == "the exchange of gradients"
    slow = replace(light, update=Line(1.0, 1e-5))
    assert planned(64, costs=slow)["train"].limit == "the fixed cost of an update"


def test_the_bottleneck_and_a_memory_too_small_are_sentences() -> None:
    (sentence,) = of_problem._sentences({64: planned(64)}, have=3e8)
    assert sentence.startswith("On 64 nodes the bottleneck is train, 98% of the time")
    assert "train needs 0.4 GB, and a node has 0.3 GB" in sentence
    assert "Memory" not in of_problem._sentences({1: planned(1)}, have=2e9)[0]


def test_a_plan_is_a_table_of_stages_by_nodes() -> None:
    lines = of_problem._table({1: planned(1), 8: planned(8)}).splitlines()
    assert lines[0] == "| | 1 node | 8 nodes |"
    assert lines[2] == "| prepare | 8 min | 64 s |"
    assert lines[-1].startswith("| memory of a node, GB | 1.2 |")


def test_copies_are_whole_series_by_other_names() -> None:
    frame = pd.DataFrame({"shop": ["a", "a", "b"], "ds": ["1", "2", "1"], "y": [1, 2, 3]})
    parts = [part for _, part in frame.groupby("shop")]
    data = Data.model_validate(
        {"path": "t.csv", "unique_id": "shop", "horizon": 1, "context_length": 1}
    )
    made = measure.copies(frame, parts, data, 3)
    assert made["shop"].nunique() == 3
    assert made["y"].tolist() == [1, 2, 3, 1, 2]
    assert list(made) == ["shop", "ds", "y"]


def test_a_training_holds_the_pool_of_its_series_and_the_other_stages_map_it() -> None:
    data = Data.model_validate({"path": "t.csv", "horizon": 7, "context_length": 28})
    experts = ("es", "hw-7", "sd-7", "cd-7", "log es")
    pool = Pool.empty(experts, 7, 28, log=True, series=1_000)
    size = held.pool_bytes({"pool": {"experts": list(experts), "log": True}}, data)
    assert 1_001 * size == sum(array.nbytes for array in pool.arrays().values())
    assert held.pool_bytes({}, data) == 0
    without, with_pool = held.by_series(3, 0), held.by_series(3, size)
    more = {stage: with_pool[stage] - without[stage] for stage in arithmetic.STAGES}
    assert more.pop("train") >= size
    assert set(more.values()) == {0}
    assert held.by_series(4, 0)["evaluate"] > without["evaluate"]


def test_sizes_that_are_one_have_a_line() -> None:
    assert Line.through((1, 3.0), (1, 3.0)) == Line(0.0, 3.0)
    assert Line.through((4, 6.0), (4, 6.0)) == Line(0.0, 1.5)


class Rows:
    """Three examples."""

    def __len__(self) -> int:
        return 3

    def batch(self, numbers: NDArray[np.int64]) -> Tensor:
        return torch.ones(len(numbers), 1)


def test_few_large_batches_are_measured_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    monkeypatch.setattr(measure.time, "process_time", lambda: 1000.0 + len(done))

    def loss(network: nn.Module, batch: Tensor) -> tuple[Tensor, Tensor]:
        done.append(len(batch))
        return network(batch).sum(), torch.tensor(1.0)

    setup = TrainingSetup(nn.Linear(1, 1), Rows(), None, loss)
    assert measure.update_seconds(setup, 8) == 1.0
    assert done == [3] * (measure.WARM_UP + measure.UPDATES)
