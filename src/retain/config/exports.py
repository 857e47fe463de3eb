"""What `retain export` writes, shared by the command and the kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from retain.config.kind import Predictor

Format = Literal["onnx", "torch"]


@dataclass(frozen=True)
class Exported:
    """A model as a folder that needs no retain.

    Attributes:
        folder: what was written.
        md5: of the model's folder.
        windows: how many were compared with the model.
        difference: the largest one, in deviations of a series.
    """

    folder: Path
    md5: str
    windows: int
    difference: float


class ExportModel(Protocol):
    """Write the model of a folder into a new folder; ModelError if it cannot be done."""

    def __call__(self, folder: Path, out: Path, how: Format) -> Exported: ...


class LoadOnnx(Protocol):
    """Read a model folder without torch; its graph is in `cache`, or is written there."""

    def __call__(self, folder: Path, cache: Path) -> Predictor: ...
