"""Array types for code that computes with NumPy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Dates = NDArray[np.datetime64]
