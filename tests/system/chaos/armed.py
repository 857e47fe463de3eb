"""What a training stage does to itself before it starts: it is imported by the stage's process."""

import functools
import itertools
import os
import pkgutil
from collections.abc import Callable
from typing import Any

from .kills import FULL_DISK, POINTS, Kill


def _patch(place: str, wrapped: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Put `wrapped(original)` in the place of a function, as `module:name`."""
    module, _, names = place.partition(":")
    *owners, name = names.split(".")
    owner = pkgutil.resolve_name(":".join([module, ".".join(owners)]) if owners else module)
    original = getattr(owner, name)
    setattr(owner, name, functools.wraps(original)(wrapped(original)))


def arm(kill: dict[str, Any], last_step: int) -> None:
    """Have this process kill itself at the point of a `Kill`, or find the disk full."""
    if kill["point"] == FULL_DISK:
        _fill_the_disk(kill["number"])
    elif kill["point"] in POINTS:
        _strike_at(Kill(**kill), last_step)


def _strike_at(kill: Kill, last_step: int) -> None:
    point, calls = POINTS[kill.point], itertools.count(1)

    def strike(*args: Any) -> None:
        point.harm(*args)
        os.kill(os.getpid(), kill.signal)

    def wrapped(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            due = point.counts(last_step, *args) and next(calls) == kill.number
            if due and point.side == "before":
                strike(*args)
            answer = original(*args, **named)
            if due and point.side == "after":
                strike(*args)
            return answer

        return call

    _patch(point.place, wrapped)


def _fill_the_disk(number: int) -> None:
    """Let no file grow beyond a few bytes while checkpoints from the n-th on are written."""
    import resource

    calls = itertools.count(1)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)

    def wrapped(write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> None:
            if next(calls) >= number:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, unlimited[1]))
            try:
                write(*args)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)

        return call

    _patch("retain.training.checkpoints:write", wrapped)
