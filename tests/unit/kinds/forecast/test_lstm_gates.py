"""`retain gates` of a forecaster: the cell's own steps, for any window of a problem's data."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from retain import cli, model_files
from retain.config import loader
from retain.errors import DataError, ModelError, ParamsError, RetainError
from retain.evaluation.lstm_gates import Inspection
from retain.kinds.forecast.config import Data, Model, Problem
from retain.kinds.forecast.data import panel, tables
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.evaluation import lstm_gates
from retain.kinds.forecast.evaluation.details import cell_facts
from retain.kinds.forecast.model.forecaster import build_matched
from retain.kinds.forecast.model.segrnn import SegRNN
from retain.kinds.forecast.predict import predictor

HORIZON, CONTEXT = 6, 22  # a segment of 6 makes four steps, the first of which is filled up
DATA = {
    "unique_id": "shop",
    "horizon": HORIZON,
    "context_length": CONTEXT,
    "season_length": 24,
    "split": {"validation": 0.7, "test": 0.85},
}


def table(hours: int = 400) -> pd.DataFrame:
    """Two shops; the second one ends 50 hours before the first."""
    noise = np.random.default_rng(0)
    ds = pd.date_range("2024-03-01", periods=hours, freq="h", tz="UTC").strftime("%Y-%m-%dT%H:%MZ")
    both = []
    for shop, rows in (("north", hours), ("south", hours - 50)):
        both.append(pd.DataFrame({"shop": shop, "ds": ds[:rows], "y": noise.normal(9, 2, rows)}))
    return pd.concat(both)


def project_of(
    root: Path, model: dict[str, Any] | None = None, cell: str = "lstm", **data: Any
) -> Path:
    """A project with data and a model of random weights, as the stages would leave them."""
    given = {"path": "t.csv", "timezone": "UTC", **DATA, **data}
    settings = {"hidden_size": 8, "segment_length": 6, "dropout": 0.0, **(model or {})}
    entry = {"kind": "forecast", "preset": "fast", "data": given, "model": settings}
    entry["gate"] = [{"check": "finite"}]
    made = panel.build(tables.clean(table(), Data(**given), "t.csv"), Data(**given))
    torch.manual_seed(0)
    network, sizes = build_matched(cell, Model(**settings), made.schema, len(made.index))
    config = {
        "kind": "forecast",
        "cell": cell,
        **sizes,
        "model": network.model.model_dump(mode="json"),
        "schema": asdict(made.schema),
        "series": made.index[["unique_id", "mean", "std"]].to_dict("list"),
    }
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "params.yaml").write_text(json.dumps({"problems": {"shops": entry}}))
    for folder in (root / "models" / "shops" / cell, root / "data" / "prepared" / "shops"):
        folder.mkdir(parents=True)
    model_files.write_model(root / "models" / "shops" / cell, network, config, [])
    panel.save(made, root / "data" / "prepared" / "shops")
    return root


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    monkeypatch.chdir(tmp_path)
    return lambda *args, **given: project_of(tmp_path, *args, **given)


def inspect(
    root: Path, what: str | None = None, at: str | None = None, cell: str = "lstm"
) -> Inspection:
    problem = loader.load_problem(root, "shops")
    assert isinstance(problem, Problem)
    folder = root / "models" / "shops" / cell
    return lstm_gates.inspect(problem, "shops", root, folder, what, at)


def last_hidden(root: Path, series: int, step: int, member: int = 0) -> Tensor:
    """The state after the context, heard from the network while it forecasts that window."""
    served = predictor.load(root / "models" / "shops" / "lstm")
    made = panel.load(root / "data" / "prepared" / "shops")
    windows = Windows(made, (step, step + HORIZON))
    number = windows.series.tolist().index(series)
    core = served.network.members[member]
    assert isinstance(core, SegRNN)
    heard: list[Tensor] = []
    core.recurrent.register_forward_hook(lambda _, __, out: heard.append(out[0][-1, 0]))
    with torch.no_grad():
        served.network.predict(windows.batch(np.array([number])))
    return heard[0]


@pytest.mark.parametrize(
    "model", [{}, {"layers": 2}, {"ensemble": 2}, {"segment_length": 1}, {"residual": "seasonal"}]
)
def test_the_last_state_is_that_from_which_the_network_forecasts(
    project: Callable[..., Path], model: dict[str, Any]
) -> None:
    root = project(model)
    shown = inspect(root, "south", "2024-03-10T05:00")
    step = 9 * 24 + 5
    hidden = (shown.gates.output * shown.gates.cell.tanh())[-1]
    torch.testing.assert_close(hidden, last_hidden(root, 1, step), atol=1e-6, rtol=0)
    assert len(shown.steps) == len(shown.gates.cell) == (22 if "segment_length" in model else 4)
    said = {"layers": "the last of 2 layers", "ensemble": "the first of 2 networks"}
    for key in model.keys() & said.keys():
        assert said[key] in shown.note


def test_the_report_says_how_many_steps_the_cell_takes_and_how_many_gates_are_saturated(
    project: Callable[..., Path],
) -> None:
    root = project()
    network = predictor.load(root / "models" / "shops" / "lstm").network
    windows = Windows(panel.load(root / "data" / "prepared" / "shops"), "test")
    facts = dict(cell_facts(network, windows))
    assert facts["Steps of the cell"] == "4, each of which reads 6 steps of the table"
    assert facts["Saturated in the LSTM"].startswith("0\N{NO-BREAK SPACE}% of the forget gates")
    member = network.members[0]
    assert isinstance(member, SegRNN)
    with torch.no_grad():  # open for good
        member.recurrent.bias_ih_l0[8:16] = 100.0
    facts = dict(cell_facts(network, windows))
    assert facts["Saturated in the LSTM"].startswith("100\N{NO-BREAK SPACE}% of the forget gates")


def test_the_steps_are_named_by_their_first_time_stamp(project: Callable[..., Path]) -> None:
    shown = inspect(project(), "south", "2024-03-10T05:00")
    assert shown.title == "shops, south: the 22 steps before 2024-03-10 05:00"
    assert shown.steps[0] == "2024-03-09 07:00"  # the fill before it has no time
    assert shown.steps[1:] == ("2024-03-09 11:00", "2024-03-09 17:00", "2024-03-09 23:00")
    assert shown.values is not None
    south = table()[table()["shop"] == "south"]["y"].to_numpy()
    assert np.isnan(shown.values.numbers[:2]).all()
    np.testing.assert_allclose(shown.values.numbers[2:], south[9 * 24 + 5 - 22 : 9 * 24 + 5], 1e-6)


def test_steps_are_named_with_their_seconds_where_there_are_any() -> None:
    stamps = pd.DatetimeIndex(["2024-01-01 00:00:00", "2024-01-01 00:00:10"])
    data = Data(path="t.csv", horizon=1, context_length=2)
    assert lstm_gates._format_stamps(stamps, data) == ["2024-01-01 00:00", "2024-01-01 00:00:10"]


def test_time_stamps_are_asked_and_said_in_the_time_zone_of_the_problem(
    project: Callable[..., Path],
) -> None:
    root = project(timezone="America/Chicago")
    shown = inspect(root, at="2024-03-12")  # five hours behind UTC since two days
    assert shown.title.endswith("before 2024-03-12 00:00")
    assert shown.steps[-1] == "2024-03-11 18:00"
    assert inspect(root, at="2024-03-12T05:00+00:00").steps == shown.steps


def test_by_default_it_is_the_newest_test_window(project: Callable[..., Path]) -> None:
    root = project()
    last = pd.Timestamp("2024-03-01") + pd.Timedelta(hours=400 - HORIZON)
    assert inspect(root).title == f"shops, north: the 22 steps before {last:%Y-%m-%d %H:%M}"
    last -= pd.Timedelta(hours=50)
    assert inspect(root, "south").title.endswith(f"before {last:%Y-%m-%d %H:%M}")


@pytest.mark.parametrize(
    ("what", "at", "error", "message"),
    [
        ("nort", None, DataError, "shops has no series 'nort' .* there is 'north'"),
        (None, "2031-01-01", DataError, "begins at 2031-01-01; there are some from 2024-03-01 22:"),
        ("south", "2024-03-17", DataError, "'south' of shops has no window .* to 2024-03-15 08:00"),
        (None, "2024-03-05T00:30", DataError, "no window whose forecast begins at 2024-03-05T00:3"),
        (None, "yesterday", ParamsError, "'yesterday' is no time stamp here: give 2024-01-31"),
    ],
)
def test_what_is_not_there_is_said_in_one_sentence(
    project: Callable[..., Path],
    what: str | None,
    at: str | None,
    error: type[RetainError],
    message: str,
) -> None:
    with pytest.raises(error, match=message) as found:
        inspect(project(), what, at)
    assert "\n" not in str(found.value)


def test_an_offset_needs_a_time_zone(project: Callable[..., Path]) -> None:
    root = project()
    made = (root / "params.yaml").read_text().replace('"timezone": "UTC", ', "")
    (root / "params.yaml").write_text(made)
    with pytest.raises(ParamsError, match=r"give 2024-01-31, or 2024-01-31T06:00$"):
        inspect(root, at="2024-03-05T00:00+01:00")


@pytest.mark.parametrize("cell", ["rnn", "gru"])
def test_a_model_of_another_cell_is_refused(project: Callable[..., Path], cell: str) -> None:
    with pytest.raises(ModelError, match=f"has the cell {cell}, not an lstm"):
        inspect(project(cell=cell), cell=cell)


# --- the command ---


PLACE = "reports/shops/gates.html"


def retain(*words: object) -> str:
    """What the command prints; its error is raised."""
    done = CliRunner().invoke(cli.app, ["gates", *map(str, words)])
    if done.exception is not None:
        raise done.exception
    return done.output


def test_the_command_writes_a_page_and_a_figure(project: Callable[..., Path]) -> None:
    root = project()
    said = retain("shops", "--series", "south", "--at", "2024-03-10")
    assert said == f"shops, south: the 22 steps before 2024-03-10 00:00: 4 steps, in {PLACE}\n"
    text = (root / PLACE).read_text(encoding="utf-8")
    assert '"title":"shops, south: the 22 steps before 2024-03-10 00:00"' in text
    retain("shops", "south", "--at", "2024-03-10", "-o", "a.svg")
    assert (root / "a.svg").read_text(encoding="utf-8").startswith("<svg ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("shop",), "no problem `shop`; did you mean `shops`"),
        (("shops", "--model", "gru"), "gru/config.json does not exist: train the model"),
        (("shops", "south", "--series", "south"), "give 'south' or --series 'south', not both"),
        (("shops", "-o", "gates.png"), "gates.png: name a page, such as gates.html, or a figure"),
        (("shops", "-o", "away/gates.html"), "name a file in a folder that exists"),
    ],
)
def test_a_mistake_in_the_command_writes_nothing(
    project: Callable[..., Path], words: tuple[str, ...], message: str
) -> None:
    root = project()
    before = sorted(root.rglob("*"))
    with pytest.raises(RetainError, match=re.escape(message)):
        retain(*words)
    assert sorted(root.rglob("*")) == before


def test_data_that_are_not_prepared_are_asked_for(project: Callable[..., Path]) -> None:
    root = project()
    (root / "data" / "prepared" / "shops").rename(root / "elsewhere")
    with pytest.raises(DataError, match="dvc repro prepare@shops"):
        retain("shops")
