"""Transforms of the target before a network reads it, inverted for its forecast.

Box & Cox (1964), of 1 + y so that zero is allowed: ((1 + y)^λ − 1) / λ, which for λ = 0 is
log(1 + y). Quantiles are those of the transformed target, transformed back.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

LEAST = 0.05  # powers nearer to 0 count as 0
LARGEST = 1e30  # limit of a value transformed back, within the range of float32


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
        """Invert the transform; values outside its range are clipped."""
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
    """Apply a function to each value; on the CPU with NumPy, which gives the same bits everywhere.

    For some functions torch uses MKL, whose bits depend on the processor.
    """
    if torch.compiler.is_exporting():  # a graph has no NumPy in it, but can have its precision
        return of_torch(values.double()).to(values.dtype)
    if values.device.type != "cpu":
        return of_torch(values)
    return torch.as_tensor(of_numpy(values.double().numpy())).to(values.dtype)
