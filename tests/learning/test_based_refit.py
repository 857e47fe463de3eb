"""The refit on a base: pool and network on all rows, decision and calibration of the evaluation."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from retain import model_files
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.model import learner, refit, rehearsal, setup
from retain.kinds.forecast.model.forecaster import CALIBRATION, Forecaster, load_forecaster
from retain.kinds.forecast.predict import predictor
from retain.training import trainer
from retain.training.setup import TrainingSetup

from .based import DAYS, HORIZON, batch_of, panel_of, problem, shake, table, three, weekly

PROBLEM = problem({"transform": "log1p"}, {"series_embedding": 2})
TEST = 180  # step of the grid


def evaluated(folder: Path, given: Problem, frame: pd.DataFrame, share: float) -> Panel:
    """Write what `prepare` and `train` would, and say how much of the network was kept."""
    (folder / "prepared").mkdir(parents=True)
    panel.save(panel_of(given, frame), folder / "prepared")
    source = panel.load(folder / "prepared")
    trainer.seed_everything(given.training)
    built = setup.build_on(source, given, "lstm")
    history = trainer.fit(built, given.training, "lstm", "evaluated")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rehearsal, "GAIN", math.inf)
        built.calibrate()
    assert isinstance(built.model, Forecaster)
    if share:
        shake(built.model)
        for member in built.model.members:
            member.head.weight.data *= 0.01  # type: ignore[operator, union-attr]
            member.head.bias.data *= 0.1  # type: ignore[operator, union-attr]
    built.config["network"] |= {"kept": share > 0, "share": share}
    (folder / "lstm").mkdir()
    model_files.write_model(folder / "lstm", built.model, built.config, history)
    return source


def refitted(folder: Path, given: Problem) -> TrainingSetup:
    trainer.seed_everything(given.training)
    built = refit.build(given, folder / "prepared", folder / "lstm")
    history = trainer.fit(built, given.training, "lstm", "refit")
    built.calibrate()
    (folder / "final").mkdir()
    model_files.write_model(folder / "final", built.model, built.config, history)
    return built


@pytest.fixture(scope="module", params=[1.0, 0.0], ids=["kept", "not kept"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refit")
    evaluated(folder, PROBLEM, three(), request.param)
    refitted(folder, PROBLEM)
    return folder


def test_pool_and_network_have_seen_all_rows(case: Path) -> None:
    final, schema, config = load_forecaster(case / "final")
    before = load_forecaster(case / "lstm")[0]
    assert final.base is not None
    assert before.base is not None
    assert set(final.base.pool.ends[1:]) == {DAYS}
    assert set(before.base.pool.ends[1:]) == {TEST}
    assert not np.array_equal(final.base.pool.weights, before.base.pool.weights)
    assert not torch.equal(final.base.unit, before.base.unit)
    assert schema.validation_step == DAYS
    assert config["refit"]["accepted"]


def test_calibration_and_decision_are_those_of_the_evaluation(case: Path) -> None:
    (final, _, config), (before, _, judged) = (
        load_forecaster(case / name) for name in ("final", "lstm")
    )
    assert config["network"] == judged["network"]
    assert final.base is not None
    assert before.base is not None
    for name in CALIBRATION:
        assert torch.equal(final.get_buffer(name), before.get_buffer(name))
        assert torch.equal(final.base.get_buffer(name), before.base.get_buffer(name))
    assert before.offsets.abs().max() > 0


def test_the_base_serves_where_the_network_was_not_kept(case: Path) -> None:
    final, _, config = load_forecaster(case / "final")
    batch = batch_of(panel.load(case / "prepared"), final)
    with torch.inference_mode():
        same = torch.equal(final.predict(batch)[..., 1], final.predict_base(batch)[..., 1])
    assert same != config["network"]["kept"]
    rows = pd.read_csv(case / "final" / "history.csv")
    assert (rows["step"].iloc[-1] == 1) != config["network"]["kept"]


def test_as_much_of_it_is_kept_as_of_the_evaluated_network(tmp_path: Path) -> None:
    added = []
    for share in (1.0, 0.5):
        folder = tmp_path / str(share)
        folder.mkdir()
        evaluated(folder, PROBLEM, three(), share)
        trainer.seed_everything(PROBLEM.training)
        before = refit.build(PROBLEM, folder / "prepared", folder / "lstm").network
        assert isinstance(before, Forecaster)
        (start,) = learner.heads(before)
        after = refitted(folder, PROBLEM).network
        assert isinstance(after, Forecaster)
        (end,) = learner.heads(after)
        added.append(end["weight"] - start["weight"])
    assert added[0].any()
    torch.testing.assert_close(added[1], added[0] / 2)


def test_it_serves_the_table_and_goes_on_from_its_end(case: Path) -> None:
    served, frame = predictor.load(case / "final"), three()
    found = served.predict(frame)
    assert found["ds"].min() == frame["ds"].max() + pd.Timedelta(days=1)
    short = served.predict(frame[frame["ds"] > "2024-06-20"])
    np.testing.assert_allclose(short["0.5"], found["0.5"], rtol=1e-3)


def test_a_refit_that_is_refused_leaves_the_evaluated_one_although_its_pool_has_other_experts(
    tmp_path: Path,
) -> None:
    """The season of 175 steps is one only when all rows are there."""
    given = problem({"season_length": 175})
    source = evaluated(tmp_path, given, table(a=weekly(50, 0)), share=1.0)
    built = refit.build(given, tmp_path / "prepared", tmp_path / "lstm")
    before = load_forecaster(tmp_path / "lstm")[0]
    network = built.network
    assert isinstance(network, Forecaster)
    assert network.base is not None
    assert before.base is not None
    assert set(network.base.experts) > set(before.base.experts)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1e4)
    built.calibrate()
    assert not built.config["refit"]["accepted"]
    (tmp_path / "final").mkdir()
    model_files.write_model(tmp_path / "final", built.model, built.config, [])
    final = load_forecaster(tmp_path / "final")[0]
    batch = batch_of(source, before)
    with torch.inference_mode():
        assert torch.equal(final.predict(batch), before.predict(batch))
    content = json.loads((tmp_path / "final" / "config.json").read_text())
    assert content["schema"]["validation_step"] == TEST
    assert batch.window.shape[-1] == 175 + 14 + HORIZON
