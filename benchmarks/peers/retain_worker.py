"""retain, through `training.fit` and `Forecaster.predict`; and its network in a bare loop."""

import copy
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import meter
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from retain.config import loader, schema
from retain.kinds.forecast.data import panel
from retain.kinds.forecast.data.windows import Batch, Windows, without_base
from retain.kinds.forecast.model import setup as forecast_task
from retain.training import trainer
from retain.training.setup import TrainingSetup


class Counted:
    """Windows that tell how many were asked for: once a batch, from within Lightning's loop."""

    def __init__(self, windows: Windows, on_batch: Callable[[int], None]):
        self.windows, self.on_batch = windows, on_batch

    def __len__(self) -> int:
        return len(self.windows)

    def batch(self, numbers: NDArray[np.int64]) -> Batch:
        """The windows of these numbers; the batch before them is done."""
        self.on_batch(len(numbers))
        return self.windows.batch(numbers)


def bare(task: TrainingSetup, options: schema.Training, on_batch: Callable[[int], None]) -> None:
    """The same network, loss and optimiser in a loop that does nothing else, without end."""
    windows, network = task.train, task.network.train()
    parameters = list(network.parameters())
    optimiser = torch.optim.AdamW(
        parameters, lr=options.rate("lstm"), weight_decay=options.weight_decay, fused=True
    )
    series, origin = map(torch.from_numpy, windows.locate(np.arange(len(windows))))
    begin = origin - windows.reach
    # A window that reaches beyond its series needs a mask; they are few, and left out here.
    whole = begin >= torch.from_numpy(windows._start)[series]
    begin, origin, series = begin[whole], origin[whole], series[whole]
    while True:
        order = torch.randperm(len(begin))
        for numbers in order.split(options.batch_size)[:-1]:
            chosen = series[numbers]
            batch = Batch(
                windows._windows.index_select(0, begin[numbers]),
                chosen + 1,
                windows._static[chosen],
                windows._scales[chosen],
                origin[numbers],
                *without_base(len(numbers), windows.horizon),
            )
            total, weight = task.loss(network, batch)
            optimiser.zero_grad()
            (total / weight).backward()
            nn.utils.clip_grad_norm_(parameters, options.gradient_clip)
            optimiser.step()
            on_batch(len(numbers))


def forecasts(network: nn.Module, windows: Windows, size: int) -> meter.Floats:
    """Medians of all windows in order, as `evaluate` makes them: (windows, horizon)."""
    network.eval()
    done = []
    for begin in range(0, len(windows), size):
        batch = windows.batch(np.arange(begin, min(begin + size, len(windows))))
        with torch.inference_mode():
            done.append(network.predict(batch).numpy())
    return np.concatenate(done)[..., network.levels.index(0.5)]


def main() -> None:
    """Do what the options say: train, predict or race, in retain's way or bare."""
    worker = meter.Worker()
    options: dict[str, Any] = worker.options
    problem = loader.parse("benchmark", options["problem"])
    prepared = Path(options["prepared"])
    trainer.seed_everything(problem.training)
    task = forecast_task.build(problem, prepared, "lstm")
    # The peers do not validate, and here an epoch's validation would be counted as training.
    task = replace(task, validation=Windows(panel.load(prepared), "validation").thinned(256))
    test = Windows(panel.load(prepared), "test")

    def train(on_batch: Callable[[int], None]) -> None:
        if options["bare"]:
            bare(task, problem.training, on_batch)
        counted = replace(task, train=Counted(task.train, on_batch))
        trainer.fit(counted, problem.training, "lstm", "retain")

    if options["mode"] == "train":
        train(meter.Clock(worker))
    if options["mode"] == "predict":
        some = test.thinned(options["origins"] * len(panel.load(prepared).index))
        meter.answer(worker, lambda: len(forecasts(task.network.eval(), some, options["batch"])))

    _, origin = test.locate(np.arange(len(test)))
    truth = torch.from_numpy(np.asarray(panel.load(prepared).values))
    due = truth[:, 0].unfold(0, test.horizon, 1)[torch.from_numpy(origin)].numpy()

    def score() -> float:
        return float(np.abs(forecasts(copy.deepcopy(task.network), test, 512) - due).mean())

    race = meter.Race(worker, score)
    train(race)
    race.due = 0  # once more, at the end
    race(0)
    os._exit(0)


if __name__ == "__main__":
    main()
