"""What the server asks of a kind: an `Endpoint`, through which its champions answer.

The server knows no kind. Where a kind has no endpoint, `retain serve` refuses its models.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from fastapi import Response
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, Field

from retain.config.kind import Predictor
from retain.serving.champion import LoadedChampion
from retain.serving.http_io import RawRequest

P_contra = TypeVar(
    "P_contra", bound=Predictor, contravariant=True
)  # the class of the kind's predictors


@dataclass(frozen=True)
class Limits:
    """What a client may ask for."""

    body: int = 32 * 2**20  # bytes
    rows: int = 1_000_000
    waiting: int = 20_000  # series that wait for the network
    receive: float = 30.0  # seconds for a client to send its request
    answer: float = 60.0  # seconds to answer it
    follow: float = 5.0  # seconds between looks for another champion


class ModelName(BaseModel):
    """Which model answers."""

    name: str
    version: str
    md5: str


class Answer(BaseModel):
    """What every answer in JSON has; a kind adds its own."""

    model: ModelName
    ignored: list[str] = Field(description="Columns of a CSV file that the model does not read.")


class Endpoint(Protocol[P_contra]):
    """How a champion of a kind answers over HTTP."""

    path: str  # of its POST
    summary: str  # what its POST does
    answer_model: type[Answer]  # the answer in JSON, for the description
    page: str  # the HTML at /
    max_body: int  # bytes of a request

    async def answer(self, champion: LoadedChampion[P_contra], request: RawRequest) -> Response:
        """Answer with `champion`, which is the present one when the request has arrived.

        Raises:
            HTTPException, RetainError: the request is wrong; or too many wait.
        """

    def describe(self, champion: LoadedChampion[P_contra]) -> dict[str, Any]:
        """Describe what a request must bring, and what its answer has, for /model."""

    def describe_request(self, champion: LoadedChampion[P_contra]) -> dict[str, Any]:
        """Describe requests to this champion in OpenAPI: `requestBody`, and `parameters` if any."""

    def example_csv(self, champion: LoadedChampion[P_contra]) -> str:
        """Write the champion's example as a request in CSV."""


# Makes the endpoint of a kind, which counts what it answers.
BuildEndpoint = Callable[[Limits, CollectorRegistry], Endpoint[Any]]
