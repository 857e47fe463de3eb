"""Transforms of the target before a network reads it, undone with its forecast.

Box & Cox (1964), of 1 + y so that zero is allowed: ((1 + y)^λ − 1) / λ, which for λ = 0 is
log(1 + y). Quantiles are those of the transformed target, transformed back.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

LEAST = 0.05  # powers nearer to 0 are taken for 0
LARGEST = 1e30  # of a value transformed back; float32 has room for it and its square root's width


@dataclass(frozen=True)
class Transform:
    """The transform of a power; None is the identity, 0 the logarithm of 1 + y."""

    power: float | None = None

    def forward(self, y: Tensor) -> Tensor:
        """Transform values, which are at least 0; NaN stays."""
        if self.power is None:
            return y
        logs = elementwise(y.clamp(min=0), np.log1p, torch.log1p)
        if not self.power:
            return logs
        return elementwise(self.power * logs, np.expm1, torch.expm1) / self.power

    def inverse(self, values: Tensor) -> Tensor:
        """Undo it; what lies outside of its range is cut there."""
        if self.power is None:
            return values
        if self.power:
            inside = (self.power * values).clamp(min=-1 + 1e-6)
            values = elementwise(inside, np.log1p, torch.log1p) / self.power
        return elementwise(values.clamp(max=float(np.log(LARGEST))), np.expm1, torch.expm1)

    def slope(self, y: Tensor) -> Tensor:
        """Return the derivative at values in data units."""
        if self.power is None:
            return torch.ones_like(y)
        grown = 1 + y.clamp(min=0)
        if not self.power:
            return grown.reciprocal()
        logs = elementwise(grown, np.log, torch.log)
        return elementwise((self.power - 1) * logs, np.exp, torch.exp)


IDENTITY = Transform()


def elementwise(
    values: Tensor, of_numpy: Callable[..., object], of_torch: Callable[[Tensor], Tensor]
) -> Tensor:
    """Apply a function to each value: on the CPU NumPy's, whose bits no processor changes.

    torch's are those of MKL for some functions, and not the same on every processor.
    """
    if values.device.type != "cpu":
        return of_torch(values)
    return torch.as_tensor(of_numpy(values.double().numpy())).to(values.dtype)
