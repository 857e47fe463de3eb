"""Theta and exponential smoothing, estimated by statsmodels and run along whole series.

A forecast uses all earlier rows of its series and no others: the states are updated at every row,
and the parameters, season and line are estimated again at some rows, from the newest rows before
them. Estimates are rounded, so that they do not depend on the processor.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.model.smoother import Rows, Run, Smoother, run

NAMES = ("theta", "ets")
LEAST = 10  # values; below them lines and smoothing are mostly noise
ROWS = 1_000  # the newest rows, or three seasons, for an estimation
# Limit of the cost: parameters are estimated once for each series, and again where its past has
# grown by half; further estimations depend on this budget of rows, to which each estimation adds a
# fixed cost. For larger panels a random sample of series is used.
SERIES, TOTAL_ROWS = 128, 500_000
ESTIMATED_ROWS, ONE_ESTIMATION = 120_000, 500
MOST_ESTIMATIONS = 24  # of a series, evenly spaced
GROWN = 1.5
DIGITS = 3  # of what is estimated, in standard deviations of the rows


def fit_theta(known: Floats, season: int) -> tuple[Any, Any]:
    """Fit the theta method (Assimakopoulos & Nikolopoulos 2000): statsmodels' model and results.

    The season, if a test finds one, is removed first.

    Args:
        known: (steps,), none missing.
    """
    from statsmodels.tsa.forecasting.theta import ThetaModel  # here: it takes a second

    seasonal = season > 1 and len(known) >= 2 * season + 1
    with warnings.catch_warnings():  # the optimiser may not converge: near enough
        warnings.simplefilter("ignore")
        model = ThetaModel(known, period=season if seasonal else None, deseasonalize=seasonal)
        return model, model.fit()


def estimate(known: Floats, season: int, names: Iterable[str] = NAMES) -> dict[str, Smoother]:
    """Estimate the named methods; with few values or a constant, they repeat the last value.

    Args:
        known: (steps,), none missing, at least one.
    """
    names = list(names)
    if len(known) < LEAST or known.min() == known.max():
        return dict.fromkeys(names, Smoother(1.0, float(known[0])))
    theta = _theta(known, season)
    found = {"theta": theta}
    if "ets" in names:
        found["ets"] = _ets(known, theta)
    return {name: found[name] for name in names}


def _theta(known: Floats, season: int) -> Smoother:
    model, fitted = fit_theta(known, season)
    unit = float(np.std(known))
    slope, alpha = (float(value) for value in fitted.params)
    index: tuple[float, ...] = (0.0,)
    multiplied = False
    if model.deseasonalize:  # if requested; ones or zeros if no season was found
        ahead = np.asarray(fitted.forecast_components(season)["seasonal"], dtype=np.float64)
        multiplied = str(model.method).startswith("mul")
        index = _rounded(np.roll(ahead, len(known)), 1.0 if multiplied else unit)
    first = known[0] / index[0] if multiplied else known[0] - index[0]
    (slope,) = _rounded([slope / 2], unit / len(known))
    return Smoother(
        round(alpha, DIGITS), float(first), drift=slope, index=index, multiplied=multiplied
    )


def _ets(known: Floats, theta: Smoother) -> Smoother:
    """Fit level and damped trend (Gardner & McKenzie 1985; Hyndman et al. 2008), by least squares.

    The season is removed first, as in the theta method: multiplicative if all values are positive,
    and of any length; seasonal states would need too many parameters for long seasons.
    """
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    every = np.resize(np.array(theta.index), len(known))
    y = known / every if theta.multiplied else known - every
    centre, unit = float(y.mean()), float(y.std()) or 1.0
    (centre,), (unit,) = _rounded([centre], unit), _rounded([unit], unit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ExponentialSmoothing(
            (y - centre) / unit,
            trend="add",
            damped_trend=True,
            initialization_method="estimated",
        )
        found = model.fit().params
    if not np.isfinite([found["smoothing_level"], found["initial_level"]]).all():
        return theta
    alpha, beta, phi = (
        round(float(found[name]), DIGITS)
        for name in ("smoothing_level", "smoothing_trend", "damping_trend")
    )
    (level,), (slope,) = (
        _rounded([unit * found[name]], unit) for name in ("initial_level", "initial_trend")
    )
    return Smoother(
        alpha=alpha,
        beta=beta,
        phi=phi,
        level=centre + level,
        slope=slope,
        index=theta.index,
        multiplied=theta.multiplied,
    )


def _rounded(values: Any, unit: float) -> tuple[float, ...]:
    """Round values to DIGITS of a unit, which is rounded to a power of two."""
    unit = 2.0 ** np.floor(np.log2(unit)) if unit > 0 else 1.0
    return tuple((np.round(np.asarray(values) / unit, DIGITS) * unit).tolist())


# Of a series: the rows at which parameters are estimated, and for each of these rows the first row
# of the runs, and the runs by name.
Runs = tuple[Rows, list[tuple[int, dict[str, Run]]]]


@dataclass(frozen=True)
class Classical:
    """The runs of a panel's series, from its validation part on.

    Attributes:
        names: of the methods.
        chosen: whether each series is forecast: (series,).
        sampled: whether they are a sample.
        start: the row of `values` at which each series begins: (series,).
    """

    names: tuple[str, ...]
    horizon: int
    chosen: NDArray[np.bool_]
    sampled: bool
    start: Rows
    runs: Mapping[int, Runs] = field(repr=False)

    def forecast(self, name: str, series: Rows, origin: Rows) -> Floats:
        """Forecast windows of chosen series: (windows, horizon).

        Args:
            series: (windows,) from 0.
            origin: (windows,) the row of the panel's values at which each horizon begins.
        """
        found = np.empty((len(series), self.horizon))
        for number in np.unique(series).tolist():
            rows, runs = self.runs[number]
            here = np.flatnonzero(series == number)
            own = origin[here] - self.start[number]
            which = np.maximum(np.searchsorted(rows, own, side="right") - 1, 0)
            for used in np.unique(which).tolist():
                begin, by_name = runs[used]
                mine = which == used
                found[here[mine]] = by_name[name].forecast(own[mine] - begin, self.horizon)
        return found


@dataclass(frozen=True)
class Plan:
    """Which series of a panel are forecast, and how often their parameters are estimated.

    Attributes:
        taken: their numbers, ascending.
        sampled: whether they are a sample.
        first, last: the first and the last origin of every series: (series,).
        limit: the newest rows for an estimation.
        count: estimations of a series, besides those where its past has grown.
    """

    taken: tuple[int, ...]
    sampled: bool
    first: Rows
    last: Rows
    limit: int
    count: int


def plan(source: Panel, seed: int) -> Plan:
    """Choose the series of a panel, or a sample of them.

    Args:
        seed: of the sample.
    """
    index, schema = source.index, source.schema
    context, season = schema.data["context_length"], schema.data["season_length"]
    length = index["length"].to_numpy()
    first = np.maximum(context, schema.validation_step - index["first_step"].to_numpy())
    last = length - schema.data["horizon"]  # origins
    some = np.flatnonzero(first <= last)
    order = np.random.Generator(np.random.Philox(seed)).permutation(len(some))
    within = np.cumsum(length[some[order]]) <= TOTAL_ROWS
    taken = np.sort(some[order[: max(1, min(int(within.sum()), SERIES))]])
    limit = max(ROWS, 3 * season, context)
    cost = int((ONE_ESTIMATION + np.minimum(first[taken], limit)).sum())
    count = min(max(ESTIMATED_ROWS // max(cost, 1), 1), MOST_ESTIMATIONS)
    return Plan(tuple(taken.tolist()), len(taken) < len(some), first, last, limit, count)


def run_series(source: Panel, chosen: Plan, names: tuple[str, ...], number: int) -> Runs:
    """Estimate and run the methods along one series."""
    start, length = (int(source.index[key].iloc[number]) for key in ("start", "length"))
    y = source.values[start : start + length, 0].astype(np.float64)
    first, end = int(chosen.first[number]), int(chosen.last[number]) + 1
    rows, season = _schedule(first, end, chosen.count), source.schema.data["season_length"]
    parts = [
        _part(y, at, until, chosen.limit, season, names)
        for at, until in zip(rows.tolist(), [*rows[1:].tolist(), end], strict=True)
    ]
    return rows, parts


def gather(
    source: Panel, chosen: Plan, names: tuple[str, ...], runs: Mapping[int, Runs]
) -> Classical:
    """Join the runs of the series that a plan has taken."""
    taken = np.isin(np.arange(len(source.index)), chosen.taken)
    start = source.index["start"].to_numpy()
    return Classical(names, source.schema.data["horizon"], taken, chosen.sampled, start, runs)


def _schedule(first: int, end: int, count: int) -> Rows:
    """Return the `count` rows before which parameters are estimated, at growing distances."""
    growing = first * GROWN ** np.arange(1 + np.log(end / first) / np.log(GROWN))
    rows = np.r_[np.linspace(first, end, count, endpoint=False), growing[growing < end]]
    return np.unique(rows.astype(np.int64))


def _part(
    y: Floats, at: int, end: int, limit: int, season: int, names: tuple[str, ...]
) -> tuple[int, dict[str, Run]]:
    """Estimate from the rows before `at`, and run up to `end`; also return the runs' first row."""
    # A window has a value in its context: if there is none before `at`, it begins after the first.
    known = np.flatnonzero(np.isfinite(y[:end]) & (np.arange(end) >= at - limit))
    begin = int(known[0]) if len(known) else 0
    history: Floats = pd.Series(y[begin : max(at, begin + 1)]).interpolate().to_numpy()
    smoothers = estimate(history, season, names)
    return begin, {name: run(smoother, y[begin:end]) for name, smoother in smoothers.items()}
