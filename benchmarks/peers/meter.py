"""What the workers share: orders from the driver, the clock of the batches, the race to an error.

A worker is a process of its own environment. It sets up, says `ready`, and then answers each line
on its standard input, a number of seconds, with the windows it got through, and the seconds
and the processor seconds it took.
Imports nothing of retain, so that it runs wherever a peer does.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

CONTEXT, HORIZON = 96, 24
VALIDATION, TEST = 8640, 11_520  # the rows at which they begin; the file ends where test does
WARM_UP = 5  # batches
Floats = np.ndarray[Any, Any]


class Worker:
    """The worker's options, and its pipes to the driver."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = json.loads(sys.argv[1])
        torch.set_num_threads(self.options["threads"])
        # Libraries print; what they print must not be taken for an answer.
        self._answers = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)

    def say(self, text: str) -> None:
        """Answer the driver."""
        self._answers.write(text + "\n")

    def order(self) -> float:
        """Wait for the driver's next number of seconds; there is none: end, whatever runs."""
        line = sys.stdin.readline()
        if not line:
            os._exit(0)  # from within a training loop, which would catch an exception
        return float(line)


def since(begin: tuple[float, float] = (0.0, 0.0)) -> tuple[float, float]:
    """Seconds, and processor seconds of this process, since an earlier answer."""
    return time.perf_counter() - begin[0], time.process_time() - begin[1]


class Clock:
    """Called once a batch from within a training: measures as the driver orders."""

    def __init__(self, worker: Worker):
        self.worker, self.batches = worker, 0
        self.begin, self.windows, self.seconds = (0.0, 0.0), 0, 0.0

    def __call__(self, windows: int) -> None:
        """Another batch of so many windows is done."""
        self.batches += 1
        self.windows += windows
        if self.batches < WARM_UP:
            return
        if self.batches == WARM_UP:
            self.worker.say("ready")
        else:
            passed, spent = since(self.begin)
            if passed < self.seconds:
                return
            self.worker.say(f"{self.windows} {passed} {spent}")
        self.seconds = self.worker.order()
        self.begin, self.windows = since(), 0


class Race:
    """Called once a batch: scores the weights now and then; only training is counted.

    What is counted is the processor time of this process, without that of scoring and of building
    what scores: since it began, imports included, and since the first batch.
    """

    def __init__(self, worker: Worker, score: Callable[[], float], apart: float = 0.0):
        self.worker, self.score, self.apart = worker, score, apart
        self.windows, self.due = 0, worker.options["every"]
        self.first: float | None = None  # what was counted before the first batch

    def __call__(self, windows: int) -> None:
        """Another batch of so many windows is done."""
        options = self.worker.options
        if self.first is None:
            self.first = time.process_time() - self.apart
        self.windows += windows
        if self.windows < self.due:
            return
        self.due = max(self.windows + options["every"], round(1.25 * self.windows))
        begin = time.process_time()
        error = self.score()
        counted = begin - self.apart
        self.worker.say(f"{counted} {self.windows} {error} {counted - self.first}")
        if error <= options["target"] or begin - self.apart > options["cap"]:
            os._exit(0)
        self.apart += time.process_time() - begin


class Peer(NamedTuple):
    """How a library does its part.

    `make(options, table, trainer)` builds a model that will train with these arguments of
    Lightning's Trainer; `fit(model)` trains it; `network(model)` is its module after that;
    `predict(model, origins)` forecasts, in the library's own way, the first `origins` test windows
    of each series: (series, origins, horizon).
    """

    callback: type
    make: Callable[[dict[str, Any], pd.DataFrame, dict[str, Any]], Any]
    fit: Callable[[Any], None]
    network: Callable[[Any], torch.nn.Module]
    predict: Callable[[Any, int], Floats]


def answer(worker: Worker, predict: Callable[[], int]) -> None:
    """Predict for as long as ordered, again and again; `predict` returns its number of windows."""
    predict()
    worker.say("ready")
    while True:
        seconds, begin, windows = worker.order(), since(), 0
        while since(begin)[0] < seconds:
            windows += predict()
        worker.say(" ".join(map(str, (windows, *since(begin)))))


def truths(table: pd.DataFrame, origins: int) -> Floats:
    """What the first test windows of each series should have forecast: (series, origins, horizon).

    Args:
        table: the column `ds` and one column for each series.
        origins: how many windows of a series.
    """
    values = table.drop(columns="ds").to_numpy(dtype=np.float32).T  # (series, steps)
    ahead = np.lib.stride_tricks.sliding_window_view(values, HORIZON, axis=1)
    return np.asarray(ahead[:, TEST : TEST + origins])


def main(peer: Peer) -> None:
    """Do what the options say: train, predict or race."""
    worker = Worker()
    options = worker.options
    table = pd.read_csv(options["table"], parse_dates=["ds"])
    training: list[torch.nn.Module] = []  # Darts shows its module to no one before the end

    def make(steps: int, on_batch: Callable[[int], None]) -> Any:
        class EachBatch(peer.callback):  # type: ignore[misc, name-defined]
            def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
                training[:] = [pl_module]
                on_batch(options["batch"])

        trainer = {
            "accelerator": "cpu",
            "devices": 1,
            "max_steps": steps,
            "gradient_clip_val": 1.0,
            "callbacks": [EachBatch()],
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        }
        return peer.make(options, table, trainer)

    if options["mode"] == "train":
        peer.fit(make(10**9, Clock(worker)))
        return
    begin = time.process_time()
    spare = make(1, lambda windows: None)  # fitted to one batch, for libraries that insist on it
    peer.fit(spare)
    if options["mode"] == "predict":
        answer(worker, lambda: peer.predict(spare, options["origins"])[..., 0].size)

    due = truths(table, len(table) - HORIZON - TEST + 1)

    def score() -> float:
        peer.network(spare).load_state_dict(training[0].state_dict())
        return float(np.abs(peer.predict(spare, due.shape[1]) - due).mean())

    race = Race(worker, score, time.process_time() - begin)
    peer.fit(make(10**9, race))
