"""The interface between the server and a kind: an `Endpoint`, which answers with its champions.

The server works for every kind. If a kind has no endpoint, `retain serve` refuses its models.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from fastapi import Response
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, Field

from retain.config.kind import Predictor
from retain.config.monitoring import LogLimit
from retain.serving.champion import LoadedChampion
from retain.serving.http_io import RawRequest

P_contra = TypeVar(
    "P_contra", bound=Predictor, contravariant=True
)  # the class of the kind's predictors


@dataclass(frozen=True)
class Limits:
    """Limits of a request."""

    body: int = 32 * 2**20  # bytes
    rows: int = 1_000_000
    waiting: int = 20_000  # series that wait for the network
    receive: float = 30.0  # seconds for a client to send its request
    answer: float = 60.0  # seconds to answer it
    follow: float = 5.0  # seconds between two checks for another champion


class ModelName(BaseModel):
    """The model that answers."""

    name: str
    version: str
    md5: str


class Answer(BaseModel):
    """The fields of every answer in JSON; a kind adds others."""

    model: ModelName
    ignored: list[str] = Field(description="Columns of a CSV file that the model does not read.")


class Endpoint(Protocol[P_contra]):
    """Answers HTTP requests with a champion of a kind."""

    path: str  # of its POST
    summary: str  # description of its POST
    answer_model: type[Answer]  # the answer in JSON, for the description
    page: str  # the HTML at /
    max_body: int  # bytes of a request

    async def answer(self, champion: LoadedChampion[P_contra], request: RawRequest) -> Response:
        """Answer with `champion`, the current one when the request arrived.

        Raises:
            HTTPException, RetainError: the request is wrong, or too many requests wait.
        """

    def describe(self, champion: LoadedChampion[P_contra]) -> dict[str, Any]:
        """Describe the fields of a request and of its answer, for /model."""

    def describe_request(self, champion: LoadedChampion[P_contra]) -> dict[str, Any]:
        """Describe requests to this champion for OpenAPI: `requestBody`, and any `parameters`."""

    def example_csv(self, champion: LoadedChampion[P_contra]) -> str:
        """Write the champion's example as a request in CSV."""


class OpenLog(Protocol):
    """A log that is being written."""

    def close(self) -> None:
        """Write what waits, and end."""


@runtime_checkable
class KeepsAnswers(Protocol):
    """An endpoint that can keep its answers, for `retain monitor`."""

    def keep_answers(self, folder: Path, limit: LogLimit, counters: CollectorRegistry) -> OpenLog:
        """Keep all answers from now on in a log in `folder`; raises OSError if it cannot."""


# Makes the endpoint of a kind, which counts its answers.
BuildEndpoint = Callable[[Limits, CollectorRegistry], Endpoint[Any]]
