"""Requests that wait together are run through the network together.

The network runs in the event loop's own thread, at most `CHUNK` series at a time, between looks at
the sockets: in a thread of its own it would wait for the interpreter's lock at each of its many
small steps. What arrives while it runs is read next and runs together. A request of many series
takes its turn with the others, so that it does not keep them waiting.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from retain.errors import RetainError

CHUNK = 64  # series that the network runs at once; more fall out of the CPU's cache


class OverloadedError(RetainError):
    """More series wait than the server takes on."""


@dataclass(eq=False)
class _Job:
    """A request on its way through the network."""

    model: Any
    batch: tuple[torch.Tensor, ...]
    answer: "asyncio.Future[NDArray[np.float32]]"
    size: int
    begun: int = 0
    parts: list[NDArray[np.float32]] = field(default_factory=list)


class Batcher:
    """A queue, and the turns in which it is worked off.

    Args:
        limit: series that may wait; a request that comes on top of them is refused.
        seen: told how many series each run of the network had.
    """

    def __init__(self, limit: int, seen: Callable[[int], None] = lambda size: None):
        self._limit, self._seen = limit, seen
        self._waiting: deque[_Job] = deque()
        self._size = 0
        self._turning = False

    async def predict(self, model: Any, request: Any) -> NDArray[np.float32]:
        """What `model.predict` says of a request's series.

        Raises:
            OverloadedError: too many wait already.
        """
        size = len(request)
        if self._size and self._size + size > self._limit:
            raise OverloadedError(
                f"{self._size:,} series wait for a forecast; try again in a second"
            )
        loop = asyncio.get_running_loop()
        job = _Job(model, request.batch, loop.create_future(), size)
        self._size += size
        self._waiting.append(job)
        if not self._turning:  # behind the requests that are being read
            self._turning = True
            loop.call_soon(self._turn, loop)
        try:
            return await job.answer
        except asyncio.CancelledError:  # its client is gone
            self._forget(job)
            raise

    def _forget(self, job: _Job) -> None:
        if job in self._waiting:
            self._waiting.remove(job)
            self._size -= job.size - job.begun

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the network once, and come back if there is more to do."""
        if chosen := self._choose():
            self._run(chosen)
        self._turning = bool(self._waiting)
        if self._turning:
            loop.call_soon(self._turn, loop)

    def _choose(self) -> list[tuple[_Job, slice]]:
        """Parts of the jobs that waited longest, of one model, together at most `CHUNK` series."""
        chosen: list[tuple[_Job, slice]] = []
        room, behind = CHUNK, []
        while self._waiting and room:
            job = self._waiting.popleft()
            if job.answer.done():  # its client is gone
                self._size -= job.size - job.begun
                continue
            if chosen and job.model is not chosen[0][0].model:
                behind.append(job)
                continue
            part = slice(job.begun, min(job.begun + room, job.size))
            job.begun = part.stop
            room -= part.stop - part.start
            chosen.append((job, part))
        unfinished = [job for job, part in chosen if part.stop < job.size]
        self._waiting.extendleft(reversed(behind))
        self._waiting.extend(unfinished)
        self._size -= CHUNK - room
        return chosen

    def _run(self, chosen: list[tuple[_Job, slice]]) -> None:
        sizes = [part.stop - part.start for _, part in chosen]
        self._seen(sum(sizes))
        columns = zip(*(job.batch for job, _ in chosen), strict=True)
        batch = type(chosen[0][0].batch)(
            *(
                torch.cat([column[part] for column, (_, part) in zip(parts, chosen, strict=True)])
                for parts in columns
            )
        )
        try:
            found = np.split(chosen[0][0].model.predict_batch(batch), np.cumsum(sizes)[:-1])
        except Exception as error:
            for job, _ in chosen:
                self._forget(job)
                if not job.answer.done():
                    job.answer.set_exception(error)
            return
        for (job, part), quantiles in zip(chosen, found, strict=True):
            job.parts.append(quantiles)
            if part.stop == job.size and not job.answer.done():
                job.answer.set_result(np.concatenate(job.parts))
