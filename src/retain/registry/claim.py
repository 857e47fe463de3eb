"""One machine at a time moves the aliases of a model, also through MLflow's HTTP interface.

MLflow cannot set an alias on condition of what it was. Its tags can be written, read and removed,
each call by itself, and every kind of store has them. So whoever wants to move an alias writes a
tag of its own at the registered model, a claim, and then reads all of them: of two that write
before they read, at least one sees the other. One that sees another takes its own back, waits for
a random time and tries again (Ethernet's rule). It holds the claim if it sees only its own.

A claim is held for a few calls, while nothing is computed. One of a process that was killed is
removed by the next one that has seen it for STALE seconds, by its own clock. So the holder reads
the tags again just before each move, and makes none if its claim is gone, or was written more than
HOLD seconds ago: a call may take 10 s, twice (`tracking/store.py`), and ends before STALE.
"""

import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

from retain.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient

PREFIX = "claim."  # of the tags
STALE = 60.0  # seconds
HOLD = 30.0  # seconds in which a holder may begin a move
PATIENCE = 300.0  # seconds until one that waits gives up
MOVES = (
    "set_registered_model_alias",
    "delete_registered_model_alias",
    "set_registered_model_tag",  # of a person's decision, which later ones depend on
)


class ClaimLostError(RegistryError):
    """The claim is gone or too old, so that another process may move the aliases."""


class _Holder:
    """A client that checks before each move whether the claim is still its own."""

    def __init__(self, client: "MlflowClient", name: str, own: str, start: float):
        self._client, self._name, self._own, self._start = client, name, own, start

    def __getattr__(self, attribute: str) -> Any:
        if attribute in MOVES:
            self._check()
        return getattr(self._client, attribute)

    def _check(self) -> None:
        there = self._own in self._client.get_registered_model(self._name).tags
        if not there or time.monotonic() - self._start > HOLD:
            raise ClaimLostError(
                f"the store answers too slowly: another process may be moving the aliases of "
                f"{self._name}. Look at `retain models {self._name}`, and try again"
            )


@contextmanager
def held(client: "MlflowClient", name: str) -> Iterator["MlflowClient"]:
    """Wait until no other process moves aliases of a model, and keep others from it in the block.

    Yields:
        The client that moves aliases in the block. Its moves raise ClaimLostError, and do nothing,
        if the claim is gone, or is older than HOLD seconds.

    Raises:
        RegistryError: others hold it for PATIENCE seconds, or the store does not answer.
    """
    seen: dict[str, float] = {}  # when another one's claim was first seen
    start = written = time.monotonic()
    own = _new()
    try:
        while others := _write(client, name, own):
            _remove(client, name, own)
            now = time.monotonic()
            seen = {claim: seen.get(claim, now) for claim in others}
            for claim, first in seen.items():
                if now - first > STALE:
                    _remove(client, name, claim)
            if now - start > PATIENCE:
                raise RegistryError(
                    f"other processes have been moving the aliases of {name} for "
                    f"{PATIENCE:.0f} s: try again"
                )
            time.sleep(random.uniform(0.02, 0.2))  # noqa: S311  # no secret
            # Another name, since others count the seconds from when they first saw this one.
            own, written = _new(), time.monotonic()
        yield cast("MlflowClient", _Holder(client, name, own, written))
    finally:
        _remove(client, name, own)


def _new() -> str:
    return f"{PREFIX}{uuid.uuid4().hex}"


def _write(client: "MlflowClient", name: str, own: str) -> set[str]:
    """Write a claim; return those of others that are there then."""
    client.set_registered_model_tag(name, own, "1")
    tags = client.get_registered_model(name).tags
    return {key for key in tags if key.startswith(PREFIX)} - {own}


def _remove(client: "MlflowClient", name: str, claim: str) -> None:
    with suppress(RegistryError):  # another one removed it, or the store is away
        client.delete_registered_model_tag(name, claim)
