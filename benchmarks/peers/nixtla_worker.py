"""AutoETS, theta and MSTL of statsforecast, and LightGBM by way of mlforecast, on given windows."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import windows
from lightgbm import LGBMRegressor
from mlforecast import MLForecast
from mlforecast.lag_transforms import RollingMean
from mlforecast.target_transforms import Differences, LocalStandardScaler
from statsforecast.models import MSTL, AutoETS, DynamicOptimizedTheta

FITS = 200  # of one model to one table, about; between them it is updated with the rows since
LEVELS = (20, 40, 60, 80)  # central intervals, whose ends are deciles
MOST_LAGS = 28


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


def week(times: pd.DatetimeIndex) -> Any:
    """The week of the year."""
    return times.isocalendar().week.to_numpy().astype(int)


def calendar(frequency: str) -> list[Any]:
    """Date features by the frequency."""
    name = frequency.partition("-")[0]
    if name in ("D", "B"):
        return ["dayofweek", "month"]
    if name == "W":
        return [week]
    if name in ("MS", "ME", "M"):
        return ["month"]
    if name in ("QS", "QE", "Q"):
        return ["quarter"]
    return [] if name.startswith("Y") else ["hour", "dayofweek"]


def boosted(
    seasonal: bool, first: bool, problem: windows.Problem
) -> tuple[tuple[float, ...], windows.Floats]:
    """One LightGBM for all series, of differences to the season before, the step before, both."""
    differences = [1] * first + [problem.season] * (seasonal and problem.season > 1)
    forecasts = np.full((len(problem.series), problem.horizon, 1), np.nan)
    for fold, begin in enumerate(problem.begins):
        train = problem.until(begin)
        lengths = train.groupby("unique_id")["y"].size()
        # Rows that are lost to lags and differences teach nothing: a third of them at most.
        most = int((lengths.median() - sum(differences)) // 3)
        wanted = {*range(1, min(problem.season, MOST_LAGS) + 1), 1, 2, 3, 4, problem.season}
        lags = sorted(lag for lag in {*wanted, 2 * problem.season} if lag <= max(most, 1))
        window = min(max(problem.season if problem.season <= 12 else 4, 2), max(most, 1))
        long_enough = lengths.index[lengths > sum(differences) + max(lags[-1], window)]
        changes: list[Any] = [Differences(differences)] if differences else []
        model = MLForecast(
            models={
                "lightgbm": LGBMRegressor(
                    objective="l1",
                    n_estimators=300,
                    learning_rate=0.05,
                    n_jobs=1,
                    random_state=1,
                    verbosity=-1,
                )
            },
            freq=problem.frequency,
            lags=lags,
            lag_transforms={1: [RollingMean(window, min_samples=1)]},
            date_features=calendar(problem.frequency),
            target_transforms=[*changes, LocalStandardScaler()],
        )
        model.fit(train[train["unique_id"].isin(long_enough)], static_features=[])
        for numbers in problem.chunks(fold):
            usable = [n for n in numbers if len(problem.history(n)) > sum(differences) + 1]
            if not usable:
                continue
            ahead = model.predict(problem.horizon, new_df=problem.histories(np.array(usable)))
            ahead = ahead.sort_values(["unique_id", "ds"])
            forecasts[usable, :, 0] = ahead["lightgbm"].to_numpy().reshape(-1, problem.horizon)
    return (0.5,), forecasts


if __name__ == "__main__":
    windows.main(
        {
            "AutoETS": partial(classical, AutoETS),
            "theta": partial(classical, DynamicOptimizedTheta),
            "MSTL": partial(classical, MSTL),
            "LightGBM": partial(boosted, False, False),
            "LightGBM, d 1": partial(boosted, False, True),
            "LightGBM, d season": partial(boosted, True, False),
            "LightGBM, d 1 and season": partial(boosted, True, True),
        }
    )
