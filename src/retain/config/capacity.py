"""The protocol of the part of a kind that plans for more data than there is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from retain.config.schema import Problem

P = TypeVar("P", bound=Problem, contravariant=True)  # noqa: PLC0105


class PlanCapacity(Protocol[P]):
    """Measure costs here; return in Markdown what more series need (`retain plan`)."""

    def __call__(
        self, problem: P, name: str, root: Path, series: int, nodes: Sequence[int]
    ) -> str: ...
