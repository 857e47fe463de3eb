"""Rehearsals decide on what precedes the test part whether a network is kept, and calibrate it."""

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from retain import model_files
from retain.errors import Terminated
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.model import learner, rehearsal, setup
from retain.kinds.forecast.model.conformal import Residuals, collect, fit, joined
from retain.kinds.forecast.model.forecaster import CALIBRATION, Forecaster, load_forecaster
from retain.kinds.forecast.model.pool.pool import Pool
from retain.kinds.forecast.model.pool.running import Run
from retain.kinds.forecast.model.ready import Ready, ReadyWindows, Together
from retain.kinds.forecast.model.rehearsal import Rehearsed
from retain.kinds.forecast.model.trust import Trust
from retain.training import trainer
from retain.training.setup import TrainingSetup

from .based import DAYS, HORIZON, batch_of, made, panel_of, problem, shake, table, three, weekly
from .small import weights

TEST, VALIDATION, LENGTH = 180, 160, 20  # steps of the grid


def networks(built: TrainingSetup) -> tuple[list[Forecaster], Forecaster]:
    assert isinstance(built.network, Rehearsed)
    return built.network.rehearsals, built.network.final


def parts(examples: Any) -> tuple[Windows, ...]:
    assert isinstance(examples, Together)
    return tuple(
        part.windows if isinstance(part, ReadyWindows) else part for part in examples.parts
    )


def span(windows: Windows) -> tuple[int, int]:
    """The first step of a horizon, and the step behind the last."""
    return int(windows.step.min()), int(windows.step.max()) + HORIZON


@pytest.fixture(scope="module")
def source() -> Panel:
    return panel_of(problem(), three())


# --- what is learned from ---


def test_each_rehearsal_learns_from_what_precedes_its_part_and_none_sees_the_test_part(
    source: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit_base, ends = learner.fit_base, list[int]()

    def fit(source: Panel, log: bool, among: NDArray[np.int64] | None) -> tuple[Pool, Run]:
        assert among is None  # of so few series, all are fitted
        ends.append(source.schema.validation_step)
        return fit_base(source, log)

    monkeypatch.setattr(learner, "fit_base", fit)
    built = setup.build_on(source, problem(), "lstm")
    learned, judged = parts(built.train), parts(built.validation)
    assert [span(windows)[1] for windows in learned] == [VALIDATION - LENGTH, VALIDATION, TEST]
    assert [span(windows) for windows in judged] == [
        (VALIDATION - LENGTH, VALIDATION),
        (VALIDATION, TEST),
    ]
    assert ends == [VALIDATION - LENGTH, VALIDATION, TEST]
    assert built.model is networks(built)[1]
    assert built.config["schema"]["validation_step"] == TEST


@pytest.mark.parametrize("base", ["pool", "none"])
def test_the_test_part_changes_no_bit_of_what_is_trained(base: str) -> None:
    given = problem({"transform": "box_cox"}, {"base": base}, {"rehearsals": 2})
    states = []
    for factor in (1.0, 3.0):
        frame = three()
        frame.loc[frame["ds"] >= "2024-06-29", "y"] *= factor
        assert (frame["ds"] >= "2024-06-29").sum() == 3 * (DAYS - TEST)
        source = panel_of(given, frame)
        trainer.seed_everything(given.training)
        built = setup.build_on(source, given, "lstm")
        history = trainer.fit(built, given.training, "lstm", "small")
        built.calibrate()
        states.append((built.model.state_dict(), history, built.config["schema"]["power"]))
    assert states[0][1:] == states[1][1:]
    assert all(torch.equal(states[0][0][name], states[1][0][name]) for name in states[0][0])


def test_a_pool_is_free_before_the_next_is_fitted(
    source: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit_base, held = learner.fit_base, list[int]()
    arrays: list[weakref.ref[NDArray[Any]]] = []

    def fit_one(source: Panel, log: bool, _: NDArray[np.int64] | None) -> tuple[Pool, Run]:
        held.append(sum(array() is not None for array in arrays))
        pool, run = fit_base(source, log)
        arrays.extend(weakref.ref(array) for array in pool.arrays().values())
        return pool, run

    monkeypatch.setattr(learner, "fit_base", fit_one)
    setup.build_on(source, problem(), "lstm")
    assert held == [0, 1, 2]  # the weights alone


def test_of_many_series_rehearsals_fit_the_base_to_those_of_their_windows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    levels = np.linspace(20, 200, 24)
    series = {f"s{n:02}": weekly(float(level), n) for n, level in enumerate(levels)}
    given, fit_base = problem(), learner.fit_base
    source, fitted = panel_of(given, table(**series)), list[NDArray[np.int64] | None]()

    def fit(source: Panel, log: bool, among: NDArray[np.int64] | None) -> tuple[Pool, Run]:
        fitted.append(among)
        return fit_base(source, log, among)

    monkeypatch.setattr(learner, "fit_base", fit)
    monkeypatch.setattr(learner, "NUMBERS", 5 * (4 * HORIZON + 14))  # numbers of 5 windows
    monkeypatch.setattr(learner, "UNITS", 3)
    monkeypatch.setattr(rehearsal, "REHEARSED", 4)
    built = setup.build_on(source, given, "lstm")
    *among, last = fitted
    assert last is None
    few, cuts = networks(built)[0], rehearsal.cuts(source, 2)
    learned = parts(built.train)[:2]
    for network, train, own, cut in zip(few, learned, among, cuts, strict=True):
        assert own is not None
        assert network.base is not None
        assert len(own) < 12
        assert {*train.series.tolist()} <= {*own.tolist()}
        weights = network.base.get_buffer("pool weights").numpy()
        others = np.setdiff1d(np.arange(24), own)
        np.testing.assert_array_equal(weights[1 + others], weights[np.zeros(len(others), int)])
        assert (weights[1 + own] != weights[0]).any(axis=1).all()
        numbers = np.arange(len(train))
        expected = fit_base(cut, None)[1].at(*train.locate(numbers), 14)  # as of a fit to all
        np.testing.assert_array_equal(train.batch(numbers).experts, expected.experts)
    built.calibrate()


def test_where_there_is_no_room_for_two_there_is_one_and_no_network_is_kept() -> None:
    given = problem()
    frame = three()
    built = setup.build_on(panel_of(given, frame[frame["ds"] >= "2024-05-06"]), given, "lstm")
    rehearsals, _ = networks(built)
    assert len(rehearsals) == 1
    built.calibrate()
    assert not built.config["network"]["kept"]


def test_the_network_alone_rehearses_once_in_the_newest_part(source: Panel) -> None:
    alone = problem(training={"rehearsals": 2}).beside["alone"]
    built = setup.build_on(source, alone, "lstm")
    assert [span(windows)[1] for windows in parts(built.train)] == [VALIDATION, TEST]
    assert [span(windows) for windows in parts(built.validation)] == [(VALIDATION, TEST)]


def test_a_batch_is_one_of_each_and_windows_come_again_where_they_are_few(source: Panel) -> None:
    built = setup.build_on(source, problem(training={"batch_size": 600}), "lstm")
    sizes = [len(windows) for windows in parts(built.train)]
    assert sizes == sorted(sizes)
    assert len(built.train) == 3 * 600  # epoch_steps batches
    batches = built.train.batch(np.array([0, sizes[0], sizes[0] + 1]))
    first, last = (batches[number].rows.tolist() for number in (0, 2))
    assert first[0] == first[1] == first[2] - 1
    assert last[0] < last[1] == last[2] - 1


@pytest.mark.parametrize("base", ["pool", "none"])
def test_windows_normalised_in_a_block_are_those_normalised_one_by_one(
    source: Panel, base: str
) -> None:
    given = problem(training={"rehearsals": 2})
    built = setup.build_on(source, given.beside["alone"] if base == "none" else given, "lstm")
    assert isinstance(built.train, Together)
    numbers = [np.array([3, 1, 4]), np.array([1, 5])]
    blocks = list(built.train.batches(numbers))
    assert len(blocks) == 2
    built.network.train()
    for some, block in zip(numbers, blocks, strict=True):
        assert all(isinstance(part, Ready) for part in block)
        torch.manual_seed(0)
        expected = built.loss(built.network, built.train.batch(some))
        torch.manual_seed(0)
        torch.testing.assert_close(built.loss(built.network, block), expected)


def test_a_long_training_of_the_network_alone_has_half_the_updates_at_a_higher_rate(
    source: Panel,
) -> None:
    training = {"batch_size": 1, "epoch_steps": 200, "max_steps": 2_000, "max_epochs": None}
    given = problem(training=training | {"learning_rate": 0.002})
    built = setup.build_on(source, given.beside["alone"], "rnn")
    assert (built.epochs, built.groups[0].rate) == (5, pytest.approx(0.005, rel=0.02))
    on_base = setup.build_on(source, given, "rnn")
    assert (on_base.epochs, on_base.groups[0].rate) == (None, 0.002)
    more = {"learning_rate": 0.002, "rehearsals": 2, "alone": False}
    own = problem(model={"base": "none"}, training=training | more)
    not_compared = setup.build_on(source, own, "rnn")
    assert (not_compared.epochs, not_compared.groups[0].rate) == (None, 0.002)


# --- whether it is kept ---


EVEN = 30 * np.log(10)  # of a gate, for an expert of no weight to have as much as one of all


def doctored(does: list[float], source: Panel, given: Problem) -> TrainingSetup:
    """Rehearsals of a base that believes in one of two experts, and of a network that in the other.

    Args:
        does: the weight that each network gives to the other expert; where it is above a half the
            base believes in the worse.
    """
    built = setup.build_on(source, given, "lstm")
    rehearsals, final = networks(built)
    for network, share in zip((*rehearsals, final), [*does, does[-1]], strict=True):
        base = network.base
        assert base is not None
        good, bad = base.experts.index("hw-7"), base.experts.index("es")
        believed, other = (bad, good) if share > 0.5 else (good, bad)
        base.get_buffer("pool weights").zero_()[:, believed] = 1.0
        start = torch.zeros(len(base.experts) + 3)
        start[other] = EVEN + np.log(share / (1 - share))
        for member in network.members:
            member.start_at(start)  # type: ignore[operator]
    return built


MUCH, NOTHING, SLIP, HARM = 0.999, 1e-12, 0.05, (0.12, 0.3)  # of the first, of the second


@pytest.mark.parametrize(
    ("does", "kept"),
    [
        ((MUCH, MUCH), True),
        ((MUCH, NOTHING), True),
        ((SLIP, MUCH), True),
        ((NOTHING, NOTHING), False),
        ((MUCH, HARM[1]), False),
        ((HARM[0], MUCH), False),
    ],
)
def test_a_network_is_kept_that_gains_on_average_and_harms_in_no_rehearsal(
    source: Panel, does: tuple[float, float], kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "SHARES", (1.0,))
    built = doctored(list(does), source, problem())
    built.calibrate()
    outcome = built.config["network"]
    bounds = {MUCH: (0.3, 1), NOTHING: (-1e-3, 1e-3), SLIP: (-0.1, -0.02)}
    bounds |= dict.fromkeys(HARM, (-0.3, -0.1))
    for found, share in zip(outcome["gains"], does, strict=True):
        assert bounds[share][0] < found < bounds[share][1]
    assert (sum(outcome["gains"]) / 2 > 0.01) == (does != (NOTHING, NOTHING))
    assert outcome["kept"] == kept
    final = networks(built)[1]
    batch = batch_of(source, final)
    with torch.inference_mode():
        same = torch.allclose(final.predict(batch), final.predict_base(batch), rtol=0, atol=0)
    assert same == (not kept)


@pytest.mark.parametrize(
    ("whole", "half", "share"),
    [
        ((0.7, 0.9), (0.8, 0.95), 1.0),
        ((0.9, 0.99), (0.9, 0.95), 0.5),
        ((0.5, 1.11), (0.9, 1.05), 0.5),  # the whole one would harm
        ((1.0, 1.02), (0.99, 1.01), 0.0),
        ((0.5, 1.3), (0.8, 1.11), 0.0),
    ],
)
def test_as_much_of_a_correction_is_kept_as_does_best_in_rehearsals(
    whole: tuple[float, float],
    half: tuple[float, float],
    share: float,
    source: Panel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built = setup.build_on(source, problem(), "lstm")
    rehearsals, final = networks(built)
    starts = [learner.heads(network) for network in (*rehearsals, final)]

    def added(number: int) -> float:
        network = (*rehearsals, final)[number]
        return float(learner.heads(network)[0]["bias"][0] - starts[number][0]["bias"][0])

    def error(residuals: object, network: Forecaster) -> float:
        number = rehearsals.index(network)
        return {1.0: whole, 0.5: half}[round(added(number), 4)][number]

    for network, start in zip((*rehearsals, final), starts, strict=True):
        trained = [{"weight": head["weight"] + 1, "bias": head["bias"] + 1} for head in start]
        learner.set_between(network, start, trained, 1.0)
    monkeypatch.setattr(rehearsal, "_error", error)
    found = rehearsal._keep(rehearsals, parts(built.validation), final, [1.0, 1.0], True, starts)
    assert (found["kept"], found["share"]) == (share > 0, share)
    if found["kept"]:
        assert found["gains"] == pytest.approx([1 - of for of in (half, whole)[share == 1]])
        assert added(-1) == pytest.approx(share)
    else:
        assert not learner.heads(final)[0]["bias"].any()


def test_with_few_windows_no_network_is_kept_whatever_it_gains_nor_is_trained_for_long(
    source: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewest = min(len(windows) for windows in parts(doctored([MUCH] * 2, source, problem()).train))
    for least in (fewest, fewest + 1):
        monkeypatch.setattr(rehearsal, "FEWEST", least)
        built = doctored([MUCH, MUCH], source, problem())
        built.calibrate()
        outcome = built.config["network"]
        assert min(outcome["gains"]) > 0.3
        assert outcome["enough"] == outcome["kept"] == (least == fewest)
        assert built.epochs == (None if outcome["enough"] else 1)


@pytest.mark.parametrize("transform", ["none", "log1p"])
def test_a_gain_is_judged_by_medians_in_deviations_of_the_series(transform: str) -> None:
    given = problem({"transform": transform})
    source = panel_of(given, three())
    network = made(given, source).network.eval()
    shake(network)
    windows = Windows(source, "validation").on(Run(network.base.pool, source))
    batch = windows.batch(np.arange(len(windows)))
    with torch.inference_mode():
        error = batch.window[:, 0, -HORIZON:] - network.predict(batch)[..., 1]
    expected = (error / batch.scales[:, 1:]).double().numpy()
    found = rehearsal.data_errors(residuals(network, windows), network.target)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_an_effect_that_the_pool_cannot_know_is_learned_and_kept(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    values = []
    for seed in range(3):
        price = noise.normal(size=DAYS)
        values.append(np.stack([weekly(50, seed) + 10 * price, price], 1))
    given = problem(
        {"known_covariates": ["price"]},
        {"segment_length": 1},
        {"max_epochs": 3, "epoch_steps": 30, "learning_rate": 0.02},
    )
    source = panel_of(given, table(a=values[0], b=values[1], c=values[2]))
    trainer.seed_everything(given.training)
    built = setup.build_on(source, given, "lstm")
    trainer.fit(built, given.training, "lstm", "priced")
    built.calibrate()
    outcome = built.config["network"]
    assert outcome["kept"]
    assert min(outcome["gains"]) > 0.3
    _, final = networks(built)
    batch = batch_of(source, final)
    truth = batch.window[:, 0, -HORIZON:]
    with torch.inference_mode():
        ours, theirs = (
            (predict(batch)[..., 1] - truth).abs().mean()
            for predict in (final.predict, final.predict_base)
        )
    assert ours < 0.6 * theirs  # in the test part, which nothing of it has seen


# --- calibration ---


def residuals(network: Forecaster, windows: Windows) -> Residuals:
    return collect(network, windows, network.target.transform)


def test_it_is_calibrated_by_the_errors_of_all_rehearsals(source: Panel) -> None:
    built = doctored([MUCH, MUCH], source, problem())
    rehearsals, final = networks(built)
    both = [
        residuals(n.eval(), w) for n, w in zip(rehearsals, parts(built.validation), strict=True)
    ]
    built.calibrate()
    assert built.config["network"]["kept"]
    horizons = 2 * LENGTH / HORIZON
    trust = Trust.of(horizons, 3, on_base=True)
    expected = fit(joined(both), final.target, 3, trust)
    for name in CALIBRATION:
        found = final.get_buffer(name).double()
        torch.testing.assert_close(found, getattr(expected, name), rtol=1e-5, atol=1e-6)
    for one in both:
        alone = fit(one, final.target, 3, trust)
        assert not torch.allclose(final.offsets.double(), alone.offsets, rtol=1e-3)
    assert final.base is not None
    assert not torch.allclose(final.base.offsets, final.offsets)  # the base has its own


def test_joined_residuals_are_in_order_of_series_and_time(source: Panel) -> None:
    built = setup.build_on(source, problem(), "lstm")
    both = [
        residuals(network.eval(), windows)
        for network, windows in zip(networks(built)[0], parts(built.validation), strict=True)
    ]
    every = joined(both)
    order = list(zip(every.series.tolist(), every.origin.tolist(), strict=True))
    assert order == sorted(order)
    assert len(order) == sum(len(one.series) for one in both) == len(set(order))
    row = order.index((2, VALIDATION + 3))
    other = np.flatnonzero((both[1].series == 2) & (both[1].origin == VALIDATION + 3))[0]
    for name, part, alone in zip(Residuals._fields, every, both[1], strict=True):
        if part is None or alone is None:  # the mean of what is not intermittent
            assert part is alone
        else:
            assert np.array_equal(part[row], alone[other]), name


# --- one training ---


def test_a_network_that_gains_nothing_is_written_as_its_base(source: Panel, tmp_path: Path) -> None:
    built = doctored([NOTHING, HARM[1]], source, problem(model={"ensemble": 2}))
    shake(networks(built)[1])
    built.calibrate()
    model_files.write_model(tmp_path, built.model, built.config, [])
    network, _, config = load_forecaster(tmp_path)
    assert config["network"]["kept"] is False
    batch = batch_of(source, network)
    with torch.inference_mode():
        assert torch.equal(network.predict(batch), network.predict_base(batch))


@pytest.mark.parametrize("base", ["pool", "none"])
def test_stopped_and_started_again_it_ends_with_the_same_bits(base: str, tmp_path: Path) -> None:
    given = problem(model={"base": base, "ensemble": 2, "dropout": 0.3}, training={"rehearsals": 2})
    folder = tmp_path / "prepared"
    folder.mkdir()
    panel.save(panel_of(given, three(shift=-100)), folder)
    whole = weights(setup.build, given, folder, "lstm", None)
    for stop_after in (2, 5):
        with pytest.raises(Terminated):
            weights(setup.build, given, folder, "lstm", tmp_path / "kept", stop_after)
    resumed = weights(setup.build, given, folder, "lstm", tmp_path / "kept")
    assert all(torch.equal(one, other) for one, other in zip(whole, resumed, strict=True))
    trainer.seed_everything(given.training)
    untrained = setup.build(given, folder, "lstm").network.parameters()
    changed = [not torch.equal(one, other) for one, other in zip(whole, untrained, strict=True)]
    assert all(changed)
