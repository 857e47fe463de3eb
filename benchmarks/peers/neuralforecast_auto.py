"""neuralforecast's AutoLSTM with Optuna on given windows: searched on the first fold.

Its name says how many trials: `AutoLSTM 40`. The search space is its own, but for the length of a
training, and for contexts longer than the longest series, which are cut to it. The environment
variable VALIDATION has the steps of the validation part.
"""

import logging
import os
import sys
from functools import partial
from typing import Any

import numpy as np
import optuna
import torch
import windows
from neuralforecast import NeuralForecast
from neuralforecast.auto import AutoLSTM
from neuralforecast.losses.pytorch import MQLoss
from neuralforecast.models import LSTM

STEPS = 300  # its own choice is 500 or 1000
FIXED: dict[str, Any] = {
    "max_steps": STEPS,
    "windows_batch_size": 64,
    "start_padding_enabled": True,
    "accelerator": "cpu",
    "devices": 1,
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def auto(trials: int, problem: windows.Problem) -> tuple[tuple[float, ...], windows.Floats]:
    """Search on what precedes the test part, its last part for validation; then train each fold."""
    own = AutoLSTM.get_default_config(h=problem.horizon, backend="optuna")

    before = problem.until(problem.begins[0])
    lengths = before.groupby("unique_id")["y"].size()

    def config(trial: optuna.Trial) -> dict[str, Any]:
        drawn = own(trial)
        size = drawn["input_size"]  # the list of them, where AutoLSTM looks at its space
        size = size if isinstance(size, list) else min(size, int(lengths.max()))
        return drawn | FIXED | {"input_size": size}

    loss = MQLoss(quantiles=list(windows.DECILES))
    search = AutoLSTM(
        h=problem.horizon,
        loss=loss,
        config=config,
        search_alg=optuna.samplers.TPESampler(seed=1),
        num_samples=trials,
        backend="optuna",
    )
    part = int(os.environ["VALIDATION"])
    network = NeuralForecast(models=[search], freq=problem.frequency)
    network.fit(before, val_size=min(part, int(lengths.min()) // 3))
    best = network.models[0].results.best_trial.user_attrs["ALL_PARAMS"]
    print(f"best: {best}", file=sys.stderr)
    shape = len(problem.series), problem.horizon, len(windows.DECILES)
    forecasts = np.full(shape, np.nan)
    for fold, begin in enumerate(problem.begins):
        settings = {**best, "loss": loss, "h": problem.horizon}
        settings.pop("valid_loss", None)
        again = NeuralForecast(models=[LSTM(**settings)], freq=problem.frequency)
        again.fit(problem.until(begin), val_size=0)
        for numbers in problem.chunks(fold, 5000):
            ahead = again.predict(df=problem.histories(numbers))
            ahead = ahead.sort_values(["unique_id", "ds"]).drop(columns=["unique_id", "ds"])
            forecasts[numbers] = ahead.to_numpy().reshape(-1, *shape[1:])
    return windows.DECILES, forecasts


if __name__ == "__main__":
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    windows.main({name: partial(auto, int(name.split()[1])) for name in sys.argv[2:]})
