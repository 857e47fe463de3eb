"""The forecasting network: a recurrent cell over segments of a window, all horizons at once.

The window is normalised, cut into segments of `segment_length` steps, read by the cell, and every
output segment is decoded in parallel from the cell's last state and its position (SegRNN, Lin et
al. 2023). With `segment_length: 1` this is the classic step-by-step recurrent network. LSTM, RNN
and GRU differ by the one word `cell`.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from retain import recurrent
from retain.forecast.baselines import last_observed, seasonal_naive
from retain.forecast.panel import Schema
from retain.forecast.params import Model
from retain.forecast.windows import Batch


class Forecast(NamedTuple):
    """Quantiles in the window's own units: in those of the data they are base + scale · values."""

    values: Tensor  # (batch, horizon, outputs), increasing along the outputs
    base: Tensor  # (batch, horizon)
    scale: Tensor  # (batch, 1)


class Normalised(NamedTuple):
    """A window ready for the cell, and the way back."""

    context: Tensor  # (batch, context, features)
    future: Tensor  # (batch, horizon, known features)
    base: Tensor  # (batch, horizon)
    scale: Tensor  # (batch, 1)


class Forecaster(nn.Module):
    """Window in, quantiles out; see the module's text for the way between.

    Args:
        cell: `lstm`, `rnn` or `gru`.
        hidden_size: width of the cell and of the segment embedding.
        model: the section `model` of the problem.
        schema: columns and lengths of the panel.
        series_count: how many series the embedding, where there is one, must tell apart.
    """

    column_means: Tensor
    column_deviations: Tensor
    static_means: Tensor
    static_deviations: Tensor
    offsets: Tensor

    def __init__(
        self, cell: str, hidden_size: int, model: Model, schema: Schema, series_count: int
    ):
        super().__init__()
        self.model, self.cell = model, cell
        self.horizon: int = schema.data["horizon"]
        self.context: int = schema.data["context_length"]
        self.season: int = schema.data["season_length"]
        self.past, self.known = schema.past, schema.known
        self.segment = model.segment_length
        self.decoded = -(-self.horizon // self.segment)  # output segments, the last one cut
        self.levels = model.quantiles
        outputs = len(self.levels) if model.loss == "pinball" else 1
        channels = 4 if model.residual == "seasonal" else 2  # values and their mask
        features = channels + self.past + self.known
        self.embed = nn.Linear(self.segment * features, hidden_size)
        self.recurrent = recurrent.build(
            cell, hidden_size, hidden_size, model.layers, model.dropout
        )
        self.position = nn.Parameter(torch.randn(self.decoded, hidden_size) * 0.02)
        self.future = nn.Linear(self.segment * self.known, hidden_size) if self.known else None
        described = len(schema.static) + model.series_embedding
        self.series = (
            nn.Embedding(series_count + 1, model.series_embedding)
            if model.series_embedding
            else None
        )
        self.describe = nn.Linear(described, hidden_size, bias=False) if described else None
        self.dropout = nn.Dropout(model.dropout)
        self.head = nn.Linear(hidden_size, self.segment * outputs)
        for name, numbers in (
            ("column_means", schema.means),
            ("column_deviations", schema.deviations),
            ("static_means", schema.static_means),
            ("static_deviations", schema.static_deviations),
        ):
            self.register_buffer(name, torch.tensor(numbers, dtype=torch.float32))
        # Calibration, fitted after training: what to add at each step and level.
        self.register_buffer("offsets", torch.zeros(self.horizon, len(self.levels)))

    def forward(self, batch: Batch) -> Forecast:
        """Forecast a batch of windows; the horizon part of the target is not looked at."""
        window = self.normalise(batch)
        values = self.decode(window.context, window.future, batch.series, batch.static)
        return Forecast(values.sort(dim=-1).values, window.base, window.scale)

    def predict(self, batch: Batch) -> Tensor:
        """Calibrated quantiles in data units: (batch, horizon, levels)."""
        values, base, scale = self(batch)
        values = outward(values + self.offsets, self.levels.index(0.5))
        return base.unsqueeze(-1) + scale.unsqueeze(-1) * values  # type: ignore[no-any-return]

    def normalise(self, batch: Batch) -> Normalised:
        """Scale a window by what its context shows, and take the seasonal forecast off."""
        season, context, horizon = self.season, self.context, self.horizon
        now = season + context
        y = batch.window[:, 0, :now]  # (batch, season + context)
        seen = y.isfinite()
        recent, recent_seen = y[:, season:], seen[:, season:]
        mean, deviation = batch.scales[:, :1], batch.scales[:, 1:]
        if self.model.normalisation == "series":
            centre, scale = mean, deviation
        elif self.model.normalisation == "last":
            centre, scale = last_observed(recent), deviation
        else:  # RevIN (Kim et al. 2022); a flat window keeps 1 % of its series' scale
            count = recent_seen.sum(1, keepdim=True)
            centre = recent.nansum(1, keepdim=True) / count
            variance = (recent - centre).square().nansum(1, keepdim=True) / count
            scale = (variance + (0.01 * deviation).square()).sqrt()

        level = torch.where(recent_seen, (recent - centre) / scale, 0.0)
        parts = [level, recent_seen.float()]
        base = centre.expand(-1, horizon)
        if self.model.residual == "seasonal":
            change = (recent - y[:, :context]) / scale  # to one season before
            known = change.isfinite()
            parts = [torch.where(known, change, 0.0), known.float(), *parts]
            base = seasonal_naive(y, horizon, season, fallback=centre)
        features = torch.stack(parts, dim=-1)  # (batch, context, channels)

        covariates = batch.window[:, 1:, season:].transpose(
            1, 2
        )  # (batch, context + horizon, rest)
        covariates = (covariates - self.column_means[1:]) / self.column_deviations[1:]
        covariates = torch.where(covariates.isfinite(), covariates, 0.0)  # missing: the mean
        return Normalised(
            context=torch.cat([features, covariates[:, :context]], dim=-1),
            future=covariates[:, context:, self.past :],
            base=base,
            scale=scale,
        )

    def decode(self, context: Tensor, future: Tensor, series: Tensor, static: Tensor) -> Tensor:
        """The network proper, in normalised units: (batch, horizon, outputs)."""
        size, width = len(context), self.segment
        lead = -context.shape[1] % width  # the oldest segment is filled up in front
        context = nn.functional.pad(context, (0, 0, lead, 0))
        segments = context.unflatten(1, (-1, width)).flatten(2)  # (batch, segments, width·features)
        inputs = self.embed(segments.transpose(0, 1)).relu()  # (segments, batch, hidden)
        _, state = self.recurrent(inputs)

        steps = self.position.expand(size, -1, -1)  # (batch, decoded, hidden)
        if self.future is not None:
            future = nn.functional.pad(future, (0, 0, 0, -future.shape[1] % width))
            steps = steps + self.future(future.unflatten(1, (-1, width)).flatten(2))
        if self.describe is not None:
            steps = steps + self.describe(self._description(series, static)).unsqueeze(1)
        # One step of the cell for every output segment, all of them from the same last state.
        state = recurrent.repeat_state(state, self.decoded)
        # Half precision: the sum above is float32 again, and a cell wants one type.
        steps = steps.reshape(1, size * self.decoded, -1).to(inputs.dtype)
        decoded, _ = self.recurrent(steps, state)
        values = self.head(self.dropout(decoded[0]))  # (batch·decoded, width·outputs)
        values = values.view(size, self.decoded * width, -1)
        return values[:, : self.horizon]  # type: ignore[no-any-return]

    def _description(self, series: Tensor, static: Tensor) -> Tensor:
        described = (static - self.static_means) / self.static_deviations
        described = torch.where(described.isfinite(), described, 0.0)
        if self.series is None:
            return described
        if self.training:  # teach the embedding of a series never seen
            series = torch.where(torch.rand(series.shape, device=series.device) < 0.1, 0, series)
        return torch.cat([described, self.series(series)], dim=-1)


def outward(quantiles: Tensor, median: int) -> Tensor:
    """Quantiles that increase: those that cross are moved away from the median, which stays."""
    upper = quantiles[..., median:].cummax(dim=-1).values
    lower = quantiles[..., : median + 1].flip(-1).cummin(dim=-1).values.flip(-1)
    return torch.cat([lower[..., :-1], upper], dim=-1)


def matched(
    cell: str, model: Model, schema: Schema, series_count: int
) -> tuple[Forecaster, dict[str, Any]]:
    """The forecaster of `cell` with the parameter budget of the LSTM of `model.hidden_size`.

    Returns:
        The network, and its sizes for config.json.
    """

    def count(cell: str, hidden_size: int) -> int:
        return recurrent.count_on_meta(
            lambda: Forecaster(cell, hidden_size, model, schema, series_count)
        )

    budget = count("lstm", model.hidden_size)
    hidden_size = model.hidden_size
    if cell != "lstm":
        hidden_size = recurrent.match_hidden_size(lambda size: count(cell, size), budget)
    network = Forecaster(cell, hidden_size, model, schema, series_count)
    sizes = {
        "hidden_size": hidden_size,
        "parameters": recurrent.parameter_count(network),
        "parameter_budget": budget,
    }
    return network, sizes
