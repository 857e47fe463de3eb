"""What the server asks of a kind: its room `web` has a `Service`, made as below.

The server knows no kind. Where a kind has no such room, `retain serve` says so.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from fastapi import Request, Response
from prometheus_client import CollectorRegistry

from retain.serving.champion import Loaded

RunInThread = Callable[..., Awaitable[Any]]  # runs a function in a thread beside the sockets


@dataclass(frozen=True)
class Limits:
    """What a client may ask for."""

    body: int = 32 * 2**20  # bytes
    rows: int = 1_000_000
    waiting: int = 20_000  # series that wait for the network
    receive: float = 30.0  # seconds for a client to send its request
    answer: float = 60.0  # seconds to answer it
    follow: float = 5.0  # seconds between looks for another champion


class Service(Protocol):
    """How the champions of a kind are asked over HTTP, whichever it is at the time."""

    path: str  # of its POST
    page: str  # the HTML at /
    summary: str  # what comes from it, for the description's title
    operation: dict[str, Any]  # what FastAPI is told of the POST
    body: int  # bytes of a request

    def __init__(self, limits: Limits, counters: CollectorRegistry, run_in_thread: RunInThread): ...

    async def answer(
        self, model: Loaded, request: Request, body: bytes, from_csv: bool, as_csv: bool
    ) -> Response:
        """The answer of `model`, which is the champion when the request is read.

        Raises:
            Refused, RetainError: the request is wrong; or too many wait.
        """

    def described(self, model: Loaded) -> dict[str, Any]:
        """What a request must bring, and what its answer has."""

    def csv(self, model: Loaded) -> str:
        """The model's example as a request in CSV."""

    def request(self, model: Loaded) -> dict[str, Any]:
        """What OpenAPI says of requests to this model: `requestBody`, and `parameters` if any."""
