"""neuralforecast's LSTM, as NeuralForecast's `fit` and `cross_validation` run it."""

from typing import Any

import meter
import numpy as np
import pandas as pd
from neuralforecast.losses.pytorch import MAE
from neuralforecast.models import LSTM
from neuralforecast.tsdataset import TimeSeriesDataset
from pytorch_lightning import Callback


def make(options: dict[str, Any], table: pd.DataFrame, trainer: dict[str, Any]) -> LSTM:
    """One LSTM, and the two layers that neuralforecast decodes with."""
    model = LSTM(
        h=meter.HORIZON,
        input_size=meter.CONTEXT,
        encoder_n_layers=1,
        encoder_hidden_size=options["hidden"],
        decoder_hidden_size=options["hidden"],
        loss=MAE(),
        learning_rate=options["rate"],
        batch_size=table.shape[1] - 1,  # series in a batch; windows are drawn from all of them
        windows_batch_size=options["batch"],
        inference_windows_batch_size=options["batch"],
        scaler_type="standard" if options["normalise"] else "identity",
        random_seed=1,
        **trainer,
    )
    model.long = table.melt("ds", var_name="unique_id", value_name="y")
    return model


def dataset(model: LSTM, end: int) -> TimeSeriesDataset:
    """The first `end` rows of every series."""
    rows = model.long.groupby("unique_id").head(end)
    return TimeSeriesDataset.from_df(rows)[0]


def fit(model: LSTM) -> None:
    """Train on the rows before validation."""
    model.fit(dataset(model, meter.VALIDATION))


def predict(model: LSTM, origins: int) -> meter.Floats:
    """Every test window, by the call that `cross_validation` makes."""
    size = origins + meter.HORIZON - 1
    model.set_test_size(size)
    values = model.predict(dataset(model, meter.TEST + size), step_size=1)
    ordered = np.asarray(values).reshape(-1, origins, meter.HORIZON)  # series by name
    names = sorted(model.long["unique_id"].unique())
    wanted = list(dict.fromkeys(model.long["unique_id"]))
    return ordered[[names.index(name) for name in wanted]]


if __name__ == "__main__":
    meter.main(meter.Peer(Callback, make, fit, lambda model: model, predict))
