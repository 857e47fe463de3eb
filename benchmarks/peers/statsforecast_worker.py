"""AutoETS, DynamicOptimizedTheta and MSTL of statsforecast, on given windows."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import windows
from statsforecast.models import MSTL, AutoETS, DynamicOptimizedTheta

FITS = 200  # of one model to one table, about; between them it is updated with the rows since
LEVELS = (20, 40, 60, 80)  # central intervals, whose ends are deciles


def classical(
    make: Callable[..., Any], problem: windows.Problem
) -> tuple[tuple[float, ...], windows.Floats]:
    """Fit each series by itself, at the beginning of each fold and then every few origins."""
    stride = max(1, -(-len(problem.series) // FITS))
    shape = len(problem.series), problem.horizon, len(windows.DECILES)
    forecasts, fitted = np.full(shape, np.nan), (-1, -1, 0)
    for window in np.lexsort((problem.step, problem.series)).tolist():
        series, fold, step = (
            int(of[window]) for of in (problem.series, problem.fold, problem.step)
        )
        y = problem.history(window).astype(np.float64)
        try:
            if fitted[:2] != (series, fold) or step - fitted[2] >= stride:
                model, fitted = make(season_length=problem.season), (series, fold, step)
                model.fit(y)
            found = model.forward(y, h=problem.horizon, level=list(LEVELS))
        except Exception as error:  # too short for the model, or a fit that ends nowhere
            print(f"series {series}, step {step}: {error}", flush=True)
            continue
        lower = [found[f"lo-{level}"] for level in reversed(LEVELS)]
        upper = [found[f"hi-{level}"] for level in LEVELS]
        forecasts[window] = np.stack([*lower, found["mean"], *upper], axis=1)
    return windows.DECILES, forecasts


if __name__ == "__main__":
    windows.main(
        {
            "AutoETS": partial(classical, AutoETS),
            "theta": partial(classical, DynamicOptimizedTheta),
            "MSTL": partial(classical, MSTL),
        }
    )
