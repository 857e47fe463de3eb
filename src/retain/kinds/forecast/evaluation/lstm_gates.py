"""The gates of a forecaster's LSTM in one window of a problem's data: `retain gates`."""

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from retain.errors import DataError, ModelError, ParamsError
from retain.evaluation.lstm_gates import Inspection, Values
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.data import alignment, panel, time_formats, timestamps
from retain.kinds.forecast.data.formats import Origin
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.evaluation import wording
from retain.kinds.forecast.model.segrnn import SegRNN
from retain.kinds.forecast.predict import predictor
from retain.networks import recurrent
from retain.networks.recurrent import Gates
from retain.project.layout import Layout
from retain.words import nearest


def inspect(
    problem: Problem, name: str, root: Path, folder: Path, what: str | None, at: str | None
) -> Inspection:
    """Return the gates at the steps in which a model reads one window, one segment per step.

    The steps of the decoder are not included: they start from the last state, one for each segment
    of the forecast. An ensemble is represented by its first network, several layers by the last.

    Args:
        name: of the problem, in the project at `root`.
        folder: of the model.
        what: the series; by default the first with such a window.
        at: the first time stamp to forecast, at the end of the window; by default that of the
            newest test window.

    Raises:
        ModelError: the model has no LSTM, or does not fit the data.
        DataError: there is no such series or window, or the data are not prepared.
        ParamsError: `at` is not a time stamp.
    """
    model = predictor.load(folder)
    network = model.network.members[0]
    assert isinstance(network, SegRNN)
    if not isinstance(network.recurrent, nn.LSTM):
        raise ModelError(
            f"the model in {folder} has the cell {model.network.cell}, not an lstm with its gates"
        )
    prepared = Layout(root, name).prepared
    if not prepared.is_dir():
        raise DataError(
            f"{prepared} does not exist: make it with `dvc repro prepare@{name}`, or fetch it with "
            f"`dvc pull`"
        )
    source = panel.load(prepared)
    model.check_fits(source.schema, str(folder))
    windows, number = _window(source, name, what, at, problem.data)
    series, step = (int(place[0]) for place in windows.places(np.array([number])))

    batch = windows.on(model.bases(source)).batch(np.array([number]))
    row = source.index.iloc[[series]]
    numbers, scales = model.known_series(
        row["unique_id"].to_numpy(dtype=object), row[["mean", "std"]].to_numpy()
    )
    with torch.inference_mode():
        window = model.network.normalise(batch._replace(series=numbers, scales=scales))
        inputs = network.inputs(window.context).transpose(0, 1)  # (1, segments, …)
        gates = Gates(*(part[0] for part in recurrent.gates(network.recurrent, inputs)))

    phase = row["phase"].iloc[0] if "phase" in row else None
    unit = source.schema.frequency
    context, lead = windows.context, -windows.context % network.segment
    first = np.maximum(np.arange(0, lead + context, network.segment) - lead, 0)
    *steps, end = _format_stamps(
        alignment.own(source.grid[[*(step - context + first), step]], phase, unit), problem.data
    )
    y = batch.window[0, 0, -windows.horizon - context : -windows.horizon].double().numpy()
    several = bool(problem.data.id_columns) or bool(problem.data.value_columns)
    of = f", {row['unique_id'].iloc[0]}" if several else ""
    note = [
        f"Each step of the cell reads {wording.steps(network.segment, unit)}, "
        "and is named by the first of them; the forecast begins behind the last."
    ]
    if len(model.network.members) > 1:
        note += [f"Shown is the first of {len(model.network.members)} networks."]
    if network.recurrent.num_layers > 1:
        note += [f"Shown is the last of {network.recurrent.num_layers} layers."]
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
    """Find the window to show: windows of the panel, and its number among them."""
    ids = [str(name) for name in source.index["unique_id"]]
    if what is not None and what not in ids:
        near = nearest(what, ids) or ids[0]
        raise DataError(f"{name} has no series {what!r} that a model can read; there is {near!r}")
    if at is None:
        windows = Windows(source, "test")
    else:
        grid = source.grid
        step = int(grid.get_indexer(pd.DatetimeIndex([_parse_stamp(at, data)]))[0])
        # After the last step there is no truth; the windows end before it.
        windows = Windows(source, (step, step + data.horizon) if step >= 0 else (0, 0))
    numbers, steps = _windows_of(windows, what, ids)
    if len(numbers):
        return windows, int(numbers[steps.argmax()])
    _, steps = _windows_of(Windows(source, (0, source.schema.steps)), what, ids)
    of = f"series {what!r} of {name}" if what is not None else name
    wanted = "in the test part" if at is None else f"whose forecast begins at {at}"
    if not len(steps):
        raise DataError(f"{of} has no window with a value to read and one to forecast")
    first, last = _format_stamps(source.grid[[steps.min(), steps.max()]], data)
    raise DataError(f"{of} has no window {wanted}; there are some from {first} to {last}")


def _windows_of(
    windows: Windows, name: str | None, ids: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of the windows of a series, or of all, and their steps."""
    series, steps = windows.places(np.arange(len(windows)))
    numbers = np.arange(len(windows)) if name is None else np.flatnonzero(series == ids.index(name))
    return numbers, steps[numbers]


def _parse_stamp(text: str, data: Data) -> pd.Timestamp:
    """Parse a stamp as the grid has it: in UTC where the problem has a time zone.

    One that is a step, a quarter or a week is written as in the table.
    """
    if timestamps.undated(pd.Timestamp(0), data):
        parsed = timestamps.parse(pd.Series([text], name="--at"), data, Origin("--at", 1))
        return pd.Timestamp(parsed.iloc[0])
    try:
        stamp = pd.Timestamp(dt.datetime.fromisoformat(text))
        if data.zone is None and stamp.tz is not None:
            raise ValueError
        if data.zone is None:
            return stamp
        return time_formats.to_utc(stamp, data.zone)
    except ValueError:
        offset = "2024-01-31T06:00" if data.zone is None else "2024-01-31T06:00+01:00"
        raise ParamsError(f"{text!r} is no time stamp here: give 2024-01-31, or {offset}") from None


def _format_stamps(stamps: pd.DatetimeIndex, data: Data) -> list[str]:
    """Format time stamps in the problem's own time zone; without a time if all are midnight."""
    if timestamps.undated(stamps[0], data):
        return [str(timestamps.undated(stamp, data)) for stamp in stamps]
    stamps = timestamps.local(stamps, data)
    days = bool((stamps == stamps.normalize()).all())
    times = ["" if days else f" {time_formats.clock(stamp)}" for stamp in stamps]
    return [f"{stamp:%Y-%m-%d}{time}" for stamp, time in zip(stamps, times, strict=True)]
