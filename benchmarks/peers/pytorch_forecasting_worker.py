"""pytorch-forecasting's RecurrentNetwork, as Lightning's Trainer and its `predict` run it."""

from typing import Any

import meter
import numpy as np
import pandas as pd
from lightning.pytorch import Callback, Trainer
from pytorch_forecasting import RecurrentNetwork, TimeSeriesDataSet
from pytorch_forecasting.data import EncoderNormalizer
from pytorch_forecasting.data.encoders import TorchNormalizer
from pytorch_forecasting.metrics import MAE


def make(options: dict[str, Any], table: pd.DataFrame, trainer: dict[str, Any]) -> RecurrentNetwork:
    """An LSTM that reads, and goes on step by step through the horizon."""
    long = table.assign(step=np.arange(len(table))).drop(columns="ds")
    long = long.melt("step", var_name="series", value_name="y")
    normaliser = EncoderNormalizer() if options["normalise"] else TorchNormalizer("identity")
    train = TimeSeriesDataSet(
        long[long["step"] < meter.VALIDATION],
        time_idx="step",
        target="y",
        group_ids=["series"],
        max_encoder_length=meter.CONTEXT,
        min_encoder_length=meter.CONTEXT,
        max_prediction_length=meter.HORIZON,
        min_prediction_length=meter.HORIZON,
        time_varying_unknown_reals=["y"],
        target_normalizer=normaliser,
    )
    model = RecurrentNetwork.from_dataset(
        train,
        cell_type="LSTM",
        hidden_size=options["hidden"],
        rnn_layers=1,
        dropout=0.0,
        loss=MAE(),
        logging_metrics=[],
        learning_rate=options["rate"],
        optimizer="adam",
        log_interval=-1,
    )
    # Not attributes of the module: what Lightning finds there it would take for its own.
    model.__dict__["bench"] = {
        "trainer": trainer,
        "train": train,
        "long": long,
        "batch": options["batch"],
        "names": list(table.columns.drop("ds")),
        "test": {},
    }
    return model


def fit(model: RecurrentNetwork) -> None:
    """Train on the rows before validation."""
    own = model.bench
    loader = own["train"].to_dataloader(train=True, batch_size=own["batch"], num_workers=0)
    Trainer(**own["trainer"]).fit(model, loader)


def predict(model: RecurrentNetwork, origins: int) -> meter.Floats:
    """Every test window by `predict`; the data set, which is costly to make, is made once."""
    own = model.bench
    if origins not in own["test"]:
        last = meter.TEST + origins + meter.HORIZON - 1
        steps = own["long"]["step"]
        rows = own["long"][(steps >= meter.TEST - meter.CONTEXT) & (steps < last)]
        own["test"][origins] = TimeSeriesDataSet.from_dataset(
            own["train"], rows, stop_randomization=True
        )
    loader = own["test"][origins].to_dataloader(train=False, batch_size=own["batch"], num_workers=0)
    quiet = {key: own["trainer"][key] for key in own["trainer"] if key.startswith("enable")}
    answer = model.predict(
        loader,
        return_index=True,
        trainer_kwargs={"accelerator": "cpu", "devices": 1, "logger": False, **quiet},
    )
    values = np.asarray(answer.output).reshape(-1, meter.HORIZON)
    order = answer.index.assign(series=answer.index["series"].map(own["names"].index))
    rows = order.sort_values(["series", "step"]).index
    return values[rows].reshape(len(own["names"]), origins, meter.HORIZON)


if __name__ == "__main__":
    meter.main(meter.Peer(Callback, make, fit, lambda model: model, predict))
