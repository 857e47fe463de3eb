"""A forecaster as one graph: raw numbers in, quantiles and mean in the unit of the target out.

Normalisation, transform, ensemble, mixing with the base and calibration are in the graph. What
needs a table, a calendar or the whole past of a series is not: time features, categories as columns
of 0 and 1, and the forecasts of the classical base are inputs.
"""

import torch
from torch import Tensor, nn

from retain.kinds.forecast.data.windows import Batch
from retain.kinds.forecast.predict.predictor import Predictor


class Graph(nn.Module):
    """The network of a predictor, with the scales of its series.

    Args:
        model: loaded; its network is set to evaluation mode, without gradients.
    """

    scales: Tensor

    def __init__(self, model: Predictor):
        super().__init__()
        self.network, self.data = model.network, model.data
        series = model.config["series"]
        rows = [(0.0, 1.0), *zip(series["mean"], series["std"], strict=True)]
        self.register_buffer("scales", torch.tensor(rows, dtype=torch.float32))
        self.eval().requires_grad_(False)

    def forward(
        self,
        y: Tensor,
        series: Tensor,
        past: Tensor | None = None,
        known: Tensor | None = None,
        static: Tensor | None = None,
        experts: Tensor | None = None,
        ahead: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Forecast the steps after `y`; NaN stands for a missing value everywhere.

        Args:
            y: (series, steps), the target, newest last; at least one season and the context.
            series: (series,), numbers from 1 of the series of the training; 0 for a new one.
            past: (series, context, columns), covariates of the past.
            known: (series, context + horizon, columns), known covariates and the calendar.
            static: (series, columns).
            experts: (series, experts, horizon), forecasts of the classical base.
            ahead: (series, context), the base's forecasts of the context, each one step ahead.

        Returns:
            Quantiles, (series, horizon, levels), and the mean, (series, horizon).
        """
        data, count = self.data, y.shape[0]
        season, horizon = data.season_length, data.horizon

        def missing(columns: int, steps: int) -> Tensor:
            return y.new_full((count, columns, steps), torch.nan)

        # Not a slice from the end, for which torch excludes a `y` that is as long as the window.
        newest = y.index_select(1, torch.arange(data.reach) + (y.shape[1] - data.reach))
        window = [torch.cat([newest[:, None], missing(1, horizon)], dim=2)]
        if past is not None:
            columns = past.shape[2]
            values = past.transpose(1, 2)
            window.append(
                torch.cat([missing(columns, season), values, missing(columns, horizon)], dim=2)
            )
        if known is not None:
            window.append(
                torch.cat([missing(known.shape[2], season), known.transpose(1, 2)], dim=2)
            )
        if experts is None or ahead is None:
            experts, ahead = y.new_zeros(count, 0, horizon), y.new_zeros(count, 0)
        batch = Batch(
            window=torch.cat(window, dim=1),
            series=series,
            static=y.new_zeros(count, 0) if static is None else static,
            scales=self._scales(y, series),
            rows=torch.zeros_like(series),
            experts=experts,
            ahead=ahead,
        )
        forecast = self.network.predict(batch)
        return forecast[..., :-1], forecast[..., -1]

    def _scales(self, y: Tensor, series: Tensor) -> Tensor:
        """Return mean and deviation of each series, of a new one those of its values."""
        seen = y.isfinite()
        values = torch.where(seen, y, 0.0).double()
        count = seen.sum(1, keepdim=True)
        mean = values.sum(1, keepdim=True) / count
        change = torch.where(seen, values - mean, 0.0)
        # Not torch's sqrt, as in the model.
        deviation = ((change * change).sum(1, keepdim=True) / count).rsqrt().reciprocal()
        deviation = torch.where(deviation > 0, deviation, 1.0)
        own = torch.cat([mean, deviation], dim=1).to(y.dtype)
        return torch.where((series > 0)[:, None], self.scales[series], own)
