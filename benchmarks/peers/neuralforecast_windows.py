"""NHITS and LSTM of neuralforecast on given windows, trained anew for each fold."""

import logging
from functools import partial
from typing import Any

import numpy as np
import torch
import windows
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import MQLoss
from neuralforecast.models import LSTM, NHITS

# The library's own settings but these: what it says of itself takes a GPU, or an hour.
STEPS = {NHITS: 500, LSTM: 300}
OWN: dict[Any, dict[str, Any]] = {
    NHITS: {"windows_batch_size": 64},
    LSTM: {
        "encoder_n_layers": 1,
        "encoder_hidden_size": 64,
        "decoder_hidden_size": 64,
        "windows_batch_size": 64,
    },
}


def neural(make: Any, problem: windows.Problem) -> tuple[tuple[float, ...], windows.Floats]:
    """One network for all series, with the deciles as its output."""
    shape = len(problem.series), problem.horizon, len(windows.DECILES)
    forecasts = np.full(shape, np.nan)
    for fold, begin in enumerate(problem.begins):
        train = problem.until(begin)
        longest = int(train.groupby("unique_id")["y"].size().median()) - problem.horizon
        context = max(2, min(max(2 * problem.horizon, problem.season), longest // 2))
        model = make(
            h=problem.horizon,
            input_size=context,
            loss=MQLoss(quantiles=list(windows.DECILES)),
            max_steps=STEPS[make],
            scaler_type="standard",
            start_padding_enabled=True,
            random_seed=1,
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **OWN[make],
        )
        network = NeuralForecast(models=[model], freq=problem.frequency)
        network.fit(train, val_size=0)
        for numbers in problem.chunks(fold, 5000):
            ahead = network.predict(df=problem.histories(numbers, context))
            ahead = ahead.sort_values(["unique_id", "ds"]).drop(columns=["unique_id", "ds"])
            forecasts[numbers] = ahead.to_numpy().reshape(-1, *shape[1:])
    return windows.DECILES, forecasts


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    windows.main({"NHITS": partial(neural, NHITS), "LSTM (neuralforecast)": partial(neural, LSTM)})
