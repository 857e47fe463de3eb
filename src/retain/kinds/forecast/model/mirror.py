"""Mirrored windows, so that a network on a base learns no drift that all series share.

All series of a table cover the same time. What they did together in the training part, such as a
decline, a network would learn as a rule, and the folds that judge it cover the same time. So each
training window is mirrored with probability ½, that is, its signs are reversed. A forecast is the
mean of the forecast of a window and that of its mirror image with the sign reversed back: an odd
function of the input.

A long table is long enough to separate a rule from chance, and there hour, weekday and season have
effects that an odd function cannot represent: its windows are not mirrored.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from retain.kinds.forecast.config import Model
from retain.kinds.forecast.data import calendars
from retain.kinds.forecast.data.panel import Schema
from retain.kinds.forecast.model.base import CHANNELS, SIGNED, OnBase, mixed
from retain.kinds.forecast.model.segrnn import Normalised

LONG = 300  # horizons; the sample, with 1,700, has a 3 % smaller validation error without mirrors


class Mirror:
    """How the windows of a schema are mirrored.

    They are not mirrored if the table is long, or the quantiles are not symmetric.

    The signs of target, changes, errors, experts and covariates are reversed. Time features such as
    the hour of the day and the day of the year are not.
    """

    def __init__(self, model: Model, schema: Schema):
        levels = model.quantiles
        self.own_mean = model.mean == "tweedie"
        symmetric = all(
            abs(low + high - 1) < 1e-9 for low, high in zip(levels, reversed(levels), strict=True)
        )
        self.used = symmetric and schema.steps < LONG * schema.data["horizon"]
        named = schema.columns[1:]
        clock = calendars.feature_names(schema.frequency, True, None)
        turned = [name not in clock for name in named]
        self._context = torch.tensor(
            [True] * SIGNED + [False] * (CHANNELS - SIGNED) + turned, dtype=torch.bool
        )
        self._future = torch.tensor(turned[schema.past :], dtype=torch.bool)

    def forecast(self, network: Callable[[Normalised], Tensor], window: Normalised) -> Tensor:
        """Forecast windows on a base, (batch, horizon, outputs); in training as drawn."""
        on_base = window.on_base
        assert on_base is not None
        if not self.used:
            return self._mixed(network(window), on_base)
        count = window.base.shape[0]
        if torch.is_grad_enabled() and getattr(network, "training", False):
            signs = torch.randint(0, 2, (count, 1, 1), device=window.base.device) * 2.0 - 1.0
            return self._turned(network, window, signs)
        ones = window.base.new_ones(count, 1, 1)
        values = [self._turned(network, window, sign * ones) for sign in (1.0, -1.0)]
        both = (values[0] + values[1]) / 2
        return torch.cat([both[..., :-1], values[0][..., -1:]], -1) if self.own_mean else both

    def _mixed(self, values: Tensor, on_base: OnBase) -> Tensor:
        """As `mixed`; what a network says of a mean of its own stays."""
        if not self.own_mean:
            return mixed(values, on_base)
        return torch.cat([mixed(values[..., :-1], on_base), values[..., -1:]], dim=-1)

    def _turned(
        self, network: Callable[[Normalised], Tensor], window: Normalised, signs: Tensor
    ) -> Tensor:
        """Forecast windows multiplied by signs, (batch, 1, 1), and turn the forecast back."""
        on_base = window.on_base
        assert on_base is not None
        context = self._context.to(signs.device)
        experts = on_base.distances.shape[1]
        future = torch.cat([self._future, torch.ones(experts, dtype=torch.bool)]).to(signs.device)
        turned = window._replace(
            context=window.context * torch.where(context, signs, 1.0),
            future=window.future * torch.where(future, signs, 1.0),
        )
        said = network(turned)
        values = self._mixed(said, on_base._replace(distances=on_base.distances * signs))
        if not self.own_mean:
            return torch.where(signs > 0, values, -values.flip(-1))
        quantiles, own = values[..., :-1], values[..., -1:]
        quantiles = torch.where(signs > 0, quantiles, -quantiles.flip(-1))
        # What is upside down has no mean to learn.
        return torch.cat([quantiles, torch.where(signs > 0, own, torch.nan)], dim=-1)
