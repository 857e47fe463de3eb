"""The public data sets of the accuracy benchmark, as long tables, and the metrics of their papers.

ETTh1: Zhou et al. 2021 (Informer), github.com/zhouhaoyi/ETDataset.
M4 Hourly: Makridakis et al. 2020, github.com/Mcompetitions/M4-methods.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# The published split of ETTh1: 12, 4 and 4 months of 30 days.
TRAIN, VALIDATION, TEST = 8640, 11520, 14400
M4_HORIZON, M4_SEASON = 48, 24
M4_END = pd.Timestamp("2020-01-01")  # the real dates are not published with the data


def read(folder: Path, name: str) -> pd.DataFrame:
    """A CSV file of the folder; ends the program with what to do where there is none."""
    path = folder / name
    if not path.is_file():
        raise SystemExit(f"{path} does not exist: fetch it from its authors, or give --data FOLDER")
    return pd.read_csv(path)


def etth1(folder: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """ETTh1 as seven series, standardised by the training part, and its split."""
    table = read(folder, "ETTh1.csv").iloc[:TEST]
    values = table.drop(columns="date")
    train = values.iloc[:TRAIN]
    values = (values - train.mean()) / train.std(ddof=0)
    long = values.assign(ds=table["date"]).melt("ds", var_name="unique_id", value_name="y")
    split = {"validation": table["date"][TRAIN], "test": table["date"][VALIDATION]}
    return long, split


def m4_hourly(folder: Path) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """The 414 series of M4 Hourly before the forecast, and the 48 values to forecast."""
    parts = []
    for part in ("train", "test"):
        rows = read(folder, f"Hourly-{part}.csv").set_index("V1")
        parts.append(
            {
                str(name): row[~np.isnan(row)]
                for name, row in zip(rows.index, rows.to_numpy(float), strict=True)
            }
        )
    return parts[0], parts[1]


def m4_long(
    train: dict[str, Floats], test: dict[str, Floats]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """M4 Hourly as one table whose series end together, and its split: two days, then the test."""
    whole = {name: np.concatenate([train[name], test[name]]) for name in train}
    parts = [
        pd.DataFrame({
            "unique_id": name,
            "ds": pd.date_range(end=M4_END, periods=len(y) + 1, freq="h", inclusive="left"),
            "y": y,
        })
        for name, y in whole.items()
    ]  # fmt: skip
    step = pd.Timedelta(hours=M4_HORIZON)
    return pd.concat(parts), {"validation": str(M4_END - 2 * step), "test": str(M4_END - step)}


def m4_scores(
    forecasts: dict[str, Floats], train: dict[str, Floats], test: dict[str, Floats]
) -> tuple[float, float]:
    """sMAPE in percent and MASE of the competition, means over all series."""
    smape, mase = [], []
    for name, truth in test.items():
        error = np.abs(truth - forecasts[name])
        smape.append(np.mean(200 * error / (np.abs(truth) + np.abs(forecasts[name]))))
        past = train[name]
        mase.append(error.mean() / np.abs(past[M4_SEASON:] - past[:-M4_SEASON]).mean())
    return float(np.mean(smape)), float(np.mean(mase))


def naive2(past: Floats, horizon: int = M4_HORIZON, season: int = M4_SEASON) -> Floats:
    """The competition's benchmark: the naive forecast of the seasonally adjusted series.

    Multiplicative classical decomposition, where the autocorrelation at one season passes a test.
    """
    centred = past - past.mean()
    square = centred @ centred
    correlations = np.array([centred[lag:] @ centred[:-lag] for lag in range(1, season + 1)])
    correlations /= square
    limit = 1.645 * np.sqrt((1 + 2 * (correlations[:-1] ** 2).sum()) / len(past))
    if abs(correlations[-1]) <= limit:
        return np.full(horizon, past[-1])
    trend = pd.Series(past).rolling(season).mean().rolling(2).mean().shift(-season // 2).to_numpy()
    ratios = past / trend
    factors = np.array([np.nanmean(ratios[phase::season]) for phase in range(season)])
    factors /= factors.mean()
    level = past[-1] / factors[(len(past) - 1) % season]
    ahead: Floats = level * factors[(len(past) + np.arange(horizon)) % season]
    return ahead
