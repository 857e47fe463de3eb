"""The contents of a report besides the scores: sample windows, and tables for the figures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from retain.evaluation.arrays import Floats
from retain.evaluation.lstm_gates import saturation_text
from retain.evaluation.results import stack
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import alignment, timestamps
from retain.kinds.forecast.data.folds import Fold
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import CHUNK, Batch, Windows
from retain.kinds.forecast.evaluation import wording
from retain.kinds.forecast.evaluation.figures import NOT_DRAWN, View
from retain.kinds.forecast.evaluation.metrics import MetricSums
from retain.kinds.forecast.model.baselines import QuantileModel
from retain.kinds.forecast.model.forecaster import Forecaster
from retain.kinds.forecast.model.segrnn import SegRNN
from retain.kinds.forecast.predict.predictor import Predictor
from retain.networks import recurrent
from retain.networks.recurrent import Gates

LOOK_BACK_WINDOWS = 256
LOOK_BACK_PROBES = 4


@dataclass(frozen=True)
class Part:
    """A fold: its panel, its windows of the test part, and the models that forecast them."""

    fold: Fold
    panel: Panel
    windows: Windows
    models: Mapping[str, QuantileModel]


def views(sums: MetricSums, parts: Sequence[Part], data: Data) -> list[View]:
    """Return windows to look at, chosen by the errors of one model, with the forecasts of all.

    Args:
        sums: of that model, over the windows of all parts in order.
    """
    begins = np.cumsum([0, *(len(part.windows) for part in parts)])
    chosen = []
    # All are chosen first, so that the arrays of the choice are freed before a window is drawn.
    for title, number in list(_choose(np.concatenate(sums.by_window), parts)):
        place = int(np.searchsorted(begins, number, side="right")) - 1
        chosen.append(_view(title, parts[place], number - int(begins[place]), data))
    return chosen


def _view(title: str, part: Part, number: int, data: Data) -> View:
    numbers, windows = np.array([number]), part.windows
    batch = windows.batch(numbers)
    series, step = (int(place[0]) for place in windows.places(numbers))
    stamps = part.panel.grid[max(step - windows.context, 0) : step + windows.horizon]
    y = batch.window[0, 0, -len(stamps) :].double().numpy()
    index, schema = part.panel.index, part.panel.schema
    phase = index["phase"].iloc[series] if "phase" in index else None
    stamps = alignment.own(stamps, phase, schema.frequency)
    shown = timestamps.axis(stamps, data)
    first = stamps[-windows.horizon]
    if not data.ds_is_step:
        first = timestamps.local([first], data)[0].normalize()
    name = f"{index['unique_id'].iloc[series]}, " if len(index) > 1 else ""
    return View(
        title=f"{title}, {name}{wording.stamp(first, wording.on_the_clock(data))}",
        context_ds=shown[: -windows.horizon],
        context_y=y[: -windows.horizon],
        horizon_ds=shown[-windows.horizon :],
        truth=y[-windows.horizon :],
        quantiles={
            name: model(batch)[0, :, :-1]  # without the mean
            for name, model in part.models.items()
            if name not in (*NOT_DRAWN, "theta")
        },
    )


def _choose(errors: Floats, parts: Sequence[Part]) -> Iterator[tuple[str, int]]:
    """Choose typical, best and worst windows by a model's error, two of each, none overlapping.

    Of very many windows, arrays as long as them are few, and places are looked up as needed.

    Args:
        errors: of every window of the parts, in order.
    """
    horizon = parts[0].windows.horizon
    taken: list[tuple[int, int]] = []  # series and step
    for title, ranked in _rankings(errors):
        enough = len(taken) + 2
        for number, series, step in _placed(ranked, parts):
            if all(series != other or abs(step - at) >= horizon for other, at in taken):
                taken.append((series, step))
                yield title, number
            if len(taken) == enough:
                break


def _rankings(errors: Floats) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the numbers of windows in the order in which each title prefers them."""
    yield "typical", np.argsort(np.abs(errors - np.median(errors)), kind="stable")
    order = np.argsort(errors, kind="stable")
    yield "best", order
    yield "worst", order[::-1]


def _placed(ranked: NDArray[np.int64], parts: Sequence[Part]) -> Iterator[tuple[int, int, int]]:
    """Yield windows, counted over all parts, with their series and grid steps."""
    begins = np.cumsum([0, *(len(part.windows) for part in parts)])
    for first in range(0, len(ranked), CHUNK):
        numbers = ranked[first : first + CHUNK]
        places = np.empty((2, len(numbers)), dtype=np.int64)
        for part, begin in zip(parts, begins, strict=False):
            own = (numbers >= begin) & (numbers < begin + len(part.windows))
            places[:, own] = part.windows.places(numbers[own] - begin)
        yield from zip(numbers.tolist(), *places.tolist(), strict=True)


def tables(
    sums: dict[str, MetricSums], predictors: dict[str, Predictor], source: Panel, test: Windows
) -> dict[str, pd.DataFrame]:
    """Build the tables behind the figures, as they go into the plots folder.

    Args:
        sums: of every model; removed one by one, since of many series they are large.
    """
    steps, calibration, series, gradients = {}, {}, {}, {}
    for name in list(sums):
        steps[name], calibration[name], series[name] = _of_model(sums.pop(name), source)
    for cell, loaded in predictors.items():
        norms = look_back(loaded.network, test.on(loaded.bases(source)))
        gradients[cell] = pd.DataFrame({"lag": np.arange(1, len(norms) + 1), "norm": norms})
    return {
        "error_by_step": stack(steps),
        "calibration": stack(calibration),
        "error_by_series": stack(series),
        "look_back": stack(gradients),
    }


def _of_model(sums: MetricSums, source: Panel) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the scores of a model by step ahead, by level and by series."""
    mae = sums.mae_by_step()
    observed = sums.below[0] / sums.below[1]
    scores = pd.DataFrame(sums.scores_by_series())
    scores.insert(0, "unique_id", source.index["unique_id"])
    return (
        pd.DataFrame({"step": np.arange(1, len(mae) + 1), "mae": mae}),
        pd.DataFrame({"level": sums.levels, "observed": observed}),
        scores[scores["mae"].notna()],
    )


def cell_facts(network: Forecaster, windows: Windows) -> tuple[tuple[str, str], ...]:
    """Describe the steps of an LSTM over the context, and its saturated gates.

    As in `retain gates`, for the first network of an ensemble, and the last layer.
    """
    member = network.members[0]
    assert isinstance(member, SegRNN)
    assert isinstance(member.recurrent, nn.LSTM)
    with torch.inference_mode():
        inputs = member.inputs(network.normalise(_some(windows)).context).transpose(0, 1)
        gates: Gates = recurrent.gates(member.recurrent, inputs)
    steps = f"{inputs.shape[1]}, each of which reads {member.segment} steps of the table"
    return (("Steps of the cell", steps), ("Saturated in the LSTM", saturation_text(gates)))


def _some(windows: Windows) -> Batch:
    """Return LOOK_BACK_WINDOWS windows, evenly spaced, or all if there are fewer."""
    numbers = np.linspace(0, len(windows) - 1, min(len(windows), LOOK_BACK_WINDOWS))
    return windows.batch(np.unique(numbers.astype(np.int64)))


def look_back(network: Forecaster, windows: Windows) -> Floats:
    """Measure how strongly the forecast depends on each input step: (context,), the newest first.

    The root mean square norm of the gradient of the forecast, in normalised units, with respect to
    the network's input at each lag, by random projections (Hutchinson 1990). Paths around the cell
    through the normalisation are left out: this is the memory of the cell alone.
    """
    network.eval()
    with torch.no_grad():
        window = network.normalise(_some(windows))
    generator = torch.Generator().manual_seed(0)
    context = window.context.clone().requires_grad_()
    squares = torch.zeros(context.shape[1])
    for _ in range(LOOK_BACK_PROBES):
        values = network.decode(window._replace(context=context))
        signs = torch.randint(0, 2, values.shape, generator=generator) * 2.0 - 1.0
        (gradient,) = torch.autograd.grad((values * signs).sum(), context)
        squares += gradient.square().sum(-1).mean(0)
    # torch's square root is MKL's, and not the same on every processor.
    roots: Floats = np.sqrt((squares / LOOK_BACK_PROBES).flip(0).double().numpy())
    return roots
