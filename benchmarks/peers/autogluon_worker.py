"""AutoGluon's preset `fast_training` on given windows, fitted anew for each fold."""

import os
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"  # before it is read, at the import; nothing is downloaded

import numpy as np
import windows
from autogluon.timeseries import TimeSeriesDataFrame, TimeSeriesPredictor
from joblib.externals.loky import get_reusable_executor

WEIGHTS = ["Chronos", "Chronos2", "Toto"]  # would be downloaded, and have seen such tables


def fast_training(problem: windows.Problem) -> tuple[tuple[float, ...], windows.Floats]:
    """Its ensemble; what of it is a model of one series is fitted again to each window."""
    shape = len(problem.series), problem.horizon, len(windows.DECILES)
    forecasts = np.full(shape, np.nan)
    for fold, begin in enumerate(problem.begins):
        with tempfile.TemporaryDirectory() as folder:
            predictor = TimeSeriesPredictor(
                prediction_length=problem.horizon,
                target="y",
                freq=problem.frequency,
                eval_metric="MASE",
                quantile_levels=list(windows.DECILES),
                path=folder,
                verbosity=0,
            )
            train = TimeSeriesDataFrame.from_data_frame(
                problem.until(begin), id_column="unique_id", timestamp_column="ds"
            )
            predictor.fit(
                train, presets="fast_training", random_seed=1, excluded_model_types=WEIGHTS
            )
            for numbers in problem.chunks(fold):
                known = TimeSeriesDataFrame.from_data_frame(
                    problem.histories(numbers), id_column="unique_id", timestamp_column="ds"
                )
                ahead = predictor.predict(known, use_cache=False).loc[numbers.tolist()]
                columns = [str(level) for level in windows.DECILES]
                forecasts[numbers] = ahead[columns].to_numpy().reshape(-1, *shape[1:])
    get_reusable_executor().shutdown(wait=True)  # their CPU seconds are counted once they end
    return windows.DECILES, forecasts


if __name__ == "__main__":
    windows.main({"AutoGluon": fast_training})
