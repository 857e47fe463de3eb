"""A network on a classical base: it begins as the base, and corrects it in its own units."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from retain import model_files
from retain.kinds.forecast.data.windows import Batch, Windows
from retain.kinds.forecast.model import learner, setup
from retain.kinds.forecast.model.base import Base, blended
from retain.kinds.forecast.model.forecaster import Forecaster, load_forecaster
from retain.kinds.forecast.model.pool.pool import mix
from retain.kinds.forecast.model.pool.running import Run

from .based import (
    CONTEXT,
    HORIZON,
    LEVELS,
    batch_of,
    made,
    panel_of,
    problem,
    shake,
    table,
    three,
    weekly,
)

NAN = float("nan")
CELLS = ["lstm", "rnn", "gru"]


def base_of(network: Forecaster) -> Base:
    assert network.base is not None
    return network.base


def pool_says(network: Forecaster, batch: Batch) -> Tensor:
    """The pool's own blend of its experts, (batch, horizon)."""
    pool = base_of(network).pool
    blend = mix(batch.experts.double().numpy(), pool.weights[batch.series.numpy()], pool.log)
    return torch.from_numpy(blend).float()


def medians(network: Forecaster, batch: Batch) -> Tensor:
    with torch.inference_mode():
        return network.predict(batch)[..., LEVELS.index(0.5)]


def gaps(frame: Any) -> Any:
    frame = frame.copy()
    missing = np.random.default_rng(0).random(len(frame)) < 0.3
    frame.loc[missing, "y"] = NAN
    return frame


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("transform", ["none", "log1p"])
@pytest.mark.parametrize("missing", [False, True])
def test_an_untrained_network_forecasts_what_the_pool_does(
    cell: str, transform: str, missing: bool
) -> None:
    """Without logarithms the blend is an arithmetic mean: a negative value keeps them away."""
    given = problem({"transform": transform})
    frame = three(shift=-100 if transform == "none" else 0)
    source = panel_of(given, gaps(frame) if missing else frame)
    network = made(given, source, cell).network.eval()
    assert base_of(network).log == (transform == "log1p")
    batch = batch_of(source, network)
    expected = pool_says(network, batch)
    assert expected.std() > 1
    torch.testing.assert_close(medians(network, batch), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("transform", ["none", "log1p", "box_cox"])
def test_it_is_the_blend_in_the_space_of_the_transform(transform: str) -> None:
    given = problem({"transform": transform})
    source = panel_of(given, three())
    network = made(given, source).network.eval()
    batch, pool, space = batch_of(source, network), base_of(network).pool, network.target.transform
    weights = torch.from_numpy(pool.weights)[batch.series].unsqueeze(-1)
    expected = space.inverse((weights * space.forward(batch.experts.double())).sum(1)).float()
    torch.testing.assert_close(medians(network, batch), expected, rtol=1e-5, atol=1e-4)


def test_its_quantiles_begin_where_the_base_has_them() -> None:
    given = problem()
    source = panel_of(given, three())
    network = made(given, source).network.eval()
    batch = batch_of(source, network, "train")
    truth = batch.window[:, 0, -HORIZON:]
    with torch.inference_mode():
        below = (truth.unsqueeze(-1) <= network.predict(batch)[..., :3]).double().mean((0, 1))
    np.testing.assert_allclose(below, LEVELS, atol=0.03)


def test_covariates_that_are_known_change_nothing_before_the_training() -> None:
    given = problem({"known_covariates": ["price"]}, {"series_embedding": 2})
    noise = np.random.default_rng(0)
    values = [np.stack([weekly(50, seed), noise.normal(size=200)], axis=1) for seed in (0, 1)]
    source = panel_of(given, table(a=values[0], b=values[1]))
    network = made(given, source).network.eval()
    batch = batch_of(source, network)
    dearer = batch.window.clone()
    dearer[:, 1] += 10
    other = batch._replace(window=dearer)
    assert torch.equal(medians(network, other), medians(network, batch))
    shake(network)
    assert not torch.equal(medians(network, other), medians(network, batch))


@pytest.mark.parametrize("known", [False, True])
def test_a_series_never_seen_has_the_weights_of_all(known: bool) -> None:
    given = problem(model={"series_embedding": 2})
    source = panel_of(given, three(shift=-100))
    network = made(given, source).network.eval()
    pool = base_of(network).pool
    numbers = np.array([1, 2, 3] if known else [0, 0, 0])
    windows = Windows(source, "test").on(Run(pool, source, numbers))
    batch = windows.batch(np.arange(len(windows)))
    batch = batch._replace(series=torch.from_numpy(numbers)[batch.series - 1])
    assert not np.allclose(pool.weights[0], pool.weights[1])
    expected = pool_says(network, batch)
    torch.testing.assert_close(medians(network, batch), expected, rtol=1e-5, atol=1e-4)


def test_what_was_learned_is_taken_back() -> None:
    given = problem(model={"series_embedding": 2, "ensemble": 2})
    source = panel_of(given, three())
    network = made(given, source).network.eval()
    batch = batch_of(source, network)
    with torch.inference_mode():
        expected = network.predict_base(batch)
        shake(network)
        assert not torch.allclose(network.predict(batch), expected, rtol=0.01)
        learner.rest_on_base(network)
        assert torch.equal(network.predict(batch), expected)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("transform", ["none", "box_cox"])
def test_the_future_of_the_target_is_not_looked_at(cell: str, transform: str) -> None:
    given = problem({"transform": transform})
    source = panel_of(given, three())
    network = made(given, source, cell).network.eval()
    shake(network)
    before, origin = batch_of(source, network), source.schema.test_step
    changed = three()
    later = changed["ds"] >= source.grid[origin]
    changed.loc[later, "y"] *= np.random.default_rng(0).uniform(1, 3, later.sum())
    after = batch_of(panel_of(given, changed), network)
    windows = Windows(source, "test")
    first = torch.from_numpy(windows.step == origin)
    assert first.sum() == 3
    forecasts = [
        medians(network, batch._replace(scales=before.scales)) for batch in (before, after)
    ]
    assert torch.equal(forecasts[0][first], forecasts[1][first])
    assert not torch.equal(forecasts[0][~first], forecasts[1][~first])


def test_the_past_of_the_target_is_looked_at_by_the_network_too() -> None:
    given = problem()
    source = panel_of(given, three())
    network = made(given, source).network.eval()
    shake(network)
    batch = batch_of(source, network)
    expected, now = medians(network, batch), batch.window.shape[-1] - HORIZON
    for step in (now - CONTEXT, now - 1):
        window = batch.window.clone()
        window[:, 0, step] *= 1.1
        assert not torch.equal(medians(network, batch._replace(window=window)), expected)


@pytest.mark.parametrize("factor", [1e-3, 30.0])
def test_a_forecast_is_in_the_units_of_its_series(factor: float) -> None:
    forecasts = []
    for scale in (1.0, factor):
        given = problem()
        source = panel_of(given, three(scale, -100 * scale))  # no logarithms
        network = made(given, source).network.eval()
        shake(network)
        with torch.inference_mode():
            forecasts.append(network.predict(batch_of(source, network)))
    spread = float(forecasts[0].std())
    torch.testing.assert_close(forecasts[1] / factor, forecasts[0], rtol=1e-3, atol=1e-3 * spread)


@pytest.mark.parametrize("transform", ["none", "log1p"])
def test_a_series_without_error_or_without_a_value_in_the_week_before_is_forecast(
    transform: str,
) -> None:
    given = problem({"transform": transform})
    late = weekly(50, 1)
    late[100:] = np.where(np.arange(100) % 9, NAN, late[100:])
    source = panel_of(given, table(a=np.full(200, 7.0), b=late, c=weekly(50, 2), d=np.zeros(200)))
    network = made(given, source).network.eval()
    shake(network)
    batch = batch_of(source, network)
    assert medians(network, batch).isfinite().all()
    with torch.inference_mode():
        assert (blended(base_of(network).measure(batch, network.target.transform))).isfinite().all()
        flat = network.predict(batch)[batch.series == 1]
    assert (flat - 7).abs().max() < 0.1  # of a unit that is small


def test_it_is_read_back_from_its_folder_with_its_base(tmp_path: Path) -> None:
    given = problem({"transform": "box_cox"}, training={"rehearsals": 1})
    source = panel_of(given, three())
    built = setup.build_on(source, given, "gru")
    network = built.model
    assert isinstance(network, Forecaster)
    built.calibrate()
    shake(network)
    built.calibrate()
    model_files.write_model(tmp_path, network, built.config, [])
    again, schema, config = load_forecaster(tmp_path)
    assert config["format"] == 4
    assert schema.power == source.cut(180, 180, 200).schema.power is not None
    batch = batch_of(source, network)
    with torch.inference_mode():
        for name in ("predict", "predict_base"):
            assert torch.equal(getattr(again, name)(batch), getattr(network.eval(), name)(batch))


def test_a_training_holds_nothing_of_a_series_but_its_weights(tmp_path: Path) -> None:
    """Of 10⁶ series the rest takes gigabytes, in each copy of each network."""
    given = problem(training={"rehearsals": 1})
    built = setup.build_on(panel_of(given, three()), given, "lstm")
    long = {name for name, each in built.network.named_buffers() if len(each) == 1 + 3}
    ends = {name.rpartition(".")[2].removeprefix("pool ") for name in long}
    assert ends == {"weights", "unit", "widths"}
    built.calibrate()  # only the network that is written gets its pool back
    kept = {name for name, each in built.network.named_buffers() if len(each) == 1 + 3} - long
    assert kept
    assert {name.split(".base.")[0] for name in kept} == {"networks.1"}
    model_files.write_model(tmp_path, built.model, built.config, [])
    network, _, _ = load_forecaster(tmp_path)
    for name in kept:  # and a network that is read maps it
        place = network.get_buffer(name.removeprefix("networks.1.")).data_ptr()
        assert mapped(place) == tmp_path / "weights.safetensors"


def mapped(address: int) -> Path | None:
    """The file whose bytes are at an address of this process."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        begin, end = (int(text, 16) for text in line.split()[0].split("-"))
        if begin <= address < end:
            return Path(line.split(maxsplit=5)[5])
    return None
