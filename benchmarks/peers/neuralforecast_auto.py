"""neuralforecast's AutoLSTM with Optuna on given windows, searched on what precedes the test part.

Its name says how many trials it has at most, and after how many CPU seconds no other begins:
`AutoLSTM 40 205`. The search space is its own, but for contexts longer than the longest series,
which are cut to it. The environment variable VALIDATION has the steps of the validation part.
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

FIXED: dict[str, Any] = {
    "windows_batch_size": 64,
    "start_padding_enabled": True,
    "accelerator": "cpu",
    "devices": 1,
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def auto(
    trials: int, seconds: float, problem: windows.Problem
) -> tuple[tuple[float, ...], windows.Floats]:
    """Search with the last part for validation; the best, trained again by AutoLSTM, forecasts."""
    own = AutoLSTM.get_default_config(h=problem.horizon, backend="optuna")
    (begin,) = problem.begins
    before = problem.until(begin)
    lengths = before.groupby("unique_id")["y"].size()
    limit = windows.spent() + seconds

    def config(trial: optuna.Trial) -> dict[str, Any]:
        drawn = own(trial)
        size = drawn["input_size"]  # the list of them, where AutoLSTM looks at its space
        size = size if isinstance(size, list) else min(size, int(lengths.max()))
        return drawn | FIXED | {"input_size": size}

    def stop(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        print(f"trial {trial.number}: {windows.spent():.0f} CPU s, {trial.value}", flush=True)
        if windows.spent() >= limit:
            study.stop()

    search = AutoLSTM(
        h=problem.horizon,
        loss=MQLoss(quantiles=list(windows.DECILES)),
        config=config,
        search_alg=optuna.samplers.TPESampler(seed=1),
        num_samples=trials,
        backend="optuna",
        callbacks=[stop],
    )
    part = int(os.environ["VALIDATION"])
    network = NeuralForecast(models=[search], freq=problem.frequency)
    network.fit(before, val_size=min(part, int(lengths.min()) // 3))
    problem.facts["trials"] = len(network.models[0].results.trials)
    shape = len(problem.series), problem.horizon, len(windows.DECILES)
    forecasts = np.full(shape, np.nan)
    for numbers in problem.chunks(0, 5000):
        ahead = network.predict(df=problem.histories(numbers))
        ahead = ahead.sort_values(["unique_id", "ds"]).drop(columns=["unique_id", "ds"])
        forecasts[numbers] = ahead.to_numpy().reshape(-1, *shape[1:])
    return windows.DECILES, forecasts


def main() -> None:
    """Search for each name on the command line."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    peers = {}
    for name in sys.argv[2:]:
        _, trials, seconds = name.split()
        peers[name] = partial(auto, int(trials), float(seconds))
    windows.main(peers)


if __name__ == "__main__":
    main()
