"""Requests that wait are run together, in turns, each with its own model, and none is forgotten."""

import asyncio
from typing import Any

import numpy as np
import pytest

from retain.kinds.forecast.predict.batcher import Batcher
from retain.kinds.forecast.predict.inputs import Inputs
from retain.kinds.forecast.predict.request import CHUNK, Request
from retain.serving.http_io import OverloadedError


class Model:
    """Answers each series with its number."""

    def __init__(self) -> None:
        self.runs: list[list[int]] = []

    def predict_batch(self, batch: Inputs) -> Any:
        self.runs.append(batch.series.tolist())
        if -1 in batch.series:
            raise ValueError("a number below zero")
        return batch.series


def asked(*numbers: int) -> Request:
    column = np.array(numbers)
    ahead = np.empty((len(numbers), 0), dtype="datetime64[us]")
    batch = Inputs(column, column, column, column, column, column, column[:, None])
    return Request(np.array(numbers, dtype=object), ahead, batch, "history", ())


def answers(batcher: Batcher, *requests: tuple[Model, Request]) -> list[Any]:
    async def gathered() -> list[Any]:
        waiting = [batcher.predict(model, request) for model, request in requests]
        return list(await asyncio.gather(*waiting, return_exceptions=True))

    return asyncio.run(gathered())


@pytest.fixture
def model() -> Model:
    return Model()


def test_those_that_wait_are_run_together(model: Model) -> None:
    requests = [asked(0), *(asked(n, 10 * n) for n in range(1, 6))]
    sizes: list[int] = []
    found = answers(Batcher(1000, sizes.append), *((model, each) for each in requests))
    assert [each.tolist() for each in found] == [r.batch.series.tolist() for r in requests]
    assert model.runs == [[0, 1, 10, 2, 20, 3, 30, 4, 40, 5, 50]]
    assert sizes == [11]


def test_a_large_request_takes_turns(model: Model) -> None:
    large = asked(*range(1000, 1000 + 3 * CHUNK))
    found = answers(Batcher(1000), (model, large), (model, asked(1)), (model, asked(2)))
    np.testing.assert_array_equal(found[0], large.batch.series)
    assert [len(run) for run in model.runs] == [CHUNK, 2, CHUNK, CHUNK]
    assert model.runs[1] == [1, 2], "the small ones came before the rest of the large one"


def test_a_batch_that_does_not_fit_is_run_next(model: Model) -> None:
    found = answers(Batcher(1000), (model, asked(*range(40))), (model, asked(*range(30))))
    assert [len(each) for each in found] == [40, 30]
    assert [len(run) for run in model.runs] == [40, 30]


def test_each_model_has_runs_of_its_own(model: Model) -> None:
    other = Model()
    asks = [(model, asked(0)), (model, asked(1)), (other, asked(2)), (model, asked(3))]
    assert [each.tolist() for each in answers(Batcher(1000), *asks)] == [[0], [1], [2], [3]]
    assert (model.runs, other.runs) == ([[0, 1], [3]], [[2]])


def test_too_many_are_refused_and_a_large_one_alone_is_not(model: Model) -> None:
    batcher = Batcher(20)
    found = answers(batcher, (model, asked(*range(50))), (model, asked(*range(5))))
    assert len(found[0]) == 50
    assert isinstance(found[1], OverloadedError)
    assert len(answers(batcher, (model, asked(*range(5))))[0]) == 5


@pytest.mark.parametrize("size", [4, 3 * CHUNK])
def test_who_is_gone_is_not_computed_for(model: Model, size: int) -> None:
    async def leave(batcher: Batcher) -> None:
        gone = asyncio.create_task(batcher.predict(model, asked(*range(size))))
        await asyncio.sleep(0)
        if size > CHUNK:
            await asyncio.sleep(0)  # its first part is run
        gone.cancel()
        await asyncio.wait([gone])
        assert (await batcher.predict(model, asked(7))).tolist() == [7]
        assert gone.cancelled()

    batcher = Batcher(size)
    asyncio.run(leave(batcher))
    assert sum(map(len, model.runs)) <= 1 + (CHUNK if size > CHUNK else 0)
    assert len(answers(batcher, (model, asked(*range(size))))[0]) == size, "nothing is left over"


def test_an_error_is_told_and_the_next_is_answered(model: Model) -> None:
    batcher = Batcher(100)
    large = asked(*[-1] * (2 * CHUNK))
    (found,) = answers(batcher, (model, large))
    assert isinstance(found, ValueError)
    assert answers(batcher, (model, asked(1)))[0].tolist() == [1]
    assert len(model.runs) == 2
