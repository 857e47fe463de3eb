"""Forecasts that need no training: the floor under every network, and part of its input.

All take windows of past values, NaN where missing, newest last: (batch, steps), and answer with
(batch, horizon). See Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 5.2.
"""

import torch
from torch import Tensor


def last_observed(past: Tensor) -> Tensor:
    """The last value of each row that is not missing, (batch, 1); NaN where all are.

    >>> last_observed(torch.tensor([[1.0, 2.0, float("nan")]]))
    tensor([[2.]])
    """
    steps = torch.arange(past.shape[1], device=past.device)
    newest = torch.where(past.isfinite(), steps, -1).amax(dim=1, keepdim=True)
    return past.gather(1, newest.clamp(min=0))


def naive(past: Tensor, horizon: int) -> Tensor:
    """The last observed value, for ever.

    >>> naive(torch.tensor([[3.0, 5.0]]), horizon=2)
    tensor([[5., 5.]])
    """
    return last_observed(past).expand(-1, horizon)


def seasonal_naive(past: Tensor, horizon: int, season: int, fallback: Tensor) -> Tensor:
    """The value of the last season; if missing, of the one before, and so on; then `fallback`.

    >>> past = torch.tensor([[1.0, 2.0, 3.0, float("nan")]])
    >>> seasonal_naive(past, horizon=3, season=2, fallback=torch.tensor([[9.0]]))
    tensor([[3., 2., 3.]])
    """
    ahead = torch.arange(horizon, device=past.device)
    at = past.shape[1] + ahead - season * (ahead // season + 1)  # the newest of the same phase
    base = torch.full((len(past), horizon), float("nan"), device=past.device)
    while bool((at >= 0).any()) and not bool(base.isfinite().all()):
        older = torch.where(at >= 0, past[:, at.clamp(min=0)], float("nan"))
        base = torch.where(base.isfinite(), base, older)
        at = at - season
    return torch.where(base.isfinite(), base, fallback)


def nearest_season(past: Tensor, horizon: int, seasons: tuple[int, ...], recent: int) -> Tensor:
    """Which of `seasons` has repeated itself best in each row: its place among them, (batch,).

    Measured on the newest `recent` steps, at the shortest and the longest distance at which the
    seasonal-naive forecast repeats a value; a season that shows no pair of values comes last.

    >>> past = torch.tensor([[1.0, 2.0, 1.0, 2.0], [1.0, 2.0, 3.0, 1.0]])
    >>> nearest_season(past, horizon=1, seasons=(2, 3), recent=4)
    tensor([0, 1])
    """
    errors = []
    for season in seasons:
        lags = (season, season * -(-horizon // season))
        apart = [past[:, lag:] - past[:, : max(past.shape[1] - lag, 0)] for lag in lags]
        each = [part[:, -recent:].abs().nanmean(1) for part in apart if part.shape[1]]
        errors.append(torch.stack(each).mean(0) if each else past.new_full((len(past),), torch.nan))
    return torch.stack(errors).nan_to_num(nan=float("inf"), posinf=float("inf")).argmin(0)


def drift(past: Tensor, horizon: int) -> Tensor:
    """The line through the first and the last observed value, continued.

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
