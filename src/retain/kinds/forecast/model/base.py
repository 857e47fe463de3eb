"""The classical base of a forecaster: what a network reads of the pool, and how it corrects it.

For each step ahead, the network returns changes of the experts' weights and corrections that are
added to the mixture, in units of the pool's errors in the window's context. Before training all of
them are zero, so the forecast is the pool's.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from retain.kinds.forecast.data.windows import Batch, Windows
from retain.kinds.forecast.model.baselines import last_observed
from retain.kinds.forecast.model.calibration import Calibration
from retain.kinds.forecast.model.conformal import step_spreads
from retain.kinds.forecast.model.pool.pool import Pool, tensor_name
from retain.kinds.forecast.model.transform import Transform, elementwise

CHANNELS = 4  # of a step: level, error of the pool, change from the season before, whether observed
SIGNED = 3  # number of channels whose sign changes with that of the window
LEAST_OF_DEVIATION = 1e-3  # of a series, for the unit of one that the pool forecasts exactly
LEAST_UNIT = 0.25  # share of a series' unit, for a window in which the pool made no errors


class OnBase(NamedTuple):
    """A window in the units of the base."""

    channels: Tensor  # (batch, context, CHANNELS)
    distances: Tensor  # (batch, experts, horizon) of the experts' forecasts from the last value
    near: Tensor  # (batch, horizon, experts), the same as a network reads it
    prior: Tensor  # (batch, experts), logarithms of the pool's weights
    centre: Tensor  # (batch, 1), the last value
    scale: Tensor  # (batch, horizon), of a unit in transformed values


class Base(nn.Module):
    """The pool of a forecaster, and the units in which a network corrects it.

    Args:
        pool: fitted, or empty before the weights are loaded.
        season: steps of the season, whose change the network reads.
    """

    unit: Tensor
    growth: Tensor
    widths: Tensor
    offsets: Tensor
    mean_offsets: Tensor

    def __init__(self, pool: Pool, season: int, levels: int):
        super().__init__()
        self.experts, self.log, self.season = pool.experts, pool.log, season
        self.horizon = pool.horizon
        self.hold(pool)
        series = len(pool.weights) - 1
        # Mean absolute one-step error of each series in its deviations, 0 is a series never seen;
        # and how many times larger the error is at each step ahead.
        self.register_buffer("unit", torch.ones(series + 1))
        self.register_buffer("growth", torch.ones(self.horizon))
        for name, values in Calibration.none(series, self.horizon, levels)._asdict().items():
            self.register_buffer(name, values)  # of the pool alone

    @property
    def pool(self) -> Pool:
        """The pool."""
        names = Pool.empty(self.experts, self.horizon, 0, self.log, 0).arrays()
        arrays = {name: self.get_buffer(tensor_name(name)).cpu().numpy() for name in names}
        return Pool.from_arrays(self.experts, self.horizon, self.log, arrays)

    def hold(self, pool: Pool) -> None:
        """Store the pool's numbers; in training the weights alone, the rest is for serving."""
        for name, array in pool.arrays().items():
            self.register_buffer(tensor_name(name), torch.from_numpy(array))

    def map(self, found: Mapping[str, Tensor]) -> None:
        """Use the tensors of a pool's numbers that are mapped from a file, without a copy.

        Those of another shape are left for `load_state_dict`, which says so.

        Args:
            found: the tensors, by the names of buffers.
        """
        for name in self.pool.arrays():
            own, given = self.get_buffer(tensor_name(name)), found.get(tensor_name(name))
            if given is not None and (given.shape, given.dtype) == (own.shape, own.dtype):
                self.register_buffer(tensor_name(name), given)

    def calibration(self) -> Calibration:
        """Return the calibration of the pool alone."""
        return Calibration(self.widths, self.offsets, self.mean_offsets)

    def fit_units(self, windows: Windows, transform: Transform) -> None:
        """Fit the units to windows of the training part, which contain the pool's forecasts."""
        count = len(self.unit)
        sums, seen = np.zeros(count), np.zeros(count)
        for batch in windows.chunks():
            size = self._missed(batch, transform).abs() / self._deviation(batch, transform)
            known = size.isfinite()
            series = batch.series.numpy()
            sums += np.bincount(series, torch.where(known, size, 0.0).sum(1).numpy(), count)
            seen += np.bincount(series, known.sum(1).numpy(), count)
        fitted = seen > 0
        units = np.maximum(sums / np.maximum(seen, 1), LEAST_OF_DEVIATION)
        units[~fitted] = np.median(units[fitted]) if fitted.any() else 1.0
        self.unit.copy_(torch.from_numpy(units))
        self.growth.fill_(1.0)
        errors = []
        for batch in windows.chunks():
            window = self.measure(batch, transform)
            truth = transform.forward(batch.window[:, 0, -self.horizon :])
            blend = window.centre + window.scale * blended(window)[..., 0]
            errors.append((truth - blend) / window.scale)
        if errors:
            spreads = step_spreads(torch.cat(errors).double().numpy())
            self.growth.copy_(torch.from_numpy(np.maximum(spreads, LEAST_OF_DEVIATION)))

    def measure(self, batch: Batch, transform: Transform) -> OnBase:
        """Convert a batch of windows to the units of the base."""
        context = batch.ahead.shape[1]
        now = batch.window.shape[-1] - self.horizon
        y = transform.forward(batch.window[:, 0, :now])
        recent, before = y[:, -context:], y[:, now - context - self.season : now - self.season]
        seen = recent.isfinite()
        centre = last_observed(recent)
        missed = recent - transform.forward(batch.ahead)
        typical = self.unit[batch.series].unsqueeze(1) * self._deviation(batch, transform)
        found = missed.abs().nanmean(1, keepdim=True)
        unit = torch.fmax(found, LEAST_UNIT * typical)  # of NaN, the other
        scale = unit * self.growth
        distances = transform.forward(batch.experts) - centre.unsqueeze(-1)
        signed = torch.stack([recent - centre, missed, recent - before], dim=-1)
        return OnBase(
            torch.cat([_near(signed / unit.unsqueeze(-1)), seen.unsqueeze(-1).float()], dim=-1),
            distances / scale.unsqueeze(1),
            _near((distances / unit.unsqueeze(-1)).transpose(1, 2)),
            self._prior(batch),
            centre,
            scale,
        )

    def _missed(self, batch: Batch, transform: Transform) -> Tensor:
        """Return the pool's errors one step ahead over the context, (batch, context)."""
        end = batch.window.shape[-1] - self.horizon
        recent = batch.window[:, 0, end - batch.ahead.shape[1] : end]
        return transform.forward(recent) - transform.forward(batch.ahead)

    def _deviation(self, batch: Batch, transform: Transform) -> Tensor:
        """Return the deviation of each window's series, transformed to the first order."""
        return batch.scales[:, 1:] * transform.slope(batch.scales[:, :1])

    def _prior(self, batch: Batch) -> Tensor:
        weights = self.get_buffer(tensor_name("weights"))[batch.series].to(batch.window.dtype)
        return elementwise(weights.clamp(min=1e-30), np.log, torch.log)


def mixed(values: Tensor, window: OnBase) -> Tensor:
    """Return the forecast for a network's values: (batch, horizon, outputs).

    Args:
        values: (batch, horizon, experts + outputs), to add to the logarithms of the experts'
            weights, and to the mixture.
    """
    experts = window.distances.shape[1]
    gates = values[..., :experts].transpose(1, 2)  # torch is slow along a short last axis
    weights = (window.prior.unsqueeze(-1) + gates).softmax(dim=1)
    mixture = (weights * window.distances).sum(1)
    return mixture.unsqueeze(-1) + values[..., experts:]


def blended(window: OnBase) -> Tensor:
    """Return the forecast of the base alone: (batch, horizon, 1)."""
    batch, experts, horizon = window.distances.shape
    return mixed(window.distances.new_zeros(batch, horizon, experts + 1), window)


def _near(values: Tensor) -> Tensor:
    """Compress large values, and replace missing ones by 0."""
    return elementwise(values, np.arcsinh, torch.asinh).nan_to_num(nan=0.0)
