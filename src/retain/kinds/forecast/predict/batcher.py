"""Run the network once for requests that wait together.

The network runs in the event loop's thread, at most `CHUNK` series at a time, between reads of the
sockets: in a separate thread it would wait for the interpreter's lock at each of its many small
steps. Requests that arrive meanwhile are read next and run together. A request of many series goes
to the end of the queue after each of its batches, so that it does not block the others.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retain.kinds.forecast.predict import inputs
from retain.kinds.forecast.predict.inputs import Inputs
from retain.kinds.forecast.predict.request import CHUNK, Request
from retain.kinds.forecast.predict.table_predictor import TablePredictor
from retain.serving.http_io import OverloadedError

Forecasts = NDArray[np.float32]  # (series, horizon, levels + 1), as `predict_batch` returns


@dataclass(eq=False)
class _Job:
    """A batch that waits for the network."""

    predictor: TablePredictor
    batch: Inputs
    forecasts: "asyncio.Future[Forecasts]"


class Batcher:
    """A queue of batches, which are run in turns.

    Args:
        limit: the most series that may wait; further requests are refused.
        on_run: called with the number of series of each run of the network.
    """

    def __init__(self, limit: int, on_run: Callable[[int], None] = lambda size: None):
        self._limit, self._on_run = limit, on_run
        self._jobs: deque[_Job] = deque()
        self._waiting = 0  # series
        self._scheduled = False

    async def predict(self, predictor: TablePredictor, request: Request) -> Forecasts:
        """Return the forecasts of a request's series.

        Raises:
            OverloadedError: too many wait already.
        """
        left = len(request)
        if self._waiting and self._waiting + left > self._limit:
            raise OverloadedError(f"{self._waiting:,} series wait for a forecast")
        self._waiting += left
        loop, parts = asyncio.get_running_loop(), []
        try:
            for batch in request.batches():
                job = _Job(predictor, batch, loop.create_future())
                self._jobs.append(job)
                if not self._scheduled:  # behind the requests that are being read
                    self._scheduled = True
                    loop.call_soon(self._take_turn, loop)
                parts.append(await job.forecasts)
                self._waiting -= len(batch.series)
                left -= len(batch.series)
        finally:
            self._waiting -= left
        return np.concatenate(parts)

    def _take_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the network for the batches that waited longest, and schedule the next run."""
        chosen: list[_Job] = []
        free = CHUNK
        while self._jobs:
            job = self._jobs[0]
            if not job.forecasts.done():  # its client is there
                if chosen and job.predictor is not chosen[0].predictor:
                    break
                if len(job.batch.series) > free:
                    break
                chosen.append(job)
                free -= len(job.batch.series)
            self._jobs.popleft()
        if chosen:
            self._run(chosen)
        self._scheduled = bool(self._jobs)
        if self._scheduled:
            loop.call_soon(self._take_turn, loop)

    def _run(self, chosen: list[_Job]) -> None:
        sizes = [len(job.batch.series) for job in chosen]
        self._on_run(sum(sizes))
        try:
            batch = inputs.join([job.batch for job in chosen])
            forecasts = chosen[0].predictor.predict_batch(batch)
        except Exception as error:
            for job in chosen:
                job.forecasts.set_exception(error)
            return
        for job, part in zip(chosen, np.split(forecasts, np.cumsum(sizes)[:-1]), strict=True):
            job.forecasts.set_result(part)
