"""The forecasting network: windows of data in, calibrated quantiles and mean in data units out.

A window is normalised, read by one network (or by several, whose forecasts are averaged) and
scaled back to the units of the data. LSTM, RNN and GRU differ by the one word `cell`.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from retain.kinds.forecast.config import Model
from retain.kinds.forecast.data.cycles import natural
from retain.kinds.forecast.data.panel import Schema
from retain.kinds.forecast.data.windows import Batch
from retain.kinds.forecast.model.base import Base, blended
from retain.kinds.forecast.model.baselines import last_observed, nearest_season, seasonal_naive
from retain.kinds.forecast.model.calibration import Calibration, Forecast, Target, apply
from retain.kinds.forecast.model.cold import Cold
from retain.kinds.forecast.model.mean import factor, past_mean
from retain.kinds.forecast.model.mirror import Mirror
from retain.kinds.forecast.model.pool.pool import Pool
from retain.kinds.forecast.model.segrnn import Normalised, SegRNN
from retain.kinds.forecast.model.transform import Transform
from retain.model_files import reading
from retain.networks import recurrent

CALIBRATION = Calibration._fields  # buffers that are fitted after the training
ADDED = ("widths", "mean_offsets")  # in format 3


class Forecaster(nn.Module):
    """Normalisation, the members of the ensemble, and calibration.

    Args:
        cell: `lstm`, `rnn` or `gru`.
        hidden_size: width of the cell and of the segment embedding, in each member.
        model: the section `model` of the problem.
        schema: columns and lengths of the panel.
        series_count: number of series for the embedding, if there is one.
        pool: of the base, if there is one.
        earlier: whether the members are those of model folders up to format 3.
    """

    column_means: Tensor
    column_deviations: Tensor
    static_means: Tensor
    static_deviations: Tensor
    widths: Tensor
    offsets: Tensor
    mean_offsets: Tensor

    def __init__(
        self,
        cell: str,
        hidden_size: int,
        model: Model,
        schema: Schema,
        series_count: int,
        pool: Pool | None = None,
        earlier: bool = False,
    ):
        super().__init__()
        self.model, self.cell = model, cell
        self.horizon: int = schema.data["horizon"]
        self.context: int = schema.data["context_length"]
        self.season: int = schema.data["season_length"]
        shorter = [m for m in natural(schema.frequency) if m < self.season]
        self.seasons = (*shorter, self.season)
        self.past = schema.past
        self.levels = model.quantiles
        self.mirror = Mirror(model, schema)
        self.members = nn.ModuleList(
            SegRNN(
                cell,
                hidden_size,
                model,
                schema,
                series_count,
                experts=len(pool.experts) if pool else 0,
                earlier=earlier,
            )
            for _ in range(model.ensemble)
        )
        self.base = None if pool is None else Base(pool, self.season, len(self.levels))
        for name, numbers in (
            ("column_means", schema.means),
            ("column_deviations", schema.deviations),
            ("static_means", schema.static_means),
            ("static_deviations", schema.static_deviations),
        ):
            self.register_buffer(name, torch.tensor(numbers, dtype=torch.float32))
        whole = schema.whole and model.mean == "tweedie"
        self.target = Target(model.quantiles, schema.low, Transform(schema.power), whole)
        self.cold: Cold | None = None  # set where it forecasts series without history
        # Fitted after training.
        calibration = Calibration.none(series_count, self.horizon, len(self.levels))
        for name, values in calibration._asdict().items():
            self.register_buffer(name, values)

    def forward(self, batch: Batch) -> Forecast:
        """Forecast a batch of windows; the horizon part of the target is not read."""
        window = self.normalise(batch)
        return self._forecast(self.decode(window), window, batch)

    def by_member(self, batch: Batch, window: Normalised | None = None) -> Forecast:
        """Like `forward`, with the values of each member: (members, batch, horizon, outputs).

        Args:
            window: the batch, if it is normalised already.
        """
        window = self.normalise(batch) if window is None else window
        return self._forecast(self._members(window), window, batch)

    def _forecast(self, values: Tensor, window: Normalised, batch: Batch) -> Forecast:
        if self.model.mean == "calibrated":
            return Forecast(values, window.base, window.scale)
        mean = past_mean(batch, self.context, self.horizon) * factor(values[..., -1])
        return Forecast(values[..., :-1], window.base, window.scale, mean)

    def decode(self, window: Normalised) -> Tensor:
        """Average the members' forecasts in normalised units: (batch, horizon, outputs)."""
        return self._members(window).mean(0)

    def _members(self, window: Normalised) -> Tensor:
        if window.on_base is None:
            values = torch.stack([member(window) for member in self.members])
        else:
            values = torch.stack([self.mirror.forecast(member, window) for member in self.members])
        quantiles = values.shape[-1] - (self.model.mean == "tweedie")
        ordered = values[..., :quantiles].sort(dim=-1).values
        return torch.cat([ordered, values[..., quantiles:]], dim=-1)

    def predict(self, batch: Batch) -> Tensor:
        """Forecast calibrated quantiles and the mean in data units: (batch, horizon, levels + 1).

        If no value of the training part is negative, no forecast is.
        """
        calibration = Calibration(self.widths, self.offsets, self.mean_offsets)
        forecast = self(batch)
        found = self.calibrated(forecast, batch, calibration)
        if self.cold is None:
            return found
        new = self.calibrated(forecast, batch, self.cold.calibration(self.widths))
        return torch.where(self._is_new(batch)[:, :, None], new, found)

    def _is_new(self, batch: Batch) -> Tensor:
        """Return which windows have no value in their context, (batch, 1)."""
        y = batch.window[:, 0, self.season : self.season + self.context]
        return ~y.isfinite().any(1, keepdim=True)

    def predict_base(self, batch: Batch) -> Tensor:
        """Like `predict`, for the classical base alone."""
        assert self.base is not None
        return self.calibrated(self.forecast_base(batch), batch, self.base.calibration())

    def forecast_base(self, batch: Batch) -> Forecast:
        """Like `forward`, for the classical base alone."""
        window = self.normalise(batch)
        assert window.on_base is not None
        return Forecast(blended(window.on_base), window.base, window.scale)

    def calibrated(self, forecast: Forecast, batch: Batch, calibration: Calibration) -> Tensor:
        """Return quantiles and mean of a forecast in data units, like `predict`."""
        return apply(forecast, calibration, batch.series, self.target)

    def normalise(self, batch: Batch) -> Normalised:
        """Scale a window by its context or its series, and subtract the seasonal forecast."""
        if self.base is None:
            return self._normalise(batch)
        window = self.base.measure(batch, self.target.transform)
        known, future = self._covariates(batch)
        return Normalised(
            context=torch.cat([window.channels, known], dim=-1),
            future=torch.cat([future, window.near], dim=-1),
            series=batch.series,
            static=self.described(batch.static),
            base=window.centre.expand(-1, self.horizon),
            scale=window.scale,
            on_base=window,
        )

    def _normalise(self, batch: Batch) -> Normalised:
        season, context, horizon = self.season, self.context, self.horizon
        now = season + context
        y = self.target.transform.forward(batch.window[:, 0, :now])  # (batch, season + context)
        seen = y.isfinite()
        recent, recent_seen = y[:, season:], seen[:, season:]
        mean, deviation = batch.scales[:, :1], batch.scales[:, 1:]
        if self.target.transform.power is not None:  # to the first order
            deviation = deviation * self.target.transform.slope(mean)
            mean = self.target.transform.forward(mean)
        if self.model.normalisation == "series":
            centre, scale = mean, deviation
        elif self.model.normalisation == "last":
            centre, scale = last_observed(recent), deviation
        else:  # RevIN (Kim et al. 2022); a flat window keeps 1 % of its series' scale
            count = recent_seen.sum(1, keepdim=True)
            centre = recent.nansum(1, keepdim=True) / count
            variance = (recent - centre).square().nansum(1, keepdim=True) / count
            # Not torch's sqrt: MKL's starts from an approximation that differs among processors.
            scale = (variance + (0.01 * deviation).square()).rsqrt().reciprocal()

        if self.cold is not None:
            new = ~recent_seen.any(1, keepdim=True)
            centre, scale = torch.where(new, mean, centre), torch.where(new, deviation, scale)

        level = torch.where(recent_seen, (recent - centre) / scale, 0.0)
        parts = [level, recent_seen.float()]
        base = centre.expand(-1, horizon)
        if self.model.residual == "seasonal":
            # For example of a day and a week, each window uses the one that repeats best.
            chosen = nearest_season(y, horizon, self.seasons, context)
            rows = torch.arange(y.shape[0], device=y.device)
            before = torch.stack([y[:, season - m : now - m] for m in self.seasons])
            change = (recent - before[chosen, rows]) / scale
            known = change.isfinite()
            parts = [torch.where(known, change, 0.0), known.float(), *parts]
            bases = [seasonal_naive(y, horizon, m, fallback=centre) for m in self.seasons]
            base = torch.stack(bases)[chosen, rows]
        features = torch.stack(parts, dim=-1)  # (batch, context, channels)

        known, future = self._covariates(batch)
        return Normalised(
            context=torch.cat([features, known], dim=-1),
            future=future,
            series=batch.series,
            static=self.described(batch.static),
            base=base,
            scale=scale,
            on_base=None,
        )

    def _covariates(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return covariates of the context, and those known of the future: (batch, steps, …)."""
        covariates = batch.window[:, 1:, self.season :].transpose(1, 2)
        covariates = (covariates - self.column_means[1:]) / self.column_deviations[1:]
        covariates = torch.where(covariates.isfinite(), covariates, 0.0)  # missing: the mean
        return covariates[:, : self.context], covariates[:, self.context :, self.past :]

    def described(self, static: Tensor) -> Tensor:
        """Return static features in their deviations, those that are missing as the mean."""
        static = (static - self.static_means) / self.static_deviations
        return torch.where(static.isfinite(), static, 0.0)


def build_matched(
    cell: str, model: Model, schema: Schema, series_count: int, pool: Pool | None = None
) -> tuple[Forecaster, dict[str, int]]:
    """Build the forecaster of `cell` with as many parameters as the LSTM of `model.hidden_size`.

    Returns:
        The network, and its sizes for config.json.
    """

    def make(cell: str, hidden_size: int) -> Forecaster:
        return Forecaster(cell, hidden_size, model, schema, series_count, pool)

    sizes = recurrent.match_lstm(cell, model.hidden_size, make)
    return make(cell, sizes["hidden_size"]), sizes


def load_forecaster(folder: Path) -> tuple[Forecaster, Schema, dict[str, Any]]:
    """Read a model folder; return its network, its schema and its config.

    Raises:
        ModelError: a file is missing or damaged, or the weights do not fit the config.
    """
    with reading(folder) as (config, weights):
        schema, written_in = Schema.from_json(config["schema"]), config.get("format", 1)
        network = Forecaster(
            config["cell"],
            config["hidden_size"],
            Model.model_validate(config["model"]),
            schema,
            len(config["series"]["unique_id"]),
            _empty_pool(config, schema),
            earlier=written_in < 4,
        )
        if "cold_start" in config:
            shape = config["cold_start"]["series"], len(schema.static), network.horizon
            network.cold = Cold(*shape, len(network.levels))
        # Folders of formats 1 and 2 have only offsets as calibration: the rest is neutral.
        added = ADDED if written_in < 3 else ()
        if network.base is not None:  # its pool may be larger than everything else
            network.base.map({name.removeprefix("base."): weights[name] for name in weights})
        network.load_state_dict({name: network.state_dict()[name] for name in added} | weights)
    return network.eval(), schema, config


def _empty_pool(config: dict[str, Any], schema: Schema) -> Pool | None:
    """Return an empty pool with the shapes of a model's pool, if it has one."""
    if "pool" not in config:
        return None
    shape, data = config["pool"], schema.data
    count, experts = len(config["series"]["unique_id"]), tuple(shape["experts"])
    return Pool.empty(experts, data["horizon"], data["context_length"], shape["log"], count)
