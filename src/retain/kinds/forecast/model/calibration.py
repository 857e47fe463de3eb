"""Calibration of quantiles: offsets fitted on the validation windows, and no crossing."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.data.windows import Windows

if TYPE_CHECKING:
    from retain.kinds.forecast.model.forecaster import Forecaster


def fit_offsets(network: "Forecaster", windows: Windows) -> None:
    """Fit the network's offsets, so that each quantile holds on the validation windows."""
    network.eval()
    residuals: list[Tensor] = []
    for batch in windows.chunks():
        with torch.inference_mode():
            values, base, scale = network(batch)
            truth = (batch.window[:, 0, -network.horizon :] - base) / scale
            residuals.append(truth.unsqueeze(-1) - values)
    errors = torch.cat(residuals).numpy()  # (windows, horizon, outputs)
    network.offsets.copy_(torch.from_numpy(conformal_offsets(errors, network.levels)))


def conformal_offsets(residuals: Floats, levels: tuple[float, ...]) -> NDArray[np.float32]:
    """Compute what to add to each quantile so that it holds on the residuals; 0 at the median.

    Split conformal prediction (Vovk et al. 2005; Romano et al. 2019), one-sided and for each
    step ahead on its own. The median is the point forecast and is not changed.

    Args:
        residuals: truth − forecast, (windows, horizon, levels), or one column for a point forecast;
            NaN where the truth is missing.
        levels: increasing, between 0 and 1.

    Returns:
        (horizon, levels); a step that was never observed has 0.
    """
    ordered = np.sort(residuals, axis=0)  # NaN last
    counts = np.isfinite(residuals[..., 0]).sum(axis=0)  # (horizon,)
    offsets = np.zeros((residuals.shape[1], len(levels)), dtype=np.float32)
    for column, level in enumerate(levels):
        if level == 0.5:
            continue
        rank = np.ceil((counts + 1) * level) if level > 0.5 else np.floor((counts + 1) * level)
        at = np.clip(rank.astype(int) - 1, 0, np.maximum(counts - 1, 0))
        source = ordered[..., min(column, residuals.shape[2] - 1)]
        picked = source[at, np.arange(len(counts))]
        offsets[:, column] = np.where(counts > 0, picked, 0.0)
    return offsets


def fix_quantile_crossing(quantiles: Tensor, median: int) -> Tensor:
    """Make quantiles increase: those that cross are moved away from the median."""
    upper = quantiles[..., median:].cummax(dim=-1).values
    lower = quantiles[..., : median + 1].flip(-1).cummin(dim=-1).values.flip(-1)
    return torch.cat([lower[..., :-1], upper], dim=-1)
