"""What the cell of a forecaster does with one window of a problem's data: `retain gates`."""

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from retain.errors import DataError, ModelError, ParamsError, nearest
from retain.evaluation.lstm_gates import Inspection, Values
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.data import panel
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.model.segrnn import SegRNN
from retain.kinds.forecast.predict import predictor
from retain.networks import recurrent
from retain.networks.recurrent import Gates
from retain.project.layout import Layout


def inspect(
    problem: Problem, name: str, root: Path, folder: Path, what: str | None, at: str | None
) -> Inspection:
    """The gates of the steps in which a model reads one window, a segment each.

    The steps in which it writes the forecast are not among them: they branch off the last state,
    one for each segment of the forecast. Of an ensemble it is the first network, of several layers
    the last one.

    Args:
        problem: whose data are looked at; `name` is its name, `root` the project's folder.
        folder: of the model.
        what: the series; if not given, the first that has such a window.
        at: the first time stamp to forecast, where the window ends; if not given, that of the
            newest test window.

    Raises:
        ModelError: the model has no LSTM, or does not fit the data.
        DataError: there is no such series or window, or the data are not prepared.
        ParamsError: `at` is no time stamp.
    """
    served = predictor.load(folder)
    core = served.network.members[0]
    assert isinstance(core, SegRNN)
    if not isinstance(core.recurrent, nn.LSTM):
        raise ModelError(
            f"the model in {folder} has the cell {served.network.cell}, not an lstm with its gates"
        )
    prepared = Layout(root, name).prepared
    if not prepared.is_dir():
        raise DataError(
            f"{prepared} does not exist: make it with `dvc repro prepare@{name}`, or fetch it with "
            f"`dvc pull`"
        )
    source = panel.load(prepared)
    served.check_fits(source.schema, str(folder))
    windows, number = _window(source, name, what, at, problem.data)
    series, step = (int(found[0]) for found in windows.places(np.array([number])))

    batch = windows.batch(np.array([number]))
    own = source.index.iloc[[series]]
    numbers, scales = served.known_series(
        own["unique_id"].to_numpy(dtype=object), own[["mean", "std"]].to_numpy()
    )
    with torch.inference_mode():
        window = served.network.normalise(batch._replace(series=numbers, scales=scales))
        inputs = core.inputs(window.context).transpose(0, 1)  # (1, segments, …)
        gates = Gates(*(part[0] for part in recurrent.gates(core.recurrent, inputs)))

    context, lead = windows.context, -windows.context % core.segment
    first = np.maximum(np.arange(0, lead + context, core.segment) - lead, 0)
    *steps, end = _written(source.grid[[*(step - context + first), step]], problem.data)
    y = batch.window[0, 0, -windows.horizon - context : -windows.horizon].double().numpy()
    several = problem.data.unique_id is not None or bool(problem.data.value_columns)
    of = f", {own['unique_id'].iloc[0]}" if several else ""
    note = [
        f"Each step of the cell reads {core.segment} steps of {source.schema.frequency}, and is"
    ]
    note += ["named by the first of them; the forecast begins behind the last."]
    if len(served.network.members) > 1:
        note += [f"Shown is the first of {len(served.network.members)} networks."]
    if core.recurrent.num_layers > 1:
        note += [f"Shown is the last of {core.recurrent.num_layers} layers."]
    return Inspection(
        title=f"{name}{of}: the {context} steps before {end}",
        note=" ".join(note),
        steps=tuple(steps),
        gates=gates,
        values=Values(problem.data.y, np.concatenate([np.full(lead, np.nan), y])),
    )


def _window(
    source: Panel, name: str, what: str | None, at: str | None, data: Data
) -> tuple[Windows, int]:
    """Windows of the panel, and the number among them of the one that is asked for."""
    schema, ids = source.schema, [str(found) for found in source.index["unique_id"]]
    if what is not None and what not in ids:
        near = nearest(what, ids) or ids[0]
        raise DataError(f"{name} has no series {what!r} that a model can read; there is {near!r}")
    if at is None:
        windows = Windows(source, "test")
    else:
        grid = source.grid
        step = int(grid.get_indexer(pd.DatetimeIndex([_moment(at, data)]))[0])
        # Behind the last step nothing is known of what came; the windows end before it.
        windows = Windows(source, (step, step + data.horizon) if step >= 0 else (0, 0))
    series, steps = windows.places(np.arange(len(windows)))
    found = np.flatnonzero(series == ids.index(what)) if what is not None else np.arange(len(steps))
    if len(found):
        return windows, int(found[steps[found].argmax()])
    every = Windows(source, (0, schema.steps))
    series, steps = every.places(np.arange(len(every)))
    if what is not None:
        steps = steps[series == ids.index(what)]
    of = f"series {what!r} of {name}" if what is not None else name
    wanted = "in the test part" if at is None else f"whose forecast begins at {at}"
    if not len(steps):
        raise DataError(f"{of} has no window with a value to read and one to forecast")
    first, last = _written(source.grid[[steps.min(), steps.max()]], data)
    raise DataError(f"{of} has no window {wanted}; there are some from {first} to {last}")


def _moment(text: str, data: Data) -> pd.Timestamp:
    """A time stamp as the grid has it: in UTC where the problem has a time zone."""
    try:
        moment = pd.Timestamp(dt.datetime.fromisoformat(text))
        if data.timezone is None and moment.tz is not None:
            raise ValueError
        if data.timezone is None:
            return moment
        local = moment.tz_localize(data.timezone) if moment.tz is None else moment
        return local.tz_convert("UTC").tz_localize(None)
    except ValueError:
        offset = "2024-01-31T06:00" if data.timezone is None else "2024-01-31T06:00+01:00"
        raise ParamsError(f"{text!r} is no time stamp here: give 2024-01-31, or {offset}") from None


def _written(stamps: pd.DatetimeIndex, data: Data) -> list[str]:
    """Time stamps for people, in the problem's own time zone; without a time if all have none."""
    if data.timezone is not None:
        stamps = stamps.tz_localize("UTC").tz_convert(data.timezone)
    days = bool((stamps == stamps.normalize()).all())
    return [f"{stamp:%Y-%m-%d}" if days else f"{stamp:%Y-%m-%d %H:%M}" for stamp in stamps]
