"""Darts' BlockRNNModel, as its `fit` and `historical_forecasts` run it."""

from typing import Any

import meter
import numpy as np
import pandas as pd
import torch
from darts import TimeSeries
from darts.models import BlockRNNModel
from pytorch_lightning import Callback


def make(options: dict[str, Any], table: pd.DataFrame, trainer: dict[str, Any]) -> BlockRNNModel:
    """One LSTM over a series at a time, whose last state a linear layer turns into the horizon."""
    model = BlockRNNModel(
        input_chunk_length=meter.CONTEXT,
        output_chunk_length=meter.HORIZON,
        model="LSTM",
        hidden_dim=options["hidden"],
        n_rnn_layers=1,
        dropout=0.0,
        batch_size=options["batch"],
        n_epochs=10_000,
        loss_fn=torch.nn.L1Loss(),
        optimizer_kwargs={"lr": options["rate"]},
        use_reversible_instance_norm=options["normalise"],
        random_state=1,
        pl_trainer_kwargs=trainer,
    )
    names = [name for name in table.columns if name != "ds"]
    model.series = [
        TimeSeries.from_dataframe(table, "ds", name).astype(np.float32) for name in names
    ]
    return model


def fit(model: BlockRNNModel) -> None:
    """Train on the rows before validation."""
    model.fit([series[: meter.VALIDATION] for series in model.series])


def predict(model: BlockRNNModel, origins: int) -> meter.Floats:
    """Every test window, by the way that Darts has for it; its forecasts are TimeSeries."""
    first, last = meter.TEST - meter.CONTEXT, meter.TEST + origins + meter.HORIZON - 1
    forecasts = model.historical_forecasts(
        [series[first:last] for series in model.series],
        forecast_horizon=meter.HORIZON,
        retrain=False,
        last_points_only=False,
    )
    return np.stack([[one.values(copy=False)[:, 0] for one in each] for each in forecasts])


if __name__ == "__main__":
    meter.main(meter.Peer(Callback, make, fit, lambda model: model.model, predict))
