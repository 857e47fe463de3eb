"""Training is a function of data, params and seed, and keeps the weights of the best epoch."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from retain.config.schema import Training
from retain.errors import ModelError
from retain.training import trainer
from retain.training.lightning_module import learning_rate
from retain.training.sampler import ResumableSampler
from retain.training.setup import Epoch, Length, TrainingSetup
from retain.training.trainer import fit

from .test_sampler import Numbers

Pair = tuple[Tensor, Tensor]


class Points:
    """Points of the line y = 2x + 1 with noise."""

    def __init__(self, count: int, seed: int):
        generator = torch.Generator().manual_seed(seed)
        self.x = torch.rand(count, 1, generator=generator)
        self.y = 2 * self.x + 1 + 0.1 * torch.randn(count, 1, generator=generator)

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, numbers: NDArray[np.int64]) -> Pair:
        chosen = torch.from_numpy(numbers)
        return self.x[chosen], self.y[chosen]


def squares(network: nn.Module, batch: Pair) -> tuple[Tensor, Tensor]:
    error = network(batch[0]) - batch[1]
    return error.square().sum(), torch.tensor(float(len(error)))


def task(loss: Callable[[nn.Module, Any], tuple[Tensor, Tensor]] = squares) -> TrainingSetup:
    """A network with dropout, so that a step that forgets its seed shows."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Dropout(0.5), nn.Linear(16, 1))
    return TrainingSetup(network, Points(100, seed=1), Points(40, seed=2), loss)


def settings(**keys: Any) -> Training:
    keys = {"batch_size": 32, "max_epochs": 4, "learning_rate": 0.01, "accelerator": "cpu", **keys}
    return Training(**keys)


def trained(given: TrainingSetup, **keys: Any) -> tuple[list[Epoch], dict[str, Tensor]]:
    history = fit(given, settings(**keys), "lstm", "line lstm")
    return history, {key: value.clone() for key, value in given.network.state_dict().items()}


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return all(torch.equal(left[key], right[key]) for key in left)


# --- the learning rate ---


def test_the_learning_rate_warms_up_to_its_peak() -> None:
    rates = [learning_rate(step, 100, 0.5, 0.1) for step in range(10)]
    np.testing.assert_allclose(rates, 0.05 * np.arange(1, 11))


def test_the_learning_rate_ends_at_one_percent_of_its_peak() -> None:
    rates = [learning_rate(step, 100, 0.5, 0.1) for step in range(9, 101)]
    assert rates[0] == rates[1] == 0.5
    assert all(earlier > later for earlier, later in itertools.pairwise(rates[1:]))
    assert learning_rate(55, 100, 0.5, 0.1) == pytest.approx(0.5 * (0.01 + 0.99 / 2))
    assert rates[-1] == pytest.approx(0.005)
    assert learning_rate(10**6, 100, 0.5, 0.1) == pytest.approx(0.005)


@pytest.mark.parametrize("total", [1, 2, 3])
def test_a_short_training_has_a_learning_rate_all_the_same(total: int) -> None:
    rates = [learning_rate(step, total, 0.5, 0.0) for step in range(total)]
    assert rates[0] == 0.5
    assert all(0 < rate <= 0.5 for rate in rates)


# --- the average of the weights ---


def test_validation_sees_the_moving_average_of_the_weights() -> None:
    """The first step gives all of it, the next nine tenths, and so on down to 1 − ema_decay."""
    trained_weights: list[Tensor] = []
    validated: list[Tensor] = []

    def loss(network: nn.Module, batch: Pair) -> tuple[Tensor, Tensor]:
        seen = trained_weights if network.training else validated
        seen.append(next(network.parameters()).detach().clone())
        return squares(network, batch)

    trained(task(loss), max_epochs=3, ema_decay=0.4)
    after_step = trained_weights[1:]  # the loss of a step sees the weights after the one before
    average = after_step[0]
    for step, weights in enumerate(after_step[:8]):
        average = average.lerp(weights, 1 - min(0.4, step / (step + 9)))
        if step == 3:  # four steps are an epoch
            torch.testing.assert_close(validated[0], average)
    torch.testing.assert_close(validated[1], average)


def test_without_decay_the_average_is_the_weights_of_the_last_step() -> None:
    seen: dict[bool, Tensor] = {}

    def loss(network: nn.Module, batch: Pair) -> tuple[Tensor, Tensor]:
        if network.training and False in seen and True not in seen:
            seen[True] = next(network.parameters()).detach().clone()
        elif not network.training and False not in seen:
            seen[False] = next(network.parameters()).detach().clone()
        return squares(network, batch)

    trained(task(loss), max_epochs=2, ema_decay=0.0)
    assert torch.equal(seen[False], seen[True])
    assert not same(trained(task(), ema_decay=0.0)[1], trained(task(), ema_decay=0.9)[1])


# --- how long it goes on ---


@pytest.mark.parametrize(
    ("examples", "keys", "epochs"),
    [
        (2560, {}, 75),  # 20 batches of 128: 1,500 steps
        (128, {}, 600),  # of one batch: no more than 600 of them
        (1280, {}, 100),  # nor more epochs where there are more batches
        (128_000, {}, 15),  # 1,000 batches, three times, 200 an epoch
        (128_000, {"max_steps": 500}, 3),
        (128_000, {"max_epochs": 2}, 2),
        (128_000, {"epoch_steps": 1000}, 3),
    ],
)
def test_a_training_is_three_passes_or_1500_steps_long(
    examples: int, keys: dict[str, int], epochs: int
) -> None:
    assert Training(batch_size=128, **keys).epochs(examples) == epochs  # type: ignore[arg-type]


# --- the order of the examples ---


def test_an_epoch_of_fewer_batches_draws_others_each_time() -> None:
    batches = ResumableSampler(Numbers(100), 4, 1, most=3)
    assert len(batches) == 3
    first = list(batches)
    batches.epoch = 1
    second = list(batches)
    assert [len(numbers) for numbers in first + second] == [4] * 6
    assert len({number for numbers in first for number in numbers}) == 12
    assert first != second


def epoch(number: int, seed: int | None = 1, count: int = 10, size: int = 4) -> list[list[int]]:
    batches = ResumableSampler(Numbers(count), size, seed)
    batches.epoch = number
    return list(batches)


def test_an_epoch_is_a_function_of_seed_and_number() -> None:
    torch.manual_seed(5)
    first = epoch(3)
    np.random.default_rng().random()
    torch.manual_seed(6)
    assert epoch(3) == first
    assert epoch(4) != first
    assert epoch(3, seed=2) != first
    assert epoch(3, seed=4) != epoch(4, seed=3)


@pytest.mark.parametrize(("count", "size"), [(10, 4), (8, 4), (3, 4), (1, 1)])
def test_an_epoch_has_every_example_once(count: int, size: int) -> None:
    batches = epoch(0, count=count, size=size)
    assert sorted(itertools.chain(*batches)) == list(range(count))
    assert len(batches) == len(ResumableSampler(Numbers(count), size, 1))
    assert all(len(batch) == size for batch in batches[:-1])


def test_without_a_seed_the_order_is_that_of_the_examples() -> None:
    assert epoch(7, seed=None) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize("world", [2, 3, 4])
def test_devices_share_each_batch(world: int) -> None:
    shares = []
    for rank in range(world):
        batches = ResumableSampler(Numbers(20), 5, seed=1)
        batches.rank, batches.world = rank, world
        shares.append(list(batches))
    together = [sorted(itertools.chain(*parts)) for parts in zip(*shares, strict=True)]
    assert together == [sorted(batch) for batch in epoch(0, count=20, size=5)]


def test_a_device_without_a_share_takes_the_first_example() -> None:
    batches = ResumableSampler(Numbers(5), 4, seed=None)
    batches.rank, batches.world = 1, 2
    assert list(batches) == [[1, 3], [4]]


# --- fit ---


def test_the_same_training_gives_the_same_weights() -> None:
    first = trained(task())
    again = task()
    torch.rand(17)  # what ran before in the process does not matter
    second = trained(again)
    assert second[0] == first[0]
    assert same(second[1], first[1])
    assert not same(trained(task(), seed=2)[1], first[1])


def test_training_learns_and_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    history, _ = trained(task(), max_epochs=3)
    assert [row.epoch for row in history] == [0, 1, 2]
    assert [row.step for row in history] == [4, 8, 12]
    total = 12
    rates = [learning_rate(row.step - 1, total, 0.01, 0.05) for row in history]
    assert [row.learning_rate for row in history] == rates
    assert history[-1].validation_loss < history[0].validation_loss
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"line lstm: epoch 1/3, train {history[0].train_loss:.4f}, ")
    assert "(best)" in lines[0]
    assert len(lines) == 3


def test_the_loss_of_an_epoch_is_the_mean_over_its_examples() -> None:
    given = task()
    history, _ = trained(given, max_epochs=1)
    given.network.eval()
    with torch.no_grad():
        total, weight = squares(given.network, given.validation.batch(np.arange(40)))
    assert history[0].validation_loss == pytest.approx(float(total / weight), rel=1e-5)


def scripted(losses: list[float]) -> Callable[[nn.Module, Any], tuple[Tensor, Tensor]]:
    """A loss that trains as it should but validates as written, epoch by epoch."""
    left = iter(losses)

    def loss(network: nn.Module, batch: Pair) -> tuple[Tensor, Tensor]:
        if network.training:
            return squares(network, batch)
        return torch.tensor(next(left)), torch.tensor(1.0)

    return loss


def test_the_weights_of_the_best_epoch_are_kept() -> None:
    # The learning rate is a function of all steps: the same max_epochs, the best at another place.
    second = trained(task(scripted([3, 1, 2, 2])))[1]
    last = trained(task(scripted([4, 3, 2, 1])))[1]
    assert not same(second, last)
    stopped = trained(task(scripted([3, 1, 5, 5])), patience=1)
    assert len(stopped[0]) == 3
    assert same(stopped[1], second)


def test_of_equal_epochs_the_first_is_the_best() -> None:
    assert same(trained(task(scripted([1, 1, 1, 1])))[1], trained(task(scripted([1, 2, 2, 2])))[1])


@pytest.mark.parametrize(("patience", "epochs"), [(1, 3), (2, 6), (9, 6)])
def test_training_stops_when_patience_is_at_its_end(patience: int, epochs: int) -> None:
    losses = [3.0, 2.0, 2.5, 1.0, 1.5, 1.5]
    history, _ = trained(task(scripted(losses)), max_epochs=6, patience=patience)
    assert [row.validation_loss for row in history] == losses[:epochs]


def test_a_rate_of_its_own_for_each_cell() -> None:
    rates = {"lstm": 0.25, "rnn": 0.125}
    given = settings(learning_rate=rates)
    assert [given.rate(cell) for cell in ("lstm", "rnn", "gru")] == [0.25, 0.125, 0.25]


def diverged(network: nn.Module, batch: Pair) -> tuple[Tensor, Tensor]:
    total, weight = squares(network, batch)
    return total * float("nan"), weight


def test_a_loss_that_is_no_number_is_an_error() -> None:
    with pytest.raises(ModelError) as error:
        trained(task(diverged))
    assert str(error.value) == (
        "line lstm: the loss became nan in epoch 0; lower training.learning_rate or "
        "training.gradient_clip"
    )


def test_the_error_names_the_loss_that_is_no_number() -> None:
    with pytest.raises(ModelError, match=r"^line lstm: the loss became (nan|inf) in epoch 1; "):
        trained(task(scripted([1.0, float("inf")])))


def test_gradients_are_clipped() -> None:
    def steep(network: nn.Module, batch: Pair) -> tuple[Tensor, Tensor]:
        total, weight = squares(network, batch)
        return total * 1e6, weight

    # Clipped to a norm far below the epsilon of Adam nothing moves; without clipping all would.
    before = {key: value.clone() for key, value in task().network.state_dict().items()}
    after = trained(task(steep), gradient_clip=1e-15)[1]
    assert all(torch.allclose(before[key], after[key], atol=1e-5) for key in before)


def test_the_seed_gives_the_same_network() -> None:
    def weights(seed: int) -> Tensor:
        trainer.seed_everything(settings(seed=seed))
        return nn.Linear(3, 3).weight.detach()

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize(
    ("updates", "batch", "examples", "expected"),
    [
        (1001, 10, 5_000, (6, 167)),
        (200, 10, 5_000, (1, 200)),
        (1, 10, 5_000, (1, 1)),
        (7, 10, 25, (3, 3)),  # no epoch is longer than a pass
    ],
)
def test_a_length_is_divided_into_equal_epochs(
    updates: int, batch: int, examples: int, expected: tuple[int, int]
) -> None:
    training = Training(batch_size=batch, epoch_steps=200)
    assert trainer.equal_epochs(updates, training, examples) == expected


def test_without_validation_the_length_decides_and_the_newest_weights_are_kept() -> None:
    training = Training(batch_size=10, max_epochs=50, epoch_steps=4, learning_rate=0.05)

    def loss(network: nn.Module, batch: Pair) -> tuple[Tensor, Tensor]:
        error = network(batch[0]) - batch[1]
        return error.square().sum(), torch.tensor(float(len(batch[0])))

    def trained(updates: int) -> tuple[list[Epoch], float]:
        trainer.seed_everything(training)
        network, length = nn.Linear(1, 1), Length(updates, 100)
        setup = TrainingSetup(network, Points(200, 1), None, loss, length=length)
        return fit(setup, training, "lstm", "points"), network.weight.item()

    history, weight = trained(11)
    assert [row.step for row in history] == [4, 8, 12]
    assert all(np.isnan(row.validation_loss) for row in history)
    assert history[-1].learning_rate == pytest.approx(learning_rate(11, 100, 0.05, 0.05))
    shorter, earlier = trained(4)
    assert shorter[0].train_loss == history[0].train_loss
    assert weight != earlier


def test_a_training_ends_where_it_is_asked_to_and_keeps_what_it_has_learned() -> None:
    given, seen = task(), []

    def stop(row: Epoch) -> bool:
        seen.append(row)
        return len(seen) == 2

    whole, _ = trained(task(), max_epochs=4)
    history = fit(given, settings(max_epochs=4), "lstm", "test", stop=stop)
    assert history == seen == whole[:2]


def test_the_epochs_of_a_setup_limit_those_of_params() -> None:
    few = dataclasses.replace(task(), epochs=2)
    assert trainer.epochs_of(task(), settings(max_epochs=4)) == 4
    assert trainer.epochs_of(few, settings(max_epochs=4)) == len(trained(few, max_epochs=4)[0]) == 2
