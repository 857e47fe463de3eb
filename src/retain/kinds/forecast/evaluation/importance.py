"""How much each input of a network mattered on the test windows: covariates, and blocks of lags.

Two measures, for a sample of windows. The permutation importance (Breiman 2001, "Random Forests";
as model reliance by Fisher, Rudin & Dominici 2019, "All Models are Wrong, but Many are Useful") is
the increase of the loss when the values of one input are exchanged between windows, which breaks
its relation to the target. Gradient × input (Shrikumar et al. 2017, arXiv:1605.01713) attributes
the forecast itself: to first order, what would be missing if the input had its mean.

Inputs are exchanged after they are normalised, so that a window gets the shape of another series
and not its level. Of two inputs that say the same, each seems to matter little.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from retain.kinds.forecast.data import calendars
from retain.kinds.forecast.data.features import feature_names
from retain.kinds.forecast.data.panel import Panel, Schema
from retain.kinds.forecast.data.windows import Batch, Windows
from retain.kinds.forecast.evaluation import wording
from retain.kinds.forecast.model.forecaster import Forecaster
from retain.kinds.forecast.model.learner import pinball
from retain.kinds.forecast.model.segrnn import Normalised
from retain.kinds.forecast.predict.predictor import Predictor

WINDOWS = 128  # evenly spaced over the test part
REPEATS = 2  # exchanges of each input
BLOCKS = 6  # of lags, of equal length


class Importance(TypedDict):
    """One input in metrics.json.

    Attributes:
        input: a column of the table, a part of the calendar, or lags of the target.
        kind: `lags`, `past`, `known`, `calendar`, `static` or `series`.
        loss_increase: by exchanging it, a share of the loss.
        gradient: its share of gradient × input, over all inputs; None for the series.
    """

    input: str
    kind: str
    loss_increase: float
    gradient: float | None


@dataclass(frozen=True)
class _Input:
    """Where one input lies in normalised windows."""

    label: str
    kind: str
    context: tuple[slice, slice] | None = None  # steps, features
    future: slice | None = None  # features
    static: slice | None = None

    def parts(self) -> Iterator[tuple[str, Any]]:
        """Yield the tensors that it is a part of, with the place in them."""
        if self.context is not None:
            yield "context", (slice(None), *self.context)
        if self.future is not None:
            yield "future", (slice(None), slice(None), self.future)
        if self.static is not None:
            yield "static", (slice(None), self.static)
        if self.kind == "series":
            yield "series", slice(None)


def measure(model: Predictor, windows: Windows, source: Panel, seed: int = 0) -> list[Importance]:
    """Measure how much each input of a model matters, that which matters most first.

    Args:
        windows: of a panel, with the base's forecasts if the model has a base.
        seed: of the exchanges.
    """
    network = model.network.eval()
    numbers = np.linspace(0, len(windows) - 1, min(len(windows), WINDOWS))
    batch = windows.batch(np.unique(numbers.astype(np.int64)))
    names = source.index["unique_id"].to_numpy(dtype=object)[batch.series.numpy() - 1]
    series, scales = model.known_series(names, batch.scales.double().numpy())
    batch = batch._replace(series=series, scales=scales)
    with torch.no_grad():
        window = network.normalise(batch)
        usual = float(_loss(network, window, batch))
    inputs = list(_inputs(model, window))
    shares = _gradients(network, window, inputs)
    generator = torch.Generator().manual_seed(seed)
    found = []
    for one, share in zip(inputs, shares, strict=True):
        losses = []
        for _ in range(REPEATS):
            order = torch.randperm(len(batch.series), generator=generator)
            with torch.no_grad():
                losses.append(float(_loss(network, _exchanged(window, one, order), batch)))
        increase = float(np.mean(losses)) / max(usual, 1e-12) - 1
        found.append(
            Importance(input=one.label, kind=one.kind, loss_increase=increase, gradient=share)
        )
    return sorted(found, key=lambda each: -each["loss_increase"])


def table(found: list[Importance]) -> pd.DataFrame:
    """Return the measures as a frame with a row for each input."""
    return pd.DataFrame(found, columns=[*Importance.__annotations__])


def _inputs(model: Predictor, window: Normalised) -> Iterator[_Input]:
    """Yield the inputs of a network, by their places in a normalised window."""
    schema, data = model.schema, model.data
    context = window.context.shape[1]
    channels = window.context.shape[2] - schema.past - schema.known
    bounds = np.unique(np.linspace(0, context, min(BLOCKS, context) + 1).astype(int))
    for near, far in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        steps = slice(context - far, context - near)
        label = f"the target, {near + 1} to {far} {wording.step_unit(schema.frequency)} back"
        yield _Input(label, "lags", context=(steps, slice(0, channels)))
    place = 0
    for kind, label, width in _moving(schema, model):
        features = slice(channels + place, channels + place + width)
        ahead = None
        if kind != "past":
            ahead = slice(place - schema.past, place - schema.past + width)
        yield _Input(label, kind, context=(slice(None), features), future=ahead)
        place += width
    place = 0
    for name in data.static_covariates:
        width = len(feature_names((name,), schema.categories))
        yield _Input(name, "static", static=slice(place, place + width))
        place += width
    if model.network.model.series_embedding:
        yield _Input("which series it is", "series")


def _moving(schema: Schema, model: Predictor) -> Iterator[tuple[str, str, int]]:
    """Yield kind, name and number of features of covariates that move, in the order of columns."""
    data = model.data
    for kind, names in (("past", data.past_covariates), ("known", data.known_covariates)):
        for name in names:
            yield kind, name, len(feature_names((name,), schema.categories))
    clock = calendars.feature_names(schema.frequency, data.calendar, data.holidays)
    cycles = [name.removesuffix("_sin").removesuffix("_cos") for name in clock]
    for cycle in dict.fromkeys(cycles):
        yield "calendar", cycle.replace("_", " "), cycles.count(cycle)


def _exchanged(window: Normalised, one: _Input, order: Tensor) -> Normalised:
    """Return windows that have the values of one input from one another."""
    for name, place in one.parts():
        values: Tensor = getattr(window, name)
        changed = values.clone()
        changed[place] = values[order][place]
        replaced: dict[str, Any] = {name: changed}
        window = window._replace(**replaced)
    return window


def _loss(network: Forecaster, window: Normalised, batch: Batch) -> Tensor:
    """Return the mean loss of windows, in their normalised units."""
    values, levels = network.decode(window), torch.tensor(network.levels)
    observed = batch.window[:, 0, -network.horizon :]
    truth = (network.target.transform.forward(observed) - window.base) / window.scale
    seen = truth.isfinite()
    error = torch.where(seen, truth, 0.0).unsqueeze(-1) - values
    if network.model.loss == "pinball":
        losses = pinball(error[..., : len(levels)], levels).mean(-1)
    else:
        losses = error[..., 0].abs()
    return (losses * seen).sum() / seen.sum().clamp(min=1)


def _gradients(network: Forecaster, window: Normalised, inputs: list[_Input]) -> list[float | None]:
    """Return each input's share of the mean absolute gradient × input of the median forecast."""
    names = ("context", "future", "static")
    leaves = {name: getattr(window, name).clone().requires_grad_() for name in names}
    values = network.decode(window._replace(**leaves))
    median = network.levels.index(0.5) if network.model.loss == "pinball" else 0
    found = torch.autograd.grad(values[..., median].sum(), [*leaves.values()], allow_unused=True)
    products = {
        name: torch.zeros_like(leaf) if gradient is None else gradient * leaf.detach()
        for (name, leaf), gradient in zip(leaves.items(), found, strict=True)
    }
    sizes: list[float | None] = []
    for one in inputs:
        parts = [products[name][place].flatten(1).sum(1)
                 for name, place in one.parts() if name in products]  # fmt: skip
        size = sum(parts[1:], parts[0]).abs().mean() if parts else None
        sizes.append(None if size is None else float(size))
    total = sum(size for size in sizes if size is not None) or 1.0
    return [None if size is None else size / total for size in sizes]
