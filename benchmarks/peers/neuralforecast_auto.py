"""neuralforecast's AutoLSTM with Optuna on given windows, searched on what precedes the test part.

Its name says how many trials it has at most, and after how many CPU seconds the search ends:
`AutoLSTM 40 205`. A trial that runs then is lost, unless it is the first. The search space is its
own, but for contexts longer than the longest series, which are cut to it. The environment variable
VALIDATION has the steps of the validation part.
"""

import logging
import math
import os
import sys
from functools import partial
from typing import Any

import numpy as np
import optuna
import pytorch_lightning
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


class Limit(pytorch_lightning.Callback):
    """Ends the search after some CPU seconds, as soon as a trial has been trained."""

    def __init__(self, trials: int, seconds: float):
        self.trials, self.until = trials, windows.spent() + seconds
        self.ended = 0  # trials

    def on_train_batch_end(self, *args: Any) -> None:
        """End a trial."""
        if self.ended and windows.spent() >= self.until:
            raise optuna.TrialPruned

    def __call__(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        """Count a trial; end the search at the limit, and have none in the training after it."""
        self.ended += trial.state == optuna.trial.TrialState.COMPLETE
        print(f"{trial.number}: {trial.state.name}, {windows.spent():.0f} CPU s", flush=True)
        if windows.spent() >= self.until or trial.number + 1 == self.trials:
            study.stop()
            self.until = math.inf

    def __deepcopy__(self, memo: object) -> "Limit":
        """Return itself: each training gets a copy of its settings."""
        return self


def auto(
    trials: int, seconds: float, problem: windows.Problem
) -> tuple[tuple[float, ...], windows.Floats]:
    """Search with the last part for validation; the best, trained again by AutoLSTM, forecasts."""
    own = AutoLSTM.get_default_config(h=problem.horizon, backend="optuna")
    (begin,) = problem.begins
    before = problem.until(begin)
    lengths = before.groupby("unique_id")["y"].size()
    limit = Limit(trials, seconds)

    def config(trial: optuna.Trial) -> dict[str, Any]:
        drawn = own(trial)
        size = drawn["input_size"]  # the list of them, where AutoLSTM looks at its space
        size = size if isinstance(size, list) else min(size, int(lengths.max()))
        return drawn | FIXED | {"input_size": size, "callbacks": [limit]}

    search = AutoLSTM(
        h=problem.horizon,
        loss=MQLoss(quantiles=list(windows.DECILES)),
        config=config,
        search_alg=optuna.samplers.TPESampler(seed=1),
        num_samples=trials,
        backend="optuna",
        callbacks=[limit],
    )
    part = int(os.environ["VALIDATION"])
    network = NeuralForecast(models=[search], freq=problem.frequency)
    network.fit(before, val_size=min(part, int(lengths.min()) // 3))
    problem.facts["trials"] = limit.ended
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
