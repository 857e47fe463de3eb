"""A served forecaster runs its base along the history it is given, as the evaluation did."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain import model_files
from retain.evaluation.arrays import Floats
from retain.kinds.forecast.data import folds
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.evaluation import blocks
from retain.kinds.forecast.evaluation.scoring import network_model
from retain.kinds.forecast.model import setup
from retain.kinds.forecast.model.forecaster import Forecaster
from retain.kinds.forecast.model.pool.running import Run
from retain.kinds.forecast.predict import predictor
from retain.kinds.forecast.predict.predictor import Predictor

from .based import DAYS, HORIZON, panel_of, problem, shake, table, three, weekly

TEST = 180  # step of the grid at which the test part begins, and the states of the pool end
COLUMNS = ["0.1", "0.5", "0.9", "mean"]
Case = tuple[Predictor, Panel, pd.DataFrame]


def write(folder: Path, frame: pd.DataFrame, **data: Any) -> tuple[Predictor, Panel]:
    """A model folder with random weights on a pool that was fitted to what precedes the test."""
    given = problem(data, {"series_embedding": 2}, {"rehearsals": 1})
    source = panel_of(given, frame)
    built = setup.build_on(source, given, "lstm")
    assert isinstance(built.model, Forecaster)
    shake(built.model)
    built.calibrate()
    shake(built.model)  # it is not kept
    model_files.write_model(folder, built.model, built.config, [])
    return predictor.load(folder), source


def gappy() -> pd.DataFrame:
    """Values are missing, and one series begins late."""
    frame = three()
    missing = np.random.default_rng(0).random(len(frame)) < 0.1
    missing[[0, 199, 290, 399, 400, 599, 180, 181]] = False
    return frame.assign(y=frame["y"].mask(missing)).drop(index=range(200, 290))


def late() -> pd.DataFrame:
    """One series begins late, and one ends early."""
    frame, days = three(), np.tile(np.arange(DAYS), 3)
    late = (frame["id"] == "b") & (days < 90)
    return frame[~late & ~((frame["id"] == "c") & (days > 190))].reset_index(drop=True)


def priced() -> pd.DataFrame:
    noise = np.random.default_rng(0)
    both = [np.stack([weekly(50, n), noise.normal(size=DAYS)], axis=1) for n in (0, 1)]
    return table(a=both[0], b=both[1])


TABLES: dict[str, tuple[Callable[[], pd.DataFrame], dict[str, Any]]] = {
    "plain": (three, {}),
    "negative": (lambda: three(shift=-100), {"calendar": True}),
    "log1p": (three, {"transform": "log1p"}),
    "gaps": (gappy, {"transform": "box_cox"}),
    "late": (late, {}),
    "known covariate": (priced, {"known_covariates": ["price"]}),
}


# In every run there are tables with and without logarithms, and a series that begins late.
LONG = {"plain", "log1p", "late"}


@pytest.fixture(
    scope="module",
    params=[pytest.param(n, marks=[pytest.mark.long] * (n in LONG)) for n in TABLES],
)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    build, data = TABLES[request.param]
    frame = build()
    return *write(tmp_path_factory.mktemp("model"), frame, **data), frame


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Case:
    frame = three()
    return *write(tmp_path_factory.mktemp("plain"), frame), frame


def history(source: Panel, frame: pd.DataFrame, origin: int, begin: int = 0) -> pd.DataFrame:
    """Rows of a table from a grid step on up to an origin; with what is known of the horizon."""
    grid = source.grid
    end = origin + (HORIZON if "price" in frame else 0)
    inside = (frame["ds"] >= grid[begin]) & (frame["ds"] <= grid[min(end, DAYS) - 1])
    rows = frame[inside]
    return rows.assign(y=rows["y"].mask(rows["ds"] >= grid[origin])).reset_index(drop=True)


def evaluated(served: Predictor, source: Panel, origin: int) -> Floats:
    """What the evaluation forecasts of all series at an origin: (series, horizon, levels + 1)."""
    windows = Windows(source, "test")
    chosen = np.flatnonzero(windows.step == origin)
    return network_model(served, source)(windows.batch(chosen))


def asked(served: Predictor, rows: pd.DataFrame) -> Floats:
    found = served.predict(rows)[COLUMNS].to_numpy()
    return np.asarray(found.reshape(-1, HORIZON, len(COLUMNS)))


@pytest.mark.parametrize("origin", [TEST, TEST + 1, TEST + 9])
def test_on_the_table_s_own_history_it_answers_what_was_evaluated(case: Case, origin: int) -> None:
    served, source, frame = case
    expected = evaluated(served, source, origin)
    found = asked(served, history(source, frame, origin))[: len(expected)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
    base = network_model(served, source, base_alone=True)
    windows = Windows(source, "test")
    alone = base(windows.batch(np.flatnonzero(windows.step == origin)))
    assert np.abs(alone - expected).max() > 0.1  # the network has a say in it


def test_the_base_alone_is_scored_along_the_paths_of_its_network(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, source, _ = case
    runs, bases = list[Run | None](), Predictor.bases

    def counted(model: Predictor, panel: Panel) -> Run | None:
        runs.append(bases(model, panel))
        return runs[-1]

    monkeypatch.setattr(Predictor, "bases", counted)
    (fold,) = folds.find(source.schema, 1)
    part = blocks.fold_part(problem(), source, fold, {"lstm": served}, None)
    assert len(runs) == 1
    batch = part.windows.batch(np.arange(8))
    alone = network_model(served, part.panel, base_alone=True)
    np.testing.assert_array_equal(part.models["pool"](batch), alone(batch))


@pytest.mark.parametrize("steps", [21, 60])
@pytest.mark.parametrize("origin", [TEST, TEST + 1, TEST + 9])
def test_a_short_history_goes_on_from_the_states(case: Case, origin: int, steps: int) -> None:
    """Nothing is forgotten that precedes it; context and season are enough."""
    served, source, frame = case
    expected = evaluated(served, source, origin)
    found = asked(served, history(source, frame, origin, origin - steps))[: len(expected)]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-2)


def test_other_values_of_a_short_history_before_the_states_do_not_matter_to_the_base(
    plain: Case,
) -> None:
    served, source, frame = plain
    rows = history(source, frame, TEST + 9, TEST - 60)
    other = rows.assign(y=rows["y"].mask(rows["ds"] < source.grid[TEST - 21], 40.0))
    np.testing.assert_allclose(asked(served, other), asked(served, rows), rtol=1e-6)
    whole = history(source, frame, TEST + 9)
    corrected = whole.assign(y=whole["y"].mask(whole["ds"] < source.grid[TEST - 21], 40.0))
    assert np.abs(asked(served, corrected) - asked(served, whole)).max() > 0.1


@pytest.mark.parametrize("days", [30, 400, 8000])
def test_a_history_after_the_end_of_the_training_is_answered(plain: Case, days: int) -> None:
    served, source, frame = plain
    rows = history(source, frame, TEST + 9, TEST - 50)
    later = rows.assign(ds=rows["ds"] + pd.Timedelta(days=days), y=rows["y"] * 1.5)
    found = served.predict(later)
    assert np.isfinite(found[COLUMNS].to_numpy()).all()
    assert found["ds"].min() == later["ds"].max() + pd.Timedelta(days=1)
    level = later.groupby("id")["y"].mean()
    ratio = found.groupby("id")["0.5"].mean() / level
    assert ratio.between(0.5, 1.7).all()  # it is the level of the history, not that of the training


@pytest.mark.parametrize("days", [-400, -185, -30])
def test_a_history_before_the_training_is_answered(plain: Case, days: int) -> None:
    served, source, frame = plain
    rows = history(source, frame, TEST + 9, TEST - 50)
    found = served.predict(rows.assign(ds=rows["ds"] + pd.Timedelta(days=days)))
    assert np.isfinite(found[COLUMNS].to_numpy()).all()


def test_a_series_never_seen_is_answered(plain: Case) -> None:
    served, source, frame = plain
    rows = history(source, frame, TEST + 9)
    own = rows[rows["id"] == "b"]
    found = served.predict(pd.concat([rows, own.assign(id="new"), own.assign(id="x", y=-own["y"])]))
    of = dict(iter(found.groupby("id")))
    assert np.isfinite(found[COLUMNS].to_numpy()).all()
    middle = of["new"]["0.5"].to_numpy()
    np.testing.assert_allclose(middle, of["b"]["0.5"], rtol=0.3)
    assert not np.array_equal(middle, of["b"]["0.5"])
    one = served.predict(own.assign(id="new"))
    assert one[COLUMNS].to_numpy().tolist() == of["new"][COLUMNS].to_numpy().tolist()


def columns_of(rows: pd.DataFrame) -> dict[str, list[Any]]:
    texts = rows.assign(ds=rows["ds"].dt.strftime("%Y-%m-%d")).astype(object)
    return {str(name): texts[name].where(rows[name].notna(), None).tolist() for name in texts}


@pytest.mark.parametrize("begin", [0, TEST - 30])
def test_what_is_read_quickly_is_based_as_what_is_read_slowly(case: Case, begin: int) -> None:
    served, source, frame = case
    columns = columns_of(history(source, frame, TEST + 9, begin))
    quick, slow = served.requests.read_plain(columns), served.requests.read_columns(columns)
    assert quick is not None
    assert quick.batch.experts.shape[1] == len(served.config["pool"]["experts"])
    for name, one, other in zip(quick.batch._fields, quick.batch, slow.batch, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)


def test_a_series_has_the_same_bits_whatever_else_is_asked(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=DAYS)
    values = {f"s{n:03d}": weekly(20 + n, n) for n in range(70)}
    frame = table(**values)
    served, source = write(tmp_path, frame)
    rows = history(source, frame, TEST + 9)
    lengths = {name: 40 + 2 * n for n, name in enumerate(values)}  # some from states, some whole
    rows = rows.groupby("id", group_keys=False)[["id", "ds", "y"]].apply(
        lambda part: part.tail(lengths[part["id"].iloc[0]])
    )
    assert rows["ds"].min() == days[11]
    together = served.predict(rows).set_index("id")
    for name in ("s000", "s031", "s064", "s069"):
        alone = served.predict(rows[rows["id"] == name]).set_index("id")
        assert (together.loc[name, COLUMNS].to_numpy() == alone[COLUMNS].to_numpy()).all()


def test_a_series_that_was_late_has_its_own_unit_of_all(tmp_path: Path) -> None:
    """Of a series without a value in training, the pool has no states."""
    frame, days = three(), np.tile(np.arange(DAYS), 3)
    frame = frame[~((frame["id"] == "b") & (days < TEST - 3))].reset_index(drop=True)
    served, source = write(tmp_path, frame)
    expected = evaluated(served, source, TEST + 15)
    found = asked(served, history(source, frame, TEST + 15))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
