"""The order of an epoch: every example once, mixed well, and never held whole."""

import itertools
import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from retain.training import sampler
from retain.training.sampler import ROUNDS, ResumableSampler, shuffled


class Numbers:
    """Examples that are their numbers."""

    def __init__(self, count: int):
        self.count = count

    def __len__(self) -> int:
        return self.count

    def batch(self, numbers: NDArray[np.int64]) -> list[int]:
        return numbers.tolist()


def keys(seed: int) -> NDArray[np.uint64]:
    return np.random.default_rng(seed).integers(0, 2**64, ROUNDS, dtype=np.uint64)


@pytest.mark.parametrize("count", [*range(1, 40), 255, 256, 257, 1000, 99_999])
def test_every_number_comes_once(count: int) -> None:
    order = shuffled(np.arange(count), count, keys(count))
    assert np.array_equal(np.sort(order), np.arange(count))


def test_every_order_of_four_is_as_likely() -> None:
    orders = [tuple(shuffled(np.arange(4), 4, keys(seed)).tolist()) for seed in range(4800)]
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 24
    # 23 degrees of freedom: above 50 once in a thousand times
    assert ((counts - 200) ** 2 / 200).sum() < 50


def test_neighbours_are_torn_apart() -> None:
    count = 10_000
    order = shuffled(np.arange(count), count, keys(0))
    near = np.abs(np.diff(order)) < 100
    assert near.mean() == pytest.approx(0.02, abs=0.006)  # as in an order by chance
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.04
    assert abs(np.corrcoef(order, np.arange(count))[0, 1]) < 0.04


def test_it_does_not_matter_how_much_is_computed_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = list(ResumableSampler(Numbers(1000), 7, seed=1))
    for ahead in (1, 7, 50, 10_000):
        monkeypatch.setattr(sampler, "AHEAD", ahead)
        assert list(ResumableSampler(Numbers(1000), 7, seed=1)) == expected


@pytest.mark.parametrize("done", [1, 5, 142, 143])
def test_an_epoch_is_taken_up_in_its_middle(done: int) -> None:
    whole = list(ResumableSampler(Numbers(1000), 7, seed=1))
    again = ResumableSampler(Numbers(1000), 7, seed=1)
    again.load_state_dict({"epoch": 0, "done": done})
    assert list(again) == whole[done:]


def test_a_million_million_examples_need_no_more_memory_than_a_few() -> None:
    tracemalloc.start()
    first = list(itertools.islice(ResumableSampler(Numbers(10**12), 256, seed=1), 300))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert all(0 <= number < 10**12 for batch in first for number in batch)
    assert len(set(itertools.chain(*first))) == 300 * 256
    assert peak < 64 * 2**20


def test_generated_examples_are_those_of_the_epoch() -> None:
    class Of(Numbers):
        def batch(self, numbers: NDArray[np.int64]) -> list[int]:
            return [self.count]

    class Drawn(Numbers):
        def at(self, epoch: int) -> Of:
            return Of(epoch)

    batches = ResumableSampler(Drawn(20), 10, seed=1)
    batches.load_state_dict({"epoch": 3, "done": 1})
    assert list(batches) == [[3]]
    batches.epoch = 4
    assert list(batches) == [[4], [4]]


class Joined(Numbers):
    """Numbers whose batches say with which others they were made."""

    def batches(self, numbers: Sequence[NDArray[np.int64]]) -> list[tuple[list[int], int]]:
        block = int(np.concatenate(numbers).sum())
        return [(some.tolist(), block) for some in numbers]


@pytest.mark.parametrize("done", [0, 1, 3, 4, 6, 10])
def test_batches_are_made_in_the_same_blocks_wherever_an_epoch_resumes(
    monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    monkeypatch.setattr(sampler, "BLOCK", 30)  # four batches
    whole = list(ResumableSampler(Joined(75), 7, seed=1))
    assert [numbers for numbers, _ in whole] == list(ResumableSampler(Numbers(75), 7, seed=1))
    assert len({block for _, block in whole}) == 3
    resumed = ResumableSampler(Joined(75), 7, seed=1)
    resumed.load_state_dict({"epoch": 0, "done": done})
    assert list(resumed) == whole[done:]
