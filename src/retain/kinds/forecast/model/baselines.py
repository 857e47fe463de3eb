"""Forecasts that need no training: baselines of every network, and part of its input.

The forecasts take windows of past values, NaN where missing, newest last: (batch, steps), and
return (batch, horizon). See Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 5.2.
"""

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Batch, Windows
from retain.kinds.forecast.model.calibration import Calibration, Forecast, Target, apply
from retain.kinds.forecast.model.classical import Classical
from retain.kinds.forecast.model.conformal import collect, fit

# windows → quantiles, and the mean last: (batch, horizon, levels + 1), in data units
QuantileModel = Callable[[Batch], Floats]


def last_observed(past: Tensor) -> Tensor:
    """Return the last value of each row that is not missing, (batch, 1); NaN where all are.

    >>> last_observed(torch.tensor([[1.0, 2.0, float("nan")]]))
    tensor([[2.]])
    """
    steps = torch.arange(past.shape[1], device=past.device)
    newest = torch.where(past.isfinite(), steps, -1).amax(dim=1, keepdim=True)
    return past.gather(1, newest.clamp(min=0))


def naive(past: Tensor, horizon: int) -> Tensor:
    """Repeat the last observed value.

    >>> naive(torch.tensor([[3.0, 5.0]]), horizon=2)
    tensor([[5., 5.]])
    """
    return last_observed(past).expand(-1, horizon)


def seasonal_naive(past: Tensor, horizon: int, season: int, fallback: Tensor) -> Tensor:
    """Repeat the last season; where missing, the one before, and so on; then `fallback`.

    >>> past = torch.tensor([[1.0, 2.0, 3.0, float("nan")]])
    >>> seasonal_naive(past, horizon=3, season=2, fallback=torch.tensor([[9.0]]))
    tensor([[3., 2., 3.]])
    """
    lead = -past.shape[1] % season
    cycles = functional.pad(past, (lead, 0), value=torch.nan).unflatten(1, (-1, season))
    newest = last_observed(cycles.transpose(1, 2).flatten(0, 1)).view(-1, season)
    base = newest[:, torch.arange(horizon, device=past.device) % season]
    return torch.where(base.isfinite(), base, fallback)


def nearest_season(past: Tensor, horizon: int, seasons: tuple[int, ...], recent: int) -> Tensor:
    """Find which of `seasons` repeats best in each row: its index, (batch,).

    Measured on the newest `recent` steps, at the shortest and the longest distance at which the
    seasonal-naive forecast repeats a value; a season without a pair of values comes last.

    >>> past = torch.tensor([[1.0, 2.0, 1.0, 2.0], [1.0, 2.0, 3.0, 1.0]])
    >>> nearest_season(past, horizon=1, seasons=(2, 3), recent=4)
    tensor([0, 1])
    """
    errors = []
    for season in seasons:
        lags = (season, season * -(-horizon // season))
        changes = [past[:, lag:] - past[:, : max(past.shape[1] - lag, 0)] for lag in lags]
        means = [change[:, -recent:].abs().nanmean(1) for change in changes if change.shape[1]]
        missing = past.new_full((past.shape[0],), torch.nan)
        errors.append(torch.stack(means).mean(0) if means else missing)
    return torch.stack(errors).nan_to_num(nan=float("inf"), posinf=float("inf")).argmin(0)


def drift(past: Tensor, horizon: int) -> Tensor:
    """Continue the line through the first and the last observed value.

    >>> drift(torch.tensor([[1.0, float("nan"), 2.0]]), horizon=2)
    tensor([[2.5000, 3.0000]])
    """
    seen = past.isfinite()
    steps = torch.arange(past.shape[1], device=past.device)
    newest = torch.where(seen, steps, -1).amax(dim=1, keepdim=True).clamp(min=0)
    oldest = torch.where(seen, steps, past.shape[1]).amin(dim=1, keepdim=True)
    oldest = oldest.clamp(max=past.shape[1] - 1)
    last = past.gather(1, newest)
    slope = (last - past.gather(1, oldest)) / (newest - oldest).clamp(min=1)
    ahead = (past.shape[1] - 1 - newest) + torch.arange(1, horizon + 1, device=past.device)
    return last + slope * ahead


def seasonal_mean(source: Panel, horizon: int) -> Callable[[Batch], Tensor]:
    """Forecast the mean of each phase of the season over the training part of a series.

    A phase without a value has the mean of all values, and so has a season of one step.
    """
    index, season = source.index, source.schema.data["season_length"]
    start, means = index["start"].to_numpy(), index["mean"].to_numpy()
    trained = np.clip(
        source.schema.validation_step - index["first_step"].to_numpy(), 0, index["length"]
    ).astype(np.int64)

    @functools.lru_cache(maxsize=1024)  # windows are in order of series
    def phases(number: int) -> Floats:
        y = source.values[start[number] : start[number] + trained[number], 0].astype(np.float64)
        rows = np.flatnonzero(np.isfinite(y))
        sums = np.bincount(rows % season, weights=y[rows], minlength=season)
        counts = np.bincount(rows % season, minlength=season)
        found: Floats = np.where(counts > 0, sums / np.maximum(counts, 1), means[number])
        return found

    def forecast(batch: Batch) -> Tensor:
        series = (batch.series - 1).tolist()
        rows = batch.rows.numpy() - start[series]
        ahead = (rows[:, None] + np.arange(horizon)) % season
        every = [phases(number)[phase] for number, phase in zip(series, ahead, strict=True)]
        return torch.from_numpy(np.stack(every))

    return forecast


def quantile_models(
    problem: Problem, validation: Windows, source: Panel, classical: Classical | None = None
) -> dict[str, QuantileModel]:
    """Build the baselines by name, calibrated on the validation windows as the networks are.

    Those in `evaluation.floors`. `zero` is not calibrated, since calibration would make it another
    constant; it is left out if the training part has negative values.

    Args:
        classical: the Theta and ETS forecasts of the panel's series; without it these two are left
            out.
    """
    horizon, season = problem.data.horizon, problem.data.season_length
    context = problem.data.context_length

    def last_value(batch: Batch) -> Tensor:
        return naive(batch.window[:, 0, season:-horizon], horizon)

    def last_season(batch: Batch) -> Tensor:
        past = batch.window[:, 0, :-horizon]
        return seasonal_naive(past, horizon, season, fallback=last_value(batch))

    def line(batch: Batch) -> Tensor:
        return drift(batch.window[:, 0, -horizon - context : -horizon], horizon)

    def smoothed(name: str, batch: Batch) -> Tensor:
        assert classical is not None
        series = (batch.series - 1).numpy()
        return torch.from_numpy(classical.forecast(name, series, batch.rows.numpy()))

    points: dict[str, Callable[[Batch], Tensor]] = {
        "seasonal_naive": last_season,
        "naive": last_value,
        "drift": line,
        "seasonal_mean": seasonal_mean(source, horizon),
    }
    levels = problem.model.quantiles
    whole = source.schema.whole and problem.model.mean == "tweedie"
    target = Target(levels, source.schema.low, whole=whole)
    models: dict[str, QuantileModel] = {}
    for name in problem.evaluation.floors:
        if name in points:
            models[name] = _calibrated(points[name], target, validation, source)
        elif name == "zero" and target.low == 0:
            models[name] = functools.partial(_zero, horizon, len(levels))
        elif classical is not None and name in classical.names:
            some = validation.among(classical.chosen) if classical.sampled else validation
            models[name] = _calibrated(functools.partial(smoothed, name), target, some, source)
    return models


def _zero(horizon: int, levels: int, batch: Batch) -> Floats:
    return np.zeros((len(batch.series), horizon, levels + 1))


def _calibrated(
    point: Callable[[Batch], Tensor], target: Target, validation: Windows, source: Panel
) -> QuantileModel:
    def model(batch: Batch) -> Forecast:
        base = point(batch).double()
        return Forecast(base.new_zeros(*base.shape, 1), base, batch.scales[:, 1:].double())

    calibration = Calibration.none(len(source.index), validation.horizon, len(target.levels))
    if len(validation):  # of a sample of series there may be none
        residuals = collect(model, validation, target.transform)
        calibration = fit(residuals, target, len(source.index))

    def forecast(batch: Batch) -> Floats:
        return apply(model(batch), calibration, batch.series, target).numpy()

    return forecast
