"""Run the network once for requests that wait together.

The network runs in the event loop's own thread, at most `CHUNK` series at a time, between looks at
the sockets: in a thread of its own it would wait for the interpreter's lock at each of its many
small steps. What arrives while it runs is read next and runs together. A request of many series
takes its turn with the others, so that it does not keep them waiting.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from retain.kinds.forecast.data.windows import Batch
from retain.kinds.forecast.predict.predictor import CHUNK, Predictor
from retain.kinds.forecast.predict.request import Request
from retain.serving.http_io import OverloadedError

Quantiles = NDArray[np.float32]  # (series, horizon, levels)


@dataclass(eq=False)
class _Job:
    """A request on its way through the network."""

    predictor: Predictor
    batch: Batch
    size: int  # series
    quantiles: "asyncio.Future[Quantiles]"
    begun: int = 0  # series that the network has run, or is running
    parts: list[Quantiles] = field(default_factory=list)


class Batcher:
    """A queue of requests, and the turns in which it is worked off.

    Args:
        limit: series that may wait; a request that comes on top of them is refused.
        on_run: called with the number of series of each run of the network.
    """

    def __init__(self, limit: int, on_run: Callable[[int], None] = lambda size: None):
        self._limit, self._on_run = limit, on_run
        self._jobs: deque[_Job] = deque()
        self._waiting = 0  # series
        self._scheduled = False

    async def predict(self, predictor: Predictor, request: Request) -> Quantiles:
        """Return the quantiles of a request's series.

        Raises:
            OverloadedError: too many wait already.
        """
        size = len(request)
        if self._waiting and self._waiting + size > self._limit:
            raise OverloadedError(f"{self._waiting:,} series wait for a forecast")
        loop = asyncio.get_running_loop()
        job = _Job(predictor, request.batch, size, loop.create_future())
        self._waiting += size
        self._jobs.append(job)
        if not self._scheduled:  # behind the requests that are being read
            self._scheduled = True
            loop.call_soon(self._take_turn, loop)
        return await job.quantiles

    def _take_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the network once, and come back if there is more to do."""
        if chosen := self._choose():
            self._run(chosen)
        self._scheduled = bool(self._jobs)
        if self._scheduled:
            loop.call_soon(self._take_turn, loop)

    def _choose(self) -> list[tuple[_Job, slice]]:
        """Take parts of the jobs that waited longest, of one model, at most `CHUNK` series."""
        chosen: list[tuple[_Job, slice]] = []
        free, others = CHUNK, []
        while self._jobs and free:
            job = self._jobs.popleft()
            if job.quantiles.done():  # its client is gone, or a part of it has failed
                self._waiting -= job.size - job.begun
            elif chosen and job.predictor is not chosen[0][0].predictor:
                others.append(job)
            else:
                part = slice(job.begun, min(job.begun + free, job.size))
                job.begun = part.stop
                free -= part.stop - part.start
                chosen.append((job, part))
        unfinished = [job for job, part in chosen if part.stop < job.size]
        self._jobs.extendleft(reversed(others))
        self._jobs.extend(unfinished)
        self._waiting -= CHUNK - free
        return chosen

    def _run(self, chosen: list[tuple[_Job, slice]]) -> None:
        sizes = [part.stop - part.start for _, part in chosen]
        self._on_run(sum(sizes))
        parts = ([column[part] for column in job.batch] for job, part in chosen)
        batch = Batch(*map(torch.cat, zip(*parts, strict=True)))
        try:
            quantiles = np.split(chosen[0][0].predictor.predict_batch(batch), np.cumsum(sizes)[:-1])
        except Exception as error:
            for job, _ in chosen:
                if not job.quantiles.done():
                    job.quantiles.set_exception(error)
            return
        for (job, part), found in zip(chosen, quantiles, strict=True):
            job.parts.append(found)
            if part.stop == job.size and not job.quantiles.done():
                job.quantiles.set_result(np.concatenate(job.parts))
