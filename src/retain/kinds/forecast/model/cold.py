"""Cold start: forecasts of series without any history.

In training, a share of the windows has no context (`training.mask_contexts`): every value before
the horizon is missing, as it is for a new series, and the series is one never seen. The network
learns to forecast them from static, calendar and known covariates. (DropoutNet by Volkovs, Yu &
Poutanen 2017 teaches new users and items so.)

Mean and deviation of such a series, by which the forecast is scaled, are the medians of those of
its neighbours: the trained series with the same static values or, where fewer than SAME have them,
the NEIGHBOURS nearest ones; without static covariates, all. In training, a series is no neighbour
of itself.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.series import STATIC
from retain.kinds.forecast.data.windows import Batch, Windows
from retain.kinds.forecast.model.calibration import Calibration, Forecast
from retain.kinds.forecast.model.conformal import collect, fit

if TYPE_CHECKING:
    from retain.kinds.forecast.model.forecaster import Forecaster

SAME = 3  # series with the same static values are enough
NEIGHBOURS = 10
REFERENCE = 2_000  # most series that are neighbours, evenly spaced
BLOCK = 256  # series whose distances are computed at once


class Cold(nn.Module):
    """What a forecaster knows for series without history.

    Args:
        series, features: numbers of series that may be neighbours, and of static features.
        horizon, levels: of the forecast.
    """

    static: Tensor
    scales: Tensor
    offsets: Tensor
    mean_offsets: Tensor
    own: Tensor

    def __init__(self, series: int, features: int, horizon: int, levels: int):
        super().__init__()
        neutral = Calibration.none(0, horizon, levels)
        self.register_buffer("static", torch.zeros(series, features))
        self.register_buffer("scales", torch.ones(series, 2))
        self.register_buffer("offsets", neutral.offsets)
        self.register_buffer("mean_offsets", neutral.mean_offsets)
        # (series of the panel + 1, 2): the scale of each one if it had no history; in training only
        self.register_buffer("own", torch.ones(1, 2), persistent=False)

    def scales_of(self, static: Tensor) -> Tensor:
        """Return mean and deviation of series by their static features: (series, 2)."""
        known, given = self.static.double().numpy(), static.double().numpy()
        found = medians(known, self.scales.double().numpy(), given)
        return torch.from_numpy(found.astype(np.float32))

    def calibration(self, widths: Tensor) -> Calibration:
        """Return the calibration of forecasts without history."""
        return Calibration(widths, self.offsets, self.mean_offsets)

    def fit(self, network: "Forecaster", windows: Windows) -> None:
        """Calibrate a trained network on the validation windows, shown without history."""
        network.eval()

        def forecast(batch: Batch) -> Forecast:
            every = torch.ones_like(batch.series, dtype=torch.bool)
            found: Forecast = network(mask(network, batch, every))
            return found

        found = collect(forecast, windows, network.target.transform)
        fitted = fit(found._replace(series=np.ones_like(found.series)), network.target, 1)
        self.offsets.copy_(fitted.offsets)
        self.mean_offsets.copy_(fitted.mean_offsets)


def make(network: "Forecaster", source: Panel) -> Cold:
    """Build the part of a network for series without history, from its training panel."""
    index, data = source.index, source.schema.data
    static = network.described(static_of(source))
    scales = torch.from_numpy(index[["mean", "std"]].to_numpy(dtype=np.float32, copy=True))
    some = np.unique(np.linspace(0, len(index) - 1, min(len(index), REFERENCE)).astype(np.int64))
    cold = Cold(len(some), static.shape[1], data["horizon"], len(network.levels))
    cold.static.copy_(static[some])
    cold.scales.copy_(scales[some])
    known, values, given = (p.double().numpy() for p in (cold.static, cold.scales, static))
    own = medians(known, values, given, some)
    cold.own = torch.from_numpy(np.vstack([np.median(own, axis=0), own]).astype(np.float32))
    return cold


def static_of(source: Panel) -> Tensor:
    """Return the static features of the series of a panel, (series, features)."""
    names = [f"{STATIC}{name}" for name in source.schema.static]
    values = source.index[names].to_numpy(dtype=np.float32, copy=True)
    return torch.from_numpy(values.reshape(len(source.index), -1))


def mask(network: "Forecaster", batch: Batch, rows: Tensor) -> Batch:
    """Return a batch in which some windows have no history, as those of a new series.

    Args:
        rows: which ones, (batch,).
    """
    assert network.cold is not None
    steps = batch.window.shape[-1]
    past = torch.arange(steps, device=rows.device) < steps - network.horizon
    hidden = rows[:, None, None] & past
    return batch._replace(
        window=batch.window.masked_fill(hidden, torch.nan),
        series=torch.where(rows, 0, batch.series),
        scales=torch.where(rows[:, None], network.cold.own[batch.series], batch.scales),
    )


def masked(network: "Forecaster", batch: Batch, share: float) -> Batch:
    """Return a batch in which a share of the windows has no history, drawn as dropout is."""
    return mask(network, batch, torch.rand(batch.series.shape, device=batch.series.device) < share)


def without_history(network: "Forecaster", batch: Batch) -> Batch:
    """Return a batch as if all its series were new, and known by their static values alone."""
    assert network.cold is not None
    hidden = mask(network, batch._replace(series=torch.zeros_like(batch.series)),
                  torch.ones_like(batch.series, dtype=torch.bool))  # fmt: skip
    return hidden._replace(scales=network.cold.scales_of(network.described(batch.static)))


def medians(
    known: Floats, values: Floats, given: Floats, places: NDArray[np.int64] | None = None
) -> Floats:
    """Return the medians of some values over the neighbours of each series: (series, columns).

    Args:
        known: static features of the possible neighbours, (neighbours, features).
        values: of these, (neighbours, columns).
        given: static features of the series, (series, features).
        places: which of the series the neighbours are, that none is its own neighbour.
    """
    found = np.empty((len(given), values.shape[1]))
    for begin in range(0, len(given), BLOCK):
        for row, chosen in enumerate(nearest(known, given[begin : begin + BLOCK], places, begin)):
            found[begin + row] = np.median(values[chosen], axis=0)
    return found


def nearest(
    known: Floats, given: Floats, places: NDArray[np.int64] | None = None, begin: int = 0
) -> NDArray[np.bool_]:
    """Return the neighbours of each series: (series, neighbours); arguments as of `medians`.

    Args:
        begin: the place of the first of the series.
    """
    distance = np.zeros((len(given), len(known)))
    for column in range(known.shape[1]):  # not by a product of matrices, for the same bits
        distance += (given[:, [column]] - known[:, column]) ** 2
    if places is not None:
        distance[np.arange(begin, begin + len(given))[:, None] == places] = np.inf
    count = max(1, min(NEIGHBOURS, known.shape[0] - (places is not None)))
    limit = np.partition(distance, count - 1, axis=1)[:, [count - 1]]
    limit[(distance == 0).sum(1) >= SAME] = 0
    chosen: NDArray[np.bool_] = distance <= limit
    return chosen
