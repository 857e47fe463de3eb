"""Forecasts of series that a network cannot forecast, by methods that need only their values.

Quantiles are those of the normal prediction intervals of each method: Hyndman & Athanasopoulos,
Forecasting: Principles and Practice, 5.5, for the naive ones; Hyndman & Billah 2003 for theta.
"""

import warnings
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pandas as pd

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.model import classical

Forecast = tuple[Floats, Floats]  # mean and standard deviation of each step ahead


def fill(
    past: Floats, steps: int, season: int, levels: tuple[float, ...], method: str
) -> tuple[Floats, str] | None:
    """Forecast one series.

    Args:
        past: its values, (steps,), NaN where missing; the first and the last are not.
        steps: number of steps to forecast.
        season: its length in steps, 1 if there is none.
        levels: of the quantiles.
        method: `theta` or `seasonal_naive`; a series that is too short for it gets `naive`.

    Returns:
        Quantiles, (steps, levels), and the method; None where there are fewer than two values.
    """
    if np.isfinite(past).sum() < 2:
        return None
    known: Floats = pd.Series(past).interpolate().to_numpy()
    chosen, used = _method(known, season, method)
    mean, deviation = chosen(known, steps, season)
    normal = np.array([NormalDist().inv_cdf(level) for level in levels])
    return mean[:, None] + deviation[:, None] * normal, used


def _method(
    known: Floats, season: int, method: str
) -> tuple[Callable[[Floats, int, int], Forecast], str]:
    if method == "theta" and len(known) >= classical.LEAST and known.min() < known.max():
        return theta, "theta"
    if method == "seasonal_naive" and len(known) > season + 1:
        return seasonal_naive, "seasonal_naive"
    return naive, f"naive, {len(known)} steps being too few for {method}"


def theta(known: Floats, steps: int, season: int) -> Forecast:
    """Forecast by the theta method, as `classical.fit_theta` fits it.

    The variance is that of exponential smoothing with drift, σ² (1 + (h − 1) α²) (Hyndman & Billah
    2003).
    """
    model, fitted = classical.fit_theta(known, season)
    mean = np.asarray(fitted.forecast(steps), dtype=np.float64)
    with warnings.catch_warnings():  # the variance is estimated on first use
        warnings.simplefilter("ignore")
        variance = max(float(fitted.sigma2), 0.0)
    alpha = float(fitted.params.iloc[1])
    deviation = np.sqrt(variance * (1 + np.arange(steps) * alpha**2))
    if model.deseasonalize and str(model.method).startswith("mul"):
        deviation *= np.abs(np.asarray(fitted.forecast_components(steps)["seasonal"]))
    return mean, deviation


def seasonal_naive(known: Floats, steps: int, season: int) -> Forecast:
    """Repeat the last season; σ² is that of its past errors, and is added for each season."""
    ahead = np.arange(steps)
    error = np.sqrt(np.mean((known[season:] - known[:-season]) ** 2))
    return known[len(known) - season + ahead % season], error * np.sqrt(1 + ahead // season)


def naive(known: Floats, steps: int, season: int) -> Forecast:
    """Repeat the last value; σ² is that of the past changes, and is added for each step."""
    return seasonal_naive(known, steps, season=1)
