"""LightGBM by way of mlforecast, on given windows, trained anew for each fold."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import windows
from lightgbm import LGBMRegressor
from mlforecast import MLForecast
from mlforecast.lag_transforms import RollingMean
from mlforecast.target_transforms import Differences, LocalStandardScaler

MOST_LAGS = 28
FEW = 300  # rows, up to which a handful of lags does better than one for each step of a season


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
        wanted = {1, 2, 3, problem.season}
        if len(train) > FEW:
            wanted |= {*range(1, min(problem.season, MOST_LAGS) + 1), 4, 2 * problem.season}
        lags = sorted(lag for lag in wanted if lag <= max(most, 1))
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
            "LightGBM": partial(boosted, False, False),
            "LightGBM, d 1": partial(boosted, False, True),
            "LightGBM, d season": partial(boosted, True, False),
            "LightGBM, d 1 and season": partial(boosted, True, True),
        }
    )
